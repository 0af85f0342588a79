#include "index/segment_view.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/time/clock.h"
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

RowPlace SegmentView::Find(uint64_t row) const {
  // In the last segment that begins at or before it, if in any.
  const auto after =
      std::upper_bound(parts.begin(), parts.end(), row,
                       [](uint64_t r, const Part& part) { return r < part.segment->row(0); });
  if (after == parts.begin()) return {};
  const Part& part = *std::prev(after);
  const uint32_t begin = part.segment->LowerBound(row, part.visible);
  uint32_t end = begin;
  while (end < part.visible && part.segment->row(end) == row) ++end;
  if (begin == end) return {};
  return {part.segment.get(), begin, end};
}

bool SegmentView::MayExpire() const {
  return std::any_of(parts.begin(), parts.end(),
                     [](const Part& part) { return part.segment->MayExpire(); });
}

uint64_t ViewMatches::Count() const {
  uint64_t count = 0;
  for (const Part& part : parts) count += part.count;
  return count;
}

ViewMatches Match(const SegmentView& view, const metadata::Filter& filter, int64_t now) {
  ViewMatches matches;
  matches.parts.reserve(view.parts.size());
  for (const SegmentView::Part& part : view.parts) {
    auto rows = part.segment->Match(filter, view.sequence, now, part.visible);
    const uint32_t count = rows->Count();
    matches.parts.push_back({.rows = std::move(rows),
                             .count = count,
                             .estimate = part.segment->EstimateMatches(filter, part.visible)});
  }
  return matches;
}

absl::StatusOr<std::vector<Neighbor>> SearchView(const VectorSpace& space, const SegmentView& view,
                                                 const float* query, const SearchParams& params,
                                                 const CallControl& control,
                                                 std::vector<SegmentReport>* reports) {
  SegmentQuery segment_query{.vector = query,
                             .k = params.k,
                             .ef = params.exact ? params.k : std::max(params.ef, params.k),
                             .exact = params.exact,
                             .sequence = view.sequence,
                             .now = params.now,
                             .control = &control,
                             .plan = params.plan};
  TopK<Found> best(params.k);
  for (size_t i = 0; i < view.parts.size(); ++i) {
    const SegmentView::Part& part = view.parts[i];
    if (params.matches != nullptr) {
      segment_query.matches = params.matches->parts[i].rows.get();
      segment_query.match_count = params.matches->parts[i].count;
    }
    const absl::Time begin = reports == nullptr ? absl::Time() : absl::Now();
    SearchReport report;
    TopK<Candidate> nearest(params.k);
    VARVE_RETURN_IF_ERROR(part.segment->Search(segment_query, part.visible, &nearest, &report));
    if (reports != nullptr) {
      reports->push_back({.segment_id = part.segment->id(),
                          .rows = part.visible,
                          .search = report,
                          .time = absl::Now() - begin});
    }
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
