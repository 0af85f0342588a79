#ifndef VARVE_INDEX_VECTOR_H_
#define VARVE_INDEX_VECTOR_H_

#include <cstddef>

#include "base/tensor.h"
#include "hwy/aligned_allocator.h"
#include "index/kernels/distance.h"
#include "index/options.h"

namespace varve::index {

// How one field keeps its vectors and compares queries with them. A raw distance orders as the metric
// does; Report turns it into the metric's own terms. Immutable; copy it freely. Thread-safe.
//
// A query is padded_dimension() floats, zeros beyond dimension(), of length 1 under cosine.
// A row is what is kept of a vector, row_bytes() long: of float32 the same as a query; of another type
// its elements as they are, zeros up to the padded dimension, under cosine one float32 more, the inverse
// of the length, and zeros up to a multiple of kVectorPadding bytes.
class VectorSpace {
 public:
  VectorSpace(Metric metric, size_t dimension, DType element_type);

  // Makes a query of dimension() elements of `dtype` at `bytes`. `out` is aligned (see kVectorAlignment).
  void LoadQuery(DType dtype, const char* bytes, float* out) const;
  // The same, in memory of its own.
  hwy::AlignedFreeUniquePtr<float[]> LoadQuery(DType dtype, const char* bytes) const;

  // Makes a row of dimension() elements of element_type() at `bytes`. `out` is aligned as a row is: to
  // kVectorAlignment when the elements are float32, and as rows that lie one behind the other there.
  void LoadRow(const char* bytes, char* out) const;

  // The raw distances of a query from rows.
  void Distances(const float* query, const char* const* rows, size_t count, float* out) const;
  float RawDistance(const float* query, const char* row) const {
    float distance;
    Distances(query, &row, 1, &distance);
    return distance;
  }
  // Squared L2, 1 - cosine, or the negated dot product.
  float Report(float raw_distance) const;

  Metric metric() const { return metric_; }
  size_t dimension() const { return dimension_; }
  size_t padded_dimension() const { return PaddedDimension(dimension_); }
  DType element_type() const { return element_type_; }
  size_t row_bytes() const { return row_bytes_; }
  static size_t RowBytes(Metric metric, size_t dimension, DType element_type);

 private:
  // Whether the inverse of its length lies behind a row.
  bool KeepsLength() const { return metric_ == Metric::kCosine && element_type_ != DType::kF32; }

  Metric metric_;
  size_t dimension_;
  DType element_type_;
  size_t row_bytes_;
  DistancesFunction kernel_;
};

// Reads rows as the queries that they would be. One thread.
class RowReader {
 public:
  explicit RowReader(const VectorSpace& space) : space_(space) {}

  // Valid until the next call, and no longer than `row`.
  const float* Read(const char* row);

 private:
  const VectorSpace& space_;
  hwy::AlignedFreeUniquePtr<float[]> buffer_;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_VECTOR_H_
