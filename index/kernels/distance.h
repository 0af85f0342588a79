#ifndef VARVE_INDEX_KERNELS_DISTANCE_H_
#define VARVE_INDEX_KERNELS_DISTANCE_H_

#include <cstddef>

namespace varve::index {

// Vectors inside the index are padded with zeros to a multiple of this many floats and begin at
// addresses aligned to as many bytes as that is, so that kernels have no remainder to treat.
inline constexpr size_t kVectorPadding = 16;
inline constexpr size_t kVectorAlignment = kVectorPadding * sizeof(float);

constexpr size_t PaddedDimension(size_t dimension) {
  return (dimension + kVectorPadding - 1) / kVectorPadding * kVectorPadding;
}

// A function of two padded vectors of `n` floats, n a multiple of kVectorPadding.
using VectorFunction = float (*)(const float* a, const float* b, size_t n);

struct Kernels {
  VectorFunction squared_l2;   // sum of (a[i] - b[i])^2
  VectorFunction negated_dot;  // minus the sum of a[i] * b[i]
};

// The best kernels that this machine can run, chosen anew at each call: keep what it returns.
// Sums are taken in float32, in an order of the kernel's own.
Kernels BestKernels();

}  // namespace varve::index

#endif  // VARVE_INDEX_KERNELS_DISTANCE_H_
