#include "clients/cli/verbs/index_options.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/str_cat.h"

namespace varve::cli {
namespace {

const std::vector<std::pair<std::string, client::Quantization>> kQuantizations = {
    {"int8", client::Quantization::kInt8}, {"none", client::Quantization::kNone}};

}  // namespace

void AddIndexOptions(CLI::App* verb, client::IndexOptions* index) {
  const auto add = [&](const char* name, std::optional<uint32_t>* value, const char* help) {
    verb->add_option(name, *value, help);
  };
  add("--m", &index->m, "Links per node of the graph, 4 to 128");
  add("--ef-construction", &index->ef_construction, "Candidates while linking, 16 to 4096");
  add("--ef-search", &index->ef_search, "Candidates while searching, 1 to 10000");
  add("--segment-size-threshold", &index->segment_size_threshold,
      "Rows at which a segment is sealed");
  add("--parallel-insert-threshold", &index->parallel_insert_threshold,
      "Waiting rows from which on all cores link");
  add("--max-unindexed-rows", &index->max_unindexed_rows,
      "Rows that may wait to be linked before ingest is held back");
  add("--tombstone-rebuild-pct", &index->tombstone_rebuild_pct,
      "Share of dead rows that has a segment rebuilt, 1 to 100");
  verb->add_option("--auto-compaction", index->auto_compaction,
                   "true or false: whether segments are merged and rebuilt in the background");
  AddChoice(verb, "--quantization", &index->quantization, kQuantizations,
            "int8 (default) or none: what graphs are built and walked on");
}

void AddLimitOptions(CLI::App* verb, client::NamespaceLimits* limits) {
  ForEachLimit(limits, [&](std::string name, auto& limit, const char* help) {
    std::replace(name.begin(), name.end(), '_', '-');
    verb->add_option("--" + name, limit, StrCat(help, "; 0: no limit"));
  });
}

}  // namespace varve::cli
