#ifndef VARVE_SERVER_RPC_NAMESPACE_LIMITS_H_
#define VARVE_SERVER_RPC_NAMESPACE_LIMITS_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/engine/namespace.h"

namespace varve::server {

// What a namespace's own limits say to a call (engine::NamespaceLimits; those of what it holds are the
// engine's). ResourceExhausted names the namespace, the limit, and what was wanted; with a retry hint where
// waiting helps.

// To a request, or a batch, of so many bytes.
absl::Status CheckRequestBytes(const engine::Namespace& asked, size_t bytes);
// As much as one request may have of `server_max`.
size_t RequestBytesMax(const engine::Namespace& asked, size_t server_max);

// To one more search, or ingest stream, for as long as the share is there. The namespace outlives it.
absl::StatusOr<engine::Occupancy::Share> BeginSearch(const engine::Namespace& searched);
absl::StatusOr<engine::Occupancy::Share> OpenStream(const engine::Namespace& written);

// The rate of ingest: how long until more may come, and that so much has. Streams are not read on before.
absl::Duration IngestOwed(const engine::Namespace& written);
void CountIngest(const engine::Namespace& written, size_t bytes);
// Both at once, for a write that is there already: it is refused where it would have to wait.
absl::Status PassIngest(const engine::Namespace& written, size_t bytes);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_NAMESPACE_LIMITS_H_
