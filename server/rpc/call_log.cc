#include "server/rpc/call_log.h"

#include <cstdint>
#include <string>

#include "server/log.h"
#include "server/rpc/line_limit.h"

namespace varve::server {
namespace {

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
  static LineLimit& limit = *new LineLimit;
  int64_t suppressed = 0;
  if (!limit.Pass(&suppressed)) return;
  Log(LogLevel::kWarning, "call failed",
      {{"method", method}, {"code", code}, {"error", error}, {"suppressed", suppressed}});
}

}  // namespace varve::server
