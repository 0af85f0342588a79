#ifndef VARVE_CLIENTS_CLI_INTERRUPT_H_
#define VARVE_CLIENTS_CLI_INTERRUPT_H_

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"

namespace varve::cli {

// Turns the first SIGINT or SIGTERM into a call of a function, so that a command can end in good
// order; the second kills the process. Thread-safe; one a process, made before any other thread is.
class Interrupt {
 public:
  Interrupt();
  // The signals kill again.
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool happened() const ABSL_LOCKS_EXCLUDED(mu_);
  // What to call, on a thread of its own; at once if it has happened. nullptr: nothing. Once this
  // returns, what was set before is not called any more.
  void SetHandler(std::function<void()> handler) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Listen();

  mutable Mutex mu_;
  bool happened_ ABSL_GUARDED_BY(mu_) = false;
  std::function<void()> handler_ ABSL_GUARDED_BY(mu_);
  std::thread listener_;
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INTERRUPT_H_
