#ifndef VARVE_INDEX_COMPACTION_POLICY_H_
#define VARVE_INDEX_COMPACTION_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/types/span.h"

// When which segments are made into one. Size-tiered, as in LSM trees (O'Neil et al., "The
// Log-Structured Merge-Tree", 1996): each row is rewritten about log4(n) times, and about 3 * log4(n)
// segments are left. Pure functions of the segments' sizes.
namespace varve::index {

// A run of neighbours is merged when it comes to so many of its largest, give or take a half: they
// were of a size once, and some have lost rows since.
inline constexpr uint64_t kCompactionFanIn = 4;
// No merge makes a segment of more: bounds the memory of building its graph (about 220 bytes a row
// at m = 16), the disk that a merge needs beside what it replaces, and the work that a crash loses.
inline constexpr uint64_t kSegmentRowsMax = uint64_t{1} << 21;

// What the policy knows of one segment.
struct SegmentShape {
  uint64_t rows = 0;  // live and dead
  uint64_t live_rows = 0;
  uint64_t changed_rows = 0;  // their metadata is not in the columns
  bool sealed = true;         // others stay as they are, and apart what they lie between
};

// Segments [begin, end) are to be made into one; of a single one, its live rows are kept.
struct CompactionPlan {
  size_t begin = 0;
  size_t end = 0;
  friend bool operator==(const CompactionPlan&, const CompactionPlan&) = default;
};

// What is best done next; nothing when all is well. Of runs to be merged, the one with most rows: so
// a row is not merged twice where once will do. Else the segment with the largest share of rows that are
// dead or changed, if that is above `tombstone_rebuild_pct` percent.
std::optional<CompactionPlan> PlanCompaction(absl::Span<const SegmentShape> segments,
                                             uint32_t tombstone_rebuild_pct);

// The same when as few segments as can be are to be left, and no dead or changed row.
std::optional<CompactionPlan> PlanFullCompaction(absl::Span<const SegmentShape> segments);

// While rows wait to be linked, one turn of so many is a compaction's: few while segments are few, so that
// ingest is as fast as it is without, and up to every other one, so that they stay bounded when ingest
// never ends.
uint64_t TurnsPerCompactionTurn(size_t segments);

// The size class of a segment: 0 for up to twice `segment_size_threshold` rows, and one more for each
// kCompactionFanIn times as many.
uint32_t SegmentLevel(uint64_t rows, uint64_t segment_size_threshold);

}  // namespace varve::index

#endif  // VARVE_INDEX_COMPACTION_POLICY_H_
