#ifndef VARVE_INDEX_SEGMENT_H_
#define VARVE_INDEX_SEGMENT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call_control.h"
#include "base/mutex.h"
#include "hwy/aligned_allocator.h"
#include "index/attribute_columns.h"
#include "index/code_space.h"
#include "index/graph.h"
#include "index/graph_walk.h"
#include "index/row_bitmap.h"
#include "index/row_history.h"
#include "index/row_source.h"
#include "index/search_plan.h"
#include "index/segment_format.h"
#include "index/top_k.h"
#include "index/vector.h"
#include "metadata/filter.h"

namespace varve::index {

// What every segment of a search is asked.
struct SegmentQuery {
  const float* vector = nullptr;  // as VectorSpace::LoadQuery makes it
  size_t k = 0;                   // results wanted
  size_t ef = 0;                  // candidates a walk keeps; at least k
  bool exact = false;
  uint64_t sequence = 0;  // rows dead at this commit are not there
  int64_t now = 0;        // microseconds since the Unix epoch: rows expired by then neither
  const CallControl* control = nullptr;
  // Which rows may be found, of those that are there, and how many they are (see Segment::Match); null:
  // all.
  const RowBitmap* matches = nullptr;
  uint32_t match_count = 0;
  std::optional<SearchPlan> plan;  // instead of the one that ChoosePlan would take
};

// How a search of one segment went.
struct SearchReport {
  SearchPlan plan = SearchPlan::kScan;
  bool gave_up = false;    // a walk that became dearer than the scan that was done then
  uint64_t distances = 0;  // between the query and rows or codes
  uint64_t hops = 0;       // nodes whose links were followed
  uint64_t dead_rows = 0;  // met by the walk, or passed over by the scan
  uint64_t rescored = 0;   // rows compared again by their vectors
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
  static WalkScratch& OfThread() {
    static thread_local WalkScratch scratch;
    return scratch;
  }
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
  Segment(uint64_t id, VectorSpace space, std::shared_ptr<RowHistory> history)
      : id_(id), space_(space), history_(std::move(history)) {}

  // Offers the rows nearest to the query among the first `visible` ones, at their raw distance, to
  // `nearest`, which keeps query.k. Cancelled or DeadlineExceeded when the query's control says so.
  virtual absl::Status Search(const SegmentQuery& query, uint32_t visible, TopK<Candidate>* nearest,
                              SearchReport* report) const = 0;

  // Those of the first `visible` rows that live at commit `sequence`, have not expired by `now`, and
  // satisfy the filter.
  std::shared_ptr<const RowBitmap> Match(const metadata::Filter& filter, uint64_t sequence,
                                         int64_t now, uint32_t visible) const;
  // About how many of them satisfy the filter; dead ones count. Quick.
  virtual double EstimateMatches(const metadata::Filter& filter, uint32_t visible) const = 0;
  // Whether any row may expire.
  virtual bool MayExpire() const = 0;

  // `visible`: the rows published.
  virtual SegmentInfo Info(uint32_t visible) const = 0;
  // Rows that were appended; beyond those published only the writer may look.
  virtual uint32_t size() const = 0;

  // How many of the first `end` rows are numbered below `row`: where the row is, if it is here.
  uint32_t LowerBound(uint64_t row, uint32_t end) const;

  uint64_t id() const { return id_; }
  const VectorSpace& space() const { return space_; }
  const std::shared_ptr<RowHistory>& history() const { return history_; }
  Tombstones* tombstones() const { return &history_->tombstones; }

  // Whether a row that was published may be found, the filter aside.
  bool IsThere(uint32_t ordinal, uint64_t sequence, int64_t now) const {
    return history_->tombstones.LiveAt(ordinal, sequence) &&
           !(MayExpire() && expires_at(ordinal) <= now);
  }

 protected:
  // The rows that satisfied the filter when they were written, of the first `visible`, dead or not.
  virtual std::shared_ptr<const RowBitmap> MatchAsWritten(const metadata::Filter& filter,
                                                          uint32_t visible) const = 0;

  // Live ones among the first `visible` rows. Rows may die while this is asked, never come back.
  uint32_t LiveRows(uint32_t visible) const {
    return visible - std::min(visible, tombstones()->dead());
  }

  // How to search the first `rows` rows, which have a graph of `m` links.
  SearchPlan Plan(const SegmentQuery& query, uint32_t rows, uint32_t m) const;
  // Whether a scan of the first `rows` rows is better done by their codes: not when it is to be exact, or
  // when they are so few that most would be compared again.
  bool WorthScanningCodes(const SegmentQuery& query, uint32_t rows) const {
    const uint32_t count = query.matches != nullptr ? MatchesBelow(query, rows) : LiveRows(rows);
    return !query.exact && count > 8 * query.ef;
  }

  // Compares the query with every row in [begin, end) that may be found. `vector(ordinal)` reads one.
  template <typename Vector>
  absl::Status Scan(const SegmentQuery& query, Vector vector, uint32_t begin, uint32_t end,
                    TopK<Candidate>* nearest, SearchReport* report) const;

  // The same for the first `end` rows, by their codes; the best are compared again by their vectors, as
  // after a walk.
  template <typename Vector>
  absl::Status ScanCodes(const SegmentQuery& query, Vector vector, CodeArray codes, uint32_t end,
                         TopK<Candidate>* nearest, SearchReport* report) const;

  // Walks a graph with room for `nodes` nodes on their codes, takes candidates from the first `visible`
  // rows, and compares the best again by their vectors. Scans instead when that turns out to be
  // cheaper, or when the walk finds less than there is.
  template <typename Vector, typename Links>
  absl::Status Walk(const SegmentQuery& query, SearchPlan plan, Vector vector, Links links,
                    CodeArray codes, EntryPoint entry, uint32_t nodes, uint32_t visible,
                    TopK<Candidate>* nearest, SearchReport* report) const;

 private:
  // Where nothing near a query matches, so many are scanned sooner than they are walked to.
  static constexpr uint32_t kMatchesScannedRather = 1 << 16;

  // The first row from `ordinal` on that may be found; `end` when there is none before.
  uint32_t NextVisible(const SegmentQuery& query, uint32_t ordinal, uint32_t end) const {
    if (query.matches != nullptr) return std::min(query.matches->Next(ordinal), end);
    while (ordinal < end && !IsThere(ordinal, query.sequence, query.now)) ++ordinal;
    return ordinal;
  }

  // How many of the first `rows` rows satisfy the query's filter.
  static uint32_t MatchesBelow(const SegmentQuery& query, uint32_t rows) {
    return rows == query.matches->rows() ? query.match_count : query.matches->CountBelow(rows);
  }

  // Candidates that are kept to be compared again. Codes may put some of the k nearest behind others: who
  // keeps just k would lose them.
  static size_t CandidatesKept(const SegmentQuery& query, const CodeSpace& codes) {
    const bool exact = codes.quantization() == Quantization::kNone;
    return exact ? query.ef : std::max(query.ef, query.k + query.k / 4);
  }

  // Some of the first `end` rows that match, from everywhere among them.
  static std::vector<uint32_t> Seeds(const RowBitmap& matches, uint32_t end) {
    constexpr uint32_t kSeeds = 32;
    std::vector<uint32_t> seeds;
    for (uint64_t i = 0; i < kSeeds; ++i) {
      const uint32_t seed = matches.Next(static_cast<uint32_t>(i * end / kSeeds));
      if (seed < end && (seeds.empty() || seeds.back() != seed)) seeds.push_back(seed);
    }
    return seeds;
  }

  // Compares candidates, nearest first by their codes, again by their vectors, for as long as the codes'
  // error leaves it open whether one is among the nearest.
  template <typename Vector>
  void Rescore(const SegmentQuery& query, Vector vector, CodeArray codes,
               const CodeSpace::Query& code, const std::vector<Candidate>& found,
               TopK<Candidate>* nearest, SearchReport* report) const;

  const uint64_t id_;
  const VectorSpace space_;
  const std::shared_ptr<RowHistory> history_;
};

template <typename Vector>
absl::Status Segment::Scan(const SegmentQuery& query, Vector vector, uint32_t begin, uint32_t end,
                           TopK<Candidate>* nearest, SearchReport* report) const {
  constexpr uint32_t kRowsPerCheck = 4096;
  constexpr size_t kRowsAtOnce = 16;
  uint32_t ordinals[kRowsAtOnce];
  const char* rows[kRowsAtOnce];
  float distances[kRowsAtOnce];
  uint64_t compared = 0;
  uint32_t ordinal = NextVisible(query, begin, end);
  for (uint32_t stretch = begin; stretch < end; stretch += kRowsPerCheck) {
    VARVE_RETURN_IF_ERROR(query.control->Check());
    const uint32_t stretch_end = std::min(end, stretch + kRowsPerCheck);
    while (ordinal < stretch_end) {
      size_t count = 0;
      for (; ordinal < stretch_end && count < kRowsAtOnce;
           ordinal = NextVisible(query, ordinal + 1, end)) {
        ordinals[count] = ordinal;
        rows[count++] = vector(ordinal);
      }
      space_.Distances(query.vector, rows, count, distances);
      for (size_t i = 0; i < count; ++i) nearest->Offer({distances[i], ordinals[i]});
      compared += count;
    }
  }
  report->distances += compared;
  if (query.matches == nullptr) report->dead_rows += end - begin - compared;
  return absl::OkStatus();
}

template <typename Vector>
absl::Status Segment::ScanCodes(const SegmentQuery& query, Vector vector, CodeArray codes,
                                uint32_t end, TopK<Candidate>* nearest,
                                SearchReport* report) const {
  constexpr size_t kRowsAtOnce = 32, kBatchesPerCheck = 128;
  struct Batch {
    uint32_t ordinals[kRowsAtOnce];
    const char* rows[kRowsAtOnce];
    size_t count = 0;
  };
  WalkScratch& scratch = WalkScratch::OfThread();
  const CodeSpace::Query code = scratch.Encode(*codes.space, query.vector);
  // Nearly all rows are farther than the few that are kept, which a look at the farthest of these tells.
  scratch.pool.Reset(CandidatesKept(query, *codes.space));
  uint32_t ordinal = NextVisible(query, 0, end);
  const auto gather = [&](Batch* batch) {
    batch->count = 0;
    for (; ordinal < end && batch->count < kRowsAtOnce;
         ordinal = NextVisible(query, ordinal + 1, end)) {
      batch->ordinals[batch->count] = ordinal;
      batch->rows[batch->count] = codes[ordinal];
      Prefetch(batch->rows[batch->count++]);
    }
  };
  Batch batches[2];  // the next one's codes are on their way while one is compared
  float distances[kRowsAtOnce];
  gather(&batches[0]);
  for (size_t number = 0; batches[number % 2].count > 0; ++number) {
    if (number % kBatchesPerCheck == 0) VARVE_RETURN_IF_ERROR(query.control->Check());
    gather(&batches[(number + 1) % 2]);
    const Batch& batch = batches[number % 2];
    codes.space->Distances(code, batch.rows, batch.count, distances);
    for (size_t i = 0; i < batch.count; ++i) {
      if (scratch.pool.Wants(distances[i])) {
        scratch.pool.Insert({distances[i], batch.ordinals[i]}, /*accepted=*/true);
      }
    }
    report->distances += batch.count;
  }
  std::vector<Candidate>& found = scratch.found;
  scratch.pool.TakeAccepted(&found);
  Rescore(query, vector, codes, code, found, nearest, report);
  return absl::OkStatus();
}

template <typename Vector, typename Links>
absl::Status Segment::Walk(const SegmentQuery& query, SearchPlan plan, Vector vector, Links links,
                           CodeArray codes, EntryPoint entry, uint32_t nodes, uint32_t visible,
                           TopK<Candidate>* nearest, SearchReport* report) const {
  WalkScratch& scratch = WalkScratch::OfThread();
  const CodeSpace::Query code = scratch.Encode(*codes.space, query.vector);
  GraphWalk<Links> walk(&links, codes, code, nodes);
  scratch.pool.Reset(CandidatesKept(query, *codes.space));
  report->plan = plan;
  const Candidate from = walk.Descend(entry, 0);
  uint32_t match_count = LiveRows(visible);
  if (query.matches == nullptr) {
    const auto accept = [&](uint32_t node) {
      if (node >= visible) return false;
      const bool there = IsThere(node, query.sequence, query.now);
      report->dead_rows += there ? 0 : 1;
      return there;
    };
    VARVE_RETURN_IF_ERROR(walk.Search(from, 0, accept, *query.control, &scratch.pool));
  } else {
    const RowBitmap& matches = *query.matches;
    const auto accept = [&](uint32_t node) { return node < visible && matches.Test(node); };
    match_count = MatchesBelow(query, visible);
    walk.set_cost_max(match_count);
    walk.set_stays_near(match_count <= kMatchesScannedRather);
    VARVE_RETURN_IF_ERROR(plan == SearchPlan::kFilteredWalk
                              ? walk.SearchAccepted(from, Seeds(matches, visible), accept,
                                                    *query.control, &scratch.pool)
                              : walk.Search(from, 0, accept, *query.control, &scratch.pool));
  }
  report->hops += walk.cost().hops;
  report->distances += walk.cost().distances;
  scratch.pool.TakeAccepted(&scratch.found);
  // A walk that has cost as much as the scan would is nowhere near its end; one that stood apart from what
  // may be found, among many dead rows of the same vector say, has not found it.
  report->gave_up = walk.gave_up() || scratch.found.size() < std::min<size_t>(query.k, match_count);
  if (report->gave_up) return ScanCodes(query, vector, codes, visible, nearest, report);
  Rescore(query, vector, codes, code, scratch.found, nearest, report);
  return absl::OkStatus();
}

template <typename Vector>
void Segment::Rescore(const SegmentQuery& query, Vector vector, CodeArray codes,
                      const CodeSpace::Query& code, const std::vector<Candidate>& found,
                      TopK<Candidate>* nearest, SearchReport* report) const {
  for (size_t i = 0; i < found.size() && i < query.k; ++i) Prefetch(vector(found[i].ordinal));
  for (const auto& [distance, ordinal] : found) {
    if (nearest->full() &&
        distance - codes.space->Error(code, codes[ordinal], distance) > nearest->worst().distance) {
      break;
    }
    nearest->Offer({space_.RawDistance(query.vector, vector(ordinal)), ordinal});
    ++report->rescored;
  }
}

// The rows that satisfied the filters asked for of late: most callers ask for the same few again and again.
// Thread-safe.
class MatchCache {
 public:
  // What `make()` gives, or gave before for the same filter.
  std::shared_ptr<const RowBitmap> Get(const metadata::Filter& filter,
                                       absl::FunctionRef<std::shared_ptr<const RowBitmap>()> make)
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Each takes a bit for each row.
  static constexpr size_t kFiltersMax = 8;

  struct Entry {
    std::string filter;  // as text
    std::shared_ptr<const RowBitmap> rows;
  };
  Mutex mu_;
  std::deque<Entry> entries_ ABSL_GUARDED_BY(mu_);  // the one used last first
};

// An immutable segment, read in place from a segment file in memory: mapped, or in a buffer.
class SealedSegment final : public Segment {
 public:
  // `file` holds what ParseSegment takes and co-owns it with `owner`. `history` has a place for
  // each of its rows. DataLoss or FailedPrecondition as ParseSegment; DataLoss when the file is not
  // of `space`.
  static absl::StatusOr<std::shared_ptr<const SealedSegment>> Open(
      std::string_view file, std::string_view name, std::shared_ptr<const void> owner,
      const VectorSpace& space, std::shared_ptr<RowHistory> history);

  absl::Status Search(const SegmentQuery& query, uint32_t visible, TopK<Candidate>* nearest,
                      SearchReport* report) const override;
  double EstimateMatches(const metadata::Filter& filter, uint32_t visible) const override;
  bool MayExpire() const override { return !layout_.expiry.empty(); }
  SegmentInfo Info(uint32_t visible) const override;
  uint32_t size() const override { return layout_.header.rows; }

  // Reads the whole file: see VerifySegment.
  absl::Status Verify() const;

  SegmentFileSummary file_summary() const {
    return {.bytes = layout_.footer.file_bytes, .crc32c = layout_.footer.file_crc32c};
  }

  uint64_t row(uint32_t ordinal) const override { return layout_.rows[ordinal]; }
  std::string_view label(uint32_t ordinal) const override;
  const char* vector(uint32_t ordinal) const override {
    return layout_.vectors.data() + size_t{ordinal} * space().row_bytes();
  }
  int64_t expires_at(uint32_t ordinal) const override {
    return layout_.expiry.empty() ? kNeverExpires : layout_.expiry[ordinal];
  }
  const GraphView& graph() const { return layout_.graph; }
  CodeArray codes() const { return {&code_space_, codes_}; }
  // The attributes of the rows as they were when the file was written.
  const AttributeColumns& columns() const { return columns_; }

 protected:
  std::shared_ptr<const RowBitmap> MatchAsWritten(const metadata::Filter& filter,
                                                  uint32_t visible) const override;

 private:
  SealedSegment(std::string_view file, std::string_view name, const SegmentLayout& layout,
                AttributeColumns columns, std::shared_ptr<const void> owner,
                const VectorSpace& space, std::shared_ptr<RowHistory> history)
      : Segment(layout.header.segment_id, space, std::move(history)),
        file_(file),
        name_(name),
        layout_(layout),
        columns_(std::move(columns)),
        owner_(std::move(owner)),
        code_space_(space, layout.quantization, layout.center.data()),
        codes_(layout.codes.data()) {}

  const std::string_view file_;
  const std::string name_;  // in errors
  const SegmentLayout layout_;
  const AttributeColumns columns_;
  const std::shared_ptr<const void> owner_;
  const CodeSpace code_space_;
  const char* const codes_;
  mutable MatchCache match_cache_;
};

// Writes the file of a segment with the first `rows` rows of `source`, their graph, their codes and their
// attributes.
absl::StatusOr<SegmentFileSummary> WriteSegment(uint64_t segment_id, const VectorSpace& space,
                                                const RowSource& source, uint32_t rows,
                                                const GraphArrays& graph, CodeArray codes,
                                                absl::Span<const ColumnsToMerge> attributes,
                                                ByteSink* sink);

}  // namespace varve::index

#endif  // VARVE_INDEX_SEGMENT_H_
