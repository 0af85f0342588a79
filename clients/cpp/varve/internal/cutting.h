#ifndef VARVE_CLIENTS_CPP_VARVE_INTERNAL_CUTTING_H_
#define VARVE_CLIENTS_CPP_VARVE_INTERNAL_CUTTING_H_

#include <cstddef>
#include <cstdint>

#include "clients/cpp/varve/records.h"

// How long lists are cut so that every message, both ways, stays below gRPC's 4 MiB default.
namespace varve::client::internal {

inline constexpr size_t kMessageBytesMax = size_t{4} << 20;
inline constexpr size_t kTextIdBytesMax = 512;
inline constexpr size_t kGetIdsMax = 10'000;
inline constexpr size_t kSearchResultsMax = 4'000'000;  // queries x k of one SearchBatch

// Queries that one SearchBatch carries; at least 1.
size_t QueriesPerCall(size_t query_bytes, uint32_t k);

// How many ids from position `first` on one message carries: `most` at most; at least 1.
size_t IdsPerCall(const IdsView& ids, size_t first, size_t most);

}  // namespace varve::client::internal

#endif  // VARVE_CLIENTS_CPP_VARVE_INTERNAL_CUTTING_H_
