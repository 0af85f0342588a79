#include "index/kernels/distance.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/aligned_allocator.h"
#include "hwy/targets.h"

namespace varve::index {
namespace {

// Runs `body` once for every instruction set that this machine can run.
template <typename Body>
void ForEachTarget(Body body) {
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    body(BestKernels());
  }
  hwy::SetSupportedTargetsForTest(0);
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

TEST(DistanceTest, MoreThanOneTargetIsCompiledIn) {
  EXPECT_GT(hwy::SupportedAndGeneratedTargets().size(), 1u);
}

TEST(DistanceTest, TheDistanceOfAVectorToItselfIsExactlyZero) {
  auto a = hwy::AllocateAligned<float>(48);
  for (size_t i = 0; i < 48; ++i) a[i] = 1e10f / static_cast<float>(i + 1);
  ForEachTarget(
      [&](const Kernels& kernels) { EXPECT_EQ(kernels.squared_l2(a.get(), a.get(), 48), 0.0f); });
}

}  // namespace
}  // namespace varve::index
