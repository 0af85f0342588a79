#include "server/rpc/call_tracker.h"

namespace varve::server {

bool CallTracker::Add(TrackedCall* call) {
  MutexLock lock(&mu_);
  if (draining_) return false;
  calls_.insert(call);
  return true;
}

void CallTracker::Remove(TrackedCall* call) {
  MutexLock lock(&mu_);
  calls_.erase(call);
  if (calls_.empty()) idle_.SignalAll();
}

void CallTracker::Drain() {
  MutexLock lock(&mu_);
  draining_ = true;
  for (TrackedCall* call : calls_) call->Drain();
}

bool CallTracker::draining() const {
  MutexLock lock(&mu_);
  return draining_;
}

bool CallTracker::WaitUntilIdle(absl::Time deadline) {
  MutexLock lock(&mu_);
  while (!calls_.empty()) {
    if (!idle_.WaitUntil(&mu_, absl::ToChronoTime(deadline)) && !calls_.empty()) return false;
  }
  return true;
}

}  // namespace varve::server
