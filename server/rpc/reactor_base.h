#ifndef VARVE_SERVER_RPC_REACTOR_BASE_H_
#define VARVE_SERVER_RPC_REACTOR_BASE_H_

#include <grpcpp/alarm.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/call_control.h"
#include "base/mutex.h"
#include "base/thread_pool.h"
#include "server/log.h"
#include "server/rpc/admission.h"
#include "server/rpc/call_access.h"
#include "server/rpc/call_identity.h"
#include "server/rpc/call_log.h"
#include "server/rpc/call_tracker.h"
#include "server/rpc/service_context.h"
#include "server/rpc/status_mapping.h"

namespace varve::server {

// The deadline a client gave its call.
inline absl::Time Deadline(const grpc::CallbackServerContext& rpc) {
  const auto deadline = rpc.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return absl::InfiniteFuture();
  return absl::FromChrono(deadline);
}

// What gRPC says of a call, and what the server gives it.
struct CallOrigin {
  std::string_view method;  // for the log; a literal
  grpc::CallbackServerContext& rpc;
  const ServiceContext& context;
};

// Call is what every call has, whatever gRPC reactor it is: a lifetime, an end that happens once,
// cancellation, and work on threads that may block.
//
// Access. Nothing of a call runs unless its key has the scope that the method takes (CallAccess).
//
// Lifetime. The call owns itself until gRPC is done with it (OnDone). Whoever may call back later
// (the index, the sync thread, an alarm) holds a shared_ptr, so that it always finds an object.
// Whatever needs gRPC, the request or the engine to be alive runs through Run(), and that does
// nothing once the call ends.
//
// End. The first End() decides the status; gRPC's Finish is called once, when no work runs and all
// that must be written before has been (FlushedLocked). Hence after OnDone no work of the call is
// running.
//
// Locks. gRPC's Start... and Finish are called under mu_, which is what makes "not after Finish"
// hold; gRPC never calls a reaction from within them.
template <typename Reactor>
class Call : public Reactor,
             public TrackedCall,
             public std::enable_shared_from_this<Call<Reactor>> {
 public:
  explicit Call(const CallOrigin& origin)
      : access_(origin.context.keys, origin.method, origin.rpc),
        context_(origin.context.ForCall(&access_)),
        method_(origin.method),
        metrics_(context_.metrics->calls.OfMethod(method_, kStreams)),
        identity_(IdentifyCall(origin.rpc.client_metadata())),
        log_fields_(LogFields(identity_)),
        control_(Deadline(origin.rpc)) {
    origin.rpc.AddTrailingMetadata(kRequestIdKey, identity_.request_id);
  }

  // Called once, by StartCall.
  void Launch() ABSL_LOCKS_EXCLUDED(mu_) {
    self_ = this->shared_from_this();
    metrics_.Begin();
    if (!context_.calls->Add(this)) {
      return End(absl::UnavailableError("the server is shutting down; retry elsewhere or later"));
    }
    if (absl::Status status = access_.Check(); !status.ok()) return End(std::move(status));
    Begin();
  }

  void OnCancel() final ABSL_LOCKS_EXCLUDED(mu_) {
    control_.Cancel();
    MutexLock lock(&mu_);
    AbandonLocked();
  }

  void OnDone() final {
    context_.calls->Remove(this);
    Released();
    self_.reset();
  }

  void Drain() override {}

 protected:
  // The first step: runs on a gRPC thread.
  virtual void Begin() = 0;
  // Gives back what the call holds of the server's: nothing of the call runs any more, but the
  // object itself may live on while somebody has yet to call back.
  virtual void Released() {}
  // Whether all that must reach the client before the end has done so.
  virtual bool FlushedLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return true; }

  // Ends the call as soon as FlushedLocked() and no work runs. Later calls have no effect.
  void End(absl::Status status) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    EndLocked(std::move(status));
  }
  void EndLocked(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!end_.has_value()) end_ = std::move(status);
    FinishIfReadyLocked();
  }
  bool ending() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return end_.has_value(); }

  // The client is gone: ends without waiting for what it will never read.
  void AbandonLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    abandoned_ = true;
    EndLocked(absl::CancelledError("the client is gone"));
  }
  bool abandoned() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return abandoned_; }

  // Runs `work` on `pool`, unless the call is ending. The call does not finish while it runs.
  void Run(ThreadPool* pool, absl::AnyInvocable<void()> work) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    if (end_.has_value()) return;
    ++running_;
    pool->Schedule([this, self = this->shared_from_this(), work = std::move(work)]() mutable {
      const LogScope scope(log_fields_);
      work();
      MutexLock lock(&mu_);
      --running_;
      FinishIfReadyLocked();
    });
  }

  // As Run(), after `delay`. One at a time.
  void RunAfter(absl::Duration delay, ThreadPool* pool, std::function<void()> work)
      ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    RunAfterLocked(delay, pool, std::move(work));
  }
  void RunAfterLocked(absl::Duration delay, ThreadPool* pool, std::function<void()> work)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (end_.has_value()) return;
    alarm_.emplace();
    // The alarm keeps its function until it is destroyed, and this object keeps the alarm: the
    // reference is moved out when it rings, or neither would ever be freed.
    alarm_->Set(absl::ToChronoTime(absl::Now() + delay),
                [this, pool, work = std::move(work),
                 self = this->shared_from_this()](bool /*rang*/) mutable {
                  const auto alive = std::move(self);
                  Run(pool, std::move(work));
                });
  }

  void FinishIfReadyLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!end_.has_value() || finished_ || running_ > 0 || !FlushedLocked()) return;
    finished_ = true;
    metrics_.Conclude(end_->code(), absl::Now() - begin_);
    const LogScope scope(log_fields_);
    LogCallEnd(method_, *end_);
    access_.LogEnd(*end_);
    this->Finish(ToGrpcStatus(*end_));
  }

  // Whether the call may go on: for streams, before each message.
  absl::Status CheckAccess() { return access_.Check(); }

  const CallControl& control() const { return control_; }
  // When it came.
  absl::Time begin() const { return begin_; }
  const ServiceContext& context() const { return context_; }

  mutable Mutex mu_;

 private:
  static constexpr bool kStreams = !std::is_same_v<Reactor, grpc::ServerUnaryReactor>;

  CallAccess access_;
  const ServiceContext context_;  // a copy: somebody may call back when the server is gone
  const std::string_view method_;
  MethodMetrics& metrics_;  // the server's
  const CallIdentity identity_;
  const std::vector<LogField> log_fields_;  // of identity_
  const absl::Time begin_ = absl::Now();
  CallControl control_;
  std::shared_ptr<Call> self_;
  std::optional<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  bool abandoned_ ABSL_GUARDED_BY(mu_) = false;
  int running_ ABSL_GUARDED_BY(mu_) = 0;
};

// Makes a call of class T and sets it going. What it returns is for gRPC.
template <typename T, typename... Args>
T* StartCall(Args&&... args) {
  const auto call = std::make_shared<T>(std::forward<Args>(args)...);
  call->Launch();
  return call.get();
}

// A call that sends messages: one write at a time, in the order of Send(), all of them before the
// end. How much is queued is for the derived class to bound.
template <typename Reactor, typename Response>
class StreamCall : public Call<Reactor> {
 public:
  using Call<Reactor>::Call;

  void OnWriteDone(bool ok) final {
    {
      MutexLock lock(&this->mu_);
      writing_ = false;
      queue_.pop_front();
      if (!ok) return this->AbandonLocked();
      WriteOrFinishLocked();
    }
    Written();
  }

 protected:
  // A message has gone out. On a gRPC thread; the next one may be going out meanwhile.
  virtual void Written() {}

  void Send(Response response) ABSL_LOCKS_EXCLUDED(this->mu_) {
    MutexLock lock(&this->mu_);
    SendLocked(std::move(response));
  }
  void SendLocked(Response response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this->mu_) {
    if (this->ending()) return;
    queue_.push_back(std::move(response));
    if (!writing_) WriteOrFinishLocked();
  }

  bool FlushedLocked() const final ABSL_EXCLUSIVE_LOCKS_REQUIRED(this->mu_) {
    return !writing_ && (queue_.empty() || this->abandoned());
  }

 private:
  void WriteOrFinishLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(this->mu_) {
    if (queue_.empty() || this->abandoned()) return this->FinishIfReadyLocked();
    writing_ = true;
    this->StartWrite(&queue_.front());
  }

  bool writing_ ABSL_GUARDED_BY(this->mu_) = false;
  std::deque<Response> queue_ ABSL_GUARDED_BY(this->mu_);
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_REACTOR_BASE_H_
