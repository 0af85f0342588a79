#ifndef VARVE_INDEX_SEGMENT_SET_H_
#define VARVE_INDEX_SEGMENT_SET_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/mutex.h"
#include "base/tensor.h"
#include "base/thread_pool.h"
#include "index/active_segment.h"
#include "index/compaction.h"
#include "index/compaction_gate.h"
#include "index/compaction_policy.h"
#include "index/options.h"
#include "index/segment.h"
#include "index/segment_storage.h"
#include "index/segment_view.h"
#include "index/vector.h"

namespace varve::index {

// New rows of one commit, column by column: row numbers (ascending, above all before; the same for
// vectors of one record, which stay in one segment), labels
// (opaque bytes that a search gives back) and vectors. `vectors[i]` is the bytes of row i in
// the set's element type, finite and, under cosine, not zero: the caller has checked.
struct NewRows {
  absl::Span<const uint64_t> rows;
  absl::Span<const std::string_view> labels;
  absl::Span<const std::string_view> vectors;
  absl::Span<const std::string_view> attributes;  // encoded; empty when no row has any
  absl::Span<const int64_t> expires_at;           // see RowSource; empty when none expires
};

// New metadata of a row that is there, encoded.
struct MetadataChange {
  uint64_t row = 0;
  std::string_view attributes;
};

// What a commit does besides adding rows.
struct RowChanges {
  absl::Span<const uint64_t> dead_rows;
  absl::Span<const MetadataChange> metadata;
};

struct IndexingProgress {
  uint64_t total_rows = 0;
  uint64_t unindexed_rows = 0;  // due to be linked into a graph and not linked yet
};

// What all sets of a server share. Must outlive them; the gate also the pool, whose last tasks use it.
struct IndexResources {
  ThreadPool* pool = nullptr;  // links, seals and compacts
  CompactionGate* gate = nullptr;
};

// The index of one field: the segments of its rows, oldest first, of which the last takes new rows.
// Commits come from one writer at a time. Searches run beside it on pinned views and see whole
// commits only. All else happens in the background, in short turns on the pool: rows are linked, full
// segments sealed, and sealed ones merged and rebuilt as the policy says (compaction_policy.h), one
// compaction at a time.
//
// Thread-safe, but for Commit: one caller at a time.
class SegmentSet : public std::enable_shared_from_this<SegmentSet> {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;

  // Tasks on the pool let go of a set that is gone.
  static std::shared_ptr<SegmentSet> Create(VectorSpace space, const IndexOptions& options,
                                            const IndexResources& resources,
                                            std::unique_ptr<SegmentStorage> storage);
  SegmentSet(VectorSpace space, const IndexOptions& options, const IndexResources& resources,
             std::unique_ptr<SegmentStorage> storage);

  // Takes the place of an empty set: sealed segments, in order of row, as of commit `sequence`.
  // Called before anything else. Nothing is compacted before EndRestore.
  void Restore(uint64_t sequence, uint64_t next_row,
               std::vector<std::shared_ptr<const SealedSegment>> sealed, uint64_t next_segment_id)
      ABSL_LOCKS_EXCLUDED(commit_mu_, mu_);
  // Adds rows that lie between those of restored segments: a segment of their own, to be sealed
  // anew. Called after Restore and before Commit.
  void RestoreRows(const NewRows& rows) ABSL_LOCKS_EXCLUDED(commit_mu_, mu_);
  // All rows that were there before are there again.
  void EndRestore() ABSL_LOCKS_EXCLUDED(mu_);

  // Adds rows and changes others, visible together from commit `sequence` on, which must be above the
  // one before. `next_row` is above every row so far.
  void Commit(uint64_t sequence, uint64_t next_row, const NewRows& added, const RowChanges& changes)
      ABSL_LOCKS_EXCLUDED(commit_mu_, mu_);

  std::shared_ptr<const SegmentView> Pin() const ABSL_LOCKS_EXCLUDED(mu_);

  // Calls `ready` when fewer than max_unindexed_rows wait to be linked: now, or later from the
  // pool.
  void WhenRoom(absl::AnyInvocable<void()> ready) ABSL_LOCKS_EXCLUDED(mu_);

  // Closes the active segment. Calls `done` when every row committed before is in a sealed segment,
  // or with the error that sealing met: now, or from the pool. When the set is stopped, with the reason.
  void Flush(Done done) ABSL_LOCKS_EXCLUDED(commit_mu_, mu_);
  // Flushes, then merges and rebuilds until of the rows committed before as few segments are left as
  // can be, and no dead row. Also while automatic compaction is off. `done` as above.
  void Compact(Done done) ABSL_LOCKS_EXCLUDED(commit_mu_, mu_);

  // Options of segments begun from now on, and of scheduling at once.
  void SetOptions(const IndexOptions& options) ABSL_LOCKS_EXCLUDED(mu_);

  // Ends the background work: what waits is left as it is, a compaction under way is given up, and
  // the storage changes no more. For an owner that lets go of the set: tasks hold it while they run,
  // and each begins the next, so that it would outlive the last row that waits. `why` is what flushes
  // and compactions that wait are answered, and those that come. The first call counts.
  void Stop(absl::Status why) ABSL_LOCKS_EXCLUDED(mu_);

  // Whether a file was found to be damaged and given up: then nothing is compacted any more, and a set
  // that is restored is whole.
  bool damaged() const ABSL_LOCKS_EXCLUDED(mu_);
  // Whether there is nothing left to do in the background.
  bool Idle() const ABSL_LOCKS_EXCLUDED(mu_);

  std::vector<SegmentInfo> Segments() const ABSL_LOCKS_EXCLUDED(mu_);
  // Of the rows numbered below `before_row`.
  IndexingProgress Progress(uint64_t before_row) const ABSL_LOCKS_EXCLUDED(mu_);

  const VectorSpace& space() const { return space_; }

 private:
  using SealedList = std::vector<std::shared_ptr<const SealedSegment>>;
  // What a task does in its turn: at most one of them.
  struct Work {
    std::shared_ptr<ActiveSegment> link;
    std::shared_ptr<Compaction> compact;
  };
  struct WaitingFlush {
    uint64_t last_segment_id = 0;  // none up to here may be left unsealed
    Done done;
  };
  struct WaitingCompact {
    uint64_t before_row = 0;
    Done done;
  };

  // --- Committing. ---
  // Appends rows [begin, ...) to the active segment, which has room; returns how many it took.
  size_t AppendToActive(ActiveSegment* active, const NewRows& added, size_t begin);
  // One with room for `rows` more; if it is to be begun, with room for `capacity` at least.
  std::shared_ptr<ActiveSegment> ActiveWithRoom(size_t rows, uint32_t capacity)
      ABSL_LOCKS_EXCLUDED(mu_);
  uint32_t NextCapacity() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The commit that the oldest view still in use shows.
  uint64_t OldestRead() ABSL_LOCKS_EXCLUDED(mu_);
  // Publishes what the segments hold now.
  void Publish(uint64_t sequence, uint64_t next_row, uint64_t live_rows)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetView(std::shared_ptr<const SegmentView> view) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // --- Background work. ---
  uint64_t UnlinkedRows(uint64_t before_row) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t WaitingRows() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // How many tasks link, of rows that wait.
  size_t LinkersWanted(uint64_t waiting) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // After any change: begins a compaction that is due, and brings the number of tasks in line with
  // what there is to do.
  void Schedule() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The same, and calls back whose waiting is over.
  void Settle() ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<absl::AnyInvocable<void()>> TakeReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ends the waiting of flushes that wait for no segment from this one on; of all compactions.
  void EndFlushes(uint64_t before_segment_id, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndCompacts(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Task() ABSL_LOCKS_EXCLUDED(mu_);
  Work NextWork() ABSL_LOCKS_EXCLUDED(mu_);

  void ScheduleSealing(std::shared_ptr<ActiveSegment> active) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Seal(const std::shared_ptr<ActiveSegment>& active) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status WriteSealed(const std::shared_ptr<ActiveSegment>& active) ABSL_LOCKS_EXCLUDED(mu_);
  void InstallSealed(const std::shared_ptr<ActiveSegment>& active,
                     std::shared_ptr<const SealedSegment> sealed) ABSL_LOCKS_EXCLUDED(mu_);

  // Whether compactions may begin and go on.
  bool MayCompact() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::optional<CompactionPlan> PlanNext() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void BeginCompaction() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool EnterGate() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TryGateAgain() ABSL_LOCKS_EXCLUDED(mu_);
  void LeaveGate() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FinishCompaction(const std::shared_ptr<Compaction>& compaction)
      ABSL_LOCKS_EXCLUDED(commit_mu_, mu_);
  absl::Status CompleteCompaction(const Compaction& compaction)
      ABSL_LOCKS_EXCLUDED(commit_mu_, mu_);
  void InstallCompacted(const Compaction& compaction, std::shared_ptr<const SealedSegment> made)
      ABSL_LOCKS_EXCLUDED(commit_mu_, mu_);
  void HandleFailure(const Compaction& compaction, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const VectorSpace space_;
  ThreadPool* const pool_;
  CompactionGate* const gate_;
  const std::unique_ptr<SegmentStorage> storage_;

  // Held while rows are added or die, and while the segments they live in are exchanged.
  Mutex commit_mu_ ABSL_ACQUIRED_BEFORE(mu_);
  mutable Mutex mu_;  // guards the lists; never held while linking, sealing or searching
  IndexOptions options_ ABSL_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<const Segment>> segments_ ABSL_GUARDED_BY(mu_);
  // Those of segments_ that are not sealed, oldest first; the last takes rows if it has room.
  std::vector<std::shared_ptr<ActiveSegment>> unsealed_ ABSL_GUARDED_BY(mu_);
  // Of unsealed_, those whose sealing failed.
  std::vector<std::shared_ptr<ActiveSegment>> to_seal_again_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const SegmentView> view_ ABSL_GUARDED_BY(mu_);
  // Views before it that may still be in use, oldest first.
  std::deque<std::weak_ptr<const SegmentView>> older_views_ ABSL_GUARDED_BY(mu_);
  uint64_t next_segment_id_ ABSL_GUARDED_BY(mu_) = 1;

  std::vector<absl::AnyInvocable<void()>> waiting_for_room_ ABSL_GUARDED_BY(mu_);
  std::vector<WaitingFlush> waiting_flushes_ ABSL_GUARDED_BY(mu_);
  std::vector<WaitingCompact> waiting_compacts_ ABSL_GUARDED_BY(mu_);
  // Calls that are due, to be made without a lock.
  std::vector<absl::AnyInvocable<void()>> ready_ ABSL_GUARDED_BY(mu_);

  absl::Time last_commit_at_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  size_t tasks_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t turns_ ABSL_GUARDED_BY(mu_) = 0;
  std::shared_ptr<Compaction> compaction_ ABSL_GUARDED_BY(mu_);
  absl::Time compaction_began_at_ ABSL_GUARDED_BY(mu_);
  bool in_gate_ ABSL_GUARDED_BY(mu_) = false;
  bool waiting_for_gate_ ABSL_GUARDED_BY(mu_) = false;
  // After a compaction failed, none begins of itself before this time.
  absl::Time compact_again_at_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  absl::Status stopped_ ABSL_GUARDED_BY(mu_);  // not OK: it is, and why
  // Segments may yet come between those that are there: compaction, which takes neighbours, waits.
  bool restoring_ ABSL_GUARDED_BY(mu_) = false;
  bool damaged_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_SEGMENT_SET_H_
