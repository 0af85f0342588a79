#ifndef VARVE_SERVER_RPC_MESSAGE_CODEC_H_
#define VARVE_SERVER_RPC_MESSAGE_CODEC_H_

#include <cstddef>

#include "absl/status/status.h"

namespace google::protobuf {
class Message;
}
namespace grpc {
class ByteBuffer;
}

namespace varve::server {

// Varve takes messages from gRPC as bytes and parses them itself, for three reasons: gRPC parses on
// its own few threads, before the server can say that it is busy; on a stream it reports a message
// that does not parse as the stream's end; and a small message can be a large object.

// Parts of a message beyond which it is refused: fields, texts in a list, numbers of a packed list
// whose size in memory differs from that on the wire. Bounds an object to its bytes and some 100
// MiB.
inline constexpr size_t kMessagePartsMax = 1'000'000;

// InvalidArgument when the bytes are not such a message, or one of too many parts.
absl::Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);

// ResourceExhausted when an answer would be larger than messages may be.
absl::Status CheckAnswerBytes(size_t bytes, size_t bytes_max);

// The message as bytes.
grpc::ByteBuffer SerializeMessage(const google::protobuf::Message& message);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_MESSAGE_CODEC_H_
