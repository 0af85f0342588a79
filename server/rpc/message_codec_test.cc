#include "server/rpc/message_codec.h"

#include <gmock/gmock.h>
#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "varve/v1/ingest_service.pb.h"
#include "varve/v1/query_service.pb.h"

namespace varve::server {
namespace {

using testing::HasSubstr;

grpc::ByteBuffer Bytes(const std::string& text) {
  const grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

std::string Text(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(bytes.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

TEST(MessageCodecTest, AMessageComesBackAsItWas) {
  v1::IngestRequest request;
  request.mutable_batch()->set_number(7);
  request.mutable_batch()->mutable_records()->mutable_ids()->mutable_texts()->add_values("a");
  const grpc::ByteBuffer bytes = SerializeMessage(request);
  EXPECT_EQ(Text(bytes), request.SerializeAsString());
  v1::IngestRequest parsed;
  ASSERT_TRUE(ParseMessage(bytes, &parsed).ok());
  EXPECT_EQ(parsed.SerializeAsString(), request.SerializeAsString());
}

TEST(MessageCodecTest, AnEmptyMessageIsAMessage) {
  const grpc::ByteBuffer bytes = SerializeMessage(v1::DeleteResponse());
  v1::DeleteResponse parsed;
  EXPECT_TRUE(ParseMessage(bytes, &parsed).ok());
}

TEST(MessageCodecTest, EveryTruncationIsAnErrorOrAShorterMessage) {
  v1::UpsertRequest request;
  request.set_namespace_("docs");
  request.mutable_records()->mutable_ids()->mutable_numbers()->add_values(1);
  request.mutable_records()->add_fields()->mutable_dense()->set_data("0123456789");
  const std::string whole = request.SerializeAsString();
  int errors = 0;
  for (size_t size = 0; size < whole.size(); ++size) {
    v1::UpsertRequest parsed;
    const absl::Status status = ParseMessage(Bytes(whole.substr(0, size)), &parsed);
    if (status.ok()) continue;
    ++errors;
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("varve.v1.UpsertRequest"));
  }
  EXPECT_GT(errors, 20);
}

TEST(MessageCodecTest, TextThatIsNotUtf8IsRefused) {
  const std::string name = "\x0a\x01\xff";  // UpsertRequest.namespace = "\xff"
  v1::UpsertRequest parsed;
  EXPECT_EQ(ParseMessage(Bytes(name), &parsed).code(), absl::StatusCode::kInvalidArgument);
}

TEST(MessageCodecTest, AListOfVeryManyTextsIsRefusedBeforeItIsMade) {
  // Two bytes each on the wire, some fifty in memory.
  v1::DeleteRequest request;
  auto* values = request.mutable_ids()->mutable_texts()->mutable_values();
  while (values->size() < static_cast<int>(kMessagePartsMax)) values->Add();
  const grpc::ByteBuffer bytes = SerializeMessage(request);
  v1::DeleteRequest parsed;
  const absl::Status status = ParseMessage(bytes, &parsed);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1000000 parts"));
  EXPECT_EQ(parsed.ByteSizeLong(), 0);
}

TEST(MessageCodecTest, AShapeOfVeryManyExtentsIsRefused) {
  v1::SearchRequest request;
  auto* shape = request.mutable_query()->mutable_shape();
  shape->Resize(kMessagePartsMax + 1, 1);
  const grpc::ByteBuffer bytes = SerializeMessage(request);
  v1::SearchRequest parsed;
  EXPECT_EQ(ParseMessage(bytes, &parsed).code(), absl::StatusCode::kInvalidArgument);
}

TEST(MessageCodecTest, UnknownFieldsCountAsParts) {
  std::string bytes;
  for (size_t i = 0; i <= kMessagePartsMax; ++i) bytes += "\xf8\x07\x01";  // field 127, varint
  v1::SearchRequest parsed;
  EXPECT_EQ(ParseMessage(Bytes(bytes), &parsed).code(), absl::StatusCode::kInvalidArgument);
}

TEST(MessageCodecTest, NumbersAndTensorsOfAnySizeAreFine) {
  v1::UpsertRequest request;
  auto* numbers = request.mutable_records()->mutable_ids()->mutable_numbers()->mutable_values();
  numbers->Resize(2'000'000, 7);
  request.mutable_records()->add_fields()->mutable_dense()->set_data(std::string(8'000'000, 'x'));
  const grpc::ByteBuffer bytes = SerializeMessage(request);
  v1::UpsertRequest parsed;
  EXPECT_TRUE(ParseMessage(bytes, &parsed).ok());
  EXPECT_EQ(parsed.records().ids().numbers().values_size(), 2'000'000);
}

TEST(MessageCodecTest, AnAnswerBeyondTheLimitSaysBothSizes) {
  EXPECT_TRUE(CheckAnswerBytes(50, 50).ok());
  const absl::Status status = CheckAnswerBytes(102, 50);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("102 bytes, the limit is 50"));
}

}  // namespace
}  // namespace varve::server
