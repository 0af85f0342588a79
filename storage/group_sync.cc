#include "storage/group_sync.h"

#include <pthread.h>

#include <utility>

namespace varve::storage {

GroupSync::GroupSync(std::function<absl::Status()> sync) : sync_(std::move(sync)) {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "group-sync");
}

GroupSync::~GroupSync() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  changed_.Signal();
  thread_.join();
}

void GroupSync::SyncAsync(Callback done) {
  {
    MutexLock lock(&mu_);
    waiting_.push_back(std::move(done));
  }
  changed_.Signal();
}

void GroupSync::Run() {
  for (std::vector<Callback> group; !(group = TakeWaiting()).empty();) {
    const absl::Status status = sync_();
    for (Callback& done : group) done(status);
  }
}

std::vector<GroupSync::Callback> GroupSync::TakeWaiting() {
  MutexLock lock(&mu_);
  while (waiting_.empty() && !stopping_) changed_.Wait(&mu_);
  return std::exchange(waiting_, {});
}

}  // namespace varve::storage
