#include "index/kernels/distance.h"

#include <algorithm>
#include <cmath>

#include "index/kernels/code_dots_vnni.h"

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

using Sums = hn::ScalableTag<int32_t>;
using Shorts = hn::Repartition<int16_t, Sums>;
using Codes = hn::Rebind<int8_t, Shorts>;

HWY_INLINE int32_t Total(hn::Vec<Sums> sum, hn::Vec<Sums> other) {
  return hn::GetLane(hn::SumOfLanes(Sums(), hn::Add(sum, other)));
}

HWY_INLINE int32_t ShiftedDotFrom(size_t i, const int8_t* a, const int8_t* b, size_t n) {
  int32_t sum = 0;
  for (; i < n; ++i) sum += (a[i] + 128) * b[i];
  return sum;
}

HWY_INLINE hn::Vec<Shorts> LoadWide(const int8_t* codes) {
  return hn::PromoteTo(Shorts(), hn::LoadU(Codes(), codes));
}

void CodeDots(const int8_t* a, const int8_t* const* b, size_t count, size_t n, int32_t* out) {
  const Sums d;
  const size_t lanes = hn::Lanes(Shorts());
  const auto shift = hn::Set(Shorts(), 128);
  size_t row = 0;
  for (; row + 2 <= count; row += 2) {  // two rows at a time: `a` is widened once for both
    const int8_t* const b0 = b[row];
    const int8_t* const b1 = b[row + 1];
    auto sum0 = hn::Zero(d), other0 = hn::Zero(d), sum1 = hn::Zero(d), other1 = hn::Zero(d);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
      const auto x = hn::Add(LoadWide(a + i), shift);
      sum0 = hn::ReorderWidenMulAccumulate(d, x, LoadWide(b0 + i), sum0, other0);
      sum1 = hn::ReorderWidenMulAccumulate(d, x, LoadWide(b1 + i), sum1, other1);
    }
    out[row] = Total(sum0, other0) + ShiftedDotFrom(i, a, b0, n);
    out[row + 1] = Total(sum1, other1) + ShiftedDotFrom(i, a, b1, n);
  }
  for (; row < count; ++row) {
    auto sum = hn::Zero(d), other = hn::Zero(d);
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
      const auto x = hn::Add(LoadWide(a + i), shift);
      sum = hn::ReorderWidenMulAccumulate(d, x, LoadWide(b[row] + i), sum, other);
    }
    out[row] = Total(sum, other) + ShiftedDotFrom(i, a, b[row], n);
  }
}

using Wide = hn::ScalableTag<float>;

HWY_INLINE hn::Vec<Wide> Centered(const float* x, const float* center) {
  const Wide d;
  const auto difference = hn::Sub(hn::LoadU(d, x), hn::LoadU(d, center));
  return hn::Clamp(difference, hn::Set(d, -kCenteredMax), hn::Set(d, kCenteredMax));
}

HWY_INLINE float CenteredOne(float x, float center) {
  return std::clamp(x - center, -kCenteredMax, kCenteredMax);
}

Range CenteredRange(const float* x, const float* center, size_t n) {
  const Wide d;
  auto lows = hn::Set(d, kCenteredMax), highs = hn::Set(d, -kCenteredMax);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    const auto centered = Centered(x + i, center + i);
    lows = hn::Min(lows, centered);
    highs = hn::Max(highs, centered);
  }
  Range range{hn::GetLane(hn::MinOfLanes(d, lows)), hn::GetLane(hn::MaxOfLanes(d, highs))};
  for (; i < n; ++i) {
    const float centered = CenteredOne(x[i], center[i]);
    range = {std::min(range.low, centered), std::max(range.high, centered)};
  }
  return range;
}

CodeSums Encode(const float* x, const float* center, size_t n, float low, float steps_per_unit,
                int8_t* codes) {
  constexpr float kStepsMax = 255;
  const Wide d;
  const hn::RebindToSigned<Wide> d32;
  const hn::Rebind<int8_t, Wide> d8;
  auto sums = hn::Zero(d32);
  auto times_center = hn::Zero(d);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    const auto above = hn::Sub(Centered(x + i, center + i), hn::Set(d, low));
    const auto steps = hn::Max(
        hn::Min(hn::Mul(above, hn::Set(d, steps_per_unit)), hn::Set(d, kStepsMax)), hn::Zero(d));
    const auto code = hn::Sub(hn::NearestInt(steps), hn::Set(d32, 128));
    hn::StoreU(hn::DemoteTo(d8, code), d8, codes + i);
    sums = hn::Add(sums, code);
    times_center = hn::MulAdd(hn::ConvertTo(d, code), hn::LoadU(d, center + i), times_center);
  }
  CodeSums out{hn::GetLane(hn::SumOfLanes(d32, sums)),
               hn::GetLane(hn::SumOfLanes(d, times_center))};
  for (; i < n; ++i) {
    const float steps = (CenteredOne(x[i], center[i]) - low) * steps_per_unit;
    const float bounded = steps < kStepsMax ? std::max(steps, 0.0f) : kStepsMax;
    const auto code = static_cast<int32_t>(std::lrint(bounded)) - 128;
    codes[i] = static_cast<int8_t>(code);
    out.codes += code;
    out.times_center += static_cast<float>(code) * center[i];
  }
  return out;
}

}  // namespace HWY_NAMESPACE
}  // namespace varve::index
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace varve::index {

HWY_EXPORT(SquaredL2);
HWY_EXPORT(NegatedDot);
HWY_EXPORT(CodeDots);
HWY_EXPORT(CenteredRange);
HWY_EXPORT(Encode);

namespace {

std::vector<Kernels> FindKernels() {
  std::vector<Kernels> kernels;
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::GetChosenTarget().Update(target);
    kernels.push_back({.name = hwy::TargetName(target),
                       .squared_l2 = &HWY_DYNAMIC_DISPATCH(SquaredL2),
                       .negated_dot = &HWY_DYNAMIC_DISPATCH(NegatedDot),
                       .code_dots = &HWY_DYNAMIC_DISPATCH(CodeDots),
                       .range = &HWY_DYNAMIC_DISPATCH(CenteredRange),
                       .encode = &HWY_DYNAMIC_DISPATCH(Encode)});
  }
  if (const CodeDotsFunction vnni = CodeDotsVnni(); vnni != nullptr) {
    Kernels best = kernels.front();
    best.name = "AVX-512 VNNI";
    best.code_dots = vnni;
    kernels.insert(kernels.begin(), best);
  }
  return kernels;
}

}  // namespace

const std::vector<Kernels>& SupportedKernels() {
  static const std::vector<Kernels> kKernels = FindKernels();
  return kKernels;
}

const Kernels& BestKernels() { return SupportedKernels().front(); }

}  // namespace varve::index
#endif  // HWY_ONCE
