#include "index/compaction_policy.h"

#include <algorithm>

namespace varve::index {
namespace {

// The segment with the largest share of dead and changed rows, if that is above `percent`; one without
// a live row always is.
std::optional<CompactionPlan> PlanRebuild(absl::Span<const SegmentShape> segments,
                                          uint32_t percent) {
  std::optional<CompactionPlan> plan;
  double most = percent / 100.0;
  for (size_t i = 0; i < segments.size(); ++i) {
    const SegmentShape& segment = segments[i];
    if (!segment.sealed || segment.rows == 0) continue;
    const uint64_t stale = segment.rows - segment.live_rows + segment.changed_rows;
    const double share = static_cast<double>(stale) / static_cast<double>(segment.rows);
    if (share <= most && segment.live_rows > 0) continue;
    most = share;
    plan = CompactionPlan{i, i + 1};
  }
  return plan;
}

}  // namespace

std::optional<CompactionPlan> PlanCompaction(absl::Span<const SegmentShape> segments,
                                             uint32_t tombstone_rebuild_pct) {
  std::optional<CompactionPlan> plan;
  uint64_t most = 0;
  for (size_t begin = 0; begin < segments.size(); ++begin) {
    uint64_t total = 0, largest = 0;
    for (size_t i = begin; i < segments.size() && segments[i].sealed; ++i) {
      // An empty segment counts as one row: a run of them is merged too.
      const uint64_t rows = std::max<uint64_t>(segments[i].live_rows, 1);
      total += rows;
      largest = std::max(largest, rows);
      if (total > kSegmentRowsMax) break;
      if (2 * total < (2 * kCompactionFanIn - 1) * largest || total <= most) continue;
      most = total;
      plan = CompactionPlan{begin, i + 1};
    }
  }
  return plan.has_value() ? plan : PlanRebuild(segments, tombstone_rebuild_pct);
}

std::optional<CompactionPlan> PlanFullCompaction(absl::Span<const SegmentShape> segments) {
  size_t begin = 0;
  uint64_t total = 0;
  for (size_t i = 0; i <= segments.size(); ++i) {
    const bool joins = i < segments.size() && segments[i].sealed &&
                       total + segments[i].live_rows <= kSegmentRowsMax;
    if (joins) {
      total += segments[i].live_rows;
      continue;
    }
    if (i - begin >= 2) return CompactionPlan{begin, i};
    if (i == segments.size()) break;
    begin = segments[i].sealed ? i : i + 1;
    total = segments[i].sealed ? segments[i].live_rows : 0;
  }
  return PlanRebuild(segments, 0);
}

uint64_t TurnsPerCompactionTurn(size_t segments) {
  constexpr uint64_t kMost = 16, kLeast = 2, kManySegments = 32;
  return std::clamp(kMost * kManySegments / std::max<uint64_t>(segments, 1), kLeast, kMost);
}

uint32_t SegmentLevel(uint64_t rows, uint64_t segment_size_threshold) {
  uint32_t level = 0;
  for (uint64_t most = 2 * segment_size_threshold; rows > most; most *= kCompactionFanIn) ++level;
  return level;
}

}  // namespace varve::index
