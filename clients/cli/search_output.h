#ifndef VARVE_CLIENTS_CLI_SEARCH_OUTPUT_H_
#define VARVE_CLIENTS_CLI_SEARCH_OUTPUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cli/json.h"
#include "clients/cpp/varve/client.h"

namespace varve::cli {

// What was found for all queries, packed, and what searches one by one bring besides.
struct Found {
  client::SearchBatchResult hits;
  std::vector<client::Metadata> metadata;  // of each hit, or none
  std::vector<client::Value> groups;       // of each hit, or none
};

// [{"id": 7, "distance": 0.25}, ...] for every query, with "group" and "metadata" if they are
// there.
Json HitsJson(const Found& found);

// A table for people: query, rank, id, distance, and group and metadata if they are there.
std::string HitsTable(const Found& found);

// How a search went, segment by segment: {"filter_seconds": ..., "segments": [...]}.
Json ExplanationJson(const client::Explanation& explanation);

// The same as a table for people, and the filter's time below it.
std::string ExplanationTable(const client::Explanation& explanation);

// Whether results can be written to a file of this name: .npy or .jsonl.
bool IsSearchOutputName(std::string_view path);

struct SearchFiles {
  std::string ids;
  std::string distances;  // empty: in the same file
};

// Writes results to files, each whole or not at all.
//   NAME.npy    ids as int64 [queries, k], -1 where a query has fewer than k results, and
//               NAME.distances.npy with float32, infinite there. Text ids go to NAME.jsonl instead.
//   NAME.jsonl  {"query": 0, "ids": [...], "distances": [...]}, a line for each query;
//               with "groups" and "metadata" if they are there
// `k` is how many results a query has at most. Returns what was written. InvalidArgument: a number
// does not fit int64.
absl::StatusOr<SearchFiles> WriteHits(const Found& found, size_t k, const std::string& path);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_SEARCH_OUTPUT_H_
