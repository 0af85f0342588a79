#include "index/vector.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/aligned_allocator.h"

namespace varve::index {
namespace {

constexpr Metric kMetrics[] = {Metric::kL2, Metric::kCosine, Metric::kDot};
constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kU8, DType::kI8};

// Elements of a type that are neither special nor far from each other, as bytes.
std::string RandomElements(DType type, size_t count, std::mt19937* random) {
  std::string bytes(count * SizeOf(type), '\0');
  for (size_t i = 0; i < count; ++i) {
    const uint32_t integer = 1 + (*random)() % 100;
    uint32_t bits = std::bit_cast<uint32_t>(static_cast<float>(integer));
    if (type == DType::kF16) bits = 0x3c00 + integer;  // 1 and so many steps of 1/1024
    if (type == DType::kBF16) bits >>= 16;
    if (SizeOf(type) == 1) bits = integer;
    std::memcpy(&bytes[i * SizeOf(type)], &bits, SizeOf(type));
  }
  return bytes;
}

double Distance(Metric metric, const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0, dot = 0, of_a = 0, of_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    squares += (x - y) * (x - y);
    dot += x * y;
    of_a += x * x;
    of_b += y * y;
  }
  if (metric == Metric::kL2) return squares;
  return metric == Metric::kDot ? -dot : 1 - dot / std::sqrt(of_a * of_b);
}

std::vector<float> Floats(DType type, size_t dimension, const std::string& bytes) {
  std::vector<float> floats(dimension);
  ToFloat32(type, bytes.data(), dimension, floats.data());
  return floats;
}

TEST(VectorSpaceTest, ARowOfAnyTypeHasTheDistancesOfItsNumbers) {
  std::mt19937 random(1);
  for (const Metric metric : kMetrics) {
    for (const DType type : kTypes) {
      for (const size_t dimension : {1, 15, 16, 17, 100, 128, 300, 700}) {
        SCOPED_TRACE(testing::Message() << "metric " << static_cast<int>(metric) << ", "
                                        << DTypeName(type) << ", dimension " << dimension);
        const VectorSpace space(metric, dimension, type);
        const std::string query_bytes = RandomElements(type, dimension, &random);
        const auto query = space.LoadQuery(type, query_bytes.data());
        constexpr size_t kRows = 6;
        auto rows = hwy::AllocateAligned<char>(kRows * space.row_bytes());
        std::vector<const char*> pointers;
        std::vector<double> wanted;
        for (size_t i = 0; i < kRows; ++i) {
          const std::string bytes = RandomElements(type, dimension, &random);
          char* const row = rows.get() + i * space.row_bytes();
          space.LoadRow(bytes.data(), row);
          pointers.push_back(row);
          wanted.push_back(Distance(metric, Floats(type, dimension, query_bytes),
                                    Floats(type, dimension, bytes)));
        }
        float got[kRows];
        space.Distances(query.get(), pointers.data(), kRows, got);
        for (size_t i = 0; i < kRows; ++i) {
          EXPECT_NEAR(space.Report(got[i]), wanted[i], 1e-6 + 1e-5 * std::abs(wanted[i]));
          EXPECT_EQ(space.RawDistance(query.get(), pointers[i]), got[i]);
        }
      }
    }
  }
}

TEST(VectorSpaceTest, ARowReadBackIsTheQueryOfItsElements) {
  std::mt19937 random(2);
  constexpr size_t kDimension = 21;
  for (const Metric metric : kMetrics) {
    for (const DType type : kTypes) {
      const VectorSpace space(metric, kDimension, type);
      const std::string bytes = RandomElements(type, kDimension, &random);
      auto row = hwy::AllocateAligned<char>(space.row_bytes());
      space.LoadRow(bytes.data(), row.get());
      const auto query = space.LoadQuery(type, bytes.data());
      RowReader reader(space);
      const float* const read = reader.Read(row.get());
      EXPECT_EQ(std::memcmp(read, query.get(), space.padded_dimension() * sizeof(float)), 0)
          << DTypeName(type);
    }
  }
}

TEST(VectorSpaceTest, ARowTakesTheBytesOfItsElementsAndLittleMore) {
  EXPECT_EQ(VectorSpace(Metric::kL2, 128, DType::kF32).row_bytes(), 512u);
  EXPECT_EQ(VectorSpace(Metric::kCosine, 128, DType::kF32).row_bytes(), 512u);
  EXPECT_EQ(VectorSpace(Metric::kL2, 128, DType::kF16).row_bytes(), 256u);
  EXPECT_EQ(VectorSpace(Metric::kDot, 128, DType::kU8).row_bytes(), 128u);
  EXPECT_EQ(VectorSpace(Metric::kCosine, 128, DType::kU8).row_bytes(), 144u);
  EXPECT_EQ(VectorSpace(Metric::kDot, 100, DType::kBF16).row_bytes(), 224u);
}

}  // namespace
}  // namespace varve::index
