#include "clients/cpp/varve/scanner.h"

#include <random>
#include <utility>

#include "absl/time/clock.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "clients/cpp/varve/internal/channel.h"
#include "clients/cpp/varve/internal/retry.h"
#include "clients/cpp/varve/internal/wire.h"

namespace varve::client {

class Scanner::Impl {
 public:
  Impl(std::shared_ptr<internal::Channel> channel, std::string_view name_space, ScanOptions options)
      : channel_(std::move(channel)),
        retry_(options.give_up_after, std::random_device{}()),
        token_(std::move(options.token)) {
    request_.set_namespace_(std::string(name_space));
    request_.set_include_vectors(options.include_vectors);
    request_.set_include_metadata(options.include_metadata);
    for (std::string& path : options.metadata_paths) {
      request_.add_metadata_paths(std::move(path));
    }
    if (!options.filter.empty()) request_.mutable_filter()->set_text(std::move(options.filter));
  }

  // A walk that is left half-way must not keep the server working.
  ~Impl() { Close(); }

  absl::StatusOr<bool> Next(Records* page) {
    if (!end_.ok()) return end_;
    while (!at_end_) {
      if (reader_ == nullptr) Open();
      v1::ScanResponse response;
      if (reader_->Read(&response)) {
        retry_.OnProgress();
        absl::StatusOr<Records> records =
            internal::FromWire(std::move(*response.mutable_records()));
        if (!records.ok()) return end_ = std::move(records).status();
        *page = *std::move(records);
        token_ = std::move(*response.mutable_next_token());
        any_page_ = true;
        if (Size(page->ids) > 0) return true;
        continue;
      }
      VARVE_RETURN_IF_ERROR(OnEnd(channel_->ToAbsl(std::exchange(reader_, nullptr)->Finish())));
    }
    return false;
  }

  const std::string& token() const { return token_; }

 private:
  void Open() {
    request_.set_token(token_);
    context_.emplace(channel_.get());
    reader_ = channel_->query().Scan(context_->get(), request_);
  }

  void Close() {
    if (reader_ == nullptr) return;
    (*context_)->TryCancel();
    v1::ScanResponse ignored;
    while (reader_->Read(&ignored)) {
    }
    (void)reader_->Finish();  // cancelled, as asked
    reader_.reset();
  }

  // The stream ended: for good, or to be opened again after a pause. A scan that never got a page
  // fails at once, like any call.
  absl::Status OnEnd(absl::Status status) {
    if (status.ok()) {
      at_end_ = true;
      return status;
    }
    const bool resume = any_page_ && internal::IsTransient(status) && !channel_->cancelled();
    const std::optional<absl::Duration> delay =
        resume ? retry_.OnFailure(absl::Now()) : std::nullopt;
    if (!delay) return end_ = std::move(status);
    channel_->Pause(*delay, [this] { return channel_->cancelled(); });
    return absl::OkStatus();
  }

  const std::shared_ptr<internal::Channel> channel_;
  internal::Retry retry_;
  v1::ScanRequest request_;
  std::string token_;
  // The reader lives in the context.
  std::optional<internal::CallContext> context_;
  std::unique_ptr<grpc::ClientReader<v1::ScanResponse>> reader_;
  bool any_page_ = false;
  bool at_end_ = false;
  absl::Status end_;
};

Scanner::Scanner(std::shared_ptr<internal::Channel> channel, std::string_view name_space,
                 ScanOptions options)
    : impl_(std::make_unique<Impl>(std::move(channel), name_space, std::move(options))) {}

Scanner::~Scanner() = default;
Scanner::Scanner(Scanner&&) noexcept = default;
Scanner& Scanner::operator=(Scanner&&) noexcept = default;

absl::StatusOr<bool> Scanner::Next(Records* page) { return impl_->Next(page); }

const std::string& Scanner::token() const { return impl_->token(); }

}  // namespace varve::client
