#include "index/kernels/distance.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/aligned_allocator.h"

namespace varve::index {
namespace {

// Runs `body` once for every instruction set that this machine can run.
template <typename Body>
void ForEachTarget(Body body) {
  for (const Kernels& kernels : SupportedKernels()) {
    SCOPED_TRACE(kernels.name);
    body(kernels);
  }
}

TEST(DistanceTest, EveryTargetAgreesWithDoublePrecisionOnEveryPaddedLength) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (size_t n = kVectorPadding; n <= 1104; n += kVectorPadding) {
    auto a = hwy::AllocateAligned<float>(n);
    auto b = hwy::AllocateAligned<float>(n);
    double l2 = 0, dot = 0, scale = 0;
    for (size_t i = 0; i < n; ++i) {
      a[i] = normal(random);
      b[i] = normal(random);
      const double x = a[i], y = b[i];
      l2 += (x - y) * (x - y);
      dot += x * y;
      scale += std::abs(x * y);
    }
    ForEachTarget([&](const Kernels& kernels) {
      EXPECT_NEAR(kernels.squared_l2(a.get(), b.get(), n), l2, 1e-5 * l2) << n;
      EXPECT_NEAR(kernels.negated_dot(a.get(), b.get(), n), -dot, 1e-5 * scale) << n;
    });
  }
}

TEST(DistanceTest, MoreThanOneTargetIsCompiledIn) { EXPECT_GT(SupportedKernels().size(), 1u); }

TEST(DistanceTest, TheDistanceOfAVectorToItselfIsExactlyZero) {
  auto a = hwy::AllocateAligned<float>(48);
  for (size_t i = 0; i < 48; ++i) a[i] = 1e10f / static_cast<float>(i + 1);
  ForEachTarget(
      [&](const Kernels& kernels) { EXPECT_EQ(kernels.squared_l2(a.get(), a.get(), 48), 0.0f); });
}

TEST(DistanceTest, DotsOfCodesAreExactOnEveryLengthCountAndAlignment) {
  constexpr size_t kLengthMax = 1100, kCountMax = 9;
  std::mt19937 random(2);
  std::vector<int8_t> bytes(kCountMax * (kLengthMax + 7));
  for (int8_t& byte : bytes) byte = static_cast<int8_t>(random());
  std::fill_n(bytes.begin(), kLengthMax, -128);  // the extremes must not overflow on the way
  std::fill_n(bytes.begin() + kLengthMax + 7, kLengthMax, 127);
  for (size_t n = 1; n <= kLengthMax; ++n) {
    const size_t count = n % kCountMax + 1;
    std::vector<const int8_t*> rows;
    std::vector<int32_t> wanted;
    for (size_t i = 0; i < count; ++i) rows.push_back(&bytes[i * (kLengthMax + 7) + (n + i) % 7]);
    const int8_t* const a = rows[n % count];
    for (const int8_t* b : rows) {
      int64_t sum = 0;
      for (size_t i = 0; i < n; ++i) sum += int64_t{a[i] + 128} * b[i];
      wanted.push_back(static_cast<int32_t>(sum));
    }
    ForEachTarget([&](const Kernels& kernels) {
      std::vector<int32_t> got(count);
      kernels.code_dots(a, rows.data(), count, n, got.data());
      EXPECT_EQ(got, wanted) << n;
    });
  }
}

TEST(DistanceTest, EveryTargetMakesTheSameCodesOnEveryLength) {
  std::mt19937 random(5);
  for (size_t n = 1; n <= 1100; n += 7) {
    // Multiples of 1/4, so that every target's sums are exact and none rounds otherwise.
    std::vector<float> x(n), center(n);
    for (float& value : x) value = static_cast<float>(random() % 512) / 4;
    for (float& value : center) value = static_cast<float>(random() % 64) / 4;
    double low = 1e9, high = -1e9;
    for (size_t i = 0; i < n; ++i) {
      low = std::min<double>(low, x[i] - center[i]);
      high = std::max<double>(high, x[i] - center[i]);
    }
    ForEachTarget([&](const Kernels& kernels) {
      const Range range = kernels.range(x.data(), center.data(), n);
      EXPECT_EQ(range.low, low);
      EXPECT_EQ(range.high, high);
      std::vector<int8_t> codes(n);
      const CodeSums sums =
          kernels.encode(x.data(), center.data(), n, range.low, 1.0f, codes.data());
      int64_t sum = 0;
      double times_center = 0;
      for (size_t i = 0; i < n; ++i) {
        const double steps = std::min(std::nearbyint(x[i] - center[i] - low), 255.0);
        EXPECT_EQ(codes[i], steps - 128) << n;
        sum += codes[i];
        times_center += codes[i] * static_cast<double>(center[i]);
      }
      EXPECT_EQ(sums.codes, sum);
      EXPECT_EQ(sums.times_center, times_center);
    });
  }
}

TEST(DistanceTest, DotsOfCodesReadNothingBeyondThem) {
  // Under AddressSanitizer a byte too far ends the test.
  for (size_t n = 1; n <= 130; ++n) {
    const std::unique_ptr<int8_t[]> a(new int8_t[n]()), b(new int8_t[n]());
    const std::vector<const int8_t*> rows(5, b.get());
    ForEachTarget([&](const Kernels& kernels) {
      int32_t got[5];
      kernels.code_dots(a.get(), rows.data(), rows.size(), n, got);
      EXPECT_EQ(got[4], 0);
    });
  }
}

}  // namespace
}  // namespace varve::index
