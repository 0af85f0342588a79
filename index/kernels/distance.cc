#include "index/kernels/distance.h"

// Highway compiles what follows once for every instruction set and chooses among them at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "index/kernels/distance.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace varve::index {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Lanes never exceed the padding, and divide it.
using Floats = hn::CappedTag<float, kVectorPadding>;

// Sums term(accumulator, a, b) over both vectors, in four chains to hide the latency of each step.
template <typename Term>
HWY_INLINE float Accumulate(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t n,
                            Term term) {
  const Floats d;
  const size_t lanes = hn::Lanes(d);
  auto sum0 = hn::Zero(d);
  auto sum1 = hn::Zero(d);
  auto sum2 = hn::Zero(d);
  auto sum3 = hn::Zero(d);
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    sum0 = term(sum0, hn::Load(d, a + i), hn::Load(d, b + i));
    sum1 = term(sum1, hn::Load(d, a + i + lanes), hn::Load(d, b + i + lanes));
    sum2 = term(sum2, hn::Load(d, a + i + 2 * lanes), hn::Load(d, b + i + 2 * lanes));
    sum3 = term(sum3, hn::Load(d, a + i + 3 * lanes), hn::Load(d, b + i + 3 * lanes));
  }
  for (; i < n; i += lanes) sum0 = term(sum0, hn::Load(d, a + i), hn::Load(d, b + i));
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3))));
}

float SquaredL2(const float* a, const float* b, size_t n) {
  return Accumulate(a, b, n, [](auto sum, auto x, auto y) HWY_ATTR {
    const auto difference = hn::Sub(x, y);
    return hn::MulAdd(difference, difference, sum);
  });
}

float NegatedDot(const float* a, const float* b, size_t n) {
  return Accumulate(a, b, n,
                    [](auto sum, auto x, auto y) HWY_ATTR { return hn::NegMulAdd(x, y, sum); });
}

}  // namespace HWY_NAMESPACE
}  // namespace varve::index
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace varve::index {

HWY_EXPORT(SquaredL2);
HWY_EXPORT(NegatedDot);

Kernels BestKernels() {
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return {.squared_l2 = &HWY_DYNAMIC_DISPATCH(SquaredL2),
          .negated_dot = &HWY_DYNAMIC_DISPATCH(NegatedDot)};
}

}  // namespace varve::index
#endif  // HWY_ONCE
