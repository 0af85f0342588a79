#ifndef VARVE_INDEX_KERNELS_DISTANCE_H_
#define VARVE_INDEX_KERNELS_DISTANCE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/tensor.h"

namespace varve::index {

// Vectors inside the index are padded with zeros to a multiple of this many elements, so that kernels
// have no remainder to treat. Those of float32 begin at addresses aligned to as many floats.
inline constexpr size_t kVectorPadding = 16;
inline constexpr size_t kVectorAlignment = kVectorPadding * sizeof(float);

constexpr size_t PaddedDimension(size_t dimension) {
  return (dimension + kVectorPadding - 1) / kVectorPadding * kVectorPadding;
}

// Of a vector of `n` floats and each of `count` others, whose elements are of a type that is the
// function's own, out[j] = squared distance or negated dot product of a and b[j]; n is a multiple of
// kVectorPadding. A distance does not depend on what else is asked. `a` is aligned to kVectorAlignment,
// and so are others of float32.
using DistancesFunction = void (*)(const float* a, const char* const* b, size_t count, size_t n,
                                   float* out);

struct ElementKernels {
  DistancesFunction squared_l2;   // sum of (a[i] - b[j][i])^2
  DistancesFunction negated_dot;  // minus the sum of a[i] * b[j][i]
};

// Of each of `count` arrays of codes, out[j] = sum of (a[i] + 128) * b[j][i] over n codes, n at most
// 65,535. Shifted so that one factor has no sign, which is what the instructions for it ask for; how the
// shift is made good again: see CodeSpace. Reads no byte beyond the n codes, from any alignment.
using CodeDotsFunction = void (*)(const int8_t* a, const int8_t* const* b, size_t count, size_t n,
                                  int32_t* out);

// What no element of a vector less its center is taken to be beyond, so that the difference of two such
// elements is a float32 still.
inline constexpr float kCenteredMax = 8e37f;

// The least and the greatest x[i] - center[i] of n.
struct Range {
  float low = 0, high = 0;
};
using RangeFunction = Range (*)(const float* x, const float* center, size_t n);

// codes[i] = (x[i] - center[i] - low) * steps_per_unit, rounded, at most 255, less 128.
struct CodeSums {
  int32_t codes = 0;       // sum of codes[i]
  float times_center = 0;  // sum of codes[i] * center[i]
};
using EncodeFunction = CodeSums (*)(const float* x, const float* center, size_t n, float low,
                                    float steps_per_unit, int8_t* codes);

struct Kernels {
  const ElementKernels& Of(DType type) const { return elements[static_cast<size_t>(type) - 1]; }

  std::string_view name;                   // of the instruction set
  std::array<ElementKernels, 5> elements;  // in order of DType
  CodeDotsFunction code_dots;
  RangeFunction range;
  EncodeFunction encode;
};

// All that this machine can run, best first. Sums of floats are taken in float32, in an order of the
// kernel's own. Thread-safe.
const std::vector<Kernels>& SupportedKernels();

// The first of them.
const Kernels& BestKernels();

}  // namespace varve::index

#endif  // VARVE_INDEX_KERNELS_DISTANCE_H_
