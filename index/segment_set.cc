#include "index/segment_set.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/status_macros.h"
#include "index/top_k.h"

namespace varve::index {
namespace {

constexpr uint64_t kAllRows = std::numeric_limits<uint64_t>::max();

// A candidate of any segment.
struct Found {
  float distance = 0;
  uint64_t row = 0;
  const Segment* segment = nullptr;
  uint32_t ordinal = 0;

  friend bool operator<(const Found& a, const Found& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
  }
};

}  // namespace

std::shared_ptr<SegmentSet> SegmentSet::Create(VectorSpace space, const IndexOptions& options,
                                               ThreadPool* pool,
                                               std::unique_ptr<SegmentStorage> storage) {
  return std::make_shared<SegmentSet>(space, options, pool, std::move(storage));
}

SegmentSet::SegmentSet(VectorSpace space, const IndexOptions& options, ThreadPool* pool,
                       std::unique_ptr<SegmentStorage> storage)
    : space_(space),
      pool_(pool),
      storage_(std::move(storage)),
      options_(options),
      view_(std::make_shared<SegmentView>()) {}

void SegmentSet::Restore(uint64_t sequence, uint64_t next_row,
                         std::vector<std::shared_ptr<const SealedSegment>> sealed,
                         uint64_t next_segment_id) {
  MutexLock lock(&mu_);
  uint64_t live_rows = 0;
  for (const auto& segment : sealed) live_rows += segment->size() - segment->tombstones()->dead();
  segments_.assign(sealed.begin(), sealed.end());
  next_segment_id_ = next_segment_id;
  Publish(sequence, next_row, live_rows);
}

void SegmentSet::RestoreRows(const NewRows& rows) {
  std::shared_ptr<ActiveSegment> active;
  {
    MutexLock lock(&mu_);
    active = std::make_shared<ActiveSegment>(next_segment_id_++, space_, options_,
                                             static_cast<uint32_t>(rows.rows.size()));
  }
  AppendToActive(active.get(), rows, 0);
  active->Commit(active->size());
  MutexLock lock(&mu_);
  const auto after = std::find_if(segments_.begin(), segments_.end(), [&](const auto& segment) {
    return segment->row(0) > active->row(0);
  });
  segments_.insert(after, active);
  unsealed_.push_back(active);
  Publish(view_->sequence, view_->next_row, view_->live_rows + rows.rows.size());
  ScheduleLinking();
}

void SegmentSet::Commit(uint64_t sequence, uint64_t next_row, const NewRows& added,
                        absl::Span<const uint64_t> dead_rows) {
  const std::shared_ptr<const SegmentView> before = Pin();
  for (uint64_t row : dead_rows) MarkDead(*before, row, sequence);
  for (size_t done = 0; done < added.rows.size();) {
    done += AppendToActive(ActiveWithRoom().get(), added, done);
  }
  MutexLock lock(&mu_);
  for (const auto& active : unsealed_) active->Commit(active->size());
  Publish(sequence, next_row, before->live_rows + added.rows.size() - dead_rows.size());
  ScheduleLinking();
  for (auto& active : std::exchange(to_seal_again_, {})) ScheduleSealing(std::move(active));
}

void SegmentSet::ScheduleSealing(std::shared_ptr<ActiveSegment> active) {
  pool_->Schedule([weak = weak_from_this(), active = std::move(active)] {
    if (auto set = weak.lock()) set->Seal(active);
  });
}

void SegmentSet::MarkDead(const SegmentView& view, uint64_t row, uint64_t sequence) {
  // The last segment that begins at or before the row.
  auto after = std::upper_bound(
      view.parts.begin(), view.parts.end(), row,
      [](uint64_t r, const SegmentView::Part& part) { return r < part.segment->row(0); });
  if (after == view.parts.begin()) return;
  const SegmentView::Part& part = *std::prev(after);
  const Segment& segment = *part.segment;
  const uint32_t ordinal = segment.LowerBound(row, part.visible);
  if (ordinal < part.visible && segment.row(ordinal) == row) {
    segment.tombstones()->MarkDead(ordinal, sequence);
  }
}

size_t SegmentSet::AppendToActive(ActiveSegment* active, const NewRows& added, size_t begin) {
  SegmentRows& rows = active->rows();
  const size_t count = std::min(added.rows.size() - begin, rows.capacity() - rows.size());
  const auto given = added.labels.subspan(begin, count);
  std::vector<std::string_view> labels(given.begin(), given.end());
  rows.CopyLabels(&labels);
  for (size_t i = 0; i < count; ++i) {
    float* vector = rows.Append(added.rows[begin + i], labels[i]);
    space_.Load(added.dtype, added.vectors[begin + i].data(), vector);
  }
  return count;
}

std::shared_ptr<ActiveSegment> SegmentSet::ActiveWithRoom() {
  MutexLock lock(&mu_);
  if (unsealed_.empty() || unsealed_.back()->rows().size() == unsealed_.back()->rows().capacity()) {
    unsealed_.push_back(std::make_shared<ActiveSegment>(next_segment_id_++, space_, options_,
                                                        options_.segment_size_threshold));
    segments_.push_back(unsealed_.back());
  }
  return unsealed_.back();
}

void SegmentSet::Publish(uint64_t sequence, uint64_t next_row, uint64_t live_rows) {
  auto view = std::make_shared<SegmentView>();
  view->sequence = sequence;
  view->next_row = next_row;
  view->live_rows = live_rows;
  view->parts.reserve(segments_.size());
  for (const auto& segment : segments_) {
    view->parts.push_back({segment, static_cast<uint32_t>(segment->size())});
  }
  view_ = std::move(view);
}

std::shared_ptr<const SegmentView> SegmentSet::Pin() const {
  MutexLock lock(&mu_);
  return view_;
}

absl::StatusOr<std::vector<Neighbor>> SegmentSet::Search(const SegmentView& view,
                                                         const float* query,
                                                         const SearchParams& params,
                                                         const CallControl& control) const {
  const SegmentQuery segment_query{.vector = query,
                                   .ef = params.exact ? params.k : std::max(params.ef, params.k),
                                   .exact = params.exact,
                                   .sequence = view.sequence,
                                   .control = &control};
  TopK<Found> best(params.k);
  for (const SegmentView::Part& part : view.parts) {
    TopK<Candidate> nearest(segment_query.ef);
    VARVE_RETURN_IF_ERROR(part.segment->Search(segment_query, part.visible, &nearest));
    for (const Candidate& candidate : nearest.TakeSorted()) {
      const Found found{candidate.distance, part.segment->row(candidate.ordinal),
                        part.segment.get(), candidate.ordinal};
      if (!best.Wants(found)) break;
      best.Offer(found);
    }
  }
  std::vector<Neighbor> neighbors;
  neighbors.reserve(best.size());
  for (const Found& found : best.TakeSorted()) {
    neighbors.push_back({.distance = space_.Report(found.distance),
                         .row = found.row,
                         .label = found.segment->label(found.ordinal)});
  }
  return neighbors;
}

void SegmentSet::WhenRoom(absl::AnyInvocable<void()> ready) {
  {
    MutexLock lock(&mu_);
    if (UnlinkedRows(kAllRows) >= options_.max_unindexed_rows) {
      waiting_for_room_.push_back(std::move(ready));
      return;
    }
  }
  ready();
}

void SegmentSet::SetOptions(const IndexOptions& options) {
  MutexLock lock(&mu_);
  options_ = options;
  ScheduleLinking();
}

void SegmentSet::StopLinking() {
  MutexLock lock(&mu_);
  stopped_ = true;
}

uint64_t SegmentSet::UnlinkedRows(uint64_t before_row) const {
  uint64_t rows = 0;
  for (const auto& active : unsealed_) rows += active->Unlinked(before_row);
  return rows;
}

void SegmentSet::ScheduleLinking() {
  if (stopped_) return;
  uint64_t waiting = 0;
  for (const auto& active : unsealed_) waiting += active->Waiting();
  size_t wanted = 0;
  if (waiting > 0) wanted = waiting < options_.parallel_insert_threshold ? 1 : pool_->threads();
  for (; link_tasks_ < wanted; ++link_tasks_) {
    pool_->Schedule([weak = weak_from_this()] {
      if (auto set = weak.lock()) set->LinkTask();
    });
  }
}

std::shared_ptr<ActiveSegment> SegmentSet::NextToLink() {
  for (const auto& active : unsealed_) {
    if (active->Waiting() > 0) return active;
  }
  return nullptr;
}

void SegmentSet::LinkTask() {
  std::shared_ptr<ActiveSegment> active;
  {
    MutexLock lock(&mu_);
    active = NextToLink();
  }
  if (active != nullptr && active->LinkSome()) Seal(active);

  // One turn is over: what is left is scheduled anew, behind the turns of other namespaces.
  std::vector<absl::AnyInvocable<void()>> ready;
  {
    MutexLock lock(&mu_);
    --link_tasks_;
    ScheduleLinking();
    if (!waiting_for_room_.empty() && UnlinkedRows(kAllRows) < options_.max_unindexed_rows) {
      ready = std::exchange(waiting_for_room_, {});
    }
  }
  for (auto& resume : ready) resume();
}

void SegmentSet::Seal(const std::shared_ptr<ActiveSegment>& active) {
  auto sealed = storage_->Seal(*active);
  if (sealed.ok()) return InstallSealed(active, *std::move(sealed));
  MutexLock lock(&mu_);
  to_seal_again_.push_back(active);
}

void SegmentSet::InstallSealed(const std::shared_ptr<ActiveSegment>& active,
                               std::shared_ptr<const SealedSegment> sealed) {
  MutexLock lock(&mu_);
  std::replace(segments_.begin(), segments_.end(), std::shared_ptr<const Segment>(active),
               std::shared_ptr<const Segment>(std::move(sealed)));
  unsealed_.erase(std::find(unsealed_.begin(), unsealed_.end(), active));
  // The view keeps what it shows: rows beyond it may be in the segments already, uncommitted.
  auto view = std::make_shared<SegmentView>(*view_);
  for (size_t i = 0; i < view->parts.size(); ++i) view->parts[i].segment = segments_[i];
  view_ = std::move(view);
}

std::vector<SegmentInfo> SegmentSet::Segments() const {
  const std::shared_ptr<const SegmentView> view = Pin();
  std::vector<SegmentInfo> infos;
  infos.reserve(view->parts.size());
  for (const SegmentView::Part& part : view->parts) {
    infos.push_back(part.segment->Info(part.visible));
  }
  return infos;
}

IndexingProgress SegmentSet::Progress(uint64_t before_row) const {
  MutexLock lock(&mu_);
  IndexingProgress progress;
  for (const SegmentView::Part& part : view_->parts) {
    progress.total_rows += part.segment->LowerBound(before_row, part.visible);
  }
  progress.unindexed_rows = UnlinkedRows(before_row);
  return progress;
}

}  // namespace varve::index
