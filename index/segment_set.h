#ifndef VARVE_INDEX_SEGMENT_SET_H_
#define VARVE_INDEX_SEGMENT_SET_H_
#include <cstdint>
namespace varve::index {

enum class SegmentState : uint8_t { kActive, kSealing, kSealed };

struct SegmentInfo {
  uint64_t id = 0;  // ascending with age
  SegmentState state = SegmentState::kActive;
  uint64_t rows = 0;  // live and dead
  uint64_t live_rows = 0;
  uint64_t indexed_rows = 0;  // found by a graph walk; the rest is scanned exactly
  uint64_t memory_bytes = 0;
};

struct IndexingProgress {
  uint64_t total_rows = 0;
  uint64_t unindexed_rows = 0;  // due to be linked into a graph and not linked yet
};

}  // namespace varve::index
#endif
