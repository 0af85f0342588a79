#ifndef VARVE_INDEX_COMPACTION_GATE_H_
#define VARVE_INDEX_COMPACTION_GATE_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "base/counters.h"
#include "base/mutex.h"

namespace varve::index {

// What compactions have done.
struct CompactionCounters {
  Counter finished;
  Counter failed;              // given up: will be tried again
  Counter rows;                // of the segments that finished ones made
  DurationHistogram duration;  // of finished ones, from plan to publication
};

// Bounds how many compactions are under way at once, over all sets of a server: each holds a graph in
// memory. Keeps count of them. Thread-safe.
class CompactionGate {
 public:
  explicit CompactionGate(size_t places) : places_(places), free_(places) {}

  // Those that have a place.
  size_t running() const ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    return places_ - free_;
  }
  CompactionCounters& counters() { return counters_; }
  const CompactionCounters& counters() const { return counters_; }

  // Takes a place, which Leave gives back. False when all are taken: then `retry` is called by
  // whoever gives one back. It must be brief; and another may be quicker.
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
    std::vector<absl::AnyInvocable<void()>> waiting;
    {
      MutexLock lock(&mu_);
      ++free_;
      waiting.swap(waiting_);
    }
    for (auto& retry : waiting) retry();
  }

 private:
  const size_t places_;
  CompactionCounters counters_;
  mutable Mutex mu_;
  size_t free_ ABSL_GUARDED_BY(mu_);
  std::vector<absl::AnyInvocable<void()>> waiting_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varve::index

#endif  // VARVE_INDEX_COMPACTION_GATE_H_
