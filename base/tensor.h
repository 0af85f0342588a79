#ifndef VARVE_BASE_TENSOR_H_
#define VARVE_BASE_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace varve {

// Element type of a tensor. The values are stored on disk: never renumber, never reuse.
enum class DType : uint8_t { kF32 = 1, kF16 = 2, kBF16 = 3, kU8 = 4, kI8 = 5 };

// Bytes per element.
constexpr size_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
      return 2;
    case DType::kU8:
    case DType::kI8:
      return 1;
  }
  return 0;
}

// "f32", "f16", "bf16", "u8" or "i8".
std::string_view DTypeName(DType dtype);

// A matrix of vectors in someone else's memory: row-major, little-endian, no padding, no alignment.
// bytes.size() == rows * columns * SizeOf(dtype); whoever makes one has checked that.
struct TensorView {
  DType dtype = DType::kF32;
  size_t rows = 0;
  size_t columns = 0;
  std::string_view bytes;

  size_t row_bytes() const { return columns * SizeOf(dtype); }
  std::string_view row(size_t i) const { return bytes.substr(i * row_bytes(), row_bytes()); }
};

// Converts `count` elements of `dtype` at `in` (unaligned) to float32. Exact for every type.
void ToFloat32(DType dtype, const char* in, size_t count, float* out);

}  // namespace varve

#endif  // VARVE_BASE_TENSOR_H_
