#include "index/vector.h"

#include <algorithm>
#include <cmath>

namespace varve::index {

VectorSpace::VectorSpace(Metric metric, size_t dimension)
    : metric_(metric), dimension_(dimension), padded_dimension_(PaddedDimension(dimension)) {
  const Kernels kernels = BestKernels();
  kernel_ = metric == Metric::kL2 ? kernels.squared_l2 : kernels.negated_dot;
}

void VectorSpace::Load(DType dtype, const char* bytes, float* out) const {
  ToFloat32(dtype, bytes, dimension_, out);
  std::fill(out + dimension_, out + padded_dimension_, 0.0f);
  if (metric_ != Metric::kCosine) return;
  double squares = 0;
  for (size_t i = 0; i < dimension_; ++i) squares += static_cast<double>(out[i]) * out[i];
  const double scale = 1.0 / std::sqrt(squares);
  for (size_t i = 0; i < dimension_; ++i) out[i] = static_cast<float>(out[i] * scale);
}

hwy::AlignedFreeUniquePtr<float[]> VectorSpace::Load(DType dtype, const char* bytes) const {
  auto out = hwy::AllocateAligned<float>(padded_dimension_);
  Load(dtype, bytes, out.get());
  return out;
}

float VectorSpace::Report(float raw_distance) const {
  // Rounding can put a vector's cosine with itself a little above 1.
  return metric_ == Metric::kCosine ? std::max(0.0f, 1.0f + raw_distance) : raw_distance;
}

}  // namespace varve::index
