#include "clients/cpp/varve/ingest_writer.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cpp/varve/internal/channel.h"
#include "clients/cpp/varve/internal/retry.h"
#include "clients/cpp/varve/internal/wire.h"

namespace varve::client {
namespace {

constexpr size_t kProducerBytesMax = 256;
// How long the server may take to end a stream in which all is said.
constexpr absl::Duration kCloseTimeout = absl::Seconds(5);

using Stream = grpc::ClientReaderWriter<v1::IngestRequest, v1::IngestResponse>;

IngestAck ToAck(const v1::IngestAck& ack) {
  return {.number = ack.number(),
          .sequence = ack.sequence(),
          .durability = internal::FromWire(ack.durability()),
          .duplicate = ack.duplicate(),
          .records_written = ack.records_written(),
          .superseded_rows = {ack.superseded_rows().begin(), ack.superseded_rows().end()},
          .row_errors = internal::FromWire(ack.row_errors())};
}

}  // namespace

// A queue of unacknowledged batches between three threads: the caller fills it; the runner keeps a
// stream going, one after another, and sends from it; the stream's receiver empties it as
// acknowledgements come. Whatever changes is signalled through one condition variable.
class IngestWriter::Impl {
 public:
  Impl(std::shared_ptr<internal::Channel> channel, IngestOptions options)
      : channel_(std::move(channel)),
        options_(std::move(options)),
        retry_(options_.give_up_after, std::random_device{}()),
        on_cancel_(channel_.get(), [this] { Stop(); }),
        runner_([this] { Run(); }) {}

  ~Impl() {
    Stop();
    runner_.join();
  }

  absl::Status WaitUntilOpen() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    while (!ever_open_ && !end_) changed_.Wait(&mu_);
    return ever_open_ ? absl::OkStatus() : *end_;
  }

  uint64_t last_batch() const ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    return last_batch_;
  }

  uint64_t committed() const ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    return committed_;
  }

  absl::StatusOr<uint64_t> Write(const RecordsView& records) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Finish() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Batch {
    uint64_t number = 0;
    size_t bytes = 0;
    // Shared with the sender: a batch can be acknowledged before its Write() returns.
    std::shared_ptr<const v1::IngestRequest> request;
  };

  // Ends everything; the runner returns soon.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  // --- The runner's thread ---
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  // Opens a stream and works it until it ends; returns why it ended.
  absl::Status RunStream() ABSL_LOCKS_EXCLUDED(mu_);
  void Send(Stream* stream, internal::CallContext* context) ABSL_LOCKS_EXCLUDED(mu_);
  // Cancels the stream when it is not open in time.
  void WaitUntilStreamOpen(internal::CallContext* context) ABSL_LOCKS_EXCLUDED(mu_);
  std::shared_ptr<const v1::IngestRequest> NextToSend() ABSL_LOCKS_EXCLUDED(mu_);
  bool WaitUntilStreamEnds() ABSL_LOCKS_EXCLUDED(mu_);
  // After a stream ended: waits and returns true to open another; false: `end_` is set.
  bool ReadyForAnother(const absl::Status& stream_status) ABSL_LOCKS_EXCLUDED(mu_);

  // --- The receiver's thread, one a stream ---
  void Receive(Stream* stream, internal::CallContext* context) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status OnResponse(const v1::IngestResponse& response) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status OnOpened(const v1::IngestOpened& opened) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status CheckPosition(uint64_t last_batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status OnAck(const v1::IngestAck& ack) ABSL_LOCKS_EXCLUDED(mu_);

  void PopFront() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasRoom(size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void End(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::shared_ptr<internal::Channel> channel_;
  const IngestOptions options_;

  mutable Mutex mu_;
  CondVar changed_;

  // Batches that are not acknowledged, oldest first; the first `sent_` of them are on their way in
  // the present stream.
  std::deque<Batch> queue_ ABSL_GUARDED_BY(mu_);
  size_t sent_ ABSL_GUARDED_BY(mu_) = 0;
  size_t queue_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t next_number_ ABSL_GUARDED_BY(mu_) = 1;
  uint64_t committed_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t last_batch_ ABSL_GUARDED_BY(mu_) = 0;

  // What the server allows.
  size_t window_batches_ ABSL_GUARDED_BY(mu_) = 1;
  size_t window_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  size_t batch_bytes_max_ ABSL_GUARDED_BY(mu_) = 0;

  // The present stream.
  internal::CallContext* context_ ABSL_GUARDED_BY(mu_) = nullptr;
  bool stream_open_ ABSL_GUARDED_BY(mu_) = false;
  bool stream_ended_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status fault_ ABSL_GUARDED_BY(mu_);  // why we ended it ourselves

  internal::Retry retry_ ABSL_GUARDED_BY(mu_);
  bool ever_open_ ABSL_GUARDED_BY(mu_) = false;
  bool finishing_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);

  internal::Channel::OnCancel on_cancel_;
  std::thread runner_;  // last: it uses all of the above
};

absl::StatusOr<uint64_t> IngestWriter::Impl::Write(const RecordsView& records) {
  auto request = std::make_shared<v1::IngestRequest>();
  VARVE_RETURN_IF_ERROR(internal::ToWire(records, request->mutable_batch()->mutable_records()));

  MutexLock lock(&mu_);
  if (finishing_) return absl::FailedPreconditionError("Write() after Finish()");
  request->mutable_batch()->set_number(next_number_);
  const size_t bytes = request->ByteSizeLong();
  if (bytes > batch_bytes_max_) {
    return absl::ResourceExhaustedError(StrCat("batch ", next_number_, " of ", Size(records.ids),
                                               " records has ", bytes, " bytes; at most ",
                                               batch_bytes_max_, " are taken"));
  }
  while (!end_ && !HasRoom(bytes)) changed_.Wait(&mu_);
  if (end_) return *end_;
  queue_.push_back({.number = next_number_, .bytes = bytes, .request = std::move(request)});
  queue_bytes_ += bytes;
  changed_.SignalAll();
  return next_number_++;
}

absl::Status IngestWriter::Impl::Finish() {
  MutexLock lock(&mu_);
  finishing_ = true;
  changed_.SignalAll();
  while (!end_) changed_.Wait(&mu_);
  return *end_;
}

void IngestWriter::Impl::Stop() {
  MutexLock lock(&mu_);
  stopped_ = true;
  if (context_ != nullptr) context_->get()->TryCancel();
  changed_.SignalAll();
}

void IngestWriter::Impl::Run() {
  while (ReadyForAnother(RunStream())) {
  }
}

absl::Status IngestWriter::Impl::RunStream() {
  internal::CallContext context(channel_.get());
  {
    MutexLock lock(&mu_);
    if (stopped_) return absl::CancelledError("cancelled");
    context_ = &context;
    stream_open_ = stream_ended_ = false;
    fault_ = absl::OkStatus();
    sent_ = 0;
  }
  const std::unique_ptr<Stream> stream = channel_->ingest().Ingest(context.get());
  v1::IngestRequest request;
  v1::IngestOpen* open = request.mutable_open();
  open->set_namespace_(options_.name_space);
  open->set_producer(options_.producer);
  open->set_durability(internal::ToWire(options_.durability));
  open->set_on_error(internal::ToWire(options_.on_error));
  stream->Write(request);  // if it fails, Finish() tells why

  std::thread receiver([&] { Receive(stream.get(), &context); });
  Send(stream.get(), &context);
  receiver.join();
  const absl::Status status = channel_->ToAbsl(stream->Finish());

  MutexLock lock(&mu_);
  context_ = nullptr;
  return fault_.ok() ? status : fault_;
}

void IngestWriter::Impl::Send(Stream* stream, internal::CallContext* context) {
  WaitUntilStreamOpen(context);
  while (const std::shared_ptr<const v1::IngestRequest> request = NextToSend()) {
    if (!stream->Write(*request)) return;  // the stream is over: the receiver sees it too
  }
  stream->WritesDone();
  if (!WaitUntilStreamEnds()) context->get()->TryCancel();
}

void IngestWriter::Impl::WaitUntilStreamOpen(internal::CallContext* context) {
  MutexLock lock(&mu_);
  const auto deadline = absl::ToChronoTime(retry_.OnAttempt(absl::Now()));
  while (!stream_open_ && !stream_ended_ && changed_.WaitUntil(&mu_, deadline)) {
  }
  if (stream_open_ || stream_ended_) return;
  fault_ = absl::UnavailableError("the server does not answer");
  context->get()->TryCancel();
}

std::shared_ptr<const v1::IngestRequest> IngestWriter::Impl::NextToSend() {
  MutexLock lock(&mu_);
  while (!stream_ended_) {
    if (stream_open_ && sent_ < queue_.size()) return queue_[sent_++].request;
    if (stream_open_ && finishing_ && queue_.empty()) return nullptr;
    changed_.Wait(&mu_);
  }
  return nullptr;
}

bool IngestWriter::Impl::WaitUntilStreamEnds() {
  const auto deadline = absl::ToChronoTime(absl::Now() + kCloseTimeout);
  MutexLock lock(&mu_);
  while (!stream_ended_ && changed_.WaitUntil(&mu_, deadline)) {
  }
  return stream_ended_;
}

bool IngestWriter::Impl::ReadyForAnother(const absl::Status& stream_status) {
  const absl::Status status =
      stream_status.ok() ? absl::UnavailableError("the server ended the stream") : stream_status;
  absl::Duration delay;
  {
    MutexLock lock(&mu_);
    // A stream that ended after its last acknowledgement did all it was for, however it ended.
    if (finishing_ && ever_open_ && queue_.empty()) {
      End(absl::OkStatus());
      return false;
    }
    if (stopped_) {
      End(absl::CancelledError("ingest was cancelled"));
      return false;
    }
    if (!internal::IsTransient(status)) {
      End(status);
      return false;
    }
    const std::optional<absl::Duration> pause = retry_.OnFailure(absl::Now());
    if (!pause) {
      End(absl::UnavailableError(StrCat(
          "gave up after ", absl::FormatDuration(options_.give_up_after), ": ", status.message())));
      return false;
    }
    delay = *pause;
  }
  if (options_.on_disconnect) options_.on_disconnect(status);
  channel_->Pause(delay, [this] {
    MutexLock lock(&mu_);
    return stopped_;
  });
  return true;
}

void IngestWriter::Impl::Receive(Stream* stream, internal::CallContext* context) {
  v1::IngestResponse response;
  while (stream->Read(&response)) {
    absl::Status status = OnResponse(response);
    if (status.ok()) continue;
    context->get()->TryCancel();
    MutexLock lock(&mu_);
    if (fault_.ok()) fault_ = std::move(status);
  }
  MutexLock lock(&mu_);
  stream_ended_ = true;
  changed_.SignalAll();
}

absl::Status IngestWriter::Impl::OnResponse(const v1::IngestResponse& response) {
  switch (response.message_case()) {
    case v1::IngestResponse::kOpened:
      return OnOpened(response.opened());
    case v1::IngestResponse::kAck:
      return OnAck(response.ack());
    case v1::IngestResponse::MESSAGE_NOT_SET:
      return absl::UnimplementedError("the server answers with what this client does not know");
  }
  return absl::OkStatus();
}

absl::Status IngestWriter::Impl::OnOpened(const v1::IngestOpened& opened) {
  std::vector<IngestAck> committed_unheard;
  {
    MutexLock lock(&mu_);
    if (stream_open_) return absl::FailedPreconditionError("the server opened the stream twice");
    retry_.OnConnected(absl::Now());
    if (!ever_open_) {
      last_batch_ = committed_ = opened.last_batch();
      next_number_ = last_batch_ + 1;
    }
    VARVE_RETURN_IF_ERROR(CheckPosition(opened.last_batch()));
    while (!queue_.empty() && queue_.front().number <= opened.last_batch()) {
      committed_unheard.push_back(
          {.number = queue_.front().number, .durability = options_.durability});
      PopFront();
    }
    // An idle writer has nothing to make progress with.
    if (!committed_unheard.empty() || queue_.empty()) retry_.OnProgress();
    window_batches_ = std::max<size_t>(1, opened.window_batches());
    window_bytes_ = opened.window_bytes();
    batch_bytes_max_ = std::min<size_t>(options_.max_batch_bytes, opened.max_message_bytes());
    ever_open_ = stream_open_ = true;
    changed_.SignalAll();
  }
  if (options_.on_ack) {
    for (const IngestAck& ack : committed_unheard) options_.on_ack(ack);
  }
  return absl::OkStatus();
}

absl::Status IngestWriter::Impl::CheckPosition(uint64_t last_batch) {
  if (last_batch < committed_) {
    return absl::FailedPreconditionError(
        StrCat("the server acknowledged batch ", committed_, " of producer ", options_.producer,
               " and now knows only ", last_batch, ": the namespace is not the one it was"));
  }
  if (last_batch >= next_number_) {
    return absl::FailedPreconditionError(
        StrCat("batch ", last_batch, " of producer ", options_.producer,
               " is committed, but this writer got to ", next_number_ - 1,
               " only: another one uses the name"));
  }
  return absl::OkStatus();
}

absl::Status IngestWriter::Impl::OnAck(const v1::IngestAck& ack) {
  {
    MutexLock lock(&mu_);
    if (sent_ == 0 || queue_.front().number != ack.number()) {
      return absl::FailedPreconditionError(StrCat(
          "the server acknowledged batch ", ack.number(), " where ",
          sent_ == 0 ? StrCat("none was sent") : StrCat(queue_.front().number, " was to come")));
    }
    --sent_;
    PopFront();
    retry_.OnProgress();
    changed_.SignalAll();
  }
  if (options_.on_ack) options_.on_ack(ToAck(ack));
  return absl::OkStatus();
}

void IngestWriter::Impl::PopFront() {
  committed_ = queue_.front().number;
  queue_bytes_ -= queue_.front().bytes;
  queue_.pop_front();
}

bool IngestWriter::Impl::HasRoom(size_t bytes) const {
  if (queue_.empty()) return true;  // a batch larger than the window goes alone
  return queue_.size() < window_batches_ && queue_bytes_ + bytes <= window_bytes_;
}

void IngestWriter::Impl::End(absl::Status status) {
  if (!status.ok() && ever_open_) {
    status = absl::Status(status.code(),
                          StrCat("ingest ended after batch ", committed_, ": ", status.message()));
  }
  end_ = std::move(status);
  changed_.SignalAll();
}

absl::StatusOr<std::unique_ptr<IngestWriter>> IngestWriter::Open(const Client& client,
                                                                 IngestOptions options) {
  if (options.producer.empty() || options.producer.size() > kProducerBytesMax) {
    return absl::InvalidArgumentError(StrCat("producer must have 1 to ", kProducerBytesMax,
                                             " bytes, has ", options.producer.size()));
  }
  auto impl = std::make_unique<Impl>(client.channel(), std::move(options));
  VARVE_RETURN_IF_ERROR(impl->WaitUntilOpen());
  return std::unique_ptr<IngestWriter>(new IngestWriter(std::move(impl)));
}

IngestWriter::IngestWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

IngestWriter::~IngestWriter() = default;

uint64_t IngestWriter::last_batch() const { return impl_->last_batch(); }

absl::StatusOr<uint64_t> IngestWriter::Write(const RecordsView& records) {
  return impl_->Write(records);
}

absl::Status IngestWriter::Finish() { return impl_->Finish(); }

uint64_t IngestWriter::committed() const { return impl_->committed(); }

}  // namespace varve::client
