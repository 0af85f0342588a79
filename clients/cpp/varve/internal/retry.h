#ifndef VARVE_CLIENTS_CPP_VARVE_INTERNAL_RETRY_H_
#define VARVE_CLIENTS_CPP_VARVE_INTERNAL_RETRY_H_

#include <cstdint>
#include <optional>
#include <random>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace varve::client::internal {

// Whether the same call may succeed later: the connection broke, the server is draining or
// overloaded. All that the caller has to mend is not transient.
bool IsTransient(const absl::Status& status);

// Retry says when to try again after a transient failure: after a random part of a delay that
// doubles with every attempt (so that many clients of a server that comes back do not come at
// once), until `give_up_after` was spent without a connection and without progress. Time in which
// the server is there but holds the client back does not count. Knows no clock. Not thread-safe.
class Retry {
 public:
  Retry(absl::Duration give_up_after, uint32_t seed)
      : give_up_after_(give_up_after), random_(seed) {}

  // An attempt to connect begins; returns when it must have succeeded.
  absl::Time OnAttempt(absl::Time now);
  // The server answers again; whether that leads anywhere is not known yet.
  void OnConnected(absl::Time now);
  // Something got done: the next failure is the first.
  void OnProgress();
  // How long to wait before the next attempt; nullopt: give up.
  std::optional<absl::Duration> OnFailure(absl::Time now);

 private:
  absl::Duration Left(absl::Time now) const;

  static constexpr absl::Duration kFirstDelay = absl::Milliseconds(50);
  static constexpr absl::Duration kLastDelay = absl::Seconds(2);
  // Every attempt gets so long, so that a server that is there is found.
  static constexpr absl::Duration kLeastAttempt = absl::Seconds(5);

  const absl::Duration give_up_after_;
  std::mt19937 random_;
  absl::Duration longest_delay_ = kFirstDelay;
  absl::Duration failed_for_;                // in outages that are over, since the last progress
  std::optional<absl::Time> failing_since_;  // the outage that is not over
};

}  // namespace varve::client::internal

#endif  // VARVE_CLIENTS_CPP_VARVE_INTERNAL_RETRY_H_
