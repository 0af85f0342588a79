#include "server/rpc/status_mapping.h"

#include <gmock/gmock.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/rpc/error_details.pb.h"

namespace varve::server {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::SizeIs;

rpc::Status Details(const grpc::Status& status) {
  rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

// The detail of type T, or an empty one.
template <typename T>
T Detail(const absl::Status& status) {
  T detail;
  const std::string url = "type.googleapis.com/google.rpc." + T::descriptor()->name();
  const rpc::Status details = Details(ToGrpcStatus(status));
  for (const google::protobuf::Any& any : details.details()) {
    if (any.type_url() == url) detail.ParseFromString(any.value());
  }
  return detail;
}

TEST(StatusMappingTest, OkStaysOk) { EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok()); }

TEST(StatusMappingTest, EveryErrorCodeKeepsItsNumberAndName) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "it broke");
    const grpc::Status mapped = ToGrpcStatus(status);
    EXPECT_EQ(mapped.error_code(), code);
    EXPECT_EQ(mapped.error_message(), "it broke");
    EXPECT_EQ(Details(mapped).code(), code);
    EXPECT_EQ(Details(mapped).message(), "it broke");
    EXPECT_EQ(Detail<rpc::ErrorInfo>(status).reason(), absl::StatusCodeToString(status.code()));
    EXPECT_EQ(Detail<rpc::ErrorInfo>(status).domain(), "varve.dev");
  }
}

TEST(StatusMappingTest, ABadFieldIsNamedInBadRequest) {
  const absl::Status status = BadField("query.shape", "must be [dimension], is [2, 3]");
  EXPECT_EQ(status.message(), "query.shape must be [dimension], is [2, 3]");
  const auto bad_request = Detail<rpc::BadRequest>(status);
  ASSERT_THAT(bad_request.field_violations(), SizeIs(1));
  EXPECT_EQ(bad_request.field_violations(0).field(), "query.shape");
  EXPECT_EQ(bad_request.field_violations(0).description(), status.message());
}

TEST(StatusMappingTest, InvalidArgumentWithoutAFieldStillSaysWhy) {
  const auto bad_request = Detail<rpc::BadRequest>(absl::InvalidArgumentError("k must be 1"));
  ASSERT_THAT(bad_request.field_violations(), SizeIs(1));
  EXPECT_EQ(bad_request.field_violations(0).description(), "k must be 1");
}

TEST(StatusMappingTest, MetadataRidesInErrorInfo) {
  const absl::Status status =
      WithMetadata(WithMetadata(absl::InvalidArgumentError("NaN"), "batch", "7"), "row", "12");
  const auto info = Detail<rpc::ErrorInfo>(status);
  EXPECT_EQ(info.metadata().at("batch"), "7");
  EXPECT_EQ(info.metadata().at("row"), "12");
}

TEST(StatusMappingTest, ARetryHintIsGivenWhereWaitingHelps) {
  const absl::Status hinted =
      WithRetryAfter(absl::ResourceExhaustedError("full"), absl::Milliseconds(1250));
  EXPECT_EQ(Detail<rpc::RetryInfo>(hinted).retry_delay().seconds(), 1);
  EXPECT_EQ(Detail<rpc::RetryInfo>(hinted).retry_delay().nanos(), 250'000'000);
  EXPECT_TRUE(Detail<rpc::RetryInfo>(absl::UnavailableError("draining")).has_retry_delay());
  EXPECT_FALSE(Detail<rpc::RetryInfo>(absl::ResourceExhaustedError("too big")).has_retry_delay());
  EXPECT_FALSE(Detail<rpc::RetryInfo>(absl::NotFoundError("gone")).has_retry_delay());
}

TEST(StatusMappingTest, APrefixKeepsCodeAndPayloads) {
  const absl::Status status = WithPrefix(BadField("ids", "must be text"), "batch 3: ");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "batch 3: ids must be text");
  EXPECT_EQ(Detail<rpc::BadRequest>(status).field_violations(0).field(), "ids");
  EXPECT_TRUE(WithPrefix(absl::OkStatus(), "batch 3: ").ok());
}

TEST(StatusMappingTest, ALongMessageIsCutBetweenCharacters) {
  std::string message;
  while (message.size() < 100'000) message += "\xe6\xb3\xa5";  // three bytes each
  const grpc::Status status = ToGrpcStatus(absl::NotFoundError(message));
  EXPECT_LT(status.error_message().size(), 1000);
  EXPECT_THAT(status.error_message(), EndsWith("\xe6\xb3\xa5..."));
  EXPECT_LT(status.error_details().size(), 2000);
}

// The bytes as google/rpc/status.proto and error_details.proto would have them, written by hand:
// the declarations here must not drift from the originals.
TEST(StatusMappingTest, TheBytesAreThoseOfGoogleRpc) {
  rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(1);
  EXPECT_EQ(retry.SerializeAsString(), std::string("\x0a\x02\x08\x01", 4));
  rpc::BadRequest bad;
  bad.add_field_violations()->set_field("k");
  bad.mutable_field_violations(0)->set_description("d");
  EXPECT_EQ(bad.SerializeAsString(),
            "\x0a\x06\x0a\x01k\x12\x01"
            "d");
  rpc::ErrorInfo info;
  info.set_reason("R");
  info.set_domain("d");
  (*info.mutable_metadata())["k"] = "v";
  EXPECT_EQ(info.SerializeAsString(),
            "\x0a\x01R\x12\x01"
            "d\x1a\x06\x0a\x01k\x12\x01v");
  rpc::Status status;
  status.set_code(3);
  status.set_message("m");
  status.add_details()->set_type_url("u");
  EXPECT_EQ(status.SerializeAsString(), "\x08\x03\x12\x01m\x1a\x03\x0a\x01u");
}

}  // namespace
}  // namespace varve::server
