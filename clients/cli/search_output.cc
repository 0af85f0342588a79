#include "clients/cli/search_output.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <limits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/input/npy.h"

namespace varve::cli {
namespace {

using client::SearchBatchResult;

constexpr std::string_view kNpy = ".npy";
constexpr std::string_view kJsonLines = ".jsonl";

// Calls body(query, rank, position) for every result.
template <typename Body>
void ForEachHit(const SearchBatchResult& result, Body body) {
  size_t position = 0;
  for (size_t query = 0; query < result.counts.size(); ++query) {
    for (size_t rank = 0; rank < result.counts[query]; ++rank) body(query, rank, position++);
  }
}

absl::Status WriteWhole(const std::string& path, std::string_view head, std::string_view body) {
  const std::string partial = path + ".partial";
  std::ofstream file(partial, std::ios::binary | std::ios::trunc);
  file.write(head.data(), static_cast<std::streamsize>(head.size()));
  file.write(body.data(), static_cast<std::streamsize>(body.size()));
  file.close();
  if (!file || std::rename(partial.c_str(), path.c_str()) != 0) {
    const int error = errno;
    std::remove(partial.c_str());
    return absl::ErrnoToStatus(error == 0 ? EIO : error, StrCat("cannot write ", path));
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status WriteMatrix(const std::string& path, std::string_view dtype, size_t columns,
                         const std::vector<T>& values) {
  const std::string_view bytes(reinterpret_cast<const char*>(values.data()),
                               values.size() * sizeof(T));
  return WriteWhole(path, NpyHeader(dtype, {values.size() / columns, columns}), bytes);
}

absl::StatusOr<std::vector<int64_t>> IdMatrix(const SearchBatchResult& result,
                                              const std::vector<uint64_t>& ids, size_t k) {
  std::vector<int64_t> matrix(result.counts.size() * k, -1);
  uint64_t largest = 0;
  ForEachHit(result, [&](size_t query, size_t rank, size_t position) {
    largest = std::max(largest, ids[position]);
    matrix[query * k + rank] = static_cast<int64_t>(ids[position]);
  });
  if (largest > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return absl::InvalidArgumentError(
        StrCat("id ", largest, " does not fit the int64 of a .npy file; write a .jsonl file"));
  }
  return matrix;
}

std::vector<float> DistanceMatrix(const SearchBatchResult& result, size_t k) {
  std::vector<float> matrix(result.counts.size() * k, std::numeric_limits<float>::infinity());
  ForEachHit(result, [&](size_t query, size_t rank, size_t position) {
    matrix[query * k + rank] = result.distances[position];
  });
  return matrix;
}

absl::Status WriteJsonLines(const SearchBatchResult& result, const std::string& path) {
  std::vector<Json> lines;
  for (size_t query = 0; query < result.counts.size(); ++query) {
    lines.push_back({{"query", query}, {"ids", Json::array()}, {"distances", Json::array()}});
  }
  ForEachHit(result, [&](size_t query, size_t, size_t position) {
    lines[query]["ids"].push_back(ToJson(client::At(result.ids, position)));
    lines[query]["distances"].push_back(ToJson(result.distances[position]));
  });
  std::string text;
  for (const Json& line : lines) text += ToText(line) + "\n";
  return WriteWhole(path, "", text);
}

}  // namespace

Json HitsJson(const SearchBatchResult& result) {
  std::vector<Json> queries(result.counts.size(), Json::array());
  ForEachHit(result, [&](size_t query, size_t, size_t position) {
    queries[query].push_back({{"id", ToJson(client::At(result.ids, position))},
                              {"distance", ToJson(result.distances[position])}});
  });
  return queries;
}

std::string HitsTable(const SearchBatchResult& result) {
  Table table({"QUERY", "RANK", "ID", "DISTANCE"});
  ForEachHit(result, [&](size_t query, size_t rank, size_t position) {
    table.Add({StrCat(query), StrCat(rank + 1), IdText(client::At(result.ids, position)),
               absl::StrFormat("%.6g", result.distances[position])});
  });
  return table.Text();
}

bool IsSearchOutputName(std::string_view path) {
  return path.ends_with(kNpy) || path.ends_with(kJsonLines);
}

absl::StatusOr<SearchFiles> WriteHits(const SearchBatchResult& result, size_t k,
                                      const std::string& path) {
  if (path.ends_with(kJsonLines)) {
    VARVE_RETURN_IF_ERROR(WriteJsonLines(result, path));
    return SearchFiles{.ids = path, .distances = ""};
  }
  const std::string stem = path.substr(0, path.size() - kNpy.size());
  SearchFiles files{.ids = path, .distances = StrCat(stem, ".distances.npy")};
  if (const auto* numbers = std::get_if<std::vector<uint64_t>>(&result.ids)) {
    VARVE_ASSIGN_OR_RETURN(const std::vector<int64_t> ids, IdMatrix(result, *numbers, k));
    VARVE_RETURN_IF_ERROR(WriteMatrix(files.ids, "<i8", k, ids));
  } else {
    files.ids = StrCat(stem, kJsonLines);
    VARVE_RETURN_IF_ERROR(WriteJsonLines(result, files.ids));
  }
  VARVE_RETURN_IF_ERROR(WriteMatrix(files.distances, "<f4", k, DistanceMatrix(result, k)));
  return files;
}

}  // namespace varve::cli
