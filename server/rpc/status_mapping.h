#ifndef VARVE_SERVER_RPC_STATUS_MAPPING_H_
#define VARVE_SERVER_RPC_STATUS_MAPPING_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace grpc {
class Status;
}

namespace varve::server {

// What a client reads by machine rides on an absl::Status as payloads of plain text:
//   kFieldPayload              the request field that is wrong        -> google.rpc.BadRequest
//   kRetryAfterPayload         whole milliseconds                     -> google.rpc.RetryInfo
//   kMetadataPayload + key     a fact such as the batch or the row    ->
//   google.rpc.ErrorInfo.metadata
// Rooms that know no gRPC can set them; here are the usual ways to.
inline constexpr std::string_view kFieldPayload = "varve.dev/field";
inline constexpr std::string_view kRetryAfterPayload = "varve.dev/retry_after_ms";
inline constexpr std::string_view kMetadataPayload = "varve.dev/metadata/";

// InvalidArgument: `field` must be something and is not; `message` says so.
absl::Status BadField(std::string_view field, std::string_view message);
// The error with a fact beside it.
absl::Status WithMetadata(absl::Status status, std::string_view key, std::string_view value);
// The error with a hint that waiting helps.
absl::Status WithRetryAfter(absl::Status status, absl::Duration delay);
// The error with words before its message: same code, same payloads.
absl::Status WithPrefix(const absl::Status& status, std::string_view prefix);

// The only table between absl's codes and gRPC's. An error carries google.rpc.Status as binary
// details: always an ErrorInfo (reason: the code's name; domain: varve.dev), a BadRequest with
// INVALID_ARGUMENT, a RetryInfo where waiting helps, which it always does with UNAVAILABLE. Long
// messages are cut, because HTTP/2 peers refuse long trailers.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_STATUS_MAPPING_H_
