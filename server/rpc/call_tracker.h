#ifndef VARVE_SERVER_RPC_CALL_TRACKER_H_
#define VARVE_SERVER_RPC_CALL_TRACKER_H_

#include <unordered_set>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace varve::server {

// A call as the tracker sees it.
class TrackedCall {
 public:
  // Asks the call to end soon. Must not block, nor call the tracker.
  virtual void Drain() = 0;

 protected:
  ~TrackedCall() = default;
};

// Which calls are under way, so that a server that stops can tell them, and wait for the last one.
// Thread-safe. Calls are owned elsewhere and stay alive until they are removed.
class CallTracker {
 public:
  // False when the server drains: the call must be refused, and is not tracked.
  bool Add(TrackedCall* call) ABSL_LOCKS_EXCLUDED(mu_);
  // No effect on a call that is not tracked.
  void Remove(TrackedCall* call) ABSL_LOCKS_EXCLUDED(mu_);

  // From now on new calls are refused; those under way are asked to end.
  void Drain() ABSL_LOCKS_EXCLUDED(mu_);
  bool draining() const ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for the last call to end; false when `deadline` came first.
  bool WaitUntilIdle(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  mutable Mutex mu_;
  CondVar idle_;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  std::unordered_set<TrackedCall*> calls_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_CALL_TRACKER_H_
