#ifndef VARVE_SERVER_RPC_INGEST_STREAM_H_
#define VARVE_SERVER_RPC_INGEST_STREAM_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/namespace.h"
#include "server/rpc/reactor_base.h"
#include "varve/v1/ingest_service.pb.h"

namespace varve::server {

// What a client may send ahead of its acknowledgements; the stream is not read beyond it. A batch
// that is larger than the window's bytes goes alone.
inline constexpr size_t kWindowBatches = 16;
inline constexpr size_t kWindowBytes = size_t{16} << 20;

// One client's stream of batches. Messages are read ahead up to the window, as long as the server's
// budget has room, and handled strictly one after the other on the write pool; while one waits, for
// budget, for room in the index, for the disk, no thread does.
//
//   read -> (budget) -> inbox_ -> (room) -> (gate) -> decode, commit -> acks_ -> (fsync) -> write
//
// Whatever ends the stream, batches that were committed are acknowledged first: an error waits
// until acks_ is empty. Only a client that is gone gets no more.
class IngestStream final
    : public StreamCall<grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                        grpc::ByteBuffer> {
 public:
  using StreamCall::StreamCall;

  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  // Reads no further; what has been read is committed and acknowledged, then the stream ends.
  void Drain() override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // A message as it was read, with its share of the budget.
  struct Message {
    grpc::ByteBuffer bytes;
    Budget::Share share;
  };
  // A message that was read and whose answer has not gone out.
  struct Unanswered {
    size_t bytes;
    absl::Time read_at;
  };
  // An answer that may have to wait for an fsync.
  struct PendingAck {
    bool ready = false;
    bool of_batch = false;
    grpc::ByteBuffer bytes;
    Budget::Share share;  // of the answers' budget, where it is large
  };

  void Begin() override ABSL_LOCKS_EXCLUDED(mu_);
  void Written() override ABSL_LOCKS_EXCLUDED(mu_);
  void Released() override ABSL_LOCKS_EXCLUDED(mu_);

  // Reads on, if the window, the namespace's rate and the stream's state allow it.
  void ReadLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A message that was read has its share of the budget.
  void Admitted(Budget::Share share) ABSL_LOCKS_EXCLUDED(mu_);
  // Begins work on the oldest message, unless one is being worked on.
  void Advance() ABSL_LOCKS_EXCLUDED(mu_);
  void HandleNext() ABSL_LOCKS_EXCLUDED(mu_);
  void Concluded(absl::Status status) ABSL_LOCKS_EXCLUDED(mu_);

  // These run on the write pool, one at a time.
  absl::Status Handle(Message message);
  absl::Status Open(const v1::IngestOpen& open);
  absl::Status Commit(const v1::IngestBatch& batch, size_t message_bytes);
  absl::StatusOr<engine::WriteResult> Upsert(const v1::IngestBatch& batch, size_t message_bytes);

  // Queues the answer to a message; with `after_sync`, until what is committed by now is on disk.
  // ResourceExhausted when it is too large to be sent.
  absl::Status Answer(const v1::IngestResponse& response, bool after_sync) ABSL_LOCKS_EXCLUDED(mu_);
  void Synced(uint64_t ack, const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  void SendReadyLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Remembers why the stream ends: the first reason counts. What is not begun is dropped.
  void FailLocked(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ends the stream when it has a reason to and nothing is left to do.
  void SettleLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Set by Open(), under mu_; used by whoever made the stream busy_ without it.
  std::shared_ptr<engine::Namespace> namespace_;
  engine::Occupancy::Share namespace_share_;
  Budget::Share stream_share_;
  std::string producer_;
  bool synced_ = false;
  engine::OnError on_error_ = engine::OnError::kFailBatch;
  uint64_t last_batch_ = 0;  // without a producer: numbers are checked within the stream

  grpc::ByteBuffer reading_into_;  // gRPC's while reading_
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool rate_wait_ ABSL_GUARDED_BY(mu_) = false;  // reads on when the namespace's rate allows it
  bool half_closed_ ABSL_GUARDED_BY(mu_) = false;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool opened_ ABSL_GUARDED_BY(mu_) = false;
  bool busy_ ABSL_GUARDED_BY(mu_) = false;  // a message is being worked on
  std::optional<absl::Status> failure_ ABSL_GUARDED_BY(mu_);
  std::optional<grpc::ByteBuffer> unadmitted_ ABSL_GUARDED_BY(mu_);  // waits for budget
  std::deque<Message> inbox_ ABSL_GUARDED_BY(mu_);
  std::deque<Unanswered> unanswered_ ABSL_GUARDED_BY(mu_);
  size_t unanswered_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<PendingAck> acks_ ABSL_GUARDED_BY(mu_);
  uint64_t first_ack_ ABSL_GUARDED_BY(mu_) = 0;  // number of acks_.front()
  // Of the answers that are being sent, oldest first.
  std::deque<Budget::Share> sending_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_INGEST_STREAM_H_
