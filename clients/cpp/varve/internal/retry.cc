#include "clients/cpp/varve/internal/retry.h"

#include <algorithm>

namespace varve::client::internal {

bool IsTransient(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    // What gRPC makes of a connection that is cut in the midst of a message.
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return true;
    default:
      return false;
  }
}

absl::Time Retry::OnAttempt(absl::Time now) {
  if (!failing_since_) failing_since_ = now;
  return now + std::max(Left(now), kLeastAttempt);
}

void Retry::OnConnected(absl::Time now) {
  if (failing_since_) failed_for_ += now - *failing_since_;
  failing_since_.reset();
}

void Retry::OnProgress() {
  longest_delay_ = kFirstDelay;
  failed_for_ = absl::ZeroDuration();
  failing_since_.reset();
}

std::optional<absl::Duration> Retry::OnFailure(absl::Time now) {
  if (!failing_since_) failing_since_ = now;
  const double part = std::uniform_real_distribution<double>(0, 1)(random_);
  const absl::Duration delay = longest_delay_ * part;
  longest_delay_ = std::min(longest_delay_ * 2, kLastDelay);
  // No attempt without time to succeed: it would only hide the reason why the others failed.
  if (delay >= Left(now)) return std::nullopt;
  return delay;
}

absl::Duration Retry::Left(absl::Time now) const {
  return give_up_after_ - failed_for_ - (now - failing_since_.value_or(now));
}

}  // namespace varve::client::internal
