#ifndef VARVE_INDEX_SEGMENT_VIEW_H_
#define VARVE_INDEX_SEGMENT_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/call_control.h"
#include "index/row_bitmap.h"
#include "index/segment.h"
#include "index/vector.h"
#include "metadata/filter.h"

namespace varve::index {

// Where a row is: at the ordinals [begin, end) of a segment, one for each of its vectors. It may be nowhere.
struct RowPlace {
  const Segment* segment = nullptr;
  uint32_t begin = 0, end = 0;
};

// What a search sees: the rows published when it was pinned, as of its commit. Co-owns its
// segments: hold it for one query, not longer. Immutable.
struct SegmentView {
  struct Part {
    std::shared_ptr<const Segment> segment;
    uint32_t visible = 0;  // its first so many rows
  };
  uint64_t sequence = 0;
  uint64_t live_rows = 0;  // those that have expired count
  uint64_t next_row = 0;   // every row published is below
  std::vector<Part> parts;

  RowPlace Find(uint64_t row) const;
  bool MayExpire() const;
};

// The rows of a view that a filter lets be found, worked out once for all queries of a call.
struct ViewMatches {
  struct Part {
    std::shared_ptr<const RowBitmap> rows;
    uint32_t count = 0;
    double estimate = 0;  // how many it would have been expected to be
  };
  std::vector<Part> parts;  // as the view's

  uint64_t Count() const;
};
// `now`: rows that expired by then are not there.
ViewMatches Match(const SegmentView& view, const metadata::Filter& filter, int64_t now);

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
  int64_t now = 0;                       // see SegmentQuery
  const ViewMatches* matches = nullptr;  // of the same view; null: all rows may be found
  std::optional<SearchPlan> plan;        // for benchmarks: every segment is searched so
};

// How the search of one segment went.
struct SegmentReport {
  uint64_t segment_id = 0;
  uint64_t rows = 0;
  SearchReport search;
  absl::Duration time;
};

// The k rows of the view nearest to `query` (as VectorSpace::Load makes it), nearest first; of
// equal distances the lower row first. Cancelled or DeadlineExceeded when `control` says so. `reports`,
// if not null, gets one for each part of the view.
absl::StatusOr<std::vector<Neighbor>> SearchView(const VectorSpace& space, const SegmentView& view,
                                                 const float* query, const SearchParams& params,
                                                 const CallControl& control,
                                                 std::vector<SegmentReport>* reports = nullptr);

}  // namespace varve::index

#endif  // VARVE_INDEX_SEGMENT_VIEW_H_
