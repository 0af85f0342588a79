#ifndef VARVE_SERVER_RPC_ADMISSION_H_
#define VARVE_SERVER_RPC_ADMISSION_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/thread_pool.h"

namespace varve::server {

// A limit that all calls share: of bytes, or of calls. Says no before anything is queued, or lets
// one wait its turn, first come first served. Thread-safe; outlives its shares.
class Budget {
 public:
  // A part of the budget, given back when destroyed. Empty after a move.
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept { *this = std::move(other); }
    Share& operator=(Share&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(amount_, other.amount_);
      return *this;
    }
    ~Share() {
      if (budget_ != nullptr) budget_->Release(amount_);
    }

   private:
    friend class Budget;
    Share(Budget* budget, size_t amount) : budget_(budget), amount_(amount) {}

    Budget* budget_ = nullptr;
    size_t amount_ = 0;
  };

  // `what` is limited to `limit`, as the error says: "bytes of batches under way", 268435456. Those
  // who waited are served on `pool`; it must be there for as long as there are shares.
  Budget(std::string what, size_t limit, ThreadPool* pool)
      : what_(std::move(what)), limit_(limit), pool_(pool) {}

  // ResourceExhausted, with a retry hint, when `amount` is not free or others wait for theirs. An
  // amount beyond the limit counts as the limit: what is alone always gets through.
  absl::StatusOr<Share> TryReserve(size_t amount) ABSL_LOCKS_EXCLUDED(mu_);

  // As TryReserve, but what cannot be had now waits its turn: nullopt, and `granted` gets it later.
  std::optional<Share> ReserveOrWait(size_t amount, absl::AnyInvocable<void(Share)> granted)
      ABSL_LOCKS_EXCLUDED(mu_);

  size_t used() const ABSL_LOCKS_EXCLUDED(mu_);
  size_t limit() const { return limit_; }
  // Those who wait their turn.
  size_t waiters() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Waiter {
    size_t amount;
    absl::AnyInvocable<void(Share)> granted;
  };

  bool Fits(size_t amount) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Release(size_t amount) ABSL_LOCKS_EXCLUDED(mu_);

  const std::string what_;
  const size_t limit_;
  ThreadPool* const pool_;
  mutable Mutex mu_;
  size_t used_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<Waiter> waiters_ ABSL_GUARDED_BY(mu_);
};

// The server's budgets; Options says what each limit is.
struct Admission {
  Budget ingest_bytes;
  Budget read_bytes;
  Budget calls;
  Budget streams;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_ADMISSION_H_
