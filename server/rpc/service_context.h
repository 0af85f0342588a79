#ifndef VARVE_SERVER_RPC_SERVICE_CONTEXT_H_
#define VARVE_SERVER_RPC_SERVICE_CONTEXT_H_

#include <cstddef>

#include "absl/time/time.h"
#include "base/thread_pool.h"
#include "server/engine/engine.h"
#include "server/rpc/admission.h"
#include "server/rpc/call_tracker.h"
#include "server/rpc/server_metrics.h"

namespace varve::server {

// What all services and calls share. Owned by the server, which outlives every call.
struct ServiceContext {
  engine::Engine* engine;
  Admission* admission;
  CallTracker* calls;
  // gRPC's own threads must never block, so all work is done on these: searches and other reads on
  // one, writes on the other, so that neither waits behind the other's queue.
  ThreadPool* read_pool;
  ThreadPool* write_pool;
  ThreadPool* snapshot_pool;  // one thread: what it does takes long, and one at a time is enough
  ServerMetrics* metrics;
  // Limit of messages in both directions.
  size_t max_message_bytes;
  // Searches that take longer are logged; InfiniteDuration: none.
  absl::Duration slow_query;
  absl::Time start_time;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_SERVICE_CONTEXT_H_
