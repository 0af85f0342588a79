#include "index/segment_set.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::index {
namespace {

constexpr uint64_t kAllRows = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kAllSegments = std::numeric_limits<uint64_t>::max();

// The memory that the vectors of an active segment begun on a backlog may take.
constexpr uint64_t kBacklogSegmentBytes = uint64_t{1} << 30;

// What failed once (a full disk, say) is likely to fail again at once.
constexpr absl::Duration kCompactionRetryDelay = absl::Seconds(30);

// Commits that follow each other sooner are a stream's.
constexpr absl::Duration kStreamingPause = absl::Milliseconds(50);

std::shared_ptr<const SealedSegment> AsSealed(const std::shared_ptr<const Segment>& segment) {
  return std::dynamic_pointer_cast<const SealedSegment>(segment);
}

// How many of the rows from `begin` on are vectors of the same record.
size_t SameRows(const NewRows& added, size_t begin) {
  size_t end = begin + 1;
  while (end < added.rows.size() && added.rows[end] == added.rows[begin]) ++end;
  return end - begin;
}

}  // namespace

std::shared_ptr<SegmentSet> SegmentSet::Create(VectorSpace space, const IndexOptions& options,
                                               const IndexResources& resources,
                                               std::unique_ptr<SegmentStorage> storage) {
  return std::make_shared<SegmentSet>(space, options, resources, std::move(storage));
}

SegmentSet::SegmentSet(VectorSpace space, const IndexOptions& options,
                       const IndexResources& resources, std::unique_ptr<SegmentStorage> storage)
    : space_(space),
      pool_(resources.pool),
      gate_(resources.gate),
      storage_(std::move(storage)),
      options_(options),
      view_(std::make_shared<SegmentView>()) {}

void SegmentSet::Restore(uint64_t sequence, uint64_t next_row,
                         std::vector<std::shared_ptr<const SealedSegment>> sealed,
                         uint64_t next_segment_id) {
  MutexLock lock(&mu_);
  restoring_ = true;
  uint64_t live_rows = 0;
  for (const auto& segment : sealed) live_rows += segment->size() - segment->tombstones()->dead();
  segments_.assign(sealed.begin(), sealed.end());
  next_segment_id_ = next_segment_id;
  Publish(sequence, next_row, live_rows);
}

void SegmentSet::RestoreRows(const NewRows& rows) {
  MutexLock commit_lock(&commit_mu_);
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
  Schedule();
}

void SegmentSet::EndRestore() {
  MutexLock lock(&mu_);
  restoring_ = false;
  Schedule();
}

void SegmentSet::Commit(uint64_t sequence, uint64_t next_row, const NewRows& added,
                        const RowChanges& changes) {
  MutexLock commit_lock(&commit_mu_);
  const std::shared_ptr<const SegmentView> before = Pin();
  uint32_t capacity = 0;  // of segments begun: what is added now is no backlog
  {
    MutexLock lock(&mu_);
    capacity = NextCapacity();
  }
  uint64_t died = 0;
  for (const uint64_t row : changes.dead_rows) {
    const RowPlace place = before->Find(row);
    for (uint32_t i = place.begin; i < place.end; ++i, ++died) {
      place.segment->tombstones()->MarkDead(i, sequence);
    }
  }
  const uint64_t oldest_read = changes.metadata.empty() ? 0 : OldestRead();
  for (const MetadataChange& change : changes.metadata) {
    const RowPlace place = before->Find(change.row);
    for (uint32_t i = place.begin; i < place.end; ++i) {
      place.segment->history()->overlay.Set(i, sequence, change.attributes, oldest_read);
    }
  }
  for (size_t done = 0; done < added.rows.size();) {
    done += AppendToActive(ActiveWithRoom(SameRows(added, done), capacity).get(), added, done);
  }
  MutexLock lock(&mu_);
  for (const auto& active : unsealed_) active->Commit(active->size());
  Publish(sequence, next_row, before->live_rows + added.rows.size() - died);
  last_commit_at_ = absl::Now();
  for (auto& active : std::exchange(to_seal_again_, {})) ScheduleSealing(std::move(active));
  Schedule();
}

uint64_t SegmentSet::OldestRead() {
  MutexLock lock(&mu_);
  while (!older_views_.empty()) {
    if (const auto view = older_views_.front().lock(); view != nullptr) return view->sequence;
    older_views_.pop_front();
  }
  return view_->sequence;
}

size_t SegmentSet::AppendToActive(ActiveSegment* active, const NewRows& added, size_t begin) {
  SegmentRows& rows = active->rows();
  const size_t room = rows.capacity() - rows.size();
  size_t count = 0;
  while (begin + count < added.rows.size()) {
    const size_t more = SameRows(added, begin + count);
    if (count + more > room) break;
    count += more;
  }
  const auto copy = [&](absl::Span<const std::string_view> all) {
    const auto given = all.empty() ? all : all.subspan(begin, count);
    std::vector<std::string_view> copied(given.begin(), given.end());
    rows.CopyBytes(&copied);
    copied.resize(count);
    return copied;
  };
  const std::vector<std::string_view> labels = copy(added.labels);
  const std::vector<std::string_view> attributes = copy(added.attributes);
  for (size_t i = 0; i < count; ++i) {
    const int64_t expires_at =
        added.expires_at.empty() ? kNeverExpires : added.expires_at[begin + i];
    char* const vector = rows.Append(added.rows[begin + i], labels[i], attributes[i], expires_at);
    space_.LoadRow(added.vectors[begin + i].data(), vector);
  }
  return count;
}

std::shared_ptr<ActiveSegment> SegmentSet::ActiveWithRoom(size_t rows, uint32_t capacity) {
  MutexLock lock(&mu_);
  if (!unsealed_.empty() && unsealed_.back()->TakesRows()) {
    const auto& active = unsealed_.back();
    if (active->capacity() - active->size() >= rows) return active;
    if (active->size() < active->capacity()) {
      // What was appended and not committed yet is to be sealed with the rest.
      active->Commit(active->size());
      if (active->Close()) ScheduleSealing(active);
    }
  }
  capacity = std::max(capacity, static_cast<uint32_t>(rows));
  unsealed_.push_back(
      std::make_shared<ActiveSegment>(next_segment_id_++, space_, options_, capacity));
  segments_.push_back(unsealed_.back());
  return unsealed_.back();
}

// A backlog of several segments' rows is linked into a single one as large as itself: rows that wait
// by now would be merged into one before long.
uint32_t SegmentSet::NextCapacity() const {
  const uint64_t most = std::min(kBacklogSegmentBytes / space_.row_bytes(), kSegmentRowsMax);
  const uint64_t backlog = std::min(UnlinkedRows(kAllRows), most);
  const uint64_t threshold = options_.segment_size_threshold;
  return static_cast<uint32_t>(backlog < kCompactionFanIn * threshold ? threshold : backlog);
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
  SetView(std::move(view));
}

void SegmentSet::SetView(std::shared_ptr<const SegmentView> view) {
  while (!older_views_.empty() && older_views_.front().expired()) older_views_.pop_front();
  older_views_.push_back(view_);
  view_ = std::move(view);
}

std::shared_ptr<const SegmentView> SegmentSet::Pin() const {
  MutexLock lock(&mu_);
  return view_;
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

void SegmentSet::Flush(Done done) {
  {
    MutexLock commit_lock(&commit_mu_);
    MutexLock lock(&mu_);
    waiting_flushes_.push_back({next_segment_id_ - 1, std::move(done)});
    if (!unsealed_.empty() && unsealed_.back()->Close()) ScheduleSealing(unsealed_.back());
    for (auto& active : std::exchange(to_seal_again_, {})) ScheduleSealing(std::move(active));
  }
  Settle();
}

void SegmentSet::Compact(Done done) {
  const uint64_t before_row = Pin()->next_row;
  Flush([weak = weak_from_this(), before_row, done = std::move(done)](absl::Status status) mutable {
    const auto set = weak.lock();
    if (!status.ok() || set == nullptr) return done(std::move(status));
    {
      MutexLock lock(&set->mu_);
      set->waiting_compacts_.push_back({before_row, std::move(done)});
    }
    set->Settle();
  });
}

void SegmentSet::SetOptions(const IndexOptions& options) {
  {
    MutexLock lock(&mu_);
    options_ = options;
  }
  Settle();
}

void SegmentSet::Stop(absl::Status why) {
  {
    MutexLock lock(&mu_);
    stopped_.Update(std::move(why));
    compaction_ = nullptr;
  }
  Settle();  // before the storage is closed: who waits is told why, not that a write was refused
  storage_->Close();
  MutexLock lock(&mu_);
  LeaveGate();  // nothing of the compaction is being written any more
}

bool SegmentSet::damaged() const {
  MutexLock lock(&mu_);
  return damaged_;
}

bool SegmentSet::Idle() const {
  MutexLock lock(&mu_);
  const bool sealing = std::any_of(unsealed_.begin(), unsealed_.end(),
                                   [](const auto& active) { return !active->TakesRows(); });
  return tasks_ == 0 && WaitingRows() == 0 && !sealing && compaction_ == nullptr &&
         waiting_for_room_.empty() && waiting_flushes_.empty() && waiting_compacts_.empty();
}

uint64_t SegmentSet::UnlinkedRows(uint64_t before_row) const {
  uint64_t rows = 0;
  for (const auto& active : unsealed_) rows += active->Unlinked(before_row);
  return rows;
}

uint64_t SegmentSet::WaitingRows() const {
  uint64_t rows = 0;
  for (const auto& active : unsealed_) rows += active->Waiting();
  return rows;
}

void SegmentSet::Schedule() {
  if (!stopped_.ok()) return;
  BeginCompaction();
  size_t wanted = 0;
  if (const uint64_t waiting = WaitingRows(); waiting > 0) {
    wanted = LinkersWanted(waiting);
  }
  if (in_gate_ && compaction_->HasWork()) {
    // Half of the threads, unless somebody waits for it.
    const size_t threads =
        waiting_compacts_.empty() ? (pool_->threads() + 1) / 2 : pool_->threads();
    wanted = std::max(wanted, threads);
  }
  for (; tasks_ < wanted; ++tasks_) {
    pool_->Schedule([weak = weak_from_this()] {
      if (auto set = weak.lock()) set->Task();
    });
  }
}

// A stream at full speed needs the cores itself, and is over the sooner; linked is what it brought
// afterwards, all the same work. Unless it goes on until so much waits that it will be held back.
size_t SegmentSet::LinkersWanted(uint64_t waiting) const {
  if (waiting < options_.parallel_insert_threshold) return 1;
  const bool streaming = absl::Now() - last_commit_at_ < kStreamingPause;
  return streaming && waiting < options_.max_unindexed_rows / 2 ? 1 : pool_->threads();
}

void SegmentSet::Settle() {
  std::vector<absl::AnyInvocable<void()>> ready;
  {
    MutexLock lock(&mu_);
    Schedule();
    ready = TakeReady();
  }
  for (auto& call : ready) call();
}

std::vector<absl::AnyInvocable<void()>> SegmentSet::TakeReady() {
  if (!stopped_.ok() || UnlinkedRows(kAllRows) < options_.max_unindexed_rows) {
    for (auto& room : std::exchange(waiting_for_room_, {})) ready_.push_back(std::move(room));
  }
  if (!stopped_.ok()) {
    EndFlushes(kAllSegments, stopped_);
    EndCompacts(stopped_);
    return std::exchange(ready_, {});
  }
  uint64_t first_unsealed = kAllSegments;
  for (const auto& active : unsealed_) first_unsealed = std::min(first_unsealed, active->id());
  EndFlushes(first_unsealed, absl::OkStatus());
  if (compaction_ == nullptr && !PlanNext().has_value()) EndCompacts(absl::OkStatus());
  return std::exchange(ready_, {});
}

void SegmentSet::EndFlushes(uint64_t before_segment_id, const absl::Status& status) {
  std::vector<WaitingFlush> left;
  for (WaitingFlush& flush : waiting_flushes_) {
    if (flush.last_segment_id < before_segment_id) {
      ready_.emplace_back([done = std::move(flush.done), status]() mutable { done(status); });
    } else {
      left.push_back(std::move(flush));
    }
  }
  waiting_flushes_ = std::move(left);
}

void SegmentSet::EndCompacts(const absl::Status& status) {
  for (WaitingCompact& compact : std::exchange(waiting_compacts_, {})) {
    ready_.emplace_back([done = std::move(compact.done), status]() mutable { done(status); });
  }
}

void SegmentSet::Task() {
  const Work work = NextWork();
  if (work.link != nullptr && work.link->LinkSome()) Seal(work.link);
  if (work.compact != nullptr && work.compact->Work()) FinishCompaction(work.compact);
  // One turn is over: what is left is scheduled anew, behind the turns of other namespaces.
  {
    MutexLock lock(&mu_);
    --tasks_;
  }
  Settle();
}

SegmentSet::Work SegmentSet::NextWork() {
  MutexLock lock(&mu_);
  if (!stopped_.ok()) return {};
  const bool may_compact = in_gate_ && compaction_->HasWork();
  if (!may_compact || ++turns_ % TurnsPerCompactionTurn(segments_.size()) != 0) {
    for (const auto& active : unsealed_) {
      if (active->Waiting() > 0) return {.link = active};
    }
  }
  if (may_compact) return {.compact = compaction_};
  return {};
}

void SegmentSet::ScheduleSealing(std::shared_ptr<ActiveSegment> active) {
  pool_->Schedule([weak = weak_from_this(), active = std::move(active)] {
    if (auto set = weak.lock()) {
      set->Seal(active);
      set->Settle();
    }
  });
}

void SegmentSet::Seal(const std::shared_ptr<ActiveSegment>& active) {
  const absl::Status status = WriteSealed(active);
  if (status.ok()) return;
  MutexLock lock(&mu_);
  if (!stopped_.ok()) return;
  to_seal_again_.push_back(active);
  EndFlushes(kAllSegments, status);
}

absl::Status SegmentSet::WriteSealed(const std::shared_ptr<ActiveSegment>& active) {
  VARVE_ASSIGN_OR_RETURN(auto sealed,
                         storage_->Write(active->id(), space_, active->history(),
                                         [&](ByteSink* sink) { return active->WriteTo(sink); }));
  if (absl::Status status = storage_->Install({.made = sealed.get()}); !status.ok()) {
    storage_->Discard(active->id());
    return status;
  }
  InstallSealed(active, std::move(sealed));
  return absl::OkStatus();
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
  SetView(std::move(view));
}

bool SegmentSet::MayCompact() const {
  return options_.auto_compaction || !waiting_compacts_.empty();
}

std::optional<CompactionPlan> SegmentSet::PlanNext() const {
  uint64_t before_row = waiting_compacts_.empty() ? kAllRows : 0;
  for (const WaitingCompact& compact : waiting_compacts_) {
    before_row = std::max(before_row, compact.before_row);
  }
  std::vector<SegmentShape> shapes;
  shapes.reserve(view_->parts.size());
  for (const SegmentView::Part& part : view_->parts) {
    if (part.segment->row(0) >= before_row) break;
    const uint64_t dead = std::min(part.visible, part.segment->tombstones()->dead());
    shapes.push_back({.rows = part.visible,
                      .live_rows = part.visible - dead,
                      .changed_rows = part.segment->history()->overlay.changed_rows(),
                      .sealed = AsSealed(part.segment) != nullptr});
  }
  return waiting_compacts_.empty() ? PlanCompaction(shapes, options_.tombstone_rebuild_pct)
                                   : PlanFullCompaction(shapes);
}

void SegmentSet::BeginCompaction() {
  if (restoring_ || damaged_) return;
  if (!MayCompact()) return LeaveGate();
  if (compaction_ == nullptr) {
    if (waiting_compacts_.empty() && absl::Now() < compact_again_at_) return;
    const std::optional<CompactionPlan> plan = PlanNext();
    if (!plan.has_value() || !EnterGate()) return;
    SealedList inputs;
    for (size_t i = plan->begin; i < plan->end; ++i) {
      inputs.push_back(AsSealed(view_->parts[i].segment));
    }
    compaction_ = std::make_shared<Compaction>(next_segment_id_++, space_, options_,
                                               view_->sequence, std::move(inputs), /*anew=*/false);
    compaction_began_at_ = absl::Now();
  } else if (!in_gate_) {
    EnterGate();  // it was paused
  }
}

bool SegmentSet::EnterGate() {
  if (in_gate_ || waiting_for_gate_) return in_gate_;
  in_gate_ = gate_->Enter([pool = pool_, weak = weak_from_this()] {
    pool->Schedule([weak] {
      if (const auto set = weak.lock()) set->TryGateAgain();
    });
  });
  waiting_for_gate_ = !in_gate_;
  return in_gate_;
}

void SegmentSet::TryGateAgain() {
  {
    MutexLock lock(&mu_);
    waiting_for_gate_ = false;
  }
  Settle();
}

void SegmentSet::LeaveGate() {
  if (std::exchange(in_gate_, false)) gate_->Leave();
}

void SegmentSet::FinishCompaction(const std::shared_ptr<Compaction>& compaction) {
  const absl::Status status = CompleteCompaction(*compaction);
  const bool damaged =
      !compaction->damaged().empty() && storage_->GiveUp(compaction->damaged()).ok();
  MutexLock lock(&mu_);
  if (damaged) {
    damaged_ = true;
    EndCompacts(absl::UnavailableError(
        StrCat(status.message(), "; its rows are being indexed anew: try again")));
  }
  if (compaction_ != compaction) return;  // given up meanwhile
  compaction_ = nullptr;
  if (status.ok()) {
    gate_->counters().finished.Add();
    gate_->counters().rows.Add(compaction->size());
    gate_->counters().duration.Observe(absl::Now() - compaction_began_at_);
  } else {
    HandleFailure(*compaction, status);
  }
  if (compaction_ == nullptr) LeaveGate();
}

absl::Status SegmentSet::CompleteCompaction(const Compaction& compaction) {
  VARVE_RETURN_IF_ERROR(compaction.status());
  SegmentChange change{.sequence = compaction.sequence()};
  for (const auto& input : compaction.inputs()) change.replaced.push_back(input->id());
  std::shared_ptr<const SealedSegment> made;
  absl::Status status;
  if (compaction.size() > 0) {
    VARVE_ASSIGN_OR_RETURN(
        made,
        storage_->Write(compaction.id(), space_, std::make_shared<RowHistory>(compaction.size()),
                        [&](ByteSink* sink) { return compaction.WriteTo(sink); }));
    change.made = made.get();
    status = compaction.Verify(*made);
  }
  if (status.ok()) status = storage_->Install(change);
  if (!status.ok()) {
    if (made != nullptr) storage_->Discard(compaction.id());
    return status;
  }
  InstallCompacted(compaction, std::move(made));
  return absl::OkStatus();
}

void SegmentSet::InstallCompacted(const Compaction& compaction,
                                  std::shared_ptr<const SealedSegment> made) {
  // Most of what died meanwhile is copied before writers are held up for the rest.
  if (made != nullptr) compaction.CopyHistory(made->history().get());
  MutexLock commit_lock(&commit_mu_);
  if (made != nullptr) compaction.CopyHistory(made->history().get());

  MutexLock lock(&mu_);
  const auto begin = std::find(segments_.begin(), segments_.end(), compaction.inputs().front());
  const size_t first = begin - segments_.begin();
  const auto end = begin + static_cast<ptrdiff_t>(compaction.inputs().size());
  const auto at = segments_.erase(begin, end);
  auto view = std::make_shared<SegmentView>(*view_);
  const auto part = view->parts.begin() + static_cast<ptrdiff_t>(first);
  const auto at_part =
      view->parts.erase(part, part + static_cast<ptrdiff_t>(compaction.inputs().size()));
  if (made != nullptr) {
    view->parts.insert(at_part, {made, made->size()});
    segments_.insert(at, std::move(made));
  }
  SetView(std::move(view));
}

void SegmentSet::HandleFailure(const Compaction& compaction, const absl::Status& status) {
  if (absl::IsInternal(status) && !compaction.anew()) {
    // What was taken over of the largest input's graph was not good enough.
    compaction_ = std::make_shared<Compaction>(next_segment_id_++, space_, options_,
                                               view_->sequence, compaction.inputs(), /*anew=*/true);
    return;
  }
  gate_->counters().failed.Add();
  compact_again_at_ = absl::Now() + kCompactionRetryDelay;
  EndCompacts(status);
}

std::vector<SegmentInfo> SegmentSet::Segments() const {
  std::shared_ptr<const SegmentView> view;
  std::shared_ptr<const Compaction> compaction;
  uint32_t threshold = 0;
  {
    MutexLock lock(&mu_);
    view = view_;
    compaction = compaction_;
    threshold = options_.segment_size_threshold;
  }
  std::vector<SegmentInfo> infos;
  infos.reserve(view->parts.size());
  for (const SegmentView::Part& part : view->parts) {
    SegmentInfo info = part.segment->Info(part.visible);
    info.level = SegmentLevel(info.rows, threshold);
    if (compaction != nullptr && compaction->Takes(*part.segment)) {
      info.state = SegmentState::kCompacting;
    }
    infos.push_back(info);
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
