#ifndef VARVE_INDEX_ACTIVE_SEGMENT_H_
#define VARVE_INDEX_ACTIVE_SEGMENT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "index/graph_builder.h"
#include "index/options.h"
#include "index/segment.h"
#include "index/segment_rows.h"

namespace varve::index {

// A segment that is being filled. Rows are committed to its tail, which searches scan exactly;
// linkers take them from there into a growing graph, which searches walk. Every committed row is in
// one of the two, so it can be found from its commit on.
//
// A segment that is full, or was closed before, takes no more rows, and can be sealed once the last
// of them is linked.
//
// Threads: one writer appends rows (through rows()) and commits them; any number link and search.
class ActiveSegment final : public Segment {
 public:
  // Takes up to `capacity` rows.
  ActiveSegment(uint64_t id, VectorSpace space, const IndexOptions& options, uint32_t capacity);

  // The writer's alone, but for reading what has been committed.
  SegmentRows& rows() { return rows_; }
  uint32_t capacity() const { return static_cast<uint32_t>(rows_.capacity()); }

  // The writer: the first `rows` rows are in place. Linkers may take them.
  void Commit(uint32_t rows) ABSL_LOCKS_EXCLUDED(mu_);

  // The writer: no more rows will come. True when all are linked already, and it was not closed
  // before: it can be sealed.
  bool Close() ABSL_LOCKS_EXCLUDED(mu_);
  bool TakesRows() const ABSL_LOCKS_EXCLUDED(mu_);

  // Takes a few rows off the tail and links them. True when that was the last of a segment that takes
  // no more: it can be sealed. Does nothing when there is nothing to take.
  bool LinkSome() ABSL_LOCKS_EXCLUDED(mu_);

  // Rows that wait for a linker to take them. A few rows are better scanned than linked, so none
  // waits before there are enough for a graph.
  uint32_t Waiting() const ABSL_LOCKS_EXCLUDED(mu_);
  // Rows numbered below `row` that are to be linked and are not linked yet, taken or not.
  uint32_t Unlinked(uint64_t row) const ABSL_LOCKS_EXCLUDED(mu_);

  // Writes the segment's file. For one that can be sealed.
  absl::StatusOr<SegmentFileSummary> WriteTo(ByteSink* sink) const;

  absl::Status Search(const SegmentQuery& query, uint32_t visible, TopK<Candidate>* nearest,
                      SearchReport* report) const override;
  double EstimateMatches(const metadata::Filter& filter, uint32_t visible) const override
      ABSL_LOCKS_EXCLUDED(columns_mu_);
  bool MayExpire() const override { return rows_.any_expires(); }
  SegmentInfo Info(uint32_t visible) const override;
  uint32_t size() const override { return rows_.size(); }
  uint64_t row(uint32_t ordinal) const override { return rows_.row(ordinal); }
  std::string_view label(uint32_t ordinal) const override { return rows_.label(ordinal); }
  const char* vector(uint32_t ordinal) const override { return rows_.vector(ordinal); }
  int64_t expires_at(uint32_t ordinal) const override { return rows_.expires_at(ordinal); }

 protected:
  std::shared_ptr<const RowBitmap> MatchAsWritten(const metadata::Filter& filter,
                                                  uint32_t visible) const override
      ABSL_LOCKS_EXCLUDED(columns_mu_);

 private:
  // Rows from which on a graph is grown: about where walking one begins to beat scanning.
  static constexpr uint32_t kGraphRowsMin = 1024;
  // Rows a linker takes at a time.
  static constexpr uint32_t kRowsPerTurn = 32;
  // Rows whose attributes make one block of columns, a multiple of 64. Those that make no full one yet
  // are looked at one by one.
  static constexpr uint32_t kRowsPerBlock = 1024;

  // A block of columns of kRowsPerBlock rows.
  struct ColumnBlock {
    std::string bytes;
    AttributeColumns columns;
  };
  using ColumnBlocks = std::vector<std::shared_ptr<const ColumnBlock>>;
  ColumnBlocks Blocks() const ABSL_LOCKS_EXCLUDED(columns_mu_);
  std::shared_ptr<const ColumnBlock> MakeBlock(uint32_t begin, uint32_t end) const;
  // Makes those that are full once `linked` rows are linked.
  void MakeBlocks(uint32_t linked) ABSL_LOCKS_EXCLUDED(making_columns_mu_, columns_mu_);

  bool Ended() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return closed_ || committed_ == rows_.capacity();
  }
  bool Due() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return committed_ >= kGraphRowsMin || Ended();
  }

  SegmentRows rows_;
  const IndexOptions options_;
  mutable Mutex mu_;
  uint32_t committed_ ABSL_GUARDED_BY(mu_) = 0;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  uint32_t taken_ ABSL_GUARDED_BY(mu_) = 0;
  // Turns finished out of order: first row -> end. They wait for those before them.
  std::map<uint32_t, uint32_t> finished_ ABSL_GUARDED_BY(mu_);
  // Made before linked_ first rises; not changed afterwards.
  std::unique_ptr<GraphBuilder> builder_;
  // Every row below is in the graph.
  std::atomic<uint32_t> linked_{0};

  Mutex making_columns_mu_ ABSL_ACQUIRED_BEFORE(columns_mu_);  // held by who makes some
  mutable Mutex columns_mu_;
  ColumnBlocks blocks_ ABSL_GUARDED_BY(columns_mu_);  // those of the first rows, without a gap
};

}  // namespace varve::index

#endif  // VARVE_INDEX_ACTIVE_SEGMENT_H_
