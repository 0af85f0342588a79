#ifndef VARVE_INDEX_SEGMENT_ROWS_H_
#define VARVE_INDEX_SEGMENT_ROWS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "hwy/aligned_allocator.h"

namespace varve::index {

// The rows of an active segment in memory, column by column and append-only: row numbers, labels
// (opaque bytes that come back with a search) and vectors. A row's position in the segment is its
// ordinal.
//
// One writer appends. Readers run beside it without a lock: they touch only ordinals that were
// published to them (by SegmentSet's view), and what is published never moves.
class SegmentRows {
 public:
  // `row_bytes`: of a vector, see VectorSpace.
  SegmentRows(size_t row_bytes, size_t capacity);

  // --- The writer's side. ---

  // Takes the next ordinal for a row and returns where its vector goes, all bytes of it to be written
  // before the row is published. `label` must come from CopyLabels.
  char* Append(uint64_t row, std::string_view label);
  // Copies the labels of the rows to be appended next to memory of the segment's own and makes each
  // view point there.
  void CopyLabels(std::vector<std::string_view>* labels);
  size_t size() const { return size_; }

  // --- Any thread, for published ordinals. ---

  uint64_t row(uint32_t ordinal) const { return block(ordinal).rows[Slot(ordinal)]; }
  std::string_view label(uint32_t ordinal) const { return block(ordinal).labels[Slot(ordinal)]; }
  const char* vector(uint32_t ordinal) const {
    return block(ordinal).vectors.get() + Slot(ordinal) * row_bytes_;
  }
  size_t capacity() const { return capacity_; }
  size_t memory_bytes() const { return memory_bytes_.load(std::memory_order_relaxed); }

 private:
  // Small enough that a namespace of ten rows costs little, large enough to scan at full speed.
  static constexpr size_t kBlockRows = 256;

  struct Block {
    std::array<uint64_t, kBlockRows> rows;
    std::array<std::string_view, kBlockRows> labels;
    hwy::AlignedFreeUniquePtr<char[]> vectors;
  };

  static size_t Slot(uint32_t ordinal) { return ordinal % kBlockRows; }
  const Block& block(uint32_t ordinal) const { return *blocks_[ordinal / kBlockRows]; }

  const size_t row_bytes_;
  const size_t capacity_;
  std::vector<std::unique_ptr<Block>> blocks_;  // sized once: readers index it while it is filled
  std::vector<std::unique_ptr<char[]>> label_chunks_;
  size_t size_ = 0;
  std::atomic<size_t> memory_bytes_{0};
};

}  // namespace varve::index

#endif  // VARVE_INDEX_SEGMENT_ROWS_H_
