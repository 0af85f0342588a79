#include "server/rpc/admission.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/str_cat.h"
#include "server/rpc/status_mapping.h"

namespace varve::server {
namespace {

constexpr absl::Duration kRetryAfter = absl::Milliseconds(100);

}  // namespace

absl::StatusOr<Budget::Share> Budget::TryReserve(size_t amount) {
  amount = std::min(amount, limit_);
  MutexLock lock(&mu_);
  if (!Fits(amount)) {
    return WithRetryAfter(absl::ResourceExhaustedError(StrCat(
                              "the server is at its limit of ", limit_, " ", what_, ": ", used_,
                              " are taken and ", amount, " more wanted; retry a little later")),
                          kRetryAfter);
  }
  used_ += amount;
  return Share(this, amount);
}

std::optional<Budget::Share> Budget::ReserveOrWait(size_t amount,
                                                   absl::AnyInvocable<void(Share)> granted) {
  amount = std::min(amount, limit_);
  MutexLock lock(&mu_);
  if (!Fits(amount)) {
    waiters_.push_back({amount, std::move(granted)});
    return std::nullopt;
  }
  used_ += amount;
  return Share(this, amount);
}

size_t Budget::used() const {
  MutexLock lock(&mu_);
  return used_;
}

size_t Budget::waiters() const {
  MutexLock lock(&mu_);
  return waiters_.size();
}

// Who waits goes first: without that a stream of small amounts would starve a large one.
bool Budget::Fits(size_t amount) const { return waiters_.empty() && amount <= limit_ - used_; }

void Budget::Release(size_t amount) {
  std::vector<Waiter> served;
  {
    MutexLock lock(&mu_);
    used_ -= amount;
    while (!waiters_.empty() && waiters_.front().amount <= limit_ - used_) {
      used_ += waiters_.front().amount;
      served.push_back(std::move(waiters_.front()));
      waiters_.pop_front();
    }
  }
  // Not called from here: whoever releases may hold locks that `granted` wants.
  for (Waiter& waiter : served) {
    pool_->Schedule([share = Share(this, waiter.amount),
                     granted = std::move(waiter.granted)]() mutable { granted(std::move(share)); });
  }
}

}  // namespace varve::server
