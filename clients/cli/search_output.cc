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

absl::Status WriteJsonLines(const Found& found, const std::string& path) {
  const SearchBatchResult& hits = found.hits;
  std::vector<Json> lines;
  for (size_t query = 0; query < hits.counts.size(); ++query) {
    lines.push_back({{"query", query}, {"ids", Json::array()}, {"distances", Json::array()}});
    if (!found.groups.empty()) lines.back()["groups"] = Json::array();
    if (!found.metadata.empty()) lines.back()["metadata"] = Json::array();
  }
  ForEachHit(hits, [&](size_t query, size_t, size_t position) {
    Json& line = lines[query];
    line["ids"].push_back(ToJson(client::At(hits.ids, position)));
    line["distances"].push_back(ToJson(hits.distances[position]));
    if (!found.groups.empty()) line["groups"].push_back(ToJson(found.groups[position]));
    if (!found.metadata.empty()) line["metadata"].push_back(ToJson(found.metadata[position]));
  });
  std::string text;
  for (const Json& line : lines) text += ToText(line) + "\n";
  return WriteWhole(path, "", text);
}

// A group as a cell: text as it is, any other value as JSON.
std::string Cell(const client::Value& value) {
  const auto* const text = value.get_if<std::string>();
  return text != nullptr ? IdText(*text) : ToText(ToJson(value));
}

}  // namespace

Json HitsJson(const Found& found) {
  const SearchBatchResult& hits = found.hits;
  std::vector<Json> queries(hits.counts.size(), Json::array());
  ForEachHit(hits, [&](size_t query, size_t, size_t position) {
    Json hit = {{"id", ToJson(client::At(hits.ids, position))},
                {"distance", ToJson(hits.distances[position])}};
    if (!found.groups.empty()) hit["group"] = ToJson(found.groups[position]);
    if (!found.metadata.empty()) hit["metadata"] = ToJson(found.metadata[position]);
    queries[query].push_back(std::move(hit));
  });
  return queries;
}

std::string HitsTable(const Found& found) {
  const SearchBatchResult& hits = found.hits;
  std::vector<std::string> head = {"QUERY", "RANK", "ID", "DISTANCE"};
  if (!found.groups.empty()) head.push_back("GROUP");
  if (!found.metadata.empty()) head.push_back("METADATA");
  Table table(std::move(head));
  ForEachHit(hits, [&](size_t query, size_t rank, size_t position) {
    std::vector<std::string> line = {StrCat(query), StrCat(rank + 1),
                                     IdText(client::At(hits.ids, position)),
                                     absl::StrFormat("%.6g", hits.distances[position])};
    if (!found.groups.empty()) line.push_back(Cell(found.groups[position]));
    if (!found.metadata.empty()) line.push_back(ToText(ToJson(found.metadata[position])));
    table.Add(std::move(line));
  });
  return table.Text();
}

Json ExplanationJson(const client::Explanation& explanation) {
  Json segments = Json::array();
  for (const client::SegmentExplanation& segment : explanation.segments) {
    segments.push_back({{"segment", segment.segment_id},
                        {"rows", segment.rows},
                        {"plan", client::SearchPlanName(segment.plan)},
                        {"gave_up", segment.gave_up},
                        {"estimated_selectivity", segment.estimated_selectivity},
                        {"selectivity", segment.selectivity},
                        {"distances", segment.distances},
                        {"hops", segment.hops},
                        {"dead_rows", segment.dead_rows},
                        {"rescored_rows", segment.rescored_rows},
                        {"seconds", absl::ToDoubleSeconds(segment.time)}});
  }
  return {{"filter_seconds", absl::ToDoubleSeconds(explanation.filter_time)},
          {"segments", segments}};
}

std::string ExplanationTable(const client::Explanation& explanation) {
  Table table({"SEGMENT", "ROWS", "PLAN", "ESTIMATED %", "TRUE %", "DISTANCES", "HOPS", "DEAD",
               "RESCORED", "MS"});
  for (const client::SegmentExplanation& segment : explanation.segments) {
    table.Add(
        {StrCat(segment.segment_id), Thousands(segment.rows),
         StrCat(client::SearchPlanName(segment.plan), segment.gave_up ? ", gave up a walk" : ""),
         Percent(segment.estimated_selectivity), Percent(segment.selectivity),
         Thousands(segment.distances), Thousands(segment.hops), Thousands(segment.dead_rows),
         Thousands(segment.rescored_rows), Milliseconds(segment.time)});
  }
  return StrCat(table.Text(), "filter: ", Milliseconds(explanation.filter_time), " ms\n");
}

bool IsSearchOutputName(std::string_view path) {
  return path.ends_with(kNpy) || path.ends_with(kJsonLines);
}

absl::StatusOr<SearchFiles> WriteHits(const Found& found, size_t k, const std::string& path) {
  const SearchBatchResult& result = found.hits;
  if (path.ends_with(kJsonLines)) {
    VARVE_RETURN_IF_ERROR(WriteJsonLines(found, path));
    return SearchFiles{.ids = path, .distances = ""};
  }
  const std::string stem = path.substr(0, path.size() - kNpy.size());
  SearchFiles files{.ids = path, .distances = StrCat(stem, ".distances.npy")};
  if (const auto* numbers = std::get_if<std::vector<uint64_t>>(&result.ids)) {
    VARVE_ASSIGN_OR_RETURN(const std::vector<int64_t> ids, IdMatrix(result, *numbers, k));
    VARVE_RETURN_IF_ERROR(WriteMatrix(files.ids, "<i8", k, ids));
  } else {
    files.ids = StrCat(stem, kJsonLines);
    VARVE_RETURN_IF_ERROR(WriteJsonLines(found, files.ids));
  }
  VARVE_RETURN_IF_ERROR(WriteMatrix(files.distances, "<f4", k, DistanceMatrix(result, k)));
  return files;
}

}  // namespace varve::cli
