#ifndef VARVE_BASE_COUNTERS_H_
#define VARVE_BASE_COUNTERS_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace varve {

// What a server counts while it works, to be read now and then by whoever watches it. Thread-safe
// without locks: to count costs an addition. Readers see each number right, but several of them may be
// of slightly different moments.

// Only grows.
class Counter {
 public:
  void Add(uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// How many there are of something now: each that begins must end.
class InFlight {
 public:
  void Begin() { value_.fetch_add(1, std::memory_order_relaxed); }
  void End() { value_.fetch_sub(1, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// How long things took, sorted into buckets from a tenth of a millisecond to half an hour.
class DurationHistogram {
 public:
  // Upper bounds of the buckets in seconds, inclusive; what takes longer than the last is in one more.
  static constexpr std::array<double, 20> kBoundsSeconds = {
      0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
      0.25,   0.5,     1,      2.5,   5,      10,    30,   60,    300,  1800};

  struct Snapshot {
    std::array<uint64_t, kBoundsSeconds.size() + 1> counts = {};  // of each bucket alone
    double sum_seconds = 0;

    uint64_t count() const {
      uint64_t sum = 0;
      for (const uint64_t in_bucket : counts) sum += in_bucket;
      return sum;
    }
  };

  void Observe(absl::Duration duration) {
    const double seconds = absl::ToDoubleSeconds(duration);
    const auto* const bucket =
        std::lower_bound(kBoundsSeconds.begin(), kBoundsSeconds.end(), seconds);
    counts_[bucket - kBoundsSeconds.begin()].Add();
    // The clock may be set back while something runs: a sum must not shrink.
    sum_nanos_.Add(std::max<int64_t>(absl::ToInt64Nanoseconds(duration), 0));
  }

  Snapshot Read() const {
    Snapshot snapshot;
    for (size_t i = 0; i < counts_.size(); ++i) snapshot.counts[i] = counts_[i].value();
    snapshot.sum_seconds = static_cast<double>(sum_nanos_.value()) * 1e-9;
    return snapshot;
  }

 private:
  std::array<Counter, kBoundsSeconds.size() + 1> counts_;
  Counter sum_nanos_;
};

}  // namespace varve

#endif  // VARVE_BASE_COUNTERS_H_
