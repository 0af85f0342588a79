#ifndef VARVE_TESTS_BENCH_HNSWLIB_INDEX_H_
#define VARVE_TESTS_BENCH_HNSWLIB_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace varve::bench {

// The baseline: hnswlib in the process, on float32, compiled for the machine at hand.
class HnswlibIndex {
 public:
  // Squared L2, or the inner product (of vectors of length 1: cosine).
  HnswlibIndex(bool l2, size_t dimension, size_t rows, size_t m, size_t ef_construction);
  ~HnswlibIndex();

  // Any number of threads.
  void Add(const float* vector, size_t row);
  std::vector<uint32_t> Search(const float* query, size_t k) const;
  void set_ef(size_t ef);

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace varve::bench

#endif  // VARVE_TESTS_BENCH_HNSWLIB_INDEX_H_
