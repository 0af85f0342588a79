#ifndef VARVE_BASE_BYTE_RATE_H_
#define VARVE_BASE_BYTE_RATE_H_

#include <algorithm>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace varve {

// A rate of bytes for whoever asks before each lot: one that has passed is owed for, and the next waits
// until nothing is owed (a leaky bucket). The rate may change at any time; 0 is none. Thread-safe.
class ByteRate {
 public:
  // A pause in which nothing passed may be made up for, up to so much.
  static constexpr absl::Duration kBurst = absl::Seconds(1);

  // How long, at this rate, until nothing is owed; zero: the next may pass.
  absl::Duration Owed(uint64_t bytes_per_second, absl::Time now) ABSL_LOCKS_EXCLUDED(mu_) {
    if (bytes_per_second == 0) return absl::ZeroDuration();
    MutexLock lock(&mu_);
    SettleLocked(bytes_per_second, now);
    return absl::Seconds(std::max(owed_, 0.0) / static_cast<double>(bytes_per_second));
  }

  void Pass(uint64_t bytes, uint64_t bytes_per_second, absl::Time now) ABSL_LOCKS_EXCLUDED(mu_) {
    if (bytes_per_second == 0) return;
    MutexLock lock(&mu_);
    SettleLocked(bytes_per_second, now);
    owed_ += static_cast<double>(bytes);
  }

 private:
  void SettleLocked(uint64_t bytes_per_second, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const auto rate = static_cast<double>(bytes_per_second);
    const double paid =
        rate * absl::ToDoubleSeconds(std::max(now - settled_, absl::ZeroDuration()));
    owed_ = std::max(owed_ - paid, -rate * absl::ToDoubleSeconds(kBurst));
    settled_ = std::max(settled_, now);
  }

  Mutex mu_;
  double owed_ ABSL_GUARDED_BY(mu_) = 0;  // bytes; below zero: so many may pass for nothing
  absl::Time settled_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
};

}  // namespace varve

#endif  // VARVE_BASE_BYTE_RATE_H_
