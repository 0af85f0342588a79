#include "index/segment.h"

#include <algorithm>

#include "base/status_macros.h"

namespace varve::index {

absl::Status Segment::Scan(const SegmentQuery& query, uint32_t begin, uint32_t end,
                           TopK<Candidate>* nearest) const {
  constexpr uint32_t kRowsPerCheck = 4096;
  for (uint32_t stretch = begin; stretch < end; stretch += kRowsPerCheck) {
    VARVE_RETURN_IF_ERROR(query.control->Check());
    const uint32_t stretch_end = std::min(end, stretch + kRowsPerCheck);
    for (uint32_t ordinal = stretch; ordinal < stretch_end; ++ordinal) {
      if (!rows_->LiveAt(ordinal, query.sequence)) continue;
      const Candidate candidate{space_.RawDistance(query.vector, rows_->vector(ordinal)), ordinal};
      if (nearest->Wants(candidate)) nearest->Offer(candidate);
    }
  }
  return absl::OkStatus();
}

bool Segment::WorthWalking(const SegmentQuery& query, uint32_t rows, uint32_t m) const {
  if (query.exact || rows == 0) return false;
  const uint32_t live = LiveRows(rows);
  return live > 0 && uint64_t{query.ef} * m * rows / live < rows;
}

absl::Status SealedSegment::Search(const SegmentQuery& query, uint32_t visible,
                                   TopK<Candidate>* nearest) const {
  if (!WorthWalking(query, visible, m_)) return Scan(query, 0, visible, nearest);
  auto links = [this](uint32_t node, int level) { return graph_.Links(node, level); };
  return Walk(query, graph_.entry(), visible, links, nearest);
}

SegmentInfo SealedSegment::Info(uint32_t visible) const {
  return {.id = id(),
          .state = SegmentState::kSealed,
          .rows = visible,
          .live_rows = LiveRows(visible),
          .indexed_rows = visible,
          .memory_bytes = rows().memory_bytes() + graph_.memory_bytes()};
}

}  // namespace varve::index
