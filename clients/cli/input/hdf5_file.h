#ifndef VARVE_CLIENTS_CLI_INPUT_HDF5_FILE_H_
#define VARVE_CLIENTS_CLI_INPUT_HDF5_FILE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cli/input/npy_type.h"

namespace varve::cli {

// HDF5 files as ann-benchmarks has them: datasets of rows and columns of numbers, "train", "test",
// "neighbors" and "distances", in the root group. The library beneath is for one thread at a time in the
// whole process, and so is all of this.

// Whether a file of this name is one: .hdf5 or .h5.
bool IsHdf5FileName(std::string_view path);

// Owns something of the library's that is closed by a function of its own.
class Hdf5Handle {
 public:
  using Id = int64_t;         // the library's hid_t
  using Close = int (*)(Id);  // H5Fclose and the like

  Hdf5Handle() = default;
  Hdf5Handle(Id id, Close close) : id_(id), close_(close) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept
      : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Hdf5Handle() {
    if (valid()) close_(id_);
  }

  bool valid() const { return id_ >= 0; }
  Id get() const { return id_; }
  // Whether that went well, which tells of writes that did not.
  bool CloseNow() { return close_(std::exchange(id_, -1)) >= 0; }

 private:
  Id id_ = -1;
  Close close_ = nullptr;
};

// What is read of a dataset.
struct Hdf5Shape {
  std::string name;
  NpyType type;  // f2, f4, f8, u1, i1, i4 or i8, little-endian once it is read
  uint64_t rows = 0;
  uint64_t columns = 0;
};

// One dataset of a file, for reading. All that the file says of it has been checked.
class Hdf5Dataset {
 public:
  // InvalidArgument: it is no HDF5 file; the dataset has another rank or type, names the wanted and the
  // found. NotFound: no such file, or no such dataset, with the names of those that are there.
  static absl::StatusOr<Hdf5Dataset> Open(const std::string& path, const std::string& name);

  const Hdf5Shape& shape() const { return shape_; }

  // Where its rows lie in the file, one behind the other as they would be in memory; nullopt if they do
  // not: they are in chunks, compressed, of another byte order, or none was ever written.
  std::optional<uint64_t> Offset() const;

  // Rows [first, first + count), into `out`, which is made as long as they are. DataLoss.
  absl::Status Read(uint64_t first, uint64_t count, std::string* out) const;

 private:
  Hdf5Dataset(std::string path, Hdf5Handle file) : path_(std::move(path)), file_(std::move(file)) {}

  absl::Status OpenDataset(const std::string& name);

  std::string path_;
  Hdf5Handle file_;
  Hdf5Handle type_;  // in memory
  Hdf5Handle dataset_;
  Hdf5Shape shape_;
};

// The datasets of a file that can be read, in order of name. Errors as Hdf5Dataset::Open's.
absl::StatusOr<std::vector<Hdf5Shape>> ListHdf5(const std::string& path);

// Writes one dataset, block by block, into a file, which is made if it is not there; one of the same name
// is replaced, others stay.
class Hdf5Writer {
 public:
  // InvalidArgument: the file is something else, or `shape` has no name; Unavailable: the disk refuses.
  static absl::StatusOr<Hdf5Writer> Open(const std::string& path, const Hdf5Shape& shape);

  // The next rows.
  absl::Status Write(std::string_view bytes);
  // All rows have been written.
  absl::Status Close();

 private:
  Hdf5Writer(std::string path, Hdf5Shape shape)
      : path_(std::move(path)), shape_(std::move(shape)) {}

  std::string path_;
  Hdf5Shape shape_;
  uint64_t written_ = 0;  // rows
  Hdf5Handle file_;
  Hdf5Handle type_;
  Hdf5Handle dataset_;
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_HDF5_FILE_H_
