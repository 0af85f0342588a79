#include "clients/cpp/varve/internal/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "base/str_cat.h"

namespace varve::client::internal {
namespace {

grpc::ChannelArguments Arguments(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(options.max_receive_bytes));
  arguments.SetMaxSendMessageSize(-1);  // the server names its limit when it refuses a message
  // A peer that is gone without a word (a cut cable, a frozen process) is noticed within 30
  // seconds.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  // Also while nothing is sent: a server may hold a stream back for minutes.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A server that comes back is found soon: gRPC's own pauses grow to two minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5'000);  // time one attempt to connect has
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 5'000);
  // http_proxy is meant for the web; a database is spoken to directly.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

}  // namespace

Channel::Channel(std::string target, const ClientOptions& options, Credentials credentials)
    : target_(std::move(target)),
      timeout_(options.timeout),
      authorization_(std::move(credentials.authorization)),
      channel_(grpc::CreateCustomChannel(target_, credentials.channel, Arguments(options))) {
  namespaces_ = v1::NamespaceService::NewStub(channel_);
  ingest_ = v1::IngestService::NewStub(channel_);
  query_ = v1::QueryService::NewStub(channel_);
  admin_ = v1::AdminService::NewStub(channel_);
}

absl::Time Channel::Deadline(const CallOptions& call) const {
  return absl::Now() + call.timeout.value_or(timeout_);
}

absl::Status Channel::ToAbsl(const grpc::Status& status) const {
  if (status.ok()) return absl::OkStatus();
  // The two enumerations are the same numbers.
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  std::string message = status.error_message();
  if (code == absl::StatusCode::kUnavailable) {
    message = StrCat("server ", target_, ": ", message);
  } else if (message.empty()) {
    message = StrCat("the server gave no reason (", absl::StatusCodeToString(code), ")");
  }
  return absl::Status(code, message);
}

void Channel::CancelAll() {
  MutexLock lock(&mu_);
  if (cancelled_) return;
  cancelled_ = true;
  for (const std::function<void()>& hook : cancel_hooks_) hook();
}

bool Channel::cancelled() const {
  MutexLock lock(&mu_);
  return cancelled_;
}

void Channel::BeginAsync() {
  MutexLock lock(&mu_);
  ++async_calls_;
}

// Under the lock to the end: whoever waits destroys the channel next.
void Channel::EndAsync() {
  MutexLock lock(&mu_);
  if (--async_calls_ == 0) no_async_calls_.SignalAll();
}

void Channel::WaitForAsync() {
  MutexLock lock(&mu_);
  while (async_calls_ > 0) no_async_calls_.Wait(&mu_);
}

// gRPC gets on with connecting only while a thread waits for this channel (else it looks every five
// seconds), and that wait cannot be interrupted: hence no condition variable.
void Channel::Pause(absl::Duration at_most, const std::function<bool()>& stop) {
  const absl::Time end = absl::Now() + at_most;
  grpc_connectivity_state before = channel_->GetState(/*try_to_connect=*/true);
  while (absl::Now() < end && !stop()) {
    const absl::Time look = std::min(end, absl::Now() + absl::Milliseconds(100));
    channel_->WaitForStateChange(before, absl::ToChronoTime(look));
    const grpc_connectivity_state state = channel_->GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_READY && before != GRPC_CHANNEL_READY) return;
    before = state;
  }
}

Channel::OnCancel::OnCancel(Channel* channel, std::function<void()> hook) : channel_(channel) {
  MutexLock lock(&channel_->mu_);
  if (channel_->cancelled_) hook();
  channel_->cancel_hooks_.push_front(std::move(hook));
  position_ = channel_->cancel_hooks_.begin();
}

Channel::OnCancel::~OnCancel() {
  MutexLock lock(&channel_->mu_);
  channel_->cancel_hooks_.erase(position_);
}

CallContext::CallContext(Channel* channel, absl::Time deadline)
    : on_cancel_(channel, [this] { context_.TryCancel(); }) {
  if (deadline != absl::InfiniteFuture()) context_.set_deadline(absl::ToChronoTime(deadline));
  if (!channel->authorization().empty()) {
    context_.AddMetadata("authorization", channel->authorization());
  }
}

}  // namespace varve::client::internal
