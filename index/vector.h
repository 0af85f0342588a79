#ifndef VARVE_INDEX_VECTOR_H_
#define VARVE_INDEX_VECTOR_H_

#include "base/tensor.h"
#include "hwy/aligned_allocator.h"
#include "index/kernels/distance.h"
#include "index/options.h"

namespace varve::index {

// How one field compares vectors: which form it keeps them in, and which kernel orders them. A raw
// distance is what the kernel gives and orders as the metric does; Report turns it into the
// metric's own terms. Immutable; copy it freely.
class VectorSpace {
 public:
  VectorSpace(Metric metric, size_t dimension);

  // Brings one vector (dimension() elements of `dtype` at `bytes`) into the form that is kept:
  // float32, of length 1 under cosine, zeros up to the padded dimension. `out` is aligned (see
  // kVectorAlignment).
  void Load(DType dtype, const char* bytes, float* out) const;
  // The same, in memory of its own: a query.
  hwy::AlignedFreeUniquePtr<float[]> Load(DType dtype, const char* bytes) const;

  float RawDistance(const float* a, const float* b) const {
    return kernel_(a, b, padded_dimension_);
  }
  // Squared L2, 1 - cosine, or the negated dot product.
  float Report(float raw_distance) const;

  VectorFunction kernel() const { return kernel_; }
  Metric metric() const { return metric_; }
  size_t dimension() const { return dimension_; }
  size_t padded_dimension() const { return padded_dimension_; }

 private:
  Metric metric_;
  size_t dimension_;
  size_t padded_dimension_;
  VectorFunction kernel_;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_VECTOR_H_
