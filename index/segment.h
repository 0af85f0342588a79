#ifndef VARVE_INDEX_SEGMENT_H_
#define VARVE_INDEX_SEGMENT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "base/call_control.h"
#include "index/graph.h"
#include "index/graph_walk.h"
#include "index/segment_rows.h"
#include "index/top_k.h"
#include "index/vector.h"

namespace varve::index {

// What every segment of a search is asked.
struct SegmentQuery {
  const float* vector = nullptr;  // as VectorSpace::Load makes it
  size_t ef = 0;                  // candidates wanted; at least k
  bool exact = false;
  uint64_t sequence = 0;  // rows dead at this commit are not there
  const CallControl* control = nullptr;
};

enum class SegmentState : uint8_t { kActive, kSealing, kSealed };

struct SegmentInfo {
  uint64_t id = 0;  // ascending with age
  SegmentState state = SegmentState::kActive;
  uint64_t rows = 0;  // live and dead
  uint64_t live_rows = 0;
  uint64_t indexed_rows = 0;  // found by a graph walk; the rest is scanned exactly
  uint64_t memory_bytes = 0;
};

// A contiguous set of a field's rows that can be searched. Any thread may search it.
class Segment {
 public:
  Segment(uint64_t id, VectorSpace space, std::shared_ptr<SegmentRows> rows)
      : id_(id), space_(space), rows_(std::move(rows)) {}
  virtual ~Segment() = default;

  // Offers the rows nearest to the query among the first `visible` ones to `nearest`, which keeps
  // query.ef. Cancelled or DeadlineExceeded when the query's control says so.
  virtual absl::Status Search(const SegmentQuery& query, uint32_t visible,
                              TopK<Candidate>* nearest) const = 0;

  // `visible`: the rows published.
  virtual SegmentInfo Info(uint32_t visible) const = 0;

  uint64_t id() const { return id_; }
  const VectorSpace& space() const { return space_; }
  const SegmentRows& rows() const { return *rows_; }
  const std::shared_ptr<SegmentRows>& shared_rows() const { return rows_; }

 protected:
  // Live ones among the first `visible` rows. Rows may die while this is asked, never come back.
  uint32_t LiveRows(uint32_t visible) const {
    return visible - std::min<uint32_t>(visible, rows_->dead());
  }

  // Compares the query with every live row in [begin, end).
  absl::Status Scan(const SegmentQuery& query, uint32_t begin, uint32_t end,
                    TopK<Candidate>* nearest) const;

  // Whether a graph over `rows` rows is worth walking: a walk looks at about m new rows for each of
  // the ef it keeps, and at more where many are dead. When that comes to as many as there are,
  // scanning them is cheaper, and exact.
  bool WorthWalking(const SegmentQuery& query, uint32_t rows, uint32_t m) const;

  // Walks a graph of `nodes` nodes over these rows; `links(node, level)` reads it.
  template <typename Links>
  absl::Status Walk(const SegmentQuery& query, EntryPoint entry, uint32_t nodes, Links links,
                    TopK<Candidate>* nearest) const;

 private:
  const uint64_t id_;
  const VectorSpace space_;
  const std::shared_ptr<SegmentRows> rows_;
};

template <typename Links>
absl::Status Segment::Walk(const SegmentQuery& query, EntryPoint entry, uint32_t nodes, Links links,
                           TopK<Candidate>* nearest) const {
  const SegmentRows& rows = *rows_;
  auto distance = [&](uint32_t node) {
    return space_.RawDistance(query.vector, rows.vector(node));
  };
  auto prefetch = [&](uint32_t node) { __builtin_prefetch(rows.vector(node)); };
  auto accept = [&](uint32_t node) { return node < nodes && rows.LiveAt(node, query.sequence); };
  return GraphWalk(links, distance, prefetch, accept)
      .Run(entry, rows.capacity(), *query.control, nearest);
}

// An immutable segment: its graph is finished.
class SealedSegment final : public Segment {
 public:
  SealedSegment(uint64_t id, VectorSpace space, std::shared_ptr<SegmentRows> rows, Graph graph,
                uint32_t m)
      : Segment(id, space, std::move(rows)), graph_(std::move(graph)), m_(m) {}

  absl::Status Search(const SegmentQuery& query, uint32_t visible,
                      TopK<Candidate>* nearest) const override;
  SegmentInfo Info(uint32_t visible) const override;

 private:
  const Graph graph_;
  const uint32_t m_;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_SEGMENT_H_
