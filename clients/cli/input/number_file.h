#ifndef VARVE_CLIENTS_CLI_INPUT_NUMBER_FILE_H_
#define VARVE_CLIENTS_CLI_INPUT_NUMBER_FILE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "clients/cli/input/mapped_file.h"
#include "clients/cli/input/npy.h"

namespace varve::cli {

// A file of rows of numbers, mapped, in whichever format its name tells:
//   .npy                   [rows, columns] of any type
//   .f32                   float32, row behind row, nothing else
//   .fvecs .bvecs .ivecs   each row: its columns as int32, then its f4, u1 or i4 elements
//   .hdf5 .h5              one dataset, not in chunks
// Thread-safe. Opening an HDF5 file is for one thread at a time.
class NumberFile {
 public:
  // `columns` is needed for .f32. `dataset`: of HDF5. InvalidArgument names the file, what was wanted and
  // what was found.
  static absl::StatusOr<NumberFile> Open(const std::string& path, std::optional<uint32_t> columns,
                                         const std::string& dataset);

  const NpyType& type() const { return type_; }
  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  size_t row_bytes() const { return columns_ * type_.size; }
  const std::string& path() const { return file_.path(); }
  // All of the file.
  std::string_view bytes() const { return file_.bytes(); }

  // Rows [first, first + count), one behind the other: in the file if they lie so, else in `scratch`,
  // which is filled.
  std::string_view Rows(size_t first, size_t count, std::string* scratch) const;

 private:
  NumberFile(MappedFile file, const NpyType& type) : file_(std::move(file)), type_(type) {}

  static absl::StatusOr<NumberFile> OpenNpyRows(const std::string& path);
  static absl::StatusOr<NumberFile> OpenRaw(const std::string& path, uint32_t columns);
  static absl::StatusOr<NumberFile> OpenVecs(const std::string& path, const NpyType& type);
  static absl::StatusOr<NumberFile> OpenHdf5(const std::string& path, const std::string& dataset);

  MappedFile file_;
  NpyType type_;
  size_t rows_ = 0;
  size_t columns_ = 0;
  size_t data_offset_ = 0;  // of row 0's elements
  size_t stride_ = 0;       // from a row's elements to the next one's
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_NUMBER_FILE_H_
