#include "server/rpc/status_mapping.h"

#include <google/protobuf/message.h>
#include <grpcpp/support/status.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "base/str_cat.h"
#include "server/rpc/error_details.pb.h"

namespace varve::server {
namespace {

constexpr char kDomain[] = "varve.dev";
constexpr char kTypeUrlPrefix[] = "type.googleapis.com/google.rpc.";
constexpr absl::Duration kUnavailableRetryAfter = absl::Seconds(1);
// A message appears up to three times in the trailers, in forms that may triple it; peers take 8
// KiB of them by default.
constexpr size_t kMessageBytesMax = 768;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

grpc::StatusCode ToGrpcCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return grpc::StatusCode::OK;
    case absl::StatusCode::kCancelled:
      return grpc::StatusCode::CANCELLED;
    case absl::StatusCode::kUnknown:
      return grpc::StatusCode::UNKNOWN;
    case absl::StatusCode::kInvalidArgument:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case absl::StatusCode::kDeadlineExceeded:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case absl::StatusCode::kNotFound:
      return grpc::StatusCode::NOT_FOUND;
    case absl::StatusCode::kAlreadyExists:
      return grpc::StatusCode::ALREADY_EXISTS;
    case absl::StatusCode::kPermissionDenied:
      return grpc::StatusCode::PERMISSION_DENIED;
    case absl::StatusCode::kResourceExhausted:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case absl::StatusCode::kFailedPrecondition:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case absl::StatusCode::kAborted:
      return grpc::StatusCode::ABORTED;
    case absl::StatusCode::kOutOfRange:
      return grpc::StatusCode::OUT_OF_RANGE;
    case absl::StatusCode::kUnimplemented:
      return grpc::StatusCode::UNIMPLEMENTED;
    case absl::StatusCode::kInternal:
      return grpc::StatusCode::INTERNAL;
    case absl::StatusCode::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case absl::StatusCode::kDataLoss:
      return grpc::StatusCode::DATA_LOSS;
    case absl::StatusCode::kUnauthenticated:
      return grpc::StatusCode::UNAUTHENTICATED;
    default:  // Not an enumerator: absl keeps the right to add some, and asks for a default.
      return grpc::StatusCode::UNKNOWN;
  }
}

bool IsUtf8Continuation(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

// Cuts between characters, so that what is left is still UTF-8.
std::string Shorten(absl::string_view message) {
  if (message.size() <= kMessageBytesMax) return std::string(message);
  size_t end = kMessageBytesMax;
  while (end > 0 && IsUtf8Continuation(message[end])) --end;
  return StrCat(message.substr(0, end), "...");
}

std::optional<std::string> Payload(const absl::Status& status, std::string_view url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(View(url));
  if (!payload.has_value()) return std::nullopt;
  return std::string(*payload);
}

void AddDetail(const google::protobuf::Message& detail, rpc::Status* out) {
  google::protobuf::Any* any = out->add_details();
  any->set_type_url(StrCat(kTypeUrlPrefix, detail.GetDescriptor()->name()));
  detail.SerializeToString(any->mutable_value());
}

void AddErrorInfo(const absl::Status& status, rpc::Status* out) {
  rpc::ErrorInfo info;
  info.set_reason(absl::StatusCodeToString(status.code()));
  info.set_domain(kDomain);
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    if (!absl::ConsumePrefix(&url, View(kMetadataPayload))) return;
    (*info.mutable_metadata())[std::string(url)] = std::string(value);
  });
  AddDetail(info, out);
}

void AddBadRequest(const absl::Status& status, rpc::Status* out) {
  if (status.code() != absl::StatusCode::kInvalidArgument) return;
  rpc::BadRequest bad_request;
  rpc::BadRequest::FieldViolation* violation = bad_request.add_field_violations();
  violation->set_field(Payload(status, kFieldPayload).value_or(""));
  violation->set_description(out->message());
  AddDetail(bad_request, out);
}

void AddRetryInfo(const absl::Status& status, rpc::Status* out) {
  int64_t milliseconds = 0;
  if (const auto payload = Payload(status, kRetryAfterPayload); payload.has_value()) {
    if (!absl::SimpleAtoi(*payload, &milliseconds)) return;
  } else if (status.code() == absl::StatusCode::kUnavailable) {
    milliseconds = absl::ToInt64Milliseconds(kUnavailableRetryAfter);
  } else {
    return;
  }
  rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(milliseconds / 1000);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(milliseconds % 1000) * 1'000'000);
  AddDetail(info, out);
}

}  // namespace

absl::Status BadField(std::string_view field, std::string_view message) {
  absl::Status status = absl::InvalidArgumentError(StrCat(field, " ", message));
  status.SetPayload(View(kFieldPayload), absl::Cord(View(field)));
  return status;
}

absl::Status WithMetadata(absl::Status status, std::string_view key, std::string_view value) {
  status.SetPayload(StrCat(kMetadataPayload, key), absl::Cord(View(value)));
  return status;
}

absl::Status WithRetryAfter(absl::Status status, absl::Duration delay) {
  status.SetPayload(View(kRetryAfterPayload), absl::Cord(StrCat(absl::ToInt64Milliseconds(delay))));
  return status;
}

absl::Status WithPrefix(const absl::Status& status, std::string_view prefix) {
  if (status.ok()) return status;
  absl::Status prefixed(status.code(), StrCat(prefix, status.message()));
  status.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& value) { prefixed.SetPayload(url, value); });
  return prefixed;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const grpc::StatusCode code = ToGrpcCode(status.code());
  rpc::Status details;
  details.set_code(code);
  details.set_message(Shorten(status.message()));
  AddErrorInfo(status, &details);
  AddBadRequest(status, &details);
  AddRetryInfo(status, &details);
  return grpc::Status(code, details.message(), details.SerializeAsString());
}

}  // namespace varve::server
