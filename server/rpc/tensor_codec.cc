#include "server/rpc/tensor_codec.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/engine/schema.h"
#include "server/rpc/status_mapping.h"

namespace varve::server {
namespace {

std::string Shape(const v1::Tensor& tensor) {
  constexpr int kShownMax = 8;
  const auto& shape = tensor.shape();
  const auto shown = shape.begin() + std::min(shape.size(), kShownMax);
  return StrCat("[", absl::StrJoin(shape.begin(), shown, ", "),
                shape.size() > kShownMax ? ", ...]" : "]");
}

absl::Status Bad(std::string_view field, std::string_view part, const std::string& message) {
  return BadField(StrCat(field, part), message);
}

absl::Status CheckRank(const v1::Tensor& tensor, int rank, std::string_view wanted,
                       std::string_view field) {
  if (tensor.shape_size() == rank) return absl::OkStatus();
  return Bad(field, ".shape", StrCat("must be ", wanted, ", is ", Shape(tensor)));
}

// The extents are checked one by one, so that no product of them can overflow.
absl::StatusOr<TensorView> Decode(const v1::Tensor& tensor, uint64_t rows, uint64_t columns,
                                  std::string_view field) {
  VARVE_ASSIGN_OR_RETURN(const DType dtype, DecodeDType(tensor.dtype(), StrCat(field, ".dtype")));
  if (columns < 1 || columns > engine::kDimensionMax) {
    return Bad(
        field, ".shape",
        StrCat("must end in a dimension of 1 to ", engine::kDimensionMax, ", is ", Shape(tensor)));
  }
  const uint64_t row_bytes = columns * SizeOf(dtype);
  const uint64_t have = tensor.data().size();
  if (have % row_bytes != 0 || have / row_bytes != rows) {
    return Bad(field, ".data",
               StrCat("must hold ", rows, " x ", columns, " x ", SizeOf(dtype), " bytes (shape ",
                      Shape(tensor), ", ", DTypeName(dtype), "), holds ", have));
  }
  return TensorView{.dtype = dtype, .rows = rows, .columns = columns, .bytes = tensor.data()};
}

}  // namespace

absl::StatusOr<DType> DecodeDType(v1::Dtype dtype, std::string_view field) {
  switch (dtype) {
    case v1::DTYPE_F32:
      return DType::kF32;
    case v1::DTYPE_F16:
      return DType::kF16;
    case v1::DTYPE_BF16:
      return DType::kBF16;
    case v1::DTYPE_U8:
      return DType::kU8;
    case v1::DTYPE_I8:
      return DType::kI8;
    default:  // Unset, or sent by a newer client: enums of proto3 are open.
      return BadField(field, StrCat("must be F32, F16, BF16, U8 or I8 (1 to 5), is ", dtype));
  }
}

v1::Dtype EncodeDType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return v1::DTYPE_F32;
    case DType::kF16:
      return v1::DTYPE_F16;
    case DType::kBF16:
      return v1::DTYPE_BF16;
    case DType::kU8:
      return v1::DTYPE_U8;
    case DType::kI8:
      return v1::DTYPE_I8;
  }
  return v1::DTYPE_UNSPECIFIED;
}

absl::StatusOr<TensorView> DecodeMatrix(const v1::Tensor& tensor, std::string_view field) {
  VARVE_RETURN_IF_ERROR(CheckRank(tensor, 2, "[rows, dimension]", field));
  return Decode(tensor, tensor.shape(0), tensor.shape(1), field);
}

absl::StatusOr<TensorView> DecodeVector(const v1::Tensor& tensor, std::string_view field) {
  VARVE_RETURN_IF_ERROR(CheckRank(tensor, 1, "[dimension]", field));
  return Decode(tensor, 1, tensor.shape(0), field);
}

void EncodeMatrix(DType dtype, size_t rows, size_t columns, std::string bytes, v1::Tensor* tensor) {
  tensor->set_dtype(EncodeDType(dtype));
  tensor->add_shape(rows);
  tensor->add_shape(columns);
  tensor->set_data(std::move(bytes));
}

}  // namespace varve::server
