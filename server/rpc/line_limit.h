#ifndef VARVE_SERVER_RPC_LINE_LIMIT_H_
#define VARVE_SERVER_RPC_LINE_LIMIT_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace varve::server {

// Lets a few lines a second pass: a flood of calls must not become a flood of log lines. Thread-safe.
class LineLimit {
 public:
  // Whether a line may be written now, and how many were not since the last one.
  bool Pass(int64_t* suppressed) ABSL_LOCKS_EXCLUDED(mu_) {
    const int64_t now = absl::ToUnixSeconds(absl::Now());
    MutexLock lock(&mu_);
    if (now != second_) {
      second_ = now;
      passed_ = 0;
    }
    if (passed_ == kLinesPerSecondMax) {
      ++suppressed_;
      return false;
    }
    ++passed_;
    *suppressed = suppressed_;
    suppressed_ = 0;
    return true;
  }

 private:
  static constexpr int64_t kLinesPerSecondMax = 10;

  Mutex mu_;
  int64_t second_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t passed_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t suppressed_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_LINE_LIMIT_H_
