#include "server/rpc/call_log.h"

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "server/log.h"

namespace varve::server {
namespace {

constexpr int64_t kWarningsPerSecondMax = 10;

// Lets a few warnings a second pass: a flood of refused calls must not become a flood of log lines.
class WarningLimit {
 public:
  // Whether a line may be written now, and how many were not since the last one.
  bool Pass(int64_t* suppressed) ABSL_LOCKS_EXCLUDED(mu_) {
    const int64_t now = absl::ToUnixSeconds(absl::Now());
    MutexLock lock(&mu_);
    if (now != second_) {
      second_ = now;
      passed_ = 0;
    }
    if (passed_ == kWarningsPerSecondMax) {
      ++suppressed_;
      return false;
    }
    ++passed_;
    *suppressed = suppressed_;
    suppressed_ = 0;
    return true;
  }

 private:
  Mutex mu_;
  int64_t second_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t passed_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t suppressed_ ABSL_GUARDED_BY(mu_) = 0;
};

// What the server fails at or refuses, and who comes without a valid key.
bool IsWorthAWarning(absl::StatusCode code) {
  return code == absl::StatusCode::kUnauthenticated || code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kInternal || code == absl::StatusCode::kDataLoss ||
         code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kResourceExhausted;
}

}  // namespace

void LogCallEnd(std::string_view method, const absl::Status& status) {
  if (status.ok()) return;
  const std::string code = absl::StatusCodeToString(status.code());
  const std::string error(status.message());
  if (!IsWorthAWarning(status.code())) {
    Log(LogLevel::kDebug, "call ended", {{"method", method}, {"code", code}, {"error", error}});
    return;
  }
  static WarningLimit& limit = *new WarningLimit;
  int64_t suppressed = 0;
  if (!limit.Pass(&suppressed)) return;
  Log(LogLevel::kWarning, "call failed",
      {{"method", method}, {"code", code}, {"error", error}, {"suppressed", suppressed}});
}

}  // namespace varve::server
