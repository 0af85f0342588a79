#include "server/rpc/ingest_stream.h"

#include <google/protobuf/arena.h>

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/rpc/message_codec.h"
#include "server/rpc/namespace_limits.h"
#include "server/rpc/record_codec.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/write_codec.h"

namespace varve::server {
namespace {

constexpr size_t kProducerBytesMax = 256;
// An answer above this (one that lists very many rows) counts against the server's answers.
constexpr size_t kSmallAnswerBytes = 64 << 10;
// How long a stream leaves its namespace's rate unlooked at: limits may change, and others come first.
constexpr absl::Duration kRateWaitMin = absl::Milliseconds(5);
constexpr absl::Duration kRateWaitMax = absl::Milliseconds(250);

}  // namespace

void IngestStream::Begin() {
  MutexLock lock(&mu_);
  ReadLocked();
}

void IngestStream::ReadLocked() {
  if (reading_ || half_closed_ || draining_ || failure_.has_value() || ending()) return;
  if (unadmitted_.has_value()) return;
  if (unanswered_.size() >= kWindowBatches || unanswered_bytes_ >= kWindowBytes) return;
  if (rate_wait_) return;
  const absl::Duration owed =
      namespace_ == nullptr ? absl::ZeroDuration() : IngestOwed(*namespace_);
  if (owed > absl::ZeroDuration()) {
    rate_wait_ = true;
    return RunAfterLocked(std::clamp(owed, kRateWaitMin, kRateWaitMax), context().write_pool,
                          [this] {
                            MutexLock lock(&mu_);
                            rate_wait_ = false;
                            ReadLocked();
                          });
  }
  reading_ = true;
  StartRead(&reading_into_);
}

void IngestStream::OnReadDone(bool ok) {
  size_t bytes = 0;
  {
    MutexLock lock(&mu_);
    reading_ = false;
    half_closed_ = half_closed_ || !ok;
    // What arrives when the stream is to end is as if it had not been sent: it is not acknowledged.
    if (!ok || draining_ || failure_.has_value() || ending()) return SettleLocked();
    bytes = reading_into_.Length();
    if (namespace_ != nullptr) CountIngest(*namespace_, bytes);
    unanswered_.push_back({.bytes = bytes, .read_at = absl::Now()});
    unanswered_bytes_ += bytes;
    unadmitted_.emplace();
    unadmitted_->Swap(&reading_into_);
  }
  std::optional<Budget::Share> share = context().admission->ingest_bytes.ReserveOrWait(
      bytes, [this, self = shared_from_this()](Budget::Share late) { Admitted(std::move(late)); });
  if (share.has_value()) Admitted(*std::move(share));
}

void IngestStream::Admitted(Budget::Share share) {
  {
    MutexLock lock(&mu_);
    if (!unadmitted_.has_value()) return;  // dropped meanwhile
    inbox_.push_back({*std::move(unadmitted_), std::move(share)});
    unadmitted_.reset();
    ReadLocked();
  }
  Advance();
}

void IngestStream::Advance() {
  std::shared_ptr<engine::Namespace> opened;
  size_t bytes = 0;
  {
    MutexLock lock(&mu_);
    if (busy_ || inbox_.empty() || ending()) return;
    busy_ = true;
    opened = namespace_;
    bytes = inbox_.front().bytes.Length();
  }
  auto handle_next = [this, self = shared_from_this()](absl::Status may) {
    Run(context().write_pool, [this, may = std::move(may)] {
      if (!may.ok()) return Concluded(may);
      HandleNext();
    });
  };
  if (opened == nullptr) return handle_next(absl::OkStatus());
  opened->WhenRoom([gate = context().gate, bytes, handle_next = std::move(handle_next)]() mutable {
    gate->Enter(bytes, std::move(handle_next));
  });
}

void IngestStream::HandleNext() {
  std::optional<Message> message;
  {
    MutexLock lock(&mu_);
    if (!inbox_.empty()) {
      message = std::move(inbox_.front());
      inbox_.pop_front();
    }
  }
  Concluded(message.has_value() ? Handle(*std::move(message)) : absl::OkStatus());
}

void IngestStream::Concluded(absl::Status status) {
  {
    MutexLock lock(&mu_);
    busy_ = false;
    if (!status.ok()) FailLocked(std::move(status));
    SettleLocked();
  }
  Advance();
}

absl::Status IngestStream::Handle(Message message) {
  VARVE_RETURN_IF_ERROR(CheckAccess());
  // Metadata is many small objects, made and given up together.
  google::protobuf::Arena arena;
  auto& request = *google::protobuf::Arena::CreateMessage<v1::IngestRequest>(&arena);
  VARVE_RETURN_IF_ERROR(ParseMessage(message.bytes, &request));
  const size_t bytes = message.bytes.Length();
  message.bytes.Clear();
  if (namespace_ == nullptr) {
    if (!request.has_open()) {
      return absl::InvalidArgumentError("the first message of a stream must be `open`");
    }
    return Open(request.open());
  }
  if (!request.has_batch()) {
    return absl::InvalidArgumentError("after `open`, every message of a stream must be `batch`");
  }
  return Commit(request.batch(), bytes);
}

absl::Status IngestStream::Open(const v1::IngestOpen& open) {
  if (open.producer().size() > kProducerBytesMax) {
    return BadField("open.producer", StrCat("must be at most ", kProducerBytesMax, " bytes, is ",
                                            open.producer().size()));
  }
  VARVE_ASSIGN_OR_RETURN(synced_, DecodeSynced(open.durability()));
  VARVE_ASSIGN_OR_RETURN(on_error_, DecodeOnError(open.on_error()));
  VARVE_ASSIGN_OR_RETURN(auto found, context().FindNamespace(open.namespace_()));
  {
    MutexLock lock(&mu_);
    namespace_ = std::move(found);
  }
  VARVE_ASSIGN_OR_RETURN(stream_share_, context().admission->streams.TryReserve(1));
  VARVE_ASSIGN_OR_RETURN(namespace_share_, OpenStream(*namespace_));
  producer_ = open.producer();
  v1::IngestResponse response;
  v1::IngestOpened* opened = response.mutable_opened();
  if (!producer_.empty()) {
    VARVE_ASSIGN_OR_RETURN(const uint64_t last, namespace_->ProducerPosition(producer_));
    opened->set_last_batch(last);
  }
  opened->set_window_batches(kWindowBatches);
  opened->set_window_bytes(kWindowBytes);
  opened->set_max_message_bytes(RequestBytesMax(*namespace_, context().max_message_bytes));
  // The client takes `last_batch` for acknowledged: it promises what an acknowledgement does.
  return Answer(response, /*after_sync=*/synced_);
}

absl::Status IngestStream::Commit(const v1::IngestBatch& batch, size_t message_bytes) {
  const absl::StatusOr<engine::WriteResult> result = Upsert(batch, message_bytes);
  if (!result.ok()) {
    return WithMetadata(WithPrefix(result.status(), StrCat("batch ", batch.number(), ": ")),
                        "batch", StrCat(batch.number()));
  }
  v1::IngestResponse response;
  response.mutable_ack()->set_number(batch.number());
  response.mutable_ack()->set_duplicate(result->duplicate);
  EncodeWriteResult(*result, synced_, response.mutable_ack());
  return Answer(response, synced_);
}

absl::StatusOr<engine::WriteResult> IngestStream::Upsert(const v1::IngestBatch& batch,
                                                         size_t message_bytes) {
  VARVE_RETURN_IF_ERROR(CheckRequestBytes(*namespace_, message_bytes));
  if (batch.number() == 0) return BadField("batch.number", "must be 1 or more, is 0");
  if (producer_.empty() && batch.number() != last_batch_ + 1) {
    return absl::FailedPreconditionError(
        StrCat("the next batch of this stream is ", last_batch_ + 1));
  }
  DecodedRecords records;
  VARVE_RETURN_IF_ERROR(records.Decode(batch.records()));
  VARVE_ASSIGN_OR_RETURN(auto result,
                         namespace_->Upsert(records.view(), on_error_,
                                            {.producer = producer_, .number = batch.number()}));
  last_batch_ = batch.number();
  context().metrics->writes.CountBatch(result);
  return result;
}

absl::Status IngestStream::Answer(const v1::IngestResponse& response, bool after_sync) {
  // An error here is about a batch that is committed: one that is sent again is acknowledged as a
  // duplicate, without its lists of rows.
  const size_t bytes = response.ByteSizeLong();
  VARVE_RETURN_IF_ERROR(CheckAnswerBytes(bytes, context().max_message_bytes));
  Budget::Share share;
  if (bytes > kSmallAnswerBytes) {
    VARVE_ASSIGN_OR_RETURN(share, context().admission->read_bytes.TryReserve(bytes));
  }
  uint64_t ack = 0;
  {
    MutexLock lock(&mu_);
    opened_ = true;
    ack = first_ack_ + acks_.size();
    acks_.push_back({.ready = !after_sync,
                     .of_batch = response.has_ack(),
                     .bytes = SerializeMessage(response),
                     .share = std::move(share)});
    SendReadyLocked();
  }
  if (!after_sync) return absl::OkStatus();
  context().engine->SyncAsync(
      [this, self = shared_from_this(), ack](absl::Status status) { Synced(ack, status); });
  return absl::OkStatus();
}

void IngestStream::Synced(uint64_t ack, const absl::Status& status) {
  MutexLock lock(&mu_);
  if (ack < first_ack_ || ack >= first_ack_ + acks_.size()) return;  // dropped meanwhile
  if (status.ok()) {
    acks_[ack - first_ack_].ready = true;
  } else {
    // This batch and those after it may not be on disk: they are not acknowledged.
    acks_.resize(ack - first_ack_);
    FailLocked(status);
  }
  SendReadyLocked();
  SettleLocked();
}

void IngestStream::SendReadyLocked() {
  for (; !acks_.empty() && acks_.front().ready; acks_.pop_front(), ++first_ack_) {
    if (acks_.front().of_batch) {
      const Unanswered& answered = unanswered_[sending_.size()];
      context().metrics->writes.CountAcknowledgement(synced_, absl::Now() - answered.read_at);
    }
    sending_.push_back(std::move(acks_.front().share));
    SendLocked(acks_.front().bytes);
  }
}

void IngestStream::Written() {
  MutexLock lock(&mu_);
  unanswered_bytes_ -= unanswered_.front().bytes;
  unanswered_.pop_front();
  sending_.pop_front();
  ReadLocked();
}

void IngestStream::Drain() {
  MutexLock lock(&mu_);
  draining_ = true;
  SettleLocked();
}

void IngestStream::FailLocked(absl::Status status) {
  if (!failure_.has_value()) failure_ = std::move(status);
  inbox_.clear();
  unadmitted_.reset();
}

void IngestStream::SettleLocked() {
  if (busy_ || !inbox_.empty() || unadmitted_.has_value() || !acks_.empty()) return;
  if (failure_.has_value()) {
    EndLocked(*failure_);
  } else if (half_closed_) {
    EndLocked(opened_ ? absl::OkStatus()
                      : absl::InvalidArgumentError("the stream ended without an `open`"));
  } else if (draining_) {
    EndLocked(absl::UnavailableError(
        "the server is shutting down; resume when it is back: batches that are not acknowledged "
        "must be sent again"));
  }
}

void IngestStream::Released() {
  MutexLock lock(&mu_);
  inbox_.clear();
  unadmitted_.reset();
  acks_.clear();
  sending_.clear();
  stream_share_ = Budget::Share();
  namespace_share_ = engine::Occupancy::Share();
  // The namespace may hold this stream, as one that waits for room: neither must keep the other.
  namespace_.reset();
}

}  // namespace varve::server
