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
#include "index/row_source.h"

namespace varve::index {

// The rows of an active segment in memory, column by column and append-only: row numbers, labels
// (opaque bytes that come back with a search), vectors, and of rows that have them attributes and when
// they expire. A row's position in the segment is its ordinal.
//
// One writer appends. Readers run beside it without a lock: they touch only ordinals that were
// published to them (by SegmentSet's view), and what is published never moves.
class SegmentRows {
 public:
  // `row_bytes`: of a vector, see VectorSpace.
  SegmentRows(size_t row_bytes, size_t capacity);

  // --- The writer's side. ---

  // Takes the next ordinal for a row and returns where its vector goes, all bytes of it to be written
  // before the row is published. `label` and `attributes` must come from CopyBytes.
  char* Append(uint64_t row, std::string_view label, std::string_view attributes,
               int64_t expires_at);
  // Copies labels or attributes of the rows to be appended next to memory of the segment's own and
  // makes each view point there.
  void CopyBytes(std::vector<std::string_view>* values);
  size_t size() const { return size_; }

  // --- Any thread, for published ordinals. ---

  uint64_t row(uint32_t ordinal) const { return block(ordinal).rows[Slot(ordinal)]; }
  std::string_view label(uint32_t ordinal) const { return block(ordinal).labels[Slot(ordinal)]; }
  const char* vector(uint32_t ordinal) const {
    return block(ordinal).vectors.get() + Slot(ordinal) * row_bytes_;
  }
  // Encoded, see metadata/attributes.h.
  std::string_view attributes(uint32_t ordinal) const {
    const Extras* const extras = block(ordinal).extras.load(std::memory_order_acquire);
    return extras == nullptr ? std::string_view() : extras->attributes[Slot(ordinal)];
  }
  int64_t expires_at(uint32_t ordinal) const {
    const Extras* const extras = block(ordinal).extras.load(std::memory_order_acquire);
    return extras == nullptr ? kNeverExpires : extras->expires_at[Slot(ordinal)];
  }
  // Whether any row has one.
  bool any_expires() const { return any_expires_.load(std::memory_order_relaxed); }
  size_t capacity() const { return capacity_; }
  size_t memory_bytes() const { return memory_bytes_.load(std::memory_order_relaxed); }

 private:
  // Small enough that a namespace of ten rows costs little, large enough to scan at full speed.
  static constexpr size_t kBlockRows = 256;

  // What rows may have.
  struct Extras {
    Extras() { expires_at.fill(kNeverExpires); }
    std::array<std::string_view, kBlockRows> attributes;
    std::array<int64_t, kBlockRows> expires_at;
  };

  struct Block {
    ~Block() { delete extras.load(std::memory_order_relaxed); }
    std::array<uint64_t, kBlockRows> rows;
    std::array<std::string_view, kBlockRows> labels;
    hwy::AlignedFreeUniquePtr<char[]> vectors;
    // Made for the first row that needs it; readers of the rows before may look at any time.
    std::atomic<Extras*> extras{nullptr};
  };

  static size_t Slot(uint32_t ordinal) { return ordinal % kBlockRows; }
  const Block& block(uint32_t ordinal) const { return *blocks_[ordinal / kBlockRows]; }

  const size_t row_bytes_;
  const size_t capacity_;
  std::vector<std::unique_ptr<Block>> blocks_;   // sized once: readers index it while it is filled
  std::vector<std::unique_ptr<char[]>> chunks_;  // of bytes copied
  size_t size_ = 0;
  std::atomic<size_t> memory_bytes_{0};
  std::atomic<bool> any_expires_{false};
};

}  // namespace varve::index

#endif  // VARVE_INDEX_SEGMENT_ROWS_H_
