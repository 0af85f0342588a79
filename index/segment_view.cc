#include "index/segment_view.h"

#include <algorithm>

#include "base/status_macros.h"
#include "index/top_k.h"

namespace varve::index {
namespace {

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

absl::StatusOr<std::vector<Neighbor>> SearchView(const VectorSpace& space, const SegmentView& view,
                                                 const float* query, const SearchParams& params,
                                                 const CallControl& control) {
  const SegmentQuery segment_query{.vector = query,
                                   .k = params.k,
                                   .ef = params.exact ? params.k : std::max(params.ef, params.k),
                                   .exact = params.exact,
                                   .sequence = view.sequence,
                                   .control = &control};
  TopK<Found> best(params.k);
  for (const SegmentView::Part& part : view.parts) {
    TopK<Candidate> nearest(params.k);
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
    neighbors.push_back({.distance = space.Report(found.distance),
                         .row = found.row,
                         .label = found.segment->label(found.ordinal)});
  }
  return neighbors;
}

}  // namespace varve::index
