#ifndef VARVE_SERVER_METRICS_H_
#define VARVE_SERVER_METRICS_H_

#include <cstddef>
#include <string>

#include "server/engine/engine.h"
#include "server/rpc/server.h"

namespace varve::server {

// Namespaces that have series of their own: those that have the most rows. The others that are open
// are added up under the name "_other", which no namespace can have.
inline constexpr size_t kNamespaceSeriesMax = 100;

// All that the server measures at this moment, in Prometheus' text form; docs/operations.md says what
// each of it means. Reads counters, opens no namespace and reads no record. Thread-safe.
std::string MetricsText(const engine::Engine& engine, const Server& server);

}  // namespace varve::server

#endif  // VARVE_SERVER_METRICS_H_
