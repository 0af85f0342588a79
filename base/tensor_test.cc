#include "base/tensor.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "gtest/gtest.h"

namespace varve {
namespace {

// Converts one element that lies at an odd address.
template <typename T>
float Convert(DType dtype, T value) {
  std::string bytes(1 + sizeof(value), '\0');
  std::memcpy(bytes.data() + 1, &value, sizeof(value));
  float out;
  ToFloat32(dtype, bytes.data() + 1, 1, &out);
  return out;
}

// The definition of binary16, in doubles.
double HalfByDefinition(uint16_t half) {
  const double sign = half & 0x8000 ? -1 : 1;
  const int exponent = (half >> 10) & 0x1f;
  const double fraction = half & 0x3ff;
  if (exponent == 31) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
  }
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

TEST(TensorTest, EveryF16IsConvertedExactly) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float converted = Convert(DType::kF16, static_cast<uint16_t>(bits));
    const double expected = HalfByDefinition(static_cast<uint16_t>(bits));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(converted)) << bits;
    } else {
      EXPECT_EQ(converted, expected) << bits;
      EXPECT_EQ(std::signbit(converted), std::signbit(expected)) << bits;
    }
  }
}

TEST(TensorTest, Bf16IsTheUpperHalfOfF32) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    EXPECT_EQ(std::bit_cast<uint32_t>(Convert(DType::kBF16, static_cast<uint16_t>(bits))),
              bits << 16);
  }
}

TEST(TensorTest, BytesKeepTheirValue) {
  for (int value = 0; value < 256; ++value) {
    EXPECT_EQ(Convert(DType::kU8, static_cast<uint8_t>(value)), value);
    EXPECT_EQ(Convert(DType::kI8, static_cast<int8_t>(value - 128)), value - 128);
  }
}

TEST(TensorTest, F32IsCopied) { EXPECT_EQ(Convert(DType::kF32, 1.25f), 1.25f); }

TEST(TensorTest, RowsOfAViewFollowOneAnother) {
  const std::string bytes = "aabbccddeeff";
  const TensorView view{.dtype = DType::kF16, .rows = 2, .columns = 3, .bytes = bytes};
  EXPECT_EQ(view.row(0), "aabbcc");
  EXPECT_EQ(view.row(1), "ddeeff");
}

}  // namespace
}  // namespace varve
