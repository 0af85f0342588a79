#include "clients/cli/input/number_file.h"

#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/input/hdf5_file.h"

namespace varve::cli {
namespace {

constexpr uint32_t kColumnsMax = 65'535;
constexpr size_t kVecsPrefixBytes = sizeof(int32_t);

absl::Status Bad(const std::string& path, std::string_view what) {
  return absl::InvalidArgumentError(StrCat(path, ": ", what));
}

int32_t VecsPrefix(std::string_view bytes, size_t offset) {
  int32_t columns = 0;
  std::memcpy(&columns, bytes.data() + offset, sizeof(columns));
  return columns;
}

}  // namespace

absl::StatusOr<NumberFile> NumberFile::Open(const std::string& path,
                                            std::optional<uint32_t> columns,
                                            const std::string& dataset) {
  if (path.ends_with(".f32")) {
    if (!columns) return Bad(path, "a .f32 file needs its dimension");
    return OpenRaw(path, *columns);
  }
  absl::StatusOr<NumberFile> file =
      Bad(path, "wanted a .npy, .f32, .fvecs, .bvecs, .ivecs or .hdf5 file");
  if (path.ends_with(".npy")) file = OpenNpyRows(path);
  if (path.ends_with(".fvecs")) file = OpenVecs(path, {'f', 4});
  if (path.ends_with(".bvecs")) file = OpenVecs(path, {'u', 1});
  if (path.ends_with(".ivecs")) file = OpenVecs(path, {'i', 4});
  if (IsHdf5FileName(path)) file = OpenHdf5(path, dataset);
  if (file.ok() && columns && *columns != file->columns_) {
    return Bad(path, StrCat("has dimension ", file->columns_, ", wanted ", *columns));
  }
  return file;
}

absl::StatusOr<NumberFile> NumberFile::OpenNpyRows(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(NpyArray array, OpenNpy(path));
  if (array.shape.size() != 2) {
    return Bad(path, StrCat("has shape ", NpyShapeText(array.shape), ", wanted (rows, dimension)"));
  }
  if (array.shape[1] < 1 || array.shape[1] > kColumnsMax) {
    return Bad(path, StrCat("has dimension ", array.shape[1], ", wanted 1 to ", kColumnsMax));
  }
  const size_t offset = array.data.data() - array.file.bytes().data();
  NumberFile file(std::move(array.file), array.type);
  file.rows_ = array.shape[0];
  file.columns_ = array.shape[1];
  file.data_offset_ = offset;
  file.stride_ = file.row_bytes();
  return file;
}

absl::StatusOr<NumberFile> NumberFile::OpenRaw(const std::string& path, uint32_t columns) {
  if (columns < 1 || columns > kColumnsMax) {
    return Bad(path, StrCat("dimension ", columns, ", wanted 1 to ", kColumnsMax));
  }
  VARVE_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  NumberFile file(std::move(mapped), {'f', 4});
  file.columns_ = columns;
  file.stride_ = file.row_bytes();
  if (file.bytes().size() % file.stride_ != 0) {
    return Bad(path, StrCat("holds ", file.bytes().size(), " bytes, wanted a multiple of ",
                            file.stride_, " (dimension ", columns, " of float32)"));
  }
  file.rows_ = file.bytes().size() / file.stride_;
  return file;
}

absl::StatusOr<NumberFile> NumberFile::OpenVecs(const std::string& path, const NpyType& type) {
  VARVE_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  NumberFile file(std::move(mapped), type);
  const std::string_view bytes = file.bytes();
  if (bytes.size() < kVecsPrefixBytes) return Bad(path, "is too short to hold a vector");
  const int32_t columns = VecsPrefix(bytes, 0);
  if (columns < 1 || columns > static_cast<int32_t>(kColumnsMax)) {
    return Bad(path, StrCat("begins with dimension ", columns, ", wanted 1 to ", kColumnsMax));
  }
  file.columns_ = columns;
  file.data_offset_ = kVecsPrefixBytes;
  file.stride_ = kVecsPrefixBytes + file.row_bytes();
  if (bytes.size() % file.stride_ != 0) {
    return Bad(path, StrCat("holds ", bytes.size(), " bytes, wanted a multiple of ", file.stride_,
                            " (dimension ", columns, " of ", TypeText(type), ")"));
  }
  file.rows_ = bytes.size() / file.stride_;
  for (size_t row = 1; row < file.rows_; ++row) {
    const int32_t found = VecsPrefix(bytes, row * file.stride_);
    if (found != columns) {
      return Bad(path, StrCat("row ", row, " has dimension ", found, ", the first has ", columns));
    }
  }
  return file;
}

absl::StatusOr<NumberFile> NumberFile::OpenHdf5(const std::string& path,
                                                const std::string& dataset) {
  VARVE_ASSIGN_OR_RETURN(const Hdf5Dataset found, Hdf5Dataset::Open(path, dataset));
  const Hdf5Shape& shape = found.shape();
  const std::optional<uint64_t> offset = shape.rows == 0 ? 0 : found.Offset();
  if (!offset) {
    return Bad(path, StrCat("dataset ", dataset, " is in chunks, compressed or not little-endian: ",
                            "write it to another file first, with varve convert"));
  }
  VARVE_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  NumberFile file(std::move(mapped), shape.type);
  file.rows_ = shape.rows;
  file.columns_ = shape.columns;
  file.data_offset_ = *offset;
  file.stride_ = file.row_bytes();
  const size_t size = file.bytes().size();
  if (*offset > size || shape.rows > (size - *offset) / file.stride_) {
    return Bad(path, StrCat("is cut short: dataset ", dataset, " has ", shape.rows, " x ",
                            shape.columns, " of ", TypeText(shape.type), " from byte ", *offset,
                            ", the file ", size, " bytes"));
  }
  return file;
}

std::string_view NumberFile::Rows(size_t first, size_t count, std::string* scratch) const {
  const char* const start = bytes().data() + data_offset_ + first * stride_;
  if (stride_ == row_bytes() || count == 0) return {start, count * row_bytes()};
  scratch->clear();
  for (size_t row = 0; row < count; ++row) scratch->append(start + row * stride_, row_bytes());
  return *scratch;
}

}  // namespace varve::cli
