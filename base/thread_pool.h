#ifndef VARVE_BASE_THREAD_POOL_H_
#define VARVE_BASE_THREAD_POOL_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "base/mutex.h"

namespace varve {

// A fixed number of threads that run tasks in the order they came. Thread-safe.
// The destructor runs what is queued, then joins. Tasks must not throw. The queue has no bound of
// its own: whoever feeds it from outside bounds what it feeds (see server/rpc/admission.h).
class ThreadPool {
 public:
  // `name` is what the threads are called in ps and gdb (15 characters at most). `niceness` above 0
  // makes the threads give way to others when cores are short.
  ThreadPool(std::string name, size_t threads, int niceness = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  void Schedule(absl::AnyInvocable<void()> task) ABSL_LOCKS_EXCLUDED(mu_);

  // Runs body(0) ... body(count - 1) on as many threads as the pool has, the calling one among them;
  // returns when all are done. May be called from a task of this pool: the caller works itself, so it
  // cannot deadlock.
  void ParallelFor(size_t count, const std::function<void(size_t)>& body);

  size_t threads() const { return threads_.size(); }

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);

  const std::string name_;
  const int niceness_;
  Mutex mu_;
  CondVar work_;
  std::deque<absl::AnyInvocable<void()>> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace varve

#endif  // VARVE_BASE_THREAD_POOL_H_
