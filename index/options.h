#ifndef VARVE_INDEX_OPTIONS_H_
#define VARVE_INDEX_OPTIONS_H_

#include <cstdint>

namespace varve::index {

// How the distance of two vectors is measured; smaller is nearer. Stored: never renumber.
enum class Metric : uint8_t {
  kL2 = 1,      // squared Euclidean distance
  kCosine = 2,  // 1 - cosine
  kDot = 3,     // negated dot product
};

// What a graph is built and walked on. Stored: never renumber.
enum class Quantization : uint8_t {
  kInt8 = 1,  // codes of one byte per element; the best found are compared again by their vectors
  kNone = 2,  // the float32 vectors themselves
};

// Options of one field's index; see IndexOptions in namespace_service.proto for what each does.
struct IndexOptions {
  uint32_t m = 16;
  uint32_t ef_construction = 200;
  uint32_t ef_search = 64;
  uint32_t segment_size_threshold = 50'000;
  uint32_t parallel_insert_threshold = 256;
  uint32_t max_unindexed_rows = 1'000'000;
  uint32_t tombstone_rebuild_pct = 20;
  bool auto_compaction = true;
  Quantization quantization = Quantization::kInt8;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_OPTIONS_H_
