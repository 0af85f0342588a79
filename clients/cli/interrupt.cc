#include "clients/cli/interrupt.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace varve::cli {
namespace {

// Ends the listener; nobody else sends it.
constexpr int kStop = SIGUSR2;

sigset_t Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, kStop);
  return signals;
}

}  // namespace

Interrupt::Interrupt() {
  // Blocked in this thread and in all that it starts: they come to the listener, as values.
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  listener_ = std::thread([this] { Listen(); });
}

Interrupt::~Interrupt() {
  pthread_kill(listener_.native_handle(), kStop);
  listener_.join();
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

bool Interrupt::happened() const {
  MutexLock lock(&mu_);
  return happened_;
}

void Interrupt::SetHandler(std::function<void()> handler) {
  MutexLock lock(&mu_);
  handler_ = std::move(handler);
  if (happened_ && handler_) handler_();
}

void Interrupt::Listen() {
  const sigset_t signals = Signals();
  for (int signal = 0; sigwait(&signals, &signal) == 0 && signal != kStop;) {
    MutexLock lock(&mu_);
    if (happened_) {
      // As if nobody had caught it.
      ::signal(signal, SIG_DFL);
      pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
      raise(signal);
    }
    happened_ = true;
    if (handler_) handler_();
  }
}

}  // namespace varve::cli
