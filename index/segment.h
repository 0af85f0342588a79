#ifndef VARVE_INDEX_SEGMENT_H_
#define VARVE_INDEX_SEGMENT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call_control.h"
#include "hwy/aligned_allocator.h"
#include "index/code_space.h"
#include "index/graph.h"
#include "index/graph_walk.h"
#include "index/row_source.h"
#include "index/segment_format.h"
#include "index/tombstones.h"
#include "index/top_k.h"
#include "index/vector.h"

namespace varve::index {

// What every segment of a search is asked.
struct SegmentQuery {
  const float* vector = nullptr;  // as VectorSpace::LoadQuery makes it
  size_t k = 0;                   // results wanted
  size_t ef = 0;                  // candidates a walk keeps; at least k
  bool exact = false;
  uint64_t sequence = 0;  // rows dead at this commit are not there
  const CallControl* control = nullptr;
};

enum class SegmentState : uint8_t { kActive, kSealing, kSealed, kCompacting };

struct SegmentInfo {
  uint64_t id = 0;     // unique in its set, not used again
  uint32_t level = 0;  // size class: see SegmentLevel
  SegmentState state = SegmentState::kActive;
  uint64_t rows = 0;  // live and dead
  uint64_t live_rows = 0;
  uint64_t indexed_rows = 0;  // found by a graph walk; the rest is scanned exactly
  uint64_t memory_bytes = 0;  // of its own, not the mapped file's
  uint64_t file_bytes = 0;
};

// Begins to fetch a row; the rest of it follows of itself.
inline void Prefetch(const char* row) {
  constexpr size_t kLines = 4, kLineBytes = 64;
  for (size_t line = 0; line < kLines; ++line) __builtin_prefetch(row + line * kLineBytes);
}

// What a thread keeps between its walks.
struct WalkScratch {
  CodeSpace::Query Encode(const CodeSpace& space, const float* vector);

  CandidatePool pool{0};
  std::vector<Candidate> found;
  hwy::AlignedFreeUniquePtr<char[]> code;
  size_t code_bytes = 0;
};

// A set of a field's rows, contiguous among those of its namespace, that can be searched. Any
// thread may search it and read its rows.
class Segment : public RowSource {
 public:
  Segment(uint64_t id, VectorSpace space, std::shared_ptr<Tombstones> tombstones)
      : id_(id), space_(space), tombstones_(std::move(tombstones)) {}

  // Offers the rows nearest to the query among the first `visible` ones, at their raw distance, to
  // `nearest`, which keeps query.k. Cancelled or DeadlineExceeded when the query's control says so.
  virtual absl::Status Search(const SegmentQuery& query, uint32_t visible,
                              TopK<Candidate>* nearest) const = 0;

  // `visible`: the rows published.
  virtual SegmentInfo Info(uint32_t visible) const = 0;
  // Rows that were appended; beyond those published only the writer may look.
  virtual uint32_t size() const = 0;

  // How many of the first `end` rows are numbered below `row`: where the row is, if it is here.
  uint32_t LowerBound(uint64_t row, uint32_t end) const;

  uint64_t id() const { return id_; }
  const VectorSpace& space() const { return space_; }
  const std::shared_ptr<Tombstones>& tombstones() const { return tombstones_; }

 protected:
  // Live ones among the first `visible` rows. Rows may die while this is asked, never come back.
  uint32_t LiveRows(uint32_t visible) const {
    return visible - std::min(visible, tombstones_->dead());
  }

  // Whether a graph over `rows` rows is worth walking: a walk looks at about m new rows for each of
  // the ef it keeps, and at more where many are dead. When that comes to as many as there are,
  // scanning them is cheaper, and exact.
  bool WorthWalking(const SegmentQuery& query, uint32_t rows, uint32_t m) const;

  // Compares the query with every live row in [begin, end). `vector(ordinal)` reads one.
  template <typename Vector>
  absl::Status Scan(const SegmentQuery& query, Vector vector, uint32_t begin, uint32_t end,
                    TopK<Candidate>* nearest) const;

  // Walks a graph with room for `nodes` nodes on their codes, takes candidates from the first `visible`
  // rows, and compares the best again by their vectors.
  template <typename Vector, typename Links>
  absl::Status Walk(const SegmentQuery& query, Vector vector, Links links, CodeArray codes,
                    EntryPoint entry, uint32_t nodes, uint32_t visible,
                    TopK<Candidate>* nearest) const;

 private:
  const uint64_t id_;
  const VectorSpace space_;
  const std::shared_ptr<Tombstones> tombstones_;
};

template <typename Vector>
absl::Status Segment::Scan(const SegmentQuery& query, Vector vector, uint32_t begin, uint32_t end,
                           TopK<Candidate>* nearest) const {
  constexpr uint32_t kRowsPerCheck = 4096;
  constexpr size_t kRowsAtOnce = 16;
  uint32_t ordinals[kRowsAtOnce];
  const char* rows[kRowsAtOnce];
  float distances[kRowsAtOnce];
  for (uint32_t stretch = begin; stretch < end; stretch += kRowsPerCheck) {
    VARVE_RETURN_IF_ERROR(query.control->Check());
    const uint32_t stretch_end = std::min(end, stretch + kRowsPerCheck);
    for (uint32_t ordinal = stretch; ordinal < stretch_end;) {
      size_t count = 0;
      for (; ordinal < stretch_end && count < kRowsAtOnce; ++ordinal) {
        if (!tombstones_->LiveAt(ordinal, query.sequence)) continue;
        ordinals[count] = ordinal;
        rows[count++] = vector(ordinal);
      }
      space_.Distances(query.vector, rows, count, distances);
      for (size_t i = 0; i < count; ++i) nearest->Offer({distances[i], ordinals[i]});
    }
  }
  return absl::OkStatus();
}

template <typename Vector, typename Links>
absl::Status Segment::Walk(const SegmentQuery& query, Vector vector, Links links, CodeArray codes,
                           EntryPoint entry, uint32_t nodes, uint32_t visible,
                           TopK<Candidate>* nearest) const {
  static thread_local WalkScratch scratch;
  const CodeSpace::Query code = scratch.Encode(*codes.space, query.vector);
  const auto accept = [&](uint32_t node) {
    return node < visible && tombstones_->LiveAt(node, query.sequence);
  };
  GraphWalk<Links> walk(&links, codes, code, nodes);
  // Codes may put some of the k nearest behind others: a walk that keeps just k would lose them.
  const bool exact = codes.space->quantization() == Quantization::kNone;
  scratch.pool.Reset(exact ? query.ef : std::max(query.ef, query.k + query.k / 4));
  VARVE_RETURN_IF_ERROR(
      walk.Search(walk.Descend(entry, 0), 0, accept, *query.control, &scratch.pool));
  scratch.pool.TakeAccepted(&scratch.found);
  for (size_t i = 0; i < scratch.found.size() && i < query.k; ++i) {
    Prefetch(vector(scratch.found[i].ordinal));
  }
  for (const auto& [distance, ordinal] : scratch.found) {
    if (nearest->full() &&
        distance - codes.space->Error(code, codes[ordinal], distance) > nearest->worst().distance) {
      break;
    }
    nearest->Offer({space_.RawDistance(query.vector, vector(ordinal)), ordinal});
  }
  return absl::OkStatus();
}

// An immutable segment, read in place from a segment file in memory: mapped, or in a buffer.
class SealedSegment final : public Segment {
 public:
  // `file` holds what ParseSegment takes and co-owns it with `owner`. `tombstones` has a place for
  // each of its rows. DataLoss or FailedPrecondition as ParseSegment; DataLoss when the file is not
  // of `space`.
  static absl::StatusOr<std::shared_ptr<const SealedSegment>> Open(
      std::string_view file, std::string_view name, std::shared_ptr<const void> owner,
      const VectorSpace& space, std::shared_ptr<Tombstones> tombstones);

  absl::Status Search(const SegmentQuery& query, uint32_t visible,
                      TopK<Candidate>* nearest) const override;
  SegmentInfo Info(uint32_t visible) const override;
  uint32_t size() const override { return layout_.header.rows; }

  // Reads the whole file: see VerifySegment.
  absl::Status Verify() const { return VerifySegment(file_, layout_, name_); }

  SegmentFileSummary file_summary() const {
    return {.bytes = layout_.footer.file_bytes, .crc32c = layout_.footer.file_crc32c};
  }

  uint64_t row(uint32_t ordinal) const override { return layout_.rows[ordinal]; }
  std::string_view label(uint32_t ordinal) const override;
  const char* vector(uint32_t ordinal) const override {
    return layout_.vectors.data() + size_t{ordinal} * space().row_bytes();
  }
  const GraphView& graph() const { return layout_.graph; }
  CodeArray codes() const { return {&code_space_, codes_}; }

 private:
  SealedSegment(std::string_view file, std::string_view name, const SegmentLayout& layout,
                std::shared_ptr<const void> owner, const VectorSpace& space,
                std::shared_ptr<Tombstones> tombstones)
      : Segment(layout.header.segment_id, space, std::move(tombstones)),
        file_(file),
        name_(name),
        layout_(layout),
        owner_(std::move(owner)),
        code_space_(space, layout.quantization, layout.center.data()),
        codes_(layout.codes.data()) {}

  const std::string_view file_;
  const std::string name_;  // in errors
  const SegmentLayout layout_;
  const std::shared_ptr<const void> owner_;
  const CodeSpace code_space_;
  const char* const codes_;
};

// Writes the file of a segment with the first `rows` rows of `source`, their graph and their codes.
absl::StatusOr<SegmentFileSummary> WriteSegment(uint64_t segment_id, const VectorSpace& space,
                                                const RowSource& source, uint32_t rows,
                                                const GraphArrays& graph, CodeArray codes,
                                                ByteSink* sink);

}  // namespace varve::index

#endif  // VARVE_INDEX_SEGMENT_H_
