#include "base/thread_pool.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

namespace varve {

ThreadPool::ThreadPool(std::string name, size_t threads, int niceness)
    : name_(std::move(name)), niceness_(niceness) {
  threads_.reserve(threads);
  for (size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Run(); });
    pthread_setname_np(threads_.back().native_handle(), name_.substr(0, 15).c_str());
  }
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  work_.SignalAll();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Schedule(absl::AnyInvocable<void()> task) {
  {
    MutexLock lock(&mu_);
    queue_.push_back(std::move(task));
  }
  work_.Signal();
}

void ThreadPool::ParallelFor(size_t count, const std::function<void(size_t)>& body) {
  // Helpers may be scheduled after the caller has done all the work itself, so what they touch is
  // shared; `body` is only called while an index is left, that is, while the caller still waits.
  struct Shared {
    std::atomic<size_t> next{0};
    Mutex mu;
    CondVar all_done;
    size_t done ABSL_GUARDED_BY(mu) = 0;
  };
  auto shared = std::make_shared<Shared>();
  auto work = [shared, count, &body] {
    size_t finished = 0;
    for (size_t i; (i = shared->next.fetch_add(1)) < count; ++finished) body(i);
    if (finished == 0) return;
    MutexLock lock(&shared->mu);
    shared->done += finished;
    if (shared->done == count) shared->all_done.SignalAll();
  };
  const size_t helpers = count == 0 ? 0 : std::min(count, threads_.size()) - 1;
  for (size_t i = 0; i < helpers; ++i) Schedule(work);
  work();
  MutexLock lock(&shared->mu);
  while (shared->done < count) shared->all_done.Wait(&shared->mu);
}

void ThreadPool::Run() {
  // On Linux a thread has a niceness of its own. Failure costs nothing but the courtesy.
  if (niceness_ > 0) setpriority(PRIO_PROCESS, gettid(), niceness_);
  while (true) {
    absl::AnyInvocable<void()> task;
    {
      MutexLock lock(&mu_);
      while (queue_.empty() && !stopping_) work_.Wait(&mu_);
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

}  // namespace varve
