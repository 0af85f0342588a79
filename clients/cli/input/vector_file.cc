#include "clients/cli/input/vector_file.h"

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/input/hdf5_file.h"

namespace varve::cli {
namespace {

absl::StatusOr<DType> ElementType(const std::string& path, const NpyType& type) {
  if (type == NpyType{'f', 4}) return DType::kF32;
  if (type == NpyType{'f', 2}) return DType::kF16;
  if (type == NpyType{'u', 1}) return DType::kU8;
  if (type == NpyType{'i', 1}) return DType::kI8;
  return absl::InvalidArgumentError(StrCat(path, ": holds elements of type ", TypeText(type),
                                           ", wanted f4, f2, u1 or i1; convert them, in numpy: "
                                           "numpy.save('converted.npy', a.astype('float32'))"));
}

}  // namespace

bool IsVectorFileName(std::string_view path) {
  return path.ends_with(".npy") || path.ends_with(".f32") || path.ends_with(".fvecs") ||
         path.ends_with(".bvecs") || IsHdf5FileName(path);
}

bool NeedsDimension(std::string_view path) { return path.ends_with(".f32"); }

absl::StatusOr<VectorFile> VectorFile::Open(const std::string& path,
                                            std::optional<uint32_t> dimension,
                                            const std::string& dataset) {
  VARVE_ASSIGN_OR_RETURN(NumberFile file, NumberFile::Open(path, dimension, dataset));
  VARVE_ASSIGN_OR_RETURN(const DType dtype, ElementType(path, file.type()));
  return VectorFile(std::move(file), dtype);
}

TensorView VectorFile::Rows(size_t first, size_t count, std::string* scratch) const {
  return {.dtype = dtype_,
          .rows = count,
          .columns = dimension(),
          .bytes = file_.Rows(first, count, scratch)};
}

}  // namespace varve::cli
