#include "clients/cpp/varve/tensor.h"

#include <gtest/gtest.h>

#include <vector>

namespace varve::client {
namespace {

TEST(TensorTest, AViewOfFloatsIsTheirMemory) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const TensorView view = View(values, 3);
  EXPECT_EQ(view.dtype, DType::kF32);
  EXPECT_EQ(view.rows, 2);
  EXPECT_EQ(view.columns, 3);
  EXPECT_EQ(static_cast<const void*>(view.bytes.data()), values.data());
  EXPECT_TRUE(CheckTensor(view).ok());
  EXPECT_EQ(ToFloats(view), values);
}

TEST(TensorTest, EveryElementTypeConvertsToFloatsExactly) {
  const std::vector<uint8_t> u8 = {0, 255};
  EXPECT_EQ(ToFloats(View(u8, 2)), (std::vector<float>{0, 255}));
  const std::vector<int8_t> i8 = {-128, 127};
  EXPECT_EQ(ToFloats(View(i8, 1)), (std::vector<float>{-128, 127}));
  const std::vector<uint16_t> f16 = {0x3c00, 0xc000};
  EXPECT_EQ(ToFloats(ViewF16(f16, 2)), (std::vector<float>{1, -2}));
  const std::vector<uint16_t> bf16 = {0x3f80, 0xc000};
  EXPECT_EQ(ToFloats(ViewBF16(bf16, 2)), (std::vector<float>{1, -2}));
}

TEST(TensorTest, ValuesThatDoNotFillTheirRowsAreNamed) {
  const std::vector<float> values(7);
  const absl::Status status = CheckTensor(View(values, 3));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "tensor of f32 [2, 3] holds 28 bytes, which is not rows x columns x 4");
  EXPECT_FALSE(CheckTensor(View(values, 0)).ok());
}

TEST(TensorTest, AShapeWhoseProductWrapsAroundIsRefused) {
  TensorView view{.dtype = DType::kF32, .rows = size_t{1} << 62, .columns = 4, .bytes = ""};
  EXPECT_FALSE(CheckTensor(view).ok());
}

}  // namespace
}  // namespace varve::client
