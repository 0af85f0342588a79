#ifndef VARVE_SERVER_RPC_CALL_LOG_H_
#define VARVE_SERVER_RPC_CALL_LOG_H_

#include <string_view>

#include "absl/status/status.h"

namespace varve::server {

// Logs how a call ended: what the server failed at or refused, and calls without a valid key, as a
// warning, a few lines a second at most; what a client did wrong for debugging only. Thread-safe.
void LogCallEnd(std::string_view method, const absl::Status& status);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_CALL_LOG_H_
