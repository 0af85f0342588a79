#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/input/id_column.h"
#include "clients/cli/search_output.h"
#include "clients/cli/verbs/ids_argument.h"
#include "clients/cli/verbs/search_queries.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

constexpr std::string_view kJsonLines = ".jsonl";

struct SearchVerbOptions {
  std::string directory;   // of `query`
  std::string name_space;  // empty, of `query`: the only one
  std::string queries;
  std::optional<uint32_t> dimension;
  std::string query_offsets;
  std::vector<std::string> like;
  std::vector<std::string> unlike;
  client::SearchOptions search;
  std::optional<float> diversity;
  std::string output;

  // Results that a query has at most.
  size_t most() const {
    return size_t{search.k} * (search.group_by.empty() ? 1 : search.group_size);
  }
};

absl::Status CheckQueries(const SearchVerbOptions& options) {
  if (options.queries.empty() == options.like.empty()) {
    return UsageError("name a file of --queries, or examples with --like, not both");
  }
  if (options.queries.empty()) {
    return options.query_offsets.empty() ? absl::OkStatus()
                                         : UsageError("--query-offsets are for --queries");
  }
  if (!options.unlike.empty()) return UsageError("--unlike goes with --like");
  if (!IsVectorFileName(options.queries)) {
    return UsageError(
        StrCat("--queries must be a ", kVectorFileNames, " file, is ", options.queries));
  }
  if (NeedsDimension(options.queries) && !options.dimension) {
    return UsageError("a .f32 file needs --dimension");
  }
  return absl::OkStatus();
}

absl::Status CheckUsage(const SearchVerbOptions& options) {
  VARVE_RETURN_IF_ERROR(CheckQueries(options));
  if (options.output.empty()) return absl::OkStatus();
  if (!IsSearchOutputName(options.output)) {
    return UsageError(StrCat("--output must be a .npy or .jsonl file, is ", options.output));
  }
  if (options.search.include_metadata && !options.output.ends_with(kJsonLines)) {
    return UsageError(
        StrCat("--metadata is printed, or goes to a .jsonl file, not to ", options.output));
  }
  return absl::OkStatus();
}

// Whether the field that is searched has several vectors for each record. One that does not exist
// is for the server to miss.
bool IsMultiVector(const client::Namespace& space, const std::string& name) {
  for (const client::VectorField& field : space.fields) {
    if (field.name == name) return field.multi_vector;
  }
  return false;
}

absl::Status PushBack(const client::Id& id, client::Ids* ids) {
  return std::visit(
      [&](const auto& value) -> absl::Status {
        using List = std::vector<std::decay_t<decltype(value)>>;
        if (client::Size(*ids) == 0) *ids = List();
        List* const list = std::get_if<List>(ids);
        if (list == nullptr) return absl::InternalError("the server sent ids of both kinds");
        list->push_back(value);
        return absl::OkStatus();
      },
      id);
}

absl::Status Add(client::SearchResult result, const client::SearchOptions& options, Found* found) {
  client::SearchBatchResult& hits = found->hits;
  if (hits.counts.empty()) hits.explanation = std::move(result.explanation);
  hits.sequence = hits.counts.empty() ? result.sequence : std::min(hits.sequence, result.sequence);
  hits.counts.push_back(static_cast<uint32_t>(result.hits.size()));
  for (client::Hit& hit : result.hits) {
    VARVE_RETURN_IF_ERROR(PushBack(hit.id, &hits.ids));
    hits.distances.push_back(hit.distance);
    if (options.include_metadata) found->metadata.push_back(std::move(hit.metadata));
    if (!options.group_by.empty()) found->groups.push_back(std::move(hit.group));
  }
  return absl::OkStatus();
}

// As SearchBatch, for what that does not do.
absl::StatusOr<Found> SearchOneByOne(const SearchVerbOptions& options, SearchQueries queries,
                                     client::Client* client) {
  Found found;
  client::SearchOptions search = options.search;
  for (size_t i = 0; i < queries.size(); ++i) {
    VARVE_ASSIGN_OR_RETURN(client::SearchResult result,
                           client->Search(options.name_space, queries.Query(i), search));
    VARVE_RETURN_IF_ERROR(Add(std::move(result), search, &found));
    search.explain = false;  // the first is told of
  }
  return found;
}

absl::StatusOr<Found> SearchQueriesOf(const SearchVerbOptions& options, bool multi_vector,
                                      client::Client* client) {
  if (!multi_vector && !options.query_offsets.empty()) {
    return absl::InvalidArgumentError(
        "--query-offsets are for a field of several vectors for each record");
  }
  VARVE_ASSIGN_OR_RETURN(
      SearchQueries queries,
      SearchQueries::Open(options.queries, options.dimension, multi_vector, options.query_offsets));
  const client::SearchOptions& search = options.search;
  if (multi_vector || search.include_metadata || !search.group_by.empty() || search.diversity) {
    return SearchOneByOne(options, std::move(queries), client);
  }
  Found found;
  VARVE_ASSIGN_OR_RETURN(found.hits,
                         client->SearchBatch(options.name_space, queries.All(), search));
  return found;
}

absl::StatusOr<Found> SearchExamples(const SearchVerbOptions& options, IdType id_type,
                                     client::Client* client) {
  VARVE_ASSIGN_OR_RETURN(const IdColumn like, IdColumn::FromWords(options.like, id_type));
  VARVE_ASSIGN_OR_RETURN(const IdColumn unlike, IdColumn::FromWords(options.unlike, id_type));
  std::vector<uint64_t> like_scratch, unlike_scratch;
  VARVE_ASSIGN_OR_RETURN(
      client::SearchResult result,
      client->SearchLike(options.name_space,
                         {.positive = like.Slice(0, like.size(), &like_scratch),
                          .negative = unlike.Slice(0, unlike.size(), &unlike_scratch)},
                         options.search));
  Found found;
  VARVE_RETURN_IF_ERROR(Add(std::move(result), options.search, &found));
  return found;
}

// Prints or writes the hits.
absl::Status Show(const SearchVerbOptions& options, const Found& found, Json* summary,
                  Session& session) {
  if (options.output.empty()) {
    if (session.json) (*summary)["results"] = HitsJson(found);
    if (!session.json) session.out() << HitsTable(found);
    return absl::OkStatus();
  }
  VARVE_ASSIGN_OR_RETURN(const SearchFiles files, WriteHits(found, options.most(), options.output));
  (*summary)["output"] = files.ids;
  if (!files.distances.empty()) (*summary)["distances"] = files.distances;
  if (session.json) return absl::OkStatus();
  session.out() << "wrote " << files.ids
                << (files.distances.empty() ? "" : StrCat(" and ", files.distances)) << "\n";
  return absl::OkStatus();
}

absl::Status Print(const SearchVerbOptions& options, const Found& found, absl::Duration elapsed,
                   Session& session) {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  const size_t queries = found.hits.counts.size();
  const double per_second = static_cast<double>(queries) / seconds;
  Json summary = {{"queries", queries},
                  {"k", options.search.k},
                  {"seconds", seconds},
                  {"queries_per_second", per_second},
                  {"sequence", found.hits.sequence}};
  VARVE_RETURN_IF_ERROR(Show(options, found, &summary, session));
  const std::optional<client::Explanation>& explanation = found.hits.explanation;
  if (session.json) {
    if (explanation) summary["explanation"] = ExplanationJson(*explanation);
    session.PrintJson(summary);
    return absl::OkStatus();
  }
  if (explanation) {
    session.out() << (queries > 1 ? "\nhow query 0 went:\n" : "\n")
                  << ExplanationTable(*explanation);
  }
  session.err() << absl::StrFormat("%s queries in %s: %.1f queries/s\n", Thousands(queries),
                                   Took(elapsed), per_second);
  return absl::OkStatus();
}

absl::Status RunSearch(SearchVerbOptions options, Session& session) {
  VARVE_RETURN_IF_ERROR(CheckUsage(options));
  if (options.diversity) options.search.diversity = {.weight = *options.diversity};
  session.set_filter(options.search.filter);
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const client::Namespace space, client->GetNamespace(options.name_space));
  const bool multi_vector = IsMultiVector(space, options.search.field);
  const absl::Time start = absl::Now();
  absl::StatusOr<Found> found = options.like.empty()
                                    ? SearchQueriesOf(options, multi_vector, client)
                                    : SearchExamples(options, space.id_type, client);
  if (!found.ok()) return found.status();
  return Print(options, *found, absl::Now() - start, session);
}

absl::StatusOr<std::string> OnlyNamespace(const std::string& directory, client::Client* client) {
  VARVE_ASSIGN_OR_RETURN(const std::vector<client::Namespace> all, client->ListNamespaces());
  if (all.size() == 1) return all.front().name;
  std::string names;
  for (const client::Namespace& one : all) names += StrCat(names.empty() ? "" : ", ", one.name);
  return absl::InvalidArgumentError(
      all.empty() ? StrCat(directory, ": has no namespace")
                  : StrCat(directory, ": name one of its namespaces with --namespace: ", names));
}

absl::Status RunQuery(SearchVerbOptions options, Session& session) {
  VARVE_RETURN_IF_ERROR(CheckUsage(options));
  VARVE_RETURN_IF_ERROR(session.WorkOn({.data_dir = options.directory}));
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  if (options.name_space.empty()) {
    VARVE_ASSIGN_OR_RETURN(options.name_space, OnlyNamespace(options.directory, client));
  }
  return RunSearch(std::move(options), session);
}

void AddQueryOptions(CLI::App* verb, SearchVerbOptions* options) {
  verb->add_option("--queries", options->queries,
                   StrCat("File of vectors: ", kVectorFileNames, " (dataset test)"));
  verb->add_option("--dimension", options->dimension, "Elements per vector, for .f32");
  verb->add_option("--query-offsets", options->query_offsets,
                   "Where each query's vectors begin in --queries, for a field of several: a .npy "
                   "file of integers, one more than queries (all are one query)")
      ->type_name("FILE");
  verb->add_option("--like", options->like,
                   "Id of a record to go by instead of --queries; repeatable")
      ->type_name("ID")
      ->allow_extra_args(false);
  verb->add_option("--unlike", options->unlike, "Id of a record to keep away from; repeatable")
      ->type_name("ID")
      ->allow_extra_args(false);
}

void AddResultOptions(CLI::App* verb, SearchVerbOptions* options) {
  client::SearchOptions& search = options->search;
  AddFilter(verb, &search.filter, "Find only records that satisfy it");
  verb->add_option("--max-distance", search.max_distance, "Leave out what is farther away");
  verb->add_option("--offset", search.offset, "Leave out the first so many results");
  verb->add_option("--group-by", search.group_by,
                   "Find the best of each group: of each value of this attribute")
      ->type_name("PATH");
  verb->add_option("--group-size", search.group_size, "Results for each group, 1 to 100")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  verb->add_option("--diversity", options->diversity,
                   "Find results that differ from each other: 0 (nearness alone) to 1 (difference "
                   "alone)")
      ->type_name("WEIGHT")
      ->check(CLI::Range(0.0, 1.0));
  verb->add_flag("--metadata", search.include_metadata,
                 "Tell the metadata of results too; queries then go one by one");
  verb->add_flag("--explain", search.explain, "Tell how the (first) search went in each segment");
  verb->add_option(
          "--output", options->output,
          "Write ids to FILE.npy and distances to FILE.distances.npy, or both to FILE.jsonl")
      ->type_name("FILE");
}

// All but where to search.
void AddSearchOptions(CLI::App* verb, SearchVerbOptions* options) {
  AddQueryOptions(verb, options);
  verb->add_option("--field", options->search.field, "Vector field to search (the default one)")
      ->type_name("NAME");
  verb->add_option("-k,--k", options->search.k, "Results per query, 1 to 10000")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  verb->add_option("--ef", options->search.ef_search,
                   "Effort: candidates per segment (the field's ef_search)");
  verb->add_flag("--exact", options->search.exact, "Compare with every record");
  verb->add_option("--min-sequence", options->search.min_sequence,
                   "Wait until this commit is seen");
  AddResultOptions(verb, options);
}

}  // namespace

void AddSearch(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<SearchVerbOptions>();
  CLI::App* const verb =
      app.add_subcommand("search", "Finds the nearest records to vectors, or to other records");
  verb->add_option("NS", options->name_space, "Name of the namespace")->required();
  AddSearchOptions(verb, options.get());
  verb->callback([=] { *chosen = [=](Session& session) { return RunSearch(*options, session); }; });
}

void AddQuery(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<SearchVerbOptions>();
  CLI::App* const verb =
      app.add_subcommand("query", "Searches a data directory itself, without a server");
  verb->add_option("DIR", options->directory, "The directory, as `varve build-index` made it")
      ->required();
  verb->add_option("--namespace", options->name_space,
                   "The namespace; may be left out if there is one only");
  AddSearchOptions(verb, options.get());
  verb->callback([=] { *chosen = [=](Session& session) { return RunQuery(*options, session); }; });
}

}  // namespace varve::cli
