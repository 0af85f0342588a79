#include "server/rpc/tensor_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>

namespace varve::server {
namespace {

using testing::HasSubstr;

v1::Tensor MakeTensor(v1::Dtype dtype, std::initializer_list<uint64_t> shape, size_t bytes) {
  v1::Tensor tensor;
  tensor.set_dtype(dtype);
  for (uint64_t extent : shape) tensor.add_shape(extent);
  tensor.set_data(std::string(bytes, '\1'));
  return tensor;
}

void ExpectBadMatrix(const v1::Tensor& tensor, const std::string& message) {
  const auto view = DecodeMatrix(tensor, "vectors");
  EXPECT_EQ(view.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(view.status().message()), HasSubstr(message));
}

TEST(TensorCodecTest, AMatrixIsAViewOfItsMessage) {
  const v1::Tensor tensor = MakeTensor(v1::DTYPE_F16, {3, 5}, 30);
  const auto view = DecodeMatrix(tensor, "vectors");
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->dtype, DType::kF16);
  EXPECT_EQ(view->rows, 3);
  EXPECT_EQ(view->columns, 5);
  EXPECT_EQ(view->bytes.data(), tensor.data().data());
}

TEST(TensorCodecTest, EveryDTypeHasItsSize) {
  const std::pair<v1::Dtype, size_t> sizes[] = {{v1::DTYPE_F32, 4},
                                                {v1::DTYPE_F16, 2},
                                                {v1::DTYPE_BF16, 2},
                                                {v1::DTYPE_U8, 1},
                                                {v1::DTYPE_I8, 1}};
  for (const auto& [dtype, size] : sizes) {
    EXPECT_TRUE(DecodeMatrix(MakeTensor(dtype, {2, 3}, 6 * size), "vectors").ok());
    EXPECT_FALSE(DecodeMatrix(MakeTensor(dtype, {2, 3}, 6 * size + 1), "vectors").ok());
    EXPECT_EQ(EncodeDType(*DecodeDType(dtype, "dtype")), dtype);
  }
}

TEST(TensorCodecTest, AVectorHasRankOne) {
  EXPECT_EQ(DecodeVector(MakeTensor(v1::DTYPE_U8, {4}, 4), "query")->rows, 1);
  const auto matrix = DecodeVector(MakeTensor(v1::DTYPE_U8, {1, 4}, 4), "query");
  EXPECT_EQ(matrix.status().message(), "query.shape must be [dimension], is [1, 4]");
}

TEST(TensorCodecTest, NoRowsAreAMatrixToo) {
  EXPECT_EQ(DecodeMatrix(MakeTensor(v1::DTYPE_F32, {0, 4}, 0), "vectors")->rows, 0);
}

TEST(TensorCodecTest, AWrongByteLengthNamesWantedAndFound) {
  ExpectBadMatrix(MakeTensor(v1::DTYPE_F32, {2, 4}, 31),
                  "vectors.data must hold 2 x 4 x 4 bytes (shape [2, 4], f32), holds 31");
  ExpectBadMatrix(MakeTensor(v1::DTYPE_F32, {2, 4}, 48), "holds 48");
  ExpectBadMatrix(MakeTensor(v1::DTYPE_F32, {2, 4}, 0), "holds 0");
}

TEST(TensorCodecTest, AShapeWhoseProductOverflowsIsRefused) {
  constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
  ExpectBadMatrix(MakeTensor(v1::DTYPE_F32, {uint64_t{1} << 62, 4}, 0), "holds 0");
  ExpectBadMatrix(MakeTensor(v1::DTYPE_F32, {kHuge, 1}, 4), "holds 4");
  ExpectBadMatrix(MakeTensor(v1::DTYPE_F32, {1, kHuge}, 4), "dimension of 1 to 65535");
  ExpectBadMatrix(MakeTensor(v1::DTYPE_F32, {kHuge, kHuge}, 4), "dimension of 1 to 65535");
  ExpectBadMatrix(MakeTensor(v1::DTYPE_U8, {uint64_t{1} << 32, 1}, 0), "holds 0");
}

TEST(TensorCodecTest, ADimensionOfNothingIsRefused) {
  ExpectBadMatrix(MakeTensor(v1::DTYPE_F32, {uint64_t{1} << 40, 0}, 0), "dimension of 1 to 65535");
}

TEST(TensorCodecTest, AWrongRankIsRefused) {
  ExpectBadMatrix(MakeTensor(v1::DTYPE_F32, {}, 4), "is []");
  ExpectBadMatrix(MakeTensor(v1::DTYPE_F32, {4}, 16), "must be [rows, dimension], is [4]");
  ExpectBadMatrix(MakeTensor(v1::DTYPE_F32, {1, 2, 2}, 16), "is [1, 2, 2]");
  ExpectBadMatrix(MakeTensor(v1::DTYPE_F32, {1, 1, 1, 1, 1, 1, 1, 1, 1}, 4), ", ...]");
}

TEST(TensorCodecTest, AnUnknownDTypeIsRefused) {
  ExpectBadMatrix(MakeTensor(v1::DTYPE_UNSPECIFIED, {1, 1}, 4), "vectors.dtype must be F32");
  ExpectBadMatrix(MakeTensor(static_cast<v1::Dtype>(99), {1, 1}, 4), "is 99");
}

TEST(TensorCodecTest, EncodingIsTheReverse) {
  v1::Tensor tensor;
  EncodeMatrix(DType::kI8, 2, 3, "abcdef", &tensor);
  const auto view = DecodeMatrix(tensor, "vectors");
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->row(1), "def");
}

}  // namespace
}  // namespace varve::server
