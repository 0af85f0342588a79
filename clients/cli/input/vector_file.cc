#include "clients/cli/input/vector_file.h"

#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/input/npy.h"

namespace varve::cli {
namespace {

constexpr uint32_t kDimensionMax = 65'535;
constexpr size_t kVecsPrefixBytes = sizeof(int32_t);

absl::Status Bad(const std::string& path, std::string_view what) {
  return absl::InvalidArgumentError(StrCat(path, ": ", what));
}

absl::StatusOr<DType> ElementType(const std::string& path, const NpyType& type) {
  if (type == NpyType{'f', 4}) return DType::kF32;
  if (type == NpyType{'f', 2}) return DType::kF16;
  if (type == NpyType{'u', 1}) return DType::kU8;
  if (type == NpyType{'i', 1}) return DType::kI8;
  return Bad(path, StrCat("holds elements of type ", std::string(1, type.kind), type.size,
                          ", wanted f4, f2, u1 or i1; convert them, in numpy: "
                          "numpy.save('converted.npy', a.astype('float32'))"));
}

int32_t VecsPrefix(std::string_view bytes, size_t offset) {
  int32_t dimension = 0;
  std::memcpy(&dimension, bytes.data() + offset, sizeof(dimension));
  return dimension;
}

}  // namespace

bool IsVectorFileName(std::string_view path) {
  return path.ends_with(".npy") || path.ends_with(".f32") || path.ends_with(".fvecs") ||
         path.ends_with(".bvecs");
}

bool NeedsDimension(std::string_view path) { return path.ends_with(".f32"); }

absl::StatusOr<VectorFile> VectorFile::Open(const std::string& path,
                                            std::optional<uint32_t> dimension) {
  if (NeedsDimension(path)) {
    if (!dimension) return Bad(path, "a .f32 file needs its dimension");
    return OpenRaw(path, *dimension);
  }
  absl::StatusOr<VectorFile> file = Bad(path, "wanted a .npy, .f32, .fvecs or .bvecs file");
  if (path.ends_with(".npy")) file = OpenNpyVectors(path);
  if (path.ends_with(".fvecs")) file = OpenVecs(path, DType::kF32);
  if (path.ends_with(".bvecs")) file = OpenVecs(path, DType::kU8);
  if (file.ok() && dimension && *dimension != file->dimension_) {
    return Bad(path, StrCat("has dimension ", file->dimension_, ", wanted ", *dimension));
  }
  return file;
}

absl::StatusOr<VectorFile> VectorFile::OpenNpyVectors(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(NpyArray array, OpenNpy(path));
  VARVE_ASSIGN_OR_RETURN(const DType dtype, ElementType(path, array.type));
  if (array.shape.size() != 2) {
    return Bad(path, StrCat("has shape ", NpyShapeText(array.shape), ", wanted (rows, dimension)"));
  }
  if (array.shape[1] < 1 || array.shape[1] > kDimensionMax) {
    return Bad(path, StrCat("has dimension ", array.shape[1], ", wanted 1 to ", kDimensionMax));
  }
  const size_t offset = array.data.data() - array.file.bytes().data();
  VectorFile file(std::move(array.file), dtype);
  file.rows_ = array.shape[0];
  file.dimension_ = array.shape[1];
  file.data_offset_ = offset;
  file.stride_ = file.row_bytes();
  return file;
}

absl::StatusOr<VectorFile> VectorFile::OpenRaw(const std::string& path, uint32_t dimension) {
  if (dimension < 1 || dimension > kDimensionMax) {
    return Bad(path, StrCat("dimension ", dimension, ", wanted 1 to ", kDimensionMax));
  }
  VARVE_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  VectorFile file(std::move(mapped), DType::kF32);
  file.dimension_ = dimension;
  file.stride_ = file.row_bytes();
  if (file.bytes().size() % file.stride_ != 0) {
    return Bad(path, StrCat("holds ", file.bytes().size(), " bytes, wanted a multiple of ",
                            file.stride_, " (dimension ", dimension, " of float32)"));
  }
  file.rows_ = file.bytes().size() / file.stride_;
  return file;
}

absl::StatusOr<VectorFile> VectorFile::OpenVecs(const std::string& path, DType dtype) {
  VARVE_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  VectorFile file(std::move(mapped), dtype);
  const std::string_view bytes = file.bytes();
  if (bytes.size() < kVecsPrefixBytes) return Bad(path, "is too short to hold a vector");
  const int32_t dimension = VecsPrefix(bytes, 0);
  if (dimension < 1 || dimension > static_cast<int32_t>(kDimensionMax)) {
    return Bad(path, StrCat("begins with dimension ", dimension, ", wanted 1 to ", kDimensionMax));
  }
  file.dimension_ = dimension;
  file.data_offset_ = kVecsPrefixBytes;
  file.stride_ = kVecsPrefixBytes + file.row_bytes();
  if (bytes.size() % file.stride_ != 0) {
    return Bad(path, StrCat("holds ", bytes.size(), " bytes, wanted a multiple of ", file.stride_,
                            " (dimension ", dimension, " of ", DTypeName(dtype), ")"));
  }
  file.rows_ = bytes.size() / file.stride_;
  for (size_t row = 1; row < file.rows_; ++row) {
    const int32_t found = VecsPrefix(bytes, row * file.stride_);
    if (found != dimension) {
      return Bad(path,
                 StrCat("row ", row, " has dimension ", found, ", the first has ", dimension));
    }
  }
  return file;
}

TensorView VectorFile::Rows(size_t first, size_t count, std::string* scratch) const {
  TensorView view{.dtype = dtype_, .rows = count, .columns = dimension_, .bytes = {}};
  const char* const start = bytes().data() + data_offset_ + first * stride_;
  if (stride_ == row_bytes() || count == 0) {
    view.bytes = {start, count * row_bytes()};
    return view;
  }
  scratch->clear();
  for (size_t row = 0; row < count; ++row) scratch->append(start + row * stride_, row_bytes());
  view.bytes = *scratch;
  return view;
}

}  // namespace varve::cli
