#ifndef VARVE_INDEX_COMPACTION_H_
#define VARVE_INDEX_COMPACTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "index/graph_builder.h"
#include "index/options.h"
#include "index/row_history.h"
#include "index/row_source.h"
#include "index/segment.h"
#include "index/top_k.h"

namespace varve::index {

// Makes one segment out of neighbours (a merge) or of the living rows of one (a rebuild). The graph
// of the largest is taken over and the other rows are inserted into it; the inputs stay as they are
// and go on being searched. Work is done in short turns, so that whoever schedules them can let
// others go first, or leave off; nothing but memory is lost then.
//
// As a RowSource: the rows of the new segment, those alive at `sequence`. Rows that die later are in
// it; see CopyDeaths.
//
// Threads: any number take turns; the rest is for one, when the last turn is done.
class Compaction final : public RowSource {
 public:
  // `inputs` lie one behind the other in order of row; at least one. With `anew` no graph is taken
  // over. Quick: reads nothing yet.
  Compaction(uint64_t id, const VectorSpace& space, const IndexOptions& options, uint64_t sequence,
             std::vector<std::shared_ptr<const SealedSegment>> inputs, bool anew);

  // Does one turn. True when that was the last: see status().
  bool Work() ABSL_LOCKS_EXCLUDED(mu_);
  // Whether there is a turn to take.
  bool HasWork() const ABSL_LOCKS_EXCLUDED(mu_);

  // DataLoss: a file of an input is damaged.
  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_);
  // Ids of those inputs.
  const std::vector<uint64_t>& damaged() const { return damaged_; }

  uint64_t id() const { return id_; }
  bool anew() const { return anew_; }
  const VectorSpace& space() const { return space_; }
  const std::vector<std::shared_ptr<const SealedSegment>>& inputs() const { return inputs_; }
  // Whether a segment is one of the inputs.
  bool Takes(const Segment& segment) const;
  uint64_t sequence() const { return sequence_; }
  uint32_t size() const { return static_cast<uint32_t>(kept_.size()); }

  // Writes the new segment's file; not for one without rows.
  absl::StatusOr<SegmentFileSummary> WriteTo(ByteSink* sink) const;

  // OK when the new segment may take the inputs' place: its file reads back whole, every row can be
  // reached, and of a sample of queries it finds, at the effort that the inputs take together, no
  // smaller a share of the true neighbours than they do. Internal when not.
  absl::Status Verify(const SealedSegment& made) const;

  // Adds to the new segment's history what became of its rows in the inputs since, and is not there yet:
  // deaths and changes of metadata. Nothing may happen to them meanwhile, or is to be copied again.
  void CopyHistory(RowHistory* history) const;

  uint64_t row(uint32_t ordinal) const override {
    return Input(ordinal).row(kept_[ordinal].ordinal);
  }
  std::string_view label(uint32_t ordinal) const override {
    return Input(ordinal).label(kept_[ordinal].ordinal);
  }
  const char* vector(uint32_t ordinal) const override {
    return Input(ordinal).vector(kept_[ordinal].ordinal);
  }
  int64_t expires_at(uint32_t ordinal) const override {
    return Input(ordinal).expires_at(kept_[ordinal].ordinal);
  }

 private:
  // Work is done stage by stage; the turns of one may be done at once.
  enum Stage { kPrepare, kAdopt, kInsert, kDone };
  struct Turn {
    Stage stage = kDone;
    uint32_t begin = 0, end = 0;  // of the stage's items
  };
  // Where a row comes from.
  struct Kept {
    uint32_t input = 0;
    uint32_t ordinal = 0;
  };
  // The segment whose graph is taken over, if any is worth it.
  struct Adopted {
    const SealedSegment* segment = nullptr;
    uint32_t begin = 0, end = 0;  // its rows in the new segment
    std::vector<uint8_t> levels;
    std::vector<uint32_t> renumbered;
  };

  const SealedSegment& Input(uint32_t ordinal) const { return *inputs_[kept_[ordinal].input]; }
  Turn Take() ABSL_LOCKS_EXCLUDED(mu_);
  bool Finish(const Turn& turn) ABSL_LOCKS_EXCLUDED(mu_);
  void Prepare() ABSL_LOCKS_EXCLUDED(mu_);
  void Adopt(const Turn& turn) ABSL_LOCKS_EXCLUDED(mu_);
  // Begins the next stage that has items.
  void NextStage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Lets go of the graph taken over: all rows are to be inserted.
  void StartAnew() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // For each input the rows of the new segment that its rows become.
  std::vector<std::vector<uint32_t>> Renumbered() const;
  // Lists the rows of an input that are alive; `input` is its position.
  void Keep(uint32_t input);
  void AdoptGraph(uint32_t input, uint32_t begin);
  // The vector of a row among those of all inputs.
  const char* InputVector(uint64_t position) const;
  // How far the rows kept that are nearest to a query are from it: by a scan.
  TopK<float> NearestByScan(const float* query) const;
  // The same among the candidates that a search of `segments` finds.
  TopK<float> NearestBySearch(const float* query, const std::vector<const SealedSegment*>& segments,
                              size_t ef) const;

  const uint64_t id_;
  const VectorSpace space_;
  const IndexOptions options_;
  const uint64_t sequence_;
  const std::vector<std::shared_ptr<const SealedSegment>> inputs_;
  const bool anew_;

  // Made by the first turn, before others may be taken, and left alone while there are any.
  std::vector<Kept> kept_;
  Adopted adopted_;
  std::unique_ptr<GraphBuilder> builder_;
  std::vector<uint64_t> damaged_;

  mutable Mutex mu_;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  Stage stage_ ABSL_GUARDED_BY(mu_) = kPrepare;
  uint32_t items_[kDone + 1] ABSL_GUARDED_BY(mu_) = {1};  // of each stage
  uint32_t taken_ ABSL_GUARDED_BY(mu_) = 0;               // of this stage's
  uint32_t finished_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t frayed_ ABSL_GUARDED_BY(mu_) = 0;  // adopted nodes at a gap
};

}  // namespace varve::index

#endif  // VARVE_INDEX_COMPACTION_H_
