#ifndef VARVE_SERVER_RPC_SCHEMA_MAPPING_H_
#define VARVE_SERVER_RPC_SCHEMA_MAPPING_H_

#include "absl/status/statusor.h"
#include "server/engine/schema.h"
#include "varve/v1/namespace_service.pb.h"

namespace varve::server {

// The wire's words for a schema and the engine's. Reading fills in the defaults of what is not set
// and refuses enum values this server does not know; ranges and names are for the engine to check.

// `create_time` is not read: it is the server's to set.
absl::StatusOr<engine::NamespaceSchema> DecodeNamespace(const v1::Namespace& in);
v1::Namespace EncodeNamespace(const engine::NamespaceSchema& schema);

engine::IndexOptionsUpdate DecodeIndexOptions(const v1::IndexOptions& in);
engine::NamespaceLimits DecodeLimits(const v1::NamespaceLimits& in);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_SCHEMA_MAPPING_H_
