#ifndef VARVE_STORAGE_GROUP_SYNC_H_
#define VARVE_STORAGE_GROUP_SYNC_H_

#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/mutex.h"

namespace varve::storage {

// Group commit: many wait for stable storage, one fsync serves them all. Thread-safe.
//
// A thread of its own calls `sync`, once for everyone who asked before that call began; who asks
// while it runs is served by the next. A sync's error goes to all that it was for. The destructor
// serves all who still wait, then joins.
class GroupSync {
 public:
  using Callback = absl::AnyInvocable<void(absl::Status)>;

  // `sync` makes everything written before it was called survive power loss.
  explicit GroupSync(std::function<absl::Status()> sync);
  ~GroupSync();
  GroupSync(const GroupSync&) = delete;
  GroupSync& operator=(const GroupSync&) = delete;

  // `done` runs on the sync thread and holds up the next sync: be brief.
  void SyncAsync(Callback done) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for callbacks and takes them all; none when it is time to stop.
  std::vector<Callback> TakeWaiting() ABSL_LOCKS_EXCLUDED(mu_);

  const std::function<absl::Status()> sync_;
  Mutex mu_;
  CondVar changed_;
  std::vector<Callback> waiting_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace varve::storage

#endif  // VARVE_STORAGE_GROUP_SYNC_H_
