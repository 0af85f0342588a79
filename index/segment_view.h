#ifndef VARVE_INDEX_SEGMENT_VIEW_H_
#define VARVE_INDEX_SEGMENT_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/call_control.h"
#include "index/segment.h"
#include "index/vector.h"

namespace varve::index {

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

// The k rows of the view nearest to `query` (as VectorSpace::Load makes it), nearest first; of
// equal distances the lower row first. Cancelled or DeadlineExceeded when `control` says so.
absl::StatusOr<std::vector<Neighbor>> SearchView(const VectorSpace& space, const SegmentView& view,
                                                 const float* query, const SearchParams& params,
                                                 const CallControl& control);

}  // namespace varve::index

#endif  // VARVE_INDEX_SEGMENT_VIEW_H_
