#include "index/active_segment.h"

#include <algorithm>
#include <vector>

#include "base/give_way.h"
#include "base/status_macros.h"
#include "index/graph_repair.h"

namespace varve::index {

ActiveSegment::ActiveSegment(uint64_t id, VectorSpace space, const IndexOptions& options,
                             uint32_t capacity)
    : Segment(id, space, std::make_shared<Tombstones>(capacity)),
      rows_(space.row_bytes(), capacity),
      options_(options) {}

void ActiveSegment::Commit(uint32_t rows) {
  MutexLock lock(&mu_);
  committed_ = rows;
}

bool ActiveSegment::Close() {
  MutexLock lock(&mu_);
  if (Ended()) return false;  // whoever links the last row says so
  closed_ = true;
  return linked_.load(std::memory_order_relaxed) == committed_;
}

bool ActiveSegment::TakesRows() const {
  MutexLock lock(&mu_);
  return !Ended();
}

bool ActiveSegment::LinkSome() {
  uint32_t begin, end;
  {
    MutexLock lock(&mu_);
    if (!Due() || taken_ == committed_) return false;
    if (builder_ == nullptr) {
      builder_ = std::make_unique<GraphBuilder>(this, capacity(), committed_, space(), options_);
    }
    begin = taken_;
    end = std::min(committed_, begin + kRowsPerTurn);
    taken_ = end;
  }
  for (uint32_t ordinal = begin; ordinal < end; ++ordinal) {
    builder_->Insert(ordinal);
    GiveWay();
  }

  MutexLock lock(&mu_);
  finished_[begin] = end;
  uint32_t linked = linked_.load(std::memory_order_relaxed);
  while (!finished_.empty() && finished_.begin()->first == linked) {
    linked = finished_.begin()->second;
    finished_.erase(finished_.begin());
  }
  const bool advanced = linked != linked_.load(std::memory_order_relaxed);
  linked_.store(linked, std::memory_order_release);
  return advanced && Ended() && linked == committed_;
}

uint32_t ActiveSegment::Waiting() const {
  MutexLock lock(&mu_);
  return Due() ? committed_ - taken_ : 0;
}

uint32_t ActiveSegment::Unlinked(uint64_t row) const {
  MutexLock lock(&mu_);
  if (!Due()) return 0;
  const uint32_t below = LowerBound(row, committed_);
  return below - std::min(below, linked_.load(std::memory_order_relaxed));
}

absl::StatusOr<SegmentFileSummary> ActiveSegment::WriteTo(ByteSink* sink) const {
  const uint32_t rows = rows_.size();
  GraphArrays graph = builder_->Freeze(rows);
  ConnectUnreachable(builder_->codes(), &graph);
  return WriteSegment(id(), space(), *this, rows, graph, builder_->codes(), sink);
}

absl::Status ActiveSegment::Search(const SegmentQuery& query, uint32_t visible,
                                   TopK<Candidate>* nearest) const {
  // The graph may hold rows beyond `linked` and `visible`: the walk passes through them, and
  // results are taken from below both, so no row is found twice and none that the reader must not
  // see.
  const uint32_t linked = std::min(linked_.load(std::memory_order_acquire), visible);
  const auto vector = [this](uint32_t ordinal) { return rows_.vector(ordinal); };
  if (!WorthWalking(query, linked, options_.m)) return Scan(query, vector, 0, visible, nearest);
  VARVE_RETURN_IF_ERROR(Walk(query, vector, GraphBuilder::Links(builder_.get()), builder_->codes(),
                             builder_->entry(), capacity(), linked, nearest));
  return Scan(query, vector, linked, visible, nearest);
}

SegmentInfo ActiveSegment::Info(uint32_t visible) const {
  const uint32_t linked = linked_.load(std::memory_order_acquire);
  return {.id = id(),
          .state = TakesRows() ? SegmentState::kActive : SegmentState::kSealing,
          .rows = visible,
          .live_rows = LiveRows(visible),
          .indexed_rows = linked,
          .memory_bytes = rows_.memory_bytes() + (linked > 0 ? builder_->memory_bytes(linked) : 0)};
}

}  // namespace varve::index
