#ifndef VARVE_SERVER_RPC_SERVICE_CONTEXT_H_
#define VARVE_SERVER_RPC_SERVICE_CONTEXT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/call_control.h"
#include "base/thread_pool.h"
#include "server/engine/engine.h"
#include "server/rpc/admission.h"
#include "server/rpc/call_access.h"
#include "server/rpc/call_tracker.h"
#include "server/rpc/server_metrics.h"
#include "server/rpc/write_gate.h"

namespace varve::server {

// What one request may ask for. May be changed at any time, by any thread.
struct RequestLimits {
  std::atomic<uint32_t> k = engine::kResultsMax;
  std::atomic<uint32_t> ef_search = engine::kEfMax;
};

// What all services and calls share. Owned by the server, which outlives every call. Each call has a
// copy with its own `access` in it, and comes to namespaces through that copy alone.
struct ServiceContext {
  engine::Engine* engine;
  Admission* admission;
  CallTracker* calls;
  // gRPC's own threads must never block, so all work is done on these: searches and other reads on
  // one, writes on the other, so that neither waits behind the other's queue.
  ThreadPool* read_pool;
  ThreadPool* write_pool;
  ThreadPool* snapshot_pool;  // one thread: what it does takes long, and one at a time is enough
  WriteGate* gate;
  const RequestLimits* limits;
  ServerMetrics* metrics;
  // Limit of messages in both directions.
  size_t max_message_bytes;
  // Searches that take longer are logged; InfiniteDuration: none.
  absl::Duration slow_query;
  absl::Time start_time;
  const KeyRing* keys;           // nullptr: calls need no key
  CallAccess* access = nullptr;  // of the call whose copy this is

  ServiceContext ForCall(CallAccess* access_of_call) const;

  // As the engine's, save that a namespace which the call's key does not cover does not exist.
  absl::StatusOr<std::shared_ptr<engine::Namespace>> FindNamespace(std::string_view name) const;
  std::vector<engine::NamespaceSchema> ListNamespaces(std::string_view after, size_t limit) const;
  absl::Status DeleteNamespace(std::string_view name) const;
  // PermissionDenied: the call's key does not cover the name.
  absl::StatusOr<engine::NamespaceSchema> CreateNamespace(engine::NamespaceSchema schema) const;
  absl::Status AdoptNamespace(const std::string& data_dir, const std::string& name,
                              const std::string& as, const CallControl& control) const;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_SERVICE_CONTEXT_H_
