#ifndef VARVE_CLIENTS_CLI_SEARCH_OUTPUT_H_
#define VARVE_CLIENTS_CLI_SEARCH_OUTPUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cli/json.h"
#include "clients/cpp/varve/client.h"

namespace varve::cli {

// [{"id": 7, "distance": 0.25}, ...] for every query.
Json HitsJson(const client::SearchBatchResult& result);

// A table for people: query, rank, id, distance.
std::string HitsTable(const client::SearchBatchResult& result);

// Whether results can be written to a file of this name: .npy or .jsonl.
bool IsSearchOutputName(std::string_view path);

struct SearchFiles {
  std::string ids;
  std::string distances;  // empty: in the same file
};

// Writes results to files, each whole or not at all.
//   NAME.npy    ids as int64 [queries, k], -1 where a query has fewer than k results, and
//               NAME.distances.npy with float32, infinite there. Text ids go to NAME.jsonl instead.
//   NAME.jsonl  {"query": 0, "ids": [...], "distances": [...]}, a line for each query
// Returns what was written. InvalidArgument: a number does not fit int64.
absl::StatusOr<SearchFiles> WriteHits(const client::SearchBatchResult& result, size_t k,
                                      const std::string& path);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_SEARCH_OUTPUT_H_
