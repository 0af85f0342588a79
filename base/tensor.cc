#include "base/tensor.h"

#include <bit>
#include <cstring>

namespace varve {
namespace {

template <typename T>
T LoadUnaligned(const char* in) {
  T value;
  std::memcpy(&value, in, sizeof(value));
  return value;
}

// Exact: every binary16, subnormals included, is a binary32.
float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) return std::bit_cast<float>(sign | 0x7f800000 | (magnitude << 13));
  // Shifting moves the exponent's bits into place; the multiplication mends its bias and, in
  // passing, normalises subnormals.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | sign);
}

}  // namespace

std::string_view DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kF16:
      return "f16";
    case DType::kBF16:
      return "bf16";
    case DType::kU8:
      return "u8";
    case DType::kI8:
      return "i8";
  }
  return "unknown";
}

void ToFloat32(DType dtype, const char* in, size_t count, float* out) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, in, count * sizeof(float));
      return;
    case DType::kF16:
      for (size_t i = 0; i < count; ++i) out[i] = HalfToFloat(LoadUnaligned<uint16_t>(in + 2 * i));
      return;
    case DType::kBF16:
      for (size_t i = 0; i < count; ++i) {
        out[i] =
            std::bit_cast<float>(static_cast<uint32_t>(LoadUnaligned<uint16_t>(in + 2 * i)) << 16);
      }
      return;
    case DType::kU8:
      for (size_t i = 0; i < count; ++i) out[i] = LoadUnaligned<uint8_t>(in + i);
      return;
    case DType::kI8:
      for (size_t i = 0; i < count; ++i) out[i] = LoadUnaligned<int8_t>(in + i);
      return;
  }
}

}  // namespace varve
