#include "index/code_space.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/aligned_allocator.h"

namespace varve::index {
namespace {

constexpr Metric kMetrics[] = {Metric::kL2, Metric::kCosine, Metric::kDot};

using Vector = hwy::AlignedFreeUniquePtr<float[]>;

Vector Load(const VectorSpace& space, const std::vector<float>& values) {
  return space.LoadQuery(DType::kF32, reinterpret_cast<const char*>(values.data()));
}

std::vector<float> Random(size_t dimension, float mean, float deviation, std::mt19937* random) {
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<float> values(dimension);
  for (float& value : values) value = normal(*random);
  return values;
}

struct Code {
  Code(const CodeSpace& space, const float* vector)
      : bytes(hwy::AllocateAligned<char>(space.code_bytes())) {
    space.Encode(vector, bytes.get());
  }
  hwy::AlignedFreeUniquePtr<char[]> bytes;
};

const char* AsRow(const Vector& vector) { return reinterpret_cast<const char*>(vector.get()); }

float Distance(const CodeSpace& space, const float* a, const float* b) {
  const Code code_a(space, a), code_b(space, b);
  return space.Distance(space.Prepare(code_a.bytes.get()), code_b.bytes.get());
}

TEST(CodeSpaceTest, DistancesAreOffByNoMoreThanTheErrorSaysButForAFew) {
  std::mt19937 random(1);
  for (const Metric metric : kMetrics) {
    for (const size_t dimension : {3, 17, 100, 128, 300, 784, 1100}) {
      const VectorSpace space(metric, dimension, DType::kF32);
      const Vector center = Load(space, Random(dimension, 0.5f, 0.2f, &random));
      const CodeSpace codes(space, Quantization::kInt8, center.get());
      int beyond = 0;
      constexpr int kPairs = 200;
      for (int i = 0; i < kPairs; ++i) {
        const Vector a = Load(space, Random(dimension, 0.5f, 1, &random));
        const Vector b = Load(space, Random(dimension, 0.5f, 1, &random));
        const Code code_a(codes, a.get()), code_b(codes, b.get());
        const CodeSpace::Query query = codes.Prepare(code_a.bytes.get());
        const float got = codes.Distance(query, code_b.bytes.get());
        const float wanted = space.RawDistance(a.get(), AsRow(b));
        const float error = codes.Error(query, code_b.bytes.get(), got);
        // Float32 sums have errors of their own, which count where codes are exact.
        if (std::abs(got - wanted) > error + 1e-5f * static_cast<float>(dimension)) ++beyond;
      }
      EXPECT_LE(beyond, kPairs / 50) << "dimension " << dimension;
    }
  }
}

TEST(CodeSpaceTest, ACenterFarFromZeroCostsNoPrecision) {
  std::mt19937 random(2);
  constexpr size_t kDimension = 64;
  const VectorSpace space(Metric::kL2, kDimension, DType::kF32);
  const Vector a = Load(space, Random(kDimension, 10'000, 1, &random));
  const Vector b = Load(space, Random(kDimension, 10'000, 1, &random));
  auto center = hwy::AllocateAligned<float>(space.padded_dimension());
  CodeSpace::Center(space, {AsRow(a), AsRow(b)}, center.get());
  const CodeSpace codes(space, Quantization::kInt8, center.get());
  const float wanted = space.RawDistance(a.get(), AsRow(b));
  EXPECT_NEAR(Distance(codes, a.get(), b.get()), wanted, 0.02f * wanted);
}

TEST(CodeSpaceTest, DegenerateVectorsHaveDistancesThatAreNumbersAndInOrder) {
  constexpr float kHuge = std::numeric_limits<float>::max();
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  constexpr size_t kDimension = 20;
  const std::vector<float> zeros(kDimension, 0), ones(kDimension, 1), huge(kDimension, kHuge),
      tiny(kDimension, kTiny);
  std::vector<float> outlier = zeros, opposite(kDimension, -kHuge), tiny_outlier = zeros;
  outlier[7] = 1e20f;
  opposite[3] = kHuge;
  tiny_outlier[2] = kTiny;
  for (const Metric metric : {Metric::kL2, Metric::kDot}) {
    const VectorSpace space(metric, kDimension, DType::kF32);
    const Vector center = Load(space, zeros);
    const CodeSpace codes(space, Quantization::kInt8, center.get());
    for (const auto& a : {zeros, ones, huge, tiny, outlier, opposite, tiny_outlier}) {
      for (const auto& b : {zeros, ones, huge, tiny, outlier, opposite, tiny_outlier}) {
        EXPECT_TRUE(std::isfinite(Distance(codes, Load(space, a).get(), Load(space, b).get())));
      }
    }
  }
  const VectorSpace space(Metric::kL2, kDimension, DType::kF32);
  const Vector center = Load(space, zeros);
  const CodeSpace codes(space, Quantization::kInt8, center.get());
  const auto from_ones = [&](const std::vector<float>& other) {
    return Distance(codes, Load(space, ones).get(), Load(space, other).get());
  };
  EXPECT_NEAR(from_ones(ones), 0, 1e-5);
  EXPECT_NEAR(from_ones(zeros), kDimension, 1e-4);
  EXPECT_LT(from_ones(zeros), from_ones(outlier));
  EXPECT_LE(from_ones(outlier), from_ones(huge));
}

TEST(CodeSpaceTest, ManyDistancesAtOnceAreThoseOfOneAtATime) {
  std::mt19937 random(4);
  constexpr size_t kDimension = 50, kCount = 150;
  for (const Quantization quantization : {Quantization::kInt8, Quantization::kNone}) {
    const VectorSpace space(Metric::kDot, kDimension, DType::kF32);
    const Vector center = Load(space, Random(kDimension, 0, 1, &random));
    const CodeSpace codes(space, quantization, center.get());
    std::vector<Code> rows;
    std::vector<const char*> pointers;
    for (size_t i = 0; i < kCount; ++i) {
      rows.emplace_back(codes, Load(space, Random(kDimension, 0, 1, &random)).get());
      pointers.push_back(rows.back().bytes.get());
    }
    const CodeSpace::Query query = codes.Prepare(pointers[0]);
    std::vector<float> distances(kCount);
    codes.Distances(query, pointers.data(), kCount, distances.data());
    for (size_t i = 0; i < kCount; ++i) EXPECT_EQ(distances[i], codes.Distance(query, pointers[i]));
  }
}

TEST(CodeSpaceTest, WithoutQuantizationDistancesAreTheVectorsOwn) {
  std::mt19937 random(5);
  const VectorSpace space(Metric::kL2, 33, DType::kF32);
  const CodeSpace codes(space, Quantization::kNone, nullptr);
  const Vector a = Load(space, Random(33, 0, 1, &random)),
               b = Load(space, Random(33, 0, 1, &random));
  EXPECT_EQ(Distance(codes, a.get(), b.get()), space.RawDistance(a.get(), AsRow(b)));
}

}  // namespace
}  // namespace varve::index
