#include "server/rpc/indexing_rate.h"

namespace varve::server {

void IndexingRate::Add(absl::Time now, uint64_t indexed_rows) {
  samples_.push_back({now, indexed_rows});
  while (samples_.size() > 2 && samples_[1].time <= now - kWindow) samples_.pop_front();
}

double IndexingRate::rows_per_second() const {
  if (samples_.size() < 2) return 0;
  const double seconds = absl::ToDoubleSeconds(samples_.back().time - samples_.front().time);
  if (seconds <= 0) return 0;
  return static_cast<double>(samples_.back().rows - samples_.front().rows) / seconds;
}

std::optional<absl::Duration> IndexingRate::Remaining(uint64_t rows) const {
  const double rate = rows_per_second();
  if (rate <= 0) return std::nullopt;
  return absl::Seconds(static_cast<double>(rows) / rate);
}

}  // namespace varve::server
