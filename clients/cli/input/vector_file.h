#ifndef VARVE_CLIENTS_CLI_INPUT_VECTOR_FILE_H_
#define VARVE_CLIENTS_CLI_INPUT_VECTOR_FILE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "base/tensor.h"
#include "clients/cli/input/number_file.h"

namespace varve::cli {

// The datasets of an HDF5 file, as ann-benchmarks names them, that are ingested and searched with.
inline constexpr char kTrainDataset[] = "train";
inline constexpr char kTestDataset[] = "test";

// The files that VectorFile reads, for words of errors and help.
inline constexpr char kVectorFileNames[] = ".npy, .f32, .fvecs, .bvecs or .hdf5";

// Whether VectorFile reads files of this name.
bool IsVectorFileName(std::string_view path);
// Whether the file says nothing of its vectors' dimension (.f32).
bool NeedsDimension(std::string_view path);

// A file of vectors: a NumberFile of f4, f2, u1 or i1. Thread-safe as that is.
class VectorFile {
 public:
  // `dimension` is needed for .f32; where it is given with another format, it must be right. `dataset`:
  // of HDF5. InvalidArgument names the file, what was wanted and what was found.
  static absl::StatusOr<VectorFile> Open(const std::string& path, std::optional<uint32_t> dimension,
                                         const std::string& dataset = kTrainDataset);

  DType dtype() const { return dtype_; }
  size_t rows() const { return file_.rows(); }
  size_t dimension() const { return file_.columns(); }
  size_t row_bytes() const { return file_.row_bytes(); }
  const std::string& path() const { return file_.path(); }
  // All of the file.
  std::string_view bytes() const { return file_.bytes(); }

  // Rows [first, first + count). The view points into the file where its rows lie one behind the
  // other, else into `scratch`, which it fills.
  TensorView Rows(size_t first, size_t count, std::string* scratch) const;

 private:
  VectorFile(NumberFile file, DType dtype) : file_(std::move(file)), dtype_(dtype) {}

  NumberFile file_;
  DType dtype_;
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_VECTOR_FILE_H_
