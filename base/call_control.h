#ifndef VARVE_BASE_CALL_CONTROL_H_
#define VARVE_BASE_CALL_CONTROL_H_

#include <atomic>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace varve {

// When a call must stop: at its deadline, or when its caller is gone. Long loops ask now and then.
// Thread-safe; the caller keeps it alive for as long as the call runs.
class CallControl {
 public:
  explicit CallControl(absl::Time deadline = absl::InfiniteFuture()) : deadline_(deadline) {}

  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  // OK, Cancelled or DeadlineExceeded.
  absl::Status Check() const {
    if (cancelled_.load(std::memory_order_relaxed)) {
      return absl::CancelledError("the caller cancelled the call");
    }
    if (deadline_ != absl::InfiniteFuture() && absl::Now() >= deadline_) {
      return absl::DeadlineExceededError("the call's deadline passed while it was being worked on");
    }
    return absl::OkStatus();
  }

  absl::Time deadline() const { return deadline_; }

 private:
  const absl::Time deadline_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace varve

#endif  // VARVE_BASE_CALL_CONTROL_H_
