#include "clients/cpp/varve/tensor.h"

#include <bit>
#include <string_view>

#include "base/str_cat.h"

namespace varve::client {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are sent as they lie in memory");

template <typename T>
TensorView ViewAs(DType dtype, absl::Span<const T> values, size_t dimension) {
  return {.dtype = dtype,
          .rows = dimension == 0 ? 0 : values.size() / dimension,
          .columns = dimension,
          .bytes = {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)}};
}

}  // namespace

TensorView View(absl::Span<const float> values, size_t dimension) {
  return ViewAs(DType::kF32, values, dimension);
}

TensorView View(absl::Span<const uint8_t> values, size_t dimension) {
  return ViewAs(DType::kU8, values, dimension);
}

TensorView View(absl::Span<const int8_t> values, size_t dimension) {
  return ViewAs(DType::kI8, values, dimension);
}

TensorView ViewF16(absl::Span<const uint16_t> bits, size_t dimension) {
  return ViewAs(DType::kF16, bits, dimension);
}

TensorView ViewBF16(absl::Span<const uint16_t> bits, size_t dimension) {
  return ViewAs(DType::kBF16, bits, dimension);
}

absl::Status CheckTensor(const TensorView& tensor) {
  // 128 bits: a product of three sizes from outside cannot wrap around into the right number.
  const auto wanted = static_cast<unsigned __int128>(tensor.rows) * tensor.columns;
  if (wanted * SizeOf(tensor.dtype) == tensor.bytes.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat(
      "tensor of ", DTypeName(tensor.dtype), " [", tensor.rows, ", ", tensor.columns, "] holds ",
      tensor.bytes.size(), " bytes, which is not rows x columns x ", SizeOf(tensor.dtype)));
}

std::vector<float> ToFloats(const TensorView& tensor) {
  std::vector<float> floats(tensor.rows * tensor.columns);
  ToFloat32(tensor.dtype, tensor.bytes.data(), floats.size(), floats.data());
  return floats;
}

}  // namespace varve::client
