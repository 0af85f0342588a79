#ifndef VARVE_CLIENTS_CLI_INPUT_VECTOR_FILE_H_
#define VARVE_CLIENTS_CLI_INPUT_VECTOR_FILE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/tensor.h"
#include "clients/cli/input/mapped_file.h"

namespace varve::cli {

// Whether VectorFile reads files of this name: .npy, .f32, .fvecs or .bvecs.
bool IsVectorFileName(std::string_view path);
// Whether the file says nothing of its vectors' dimension (.f32).
bool NeedsDimension(std::string_view path);

// A file of vectors, mapped, in whichever format its name tells:
//   .npy           [rows, dimension] of f4, f2, u1 or i1
//   .f32           float32, row behind row, nothing else
//   .fvecs .bvecs  each row: its dimension as int32, then its float32 or uint8 elements
// Thread-safe.
class VectorFile {
 public:
  // `dimension` is needed for .f32; where it is given with another format, it must be right.
  // InvalidArgument names the file, what was wanted and what was found.
  static absl::StatusOr<VectorFile> Open(const std::string& path,
                                         std::optional<uint32_t> dimension);

  DType dtype() const { return dtype_; }
  size_t rows() const { return rows_; }
  size_t dimension() const { return dimension_; }
  size_t row_bytes() const { return dimension_ * SizeOf(dtype_); }
  const std::string& path() const { return file_.path(); }
  // All of the file.
  std::string_view bytes() const { return file_.bytes(); }

  // Rows [first, first + count). The view points into the file where its rows lie one behind the
  // other, else into `scratch`, which it fills.
  TensorView Rows(size_t first, size_t count, std::string* scratch) const;

 private:
  VectorFile(MappedFile file, DType dtype) : file_(std::move(file)), dtype_(dtype) {}

  static absl::StatusOr<VectorFile> OpenNpyVectors(const std::string& path);
  static absl::StatusOr<VectorFile> OpenRaw(const std::string& path, uint32_t dimension);
  static absl::StatusOr<VectorFile> OpenVecs(const std::string& path, DType dtype);

  MappedFile file_;
  DType dtype_ = DType::kF32;
  size_t rows_ = 0;
  size_t dimension_ = 0;
  size_t data_offset_ = 0;  // of row 0's elements
  size_t stride_ = 0;       // from a row's elements to the next one's
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_VECTOR_FILE_H_
