#ifndef VARVE_INDEX_SEGMENT_SET_H_
#define VARVE_INDEX_SEGMENT_SET_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_control.h"
#include "base/mutex.h"
#include "base/tensor.h"
#include "base/thread_pool.h"
#include "index/active_segment.h"
#include "index/options.h"
#include "index/segment.h"
#include "index/vector.h"

namespace varve::index {

// New rows of one commit, column by column: row numbers (ascending, above all before), labels
// (opaque bytes that a search gives back) and vectors. `vectors[i]` is the bytes of row i in
// `dtype`, finite and, under cosine, not zero: the caller has checked.
struct NewRows {
  absl::Span<const uint64_t> rows;
  absl::Span<const std::string_view> labels;
  DType dtype = DType::kF32;
  absl::Span<const std::string_view> vectors;
};

// What a search sees: the rows published when it was pinned, as of its commit. Co-owns its
// segments: hold it for one query, not longer. Immutable.
struct SegmentView {
  struct Part {
    std::shared_ptr<const Segment> segment;
    uint32_t visible = 0;  // its first so many rows
  };
  uint64_t sequence = 0;
  uint64_t live_rows = 0;
  uint64_t next_row = 0;  // every row published is below
  std::vector<Part> parts;
};

// One result. The label lives as long as the view it was found in.
struct Neighbor {
  float distance = 0;  // in the metric's own terms
  uint64_t row = 0;
  std::string_view label;
};

struct SearchParams {
  size_t k = 0;
  size_t ef = 0;  // raised to k where lower
  bool exact = false;
};

// Where sealed segments are kept. Thread-safe.
class SegmentStorage {
 public:
  virtual ~SegmentStorage() = default;
  // Makes a full and wholly linked segment durable and opens its sealed form, which shares its
  // tombstones. Takes as long as writing a file does; runs on the linking pool. On an error the
  // segment stays as it is, and is tried again at a later commit.
  virtual absl::StatusOr<std::shared_ptr<const SealedSegment>> Seal(
      const ActiveSegment& segment) = 0;
};

struct IndexingProgress {
  uint64_t total_rows = 0;
  uint64_t unindexed_rows = 0;  // due to be linked into a graph and not linked yet
};

// The index of one field: the segments of its rows, oldest first, of which the last takes new rows.
// Commits come from one writer at a time. Searches run beside it on pinned views and see whole
// commits only. Rows are linked in the background, on the pool; full segments are sealed there.
//
// Thread-safe, but for Commit: one caller at a time.
class SegmentSet : public std::enable_shared_from_this<SegmentSet> {
 public:
  // `pool` must outlive the last task scheduled on it; tasks let go of a set that is gone.
  static std::shared_ptr<SegmentSet> Create(VectorSpace space, const IndexOptions& options,
                                            ThreadPool* pool,
                                            std::unique_ptr<SegmentStorage> storage);
  SegmentSet(VectorSpace space, const IndexOptions& options, ThreadPool* pool,
             std::unique_ptr<SegmentStorage> storage);

  // Takes the place of an empty set: sealed segments, in order of row, as of commit `sequence`.
  // Called before anything else.
  void Restore(uint64_t sequence, uint64_t next_row,
               std::vector<std::shared_ptr<const SealedSegment>> sealed, uint64_t next_segment_id)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Adds rows that lie between those of restored segments: a segment of their own, to be sealed
  // anew. Called after Restore and before Commit.
  void RestoreRows(const NewRows& rows) ABSL_LOCKS_EXCLUDED(mu_);

  // Adds rows and marks others dead, visible together from commit `sequence` on, which must be
  // above the one before. `next_row` is above every row so far.
  void Commit(uint64_t sequence, uint64_t next_row, const NewRows& added,
              absl::Span<const uint64_t> dead_rows) ABSL_LOCKS_EXCLUDED(mu_);

  std::shared_ptr<const SegmentView> Pin() const ABSL_LOCKS_EXCLUDED(mu_);

  // The k rows of the view nearest to `query` (as VectorSpace::Load makes it), nearest first; of
  // equal distances the lower row first.
  absl::StatusOr<std::vector<Neighbor>> Search(const SegmentView& view, const float* query,
                                               const SearchParams& params,
                                               const CallControl& control) const;

  // Calls `ready` when fewer than max_unindexed_rows wait to be linked: now, or later from the
  // pool.
  void WhenRoom(absl::AnyInvocable<void()> ready) ABSL_LOCKS_EXCLUDED(mu_);

  // Options of segments begun from now on, and of scheduling at once.
  void SetOptions(const IndexOptions& options) ABSL_LOCKS_EXCLUDED(mu_);

  // What waits to be linked is left as it is. For an owner that lets go of the set: tasks hold it
  // while they run, and each begins the next, so that it would outlive the last row that waits.
  void StopLinking() ABSL_LOCKS_EXCLUDED(mu_);

  std::vector<SegmentInfo> Segments() const ABSL_LOCKS_EXCLUDED(mu_);
  // Of the rows numbered below `before_row`.
  IndexingProgress Progress(uint64_t before_row) const ABSL_LOCKS_EXCLUDED(mu_);

  const VectorSpace& space() const { return space_; }

 private:
  // Appends rows [begin, ...) to the active segment, which has room; returns how many it took.
  size_t AppendToActive(ActiveSegment* active, const NewRows& added, size_t begin);
  std::shared_ptr<ActiveSegment> ActiveWithRoom() ABSL_LOCKS_EXCLUDED(mu_);
  void ScheduleSealing(std::shared_ptr<ActiveSegment> active) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MarkDead(const SegmentView& view, uint64_t row, uint64_t sequence);
  // Publishes what the segments hold now.
  void Publish(uint64_t sequence, uint64_t next_row, uint64_t live_rows)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  uint64_t UnlinkedRows(uint64_t before_row) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Brings the number of link tasks in line with the rows that wait.
  void ScheduleLinking() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LinkTask() ABSL_LOCKS_EXCLUDED(mu_);
  std::shared_ptr<ActiveSegment> NextToLink() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Seal(const std::shared_ptr<ActiveSegment>& active) ABSL_LOCKS_EXCLUDED(mu_);
  void InstallSealed(const std::shared_ptr<ActiveSegment>& active,
                     std::shared_ptr<const SealedSegment> sealed) ABSL_LOCKS_EXCLUDED(mu_);

  const VectorSpace space_;
  ThreadPool* const pool_;
  const std::unique_ptr<SegmentStorage> storage_;

  mutable Mutex mu_;  // guards the lists; never held while linking, sealing or searching
  IndexOptions options_ ABSL_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<const Segment>> segments_ ABSL_GUARDED_BY(mu_);
  // Those of segments_ that are not sealed, oldest first; the last takes rows if it has room.
  std::vector<std::shared_ptr<ActiveSegment>> unsealed_ ABSL_GUARDED_BY(mu_);
  // Of unsealed_, those whose sealing failed.
  std::vector<std::shared_ptr<ActiveSegment>> to_seal_again_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const SegmentView> view_ ABSL_GUARDED_BY(mu_);
  std::vector<absl::AnyInvocable<void()>> waiting_for_room_ ABSL_GUARDED_BY(mu_);
  uint64_t next_segment_id_ ABSL_GUARDED_BY(mu_) = 1;
  size_t link_tasks_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_SEGMENT_SET_H_
