#ifndef VARVE_INDEX_COMPACTION_GATE_H_
#define VARVE_INDEX_COMPACTION_GATE_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "base/mutex.h"
#include "base/thread_pool.h"

namespace varve::index {

// Bounds how many compactions are under way at once, over all sets of a server: each holds a graph in
// memory. Thread-safe.
class CompactionGate {
 public:
  // `pool` must outlive the gate.
  CompactionGate(size_t places, ThreadPool* pool) : pool_(*pool), free_(places) {}

  // Takes a place, which Leave gives back; or, when all are taken, false, and `retry` runs on the pool
  // when one was given back: another may have been quicker.
  bool Enter(absl::AnyInvocable<void()> retry) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    if (free_ == 0) {
      waiting_.push_back(std::move(retry));
      return false;
    }
    --free_;
    return true;
  }

  void Leave() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    ++free_;
    for (auto& retry : std::exchange(waiting_, {})) pool_.Schedule(std::move(retry));
  }

 private:
  ThreadPool& pool_;
  Mutex mu_;
  size_t free_ ABSL_GUARDED_BY(mu_);
  std::vector<absl::AnyInvocable<void()>> waiting_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varve::index

#endif  // VARVE_INDEX_COMPACTION_GATE_H_
