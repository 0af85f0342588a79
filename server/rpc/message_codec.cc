#include "server/rpc/message_codec.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include <cstdint>

#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::server {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// Counts a message's parts without making it. Stops at the limit, and at the first bytes that make
// no sense: those are for the parser to report.
class PartCounter {
 public:
  explicit PartCounter(CodedInputStream* in) : in_(in) {}

  // False when counting has stopped.
  bool Count(const Descriptor& type) {
    while (const uint32_t tag = in_->ReadTag()) {
      if (++parts_ > kMessagePartsMax || !CountField(type, tag)) return false;
    }
    return in_->ConsumedEntireMessage();
  }

  size_t parts() const { return parts_; }

 private:
  bool CountField(const Descriptor& type, uint32_t tag) {
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      return WireFormatLite::SkipField(in_, tag);
    }
    int length = 0;
    if (!in_->ReadVarintSizeAsInt(&length)) return false;
    const FieldDescriptor* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    if (field == nullptr) return in_->Skip(length);
    if (field->type() == FieldDescriptor::TYPE_MESSAGE) {
      const CodedInputStream::Limit limit = in_->PushLimit(length);
      if (!Count(*field->message_type())) return false;
      in_->PopLimit(limit);
      return true;
    }
    // Numbers of fixed size take as much memory as bytes; a varint of one byte takes eight.
    if (field->is_packable() && field->type() != FieldDescriptor::TYPE_FIXED64) parts_ += length;
    return in_->Skip(length);
  }

  CodedInputStream* const in_;
  size_t parts_ = 0;
};

// Reads a buffer as a stream. The reader wants to change the buffer, so it gets another reference
// to the same bytes.
class Reader {
 public:
  explicit Reader(const grpc::ByteBuffer& bytes) : bytes_(bytes), stream_(&bytes_) {}
  google::protobuf::io::ZeroCopyInputStream* stream() { return &stream_; }
  bool ok() const { return stream_.status().ok(); }

 private:
  grpc::ByteBuffer bytes_;
  grpc::ProtoBufferReader stream_;
};

bool HasTooManyParts(const grpc::ByteBuffer& bytes, const Descriptor& type) {
  Reader reader(bytes);
  if (!reader.ok()) return false;
  CodedInputStream in(reader.stream());
  PartCounter counter(&in);
  counter.Count(type);
  return counter.parts() > kMessagePartsMax;
}

}  // namespace

absl::Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  const Descriptor& type = *message->GetDescriptor();
  if (HasTooManyParts(bytes, type)) {
    return absl::InvalidArgumentError(
        StrCat("the ", type.full_name(), " has more than ", kMessagePartsMax,
               " parts (each id that is text is one); send it in smaller pieces"));
  }
  Reader reader(bytes);
  if (!reader.ok() || !message->ParseFromZeroCopyStream(reader.stream())) {
    return absl::InvalidArgumentError(StrCat("the message of ", bytes.Length(), " bytes is not a ",
                                             type.full_name(),
                                             ": it is cut short or malformed, or holds text that "
                                             "is not UTF-8"));
  }
  return absl::OkStatus();
}

absl::Status CheckAnswerBytes(size_t bytes, size_t bytes_max) {
  if (bytes <= bytes_max) return absl::OkStatus();
  return absl::ResourceExhaustedError(StrCat("the answer would be ", bytes, " bytes, the limit is ",
                                             bytes_max, "; ask for less at a time"));
}

grpc::ByteBuffer SerializeMessage(const google::protobuf::Message& message) {
  grpc::ByteBuffer bytes;
  bool own_buffer = false;
  // Fails only where memory does.
  (void)grpc::GenericSerialize<grpc::ProtoBufferWriter, google::protobuf::Message>(message, &bytes,
                                                                                   &own_buffer);
  return bytes;
}

}  // namespace varve::server
