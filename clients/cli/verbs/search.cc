#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/input/vector_file.h"
#include "clients/cli/search_output.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

struct SearchVerbOptions {
  std::string name_space;
  std::string queries;
  std::optional<uint32_t> dimension;
  client::SearchOptions search;
  std::string output;
};

absl::Status CheckUsage(const SearchVerbOptions& options) {
  if (!IsVectorFileName(options.queries)) {
    return UsageError(
        StrCat("--queries must be a .npy, .f32, .fvecs or .bvecs file, is ", options.queries));
  }
  if (NeedsDimension(options.queries) && !options.dimension) {
    return UsageError("a .f32 file needs --dimension");
  }
  if (!options.output.empty() && !IsSearchOutputName(options.output)) {
    return UsageError(StrCat("--output must be a .npy or .jsonl file, is ", options.output));
  }
  return absl::OkStatus();
}

absl::Status Print(const SearchVerbOptions& options, const client::SearchBatchResult& result,
                   absl::Duration elapsed, Session& session) {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  const size_t queries = result.counts.size();
  const double per_second = static_cast<double>(queries) / seconds;
  Json summary = {{"queries", queries},
                  {"k", options.search.k},
                  {"seconds", seconds},
                  {"queries_per_second", per_second},
                  {"sequence", result.sequence}};
  if (options.output.empty()) {
    if (session.json) summary["results"] = HitsJson(result);
    if (!session.json) session.out() << HitsTable(result);
  } else {
    VARVE_ASSIGN_OR_RETURN(const SearchFiles files,
                           WriteHits(result, options.search.k, options.output));
    summary["output"] = files.ids;
    if (!files.distances.empty()) summary["distances"] = files.distances;
    if (!session.json) {
      session.out() << "wrote " << files.ids
                    << (files.distances.empty() ? "" : StrCat(" and ", files.distances)) << "\n";
    }
  }
  if (session.json) {
    session.PrintJson(summary);
  } else {
    session.err() << absl::StrFormat("%s queries in %s: %.1f queries/s\n", Thousands(queries),
                                     Took(elapsed), per_second);
  }
  return absl::OkStatus();
}

absl::Status RunSearch(const SearchVerbOptions& options, Session& session) {
  VARVE_RETURN_IF_ERROR(CheckUsage(options));
  VARVE_ASSIGN_OR_RETURN(const VectorFile queries,
                         VectorFile::Open(options.queries, options.dimension));
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  std::string scratch;
  const TensorView tensor = queries.Rows(0, queries.rows(), &scratch);
  const absl::Time start = absl::Now();
  VARVE_ASSIGN_OR_RETURN(const client::SearchBatchResult result,
                         client->SearchBatch(options.name_space, tensor, options.search));
  return Print(options, result, absl::Now() - start, session);
}

}  // namespace

void AddSearch(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<SearchVerbOptions>();
  CLI::App* const verb = app.add_subcommand("search", "Finds the nearest records to vectors");
  verb->add_option("NS", options->name_space, "Name of the namespace")->required();
  verb->add_option("--queries", options->queries, "File of vectors: .npy, .f32, .fvecs or .bvecs")
      ->required();
  verb->add_option("--dimension", options->dimension, "Elements per vector, for .f32");
  verb->add_option("-k,--k", options->search.k, "Results per query, 1 to 10000")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  verb->add_option("--ef", options->search.ef_search,
                   "Effort: candidates per segment (the namespace's ef_search)");
  verb->add_flag("--exact", options->search.exact, "Compare with every record");
  verb->add_option("--min-sequence", options->search.min_sequence,
                   "Wait until this commit is seen");
  verb->add_option(
          "--output", options->output,
          "Write ids to FILE.npy and distances to FILE.distances.npy, or both to FILE.jsonl")
      ->type_name("FILE");
  verb->callback([=] { *chosen = [=](Session& session) { return RunSearch(*options, session); }; });
}

}  // namespace varve::cli
