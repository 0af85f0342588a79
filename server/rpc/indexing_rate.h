#ifndef VARVE_SERVER_RPC_INDEXING_RATE_H_
#define VARVE_SERVER_RPC_INDEXING_RATE_H_

#include <cstdint>
#include <deque>
#include <optional>

#include "absl/time/time.h"

namespace varve::server {

// How fast a count grows, over the last few seconds. Not thread-safe; knows no clock of its own.
class IndexingRate {
 public:
  static constexpr absl::Duration kWindow = absl::Seconds(5);

  // Times and counts must not go back.
  void Add(absl::Time now, uint64_t indexed_rows);
  // 0 until there are two samples some time apart.
  double rows_per_second() const;
  // Time until `rows` more are done; nullopt when nothing moves.
  std::optional<absl::Duration> Remaining(uint64_t rows) const;

 private:
  struct Sample {
    absl::Time time;
    uint64_t rows;
  };
  std::deque<Sample> samples_;  // the first one is as old as the window, where there is one so old
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_INDEXING_RATE_H_
