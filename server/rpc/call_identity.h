#ifndef VARVE_SERVER_RPC_CALL_IDENTITY_H_
#define VARVE_SERVER_RPC_CALL_IDENTITY_H_

#include <grpcpp/support/string_ref.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "server/log.h"

namespace varve::server {

// The metadata under which a client may name its call, and under which every call ends with its name.
inline constexpr char kRequestIdKey[] = "x-request-id";
inline constexpr size_t kRequestIdBytesMax = 128;

// What a call is found by, in the logs here and at its client.
struct CallIdentity {
  std::string request_id;
  // Of the W3C trace context (`traceparent`) that the client sent, as lower-case hexadecimal; else empty.
  std::string trace_id;
  std::string span_id;  // the client's span, which the call is a part of
};

using ClientMetadata = std::multimap<grpc::string_ref, grpc::string_ref>;

// Takes what the client says. A request id that is empty, longer than kRequestIdBytesMax or not of visible
// ASCII characters alone is replaced by one that is made here; a trace context of another form than
// the standard's is passed over.
CallIdentity IdentifyCall(const ClientMetadata& metadata);

// For log lines of the call. Views into `identity`.
std::vector<LogField> LogFields(const CallIdentity& identity);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_CALL_IDENTITY_H_
