#ifndef VARVE_CLIENTS_CPP_VARVE_INTERNAL_CHANNEL_H_
#define VARVE_CLIENTS_CPP_VARVE_INTERNAL_CHANNEL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "clients/cpp/varve/client.h"
#include "clients/cpp/varve/internal/credentials.h"
#include "varve/v1/admin_service.grpc.pb.h"
#include "varve/v1/ingest_service.grpc.pb.h"
#include "varve/v1/namespace_service.grpc.pb.h"
#include "varve/v1/query_service.grpc.pb.h"

namespace varve::client::internal {

// Channel is what a Client, its scanners and its ingest writers share: the gRPC channel, a stub for
// each service, and the means to cancel all that is under way. Thread-safe.
class Channel {
 public:
  Channel(std::string target, const ClientOptions& options, Credentials credentials);

  v1::NamespaceService::Stub& namespaces() { return *namespaces_; }
  v1::IngestService::Stub& ingest() { return *ingest_; }
  v1::QueryService::Stub& query() { return *query_; }
  v1::AdminService::Stub& admin() { return *admin_; }

  // Of every call's metadata of that name; empty: none.
  const std::string& authorization() const { return authorization_; }

  // A call's deadline, counted from now.
  absl::Time Deadline(const CallOptions& call) const;

  // The same code and message; Unavailable names the server too.
  absl::Status ToAbsl(const grpc::Status& status) const;

  void CancelAll() ABSL_LOCKS_EXCLUDED(mu_);
  bool cancelled() const ABSL_LOCKS_EXCLUDED(mu_);

  // Waits for so long before a call is tried again: less when the connection comes back meanwhile,
  // or when `stop` says so (it is asked ten times a second).
  void Pause(absl::Duration at_most, const std::function<bool()>& stop);

  // Asynchronous calls under way: gRPC cannot end a channel on the thread that calls back.
  void BeginAsync() ABSL_LOCKS_EXCLUDED(mu_);
  void EndAsync() ABSL_LOCKS_EXCLUDED(mu_);
  void WaitForAsync() ABSL_LOCKS_EXCLUDED(mu_);

  // Runs `hook` when CancelAll is called (now, if it has been), once at most, and not after the
  // OnCancel is gone. The hook runs under the channel's lock: it must be brief and not come back
  // here.
  class OnCancel {
   public:
    OnCancel(Channel* channel, std::function<void()> hook);
    ~OnCancel();
    OnCancel(const OnCancel&) = delete;
    OnCancel& operator=(const OnCancel&) = delete;

   private:
    Channel* const channel_;
    std::list<std::function<void()>>::iterator position_;
  };

 private:
  const std::string target_;
  const absl::Duration timeout_;
  const std::string authorization_;
  const std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::NamespaceService::Stub> namespaces_;
  std::unique_ptr<v1::IngestService::Stub> ingest_;
  std::unique_ptr<v1::QueryService::Stub> query_;
  std::unique_ptr<v1::AdminService::Stub> admin_;

  mutable Mutex mu_;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  size_t async_calls_ ABSL_GUARDED_BY(mu_) = 0;
  CondVar no_async_calls_;
  std::list<std::function<void()>> cancel_hooks_ ABSL_GUARDED_BY(mu_);
};

// The context of one call, which CancelAll reaches.
class CallContext {
 public:
  explicit CallContext(Channel* channel, absl::Time deadline = absl::InfiniteFuture());

  grpc::ClientContext* get() { return &context_; }
  grpc::ClientContext* operator->() { return &context_; }

 private:
  grpc::ClientContext context_;
  Channel::OnCancel on_cancel_;
};

}  // namespace varve::client::internal

#endif  // VARVE_CLIENTS_CPP_VARVE_INTERNAL_CHANNEL_H_
