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
using FloatVec = hn::Vec<Floats>;

// Elements of a type, from the i-th on, as floats.
template <typename T>
HWY_INLINE auto LoadNarrow(const char* row, size_t i) {
  const hn::Rebind<T, Floats> d;
  return hn::LoadU(d, reinterpret_cast<const T*>(row) + i);
}

struct Float32 {
  static HWY_INLINE FloatVec Load(const char* row, size_t i) {
    return hn::Load(Floats(), reinterpret_cast<const float*>(row) + i);
  }
};
struct Float16 {
  static HWY_INLINE FloatVec Load(const char* row, size_t i) {
    return hn::PromoteTo(Floats(), LoadNarrow<hwy::float16_t>(row, i));
  }
};
struct BFloat16 {
  static HWY_INLINE FloatVec Load(const char* row, size_t i) {
    return hn::PromoteTo(Floats(), LoadNarrow<hwy::bfloat16_t>(row, i));
  }
};
template <typename T>
struct Integer8 {
  static HWY_INLINE FloatVec Load(const char* row, size_t i) {
    const hn::RebindToSigned<Floats> d32;
    return hn::ConvertTo(Floats(), hn::PromoteTo(d32, LoadNarrow<T>(row, i)));
  }
};

struct SquaredL2Term {
  static HWY_INLINE FloatVec Add(FloatVec sum, FloatVec x, FloatVec y) {
    const auto difference = hn::Sub(x, y);
    return hn::MulAdd(difference, difference, sum);
  }
};
struct NegatedDotTerm {
  static HWY_INLINE FloatVec Add(FloatVec sum, FloatVec x, FloatVec y) {
    return hn::NegMulAdd(x, y, sum);
  }
};

HWY_INLINE float Total(FloatVec even, FloatVec odd) {
  return hn::GetLane(hn::SumOfLanes(Floats(), hn::Add(even, odd)));
}

// Sums the terms of a pair, in two chains to hide the latency of each step.
template <typename Element, typename Term>
HWY_INLINE float DistanceOfOne(const float* HWY_RESTRICT a, const char* HWY_RESTRICT b, size_t n) {
  const Floats d;
  const size_t lanes = hn::Lanes(d);
  auto even = hn::Zero(d), odd = hn::Zero(d);
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    even = Term::Add(even, hn::Load(d, a + i), Element::Load(b, i));
    odd = Term::Add(odd, hn::Load(d, a + i + lanes), Element::Load(b, i + lanes));
  }
  if (i < n) even = Term::Add(even, hn::Load(d, a + i), Element::Load(b, i));
  return Total(even, odd);
}

// Of four pairs: `a` is loaded once for all. Each sum is taken in the order of DistanceOfOne, so that a
// distance does not depend on what else was asked.
template <typename Element, typename Term>
HWY_INLINE void DistancesOfFour(const float* HWY_RESTRICT a, const char* const* b, size_t n,
                                float* HWY_RESTRICT out) {
  const Floats d;
  const size_t lanes = hn::Lanes(d);
  const char *b0 = b[0], *b1 = b[1], *b2 = b[2], *b3 = b[3];
  auto even0 = hn::Zero(d), even1 = even0, even2 = even0, even3 = even0;
  auto odd0 = even0, odd1 = even0, odd2 = even0, odd3 = even0;
  for (size_t i = 0; i < n; i += 2 * lanes) {
    const auto x = hn::Load(d, a + i);
    even0 = Term::Add(even0, x, Element::Load(b0, i));
    even1 = Term::Add(even1, x, Element::Load(b1, i));
    even2 = Term::Add(even2, x, Element::Load(b2, i));
    even3 = Term::Add(even3, x, Element::Load(b3, i));
    if (i + lanes == n) break;
    const auto y = hn::Load(d, a + i + lanes);
    odd0 = Term::Add(odd0, y, Element::Load(b0, i + lanes));
    odd1 = Term::Add(odd1, y, Element::Load(b1, i + lanes));
    odd2 = Term::Add(odd2, y, Element::Load(b2, i + lanes));
    odd3 = Term::Add(odd3, y, Element::Load(b3, i + lanes));
  }
  out[0] = Total(even0, odd0), out[1] = Total(even1, odd1);
  out[2] = Total(even2, odd2), out[3] = Total(even3, odd3);
}

template <typename Element, typename Term>
void Distances(const float* a, const char* const* b, size_t count, size_t n, float* out) {
  size_t row = 0;
  for (; row + 4 <= count; row += 4) DistancesOfFour<Element, Term>(a, b + row, n, out + row);
  for (; row < count; ++row) out[row] = DistanceOfOne<Element, Term>(a, b[row], n);
}

template <typename Element>
ElementKernels KernelsOf() {
  return {&Distances<Element, SquaredL2Term>, &Distances<Element, NegatedDotTerm>};
}

// In order of DType.
std::array<ElementKernels, 5> AllElements() {
  return {KernelsOf<Float32>(), KernelsOf<Float16>(), KernelsOf<BFloat16>(),
          KernelsOf<Integer8<uint8_t>>(), KernelsOf<Integer8<int8_t>>()};
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

HWY_EXPORT(AllElements);
HWY_EXPORT(CodeDots);
HWY_EXPORT(CenteredRange);
HWY_EXPORT(Encode);

namespace {

std::vector<Kernels> FindKernels() {
  std::vector<Kernels> kernels;
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::GetChosenTarget().Update(target);
    kernels.push_back({.name = hwy::TargetName(target),
                       .elements = HWY_DYNAMIC_DISPATCH(AllElements)(),
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
