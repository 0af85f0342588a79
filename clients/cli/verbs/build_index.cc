#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/input/vector_file.h"
#include "clients/cli/verbs/index_options.h"
#include "clients/cli/verbs/ingest.h"
#include "clients/cli/verbs/schema_argument.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

constexpr int kThreadsMax = 1024;

struct BuildIndexOptions {
  std::string directory;
  client::Metric metric = client::Metric::kL2;
  std::optional<client::DType> element_type;
  int threads = 0;  // 0: one per core
  client::IndexOptions index;
  IngestVerbOptions ingest = {
      .name_space = "vectors", .producer = "build-index", .goes_on = true, .wait_indexed = true};
};

// Rows that wait to be linked take memory: of a file of any size, no more than two segments of them.
client::IndexOptions IndexOf(const BuildIndexOptions& options) {
  constexpr uint32_t kSegmentRows = 50'000;  // by default
  client::IndexOptions index = options.index;
  if (!index.max_unindexed_rows) {
    index.max_unindexed_rows = 2 * index.segment_size_threshold.value_or(kSegmentRows);
  }
  return index;
}

absl::StatusOr<client::VectorField> FieldOf(const BuildIndexOptions& options) {
  const IngestInput& input = options.ingest.input;
  VARVE_ASSIGN_OR_RETURN(const VectorFile file, VectorFile::Open(input.input, input.dimension));
  return client::VectorField{.name = input.field,
                             .dimension = static_cast<uint32_t>(file.dimension()),
                             .metric = options.metric,
                             .element_type = options.element_type.value_or(file.dtype()),
                             .index = IndexOf(options),
                             .multi_vector = !input.offsets.empty()};
}

std::string Text(const client::VectorField& field) {
  return StrCat(field.dimension, " x ", DTypeName(field.element_type),
                field.multi_vector ? "[]" : "", " under ", client::MetricName(field.metric));
}

// Makes the namespace, unless an earlier run has: that must have made it for the same vectors.
absl::Status MakeNamespace(const std::string& name, const client::VectorField& field,
                           client::Client* client) {
  const absl::Status made = client->CreateNamespace({.name = name, .fields = {field}}).status();
  if (!absl::IsAlreadyExists(made)) return made;
  VARVE_ASSIGN_OR_RETURN(const client::Namespace found, client->GetNamespace(name));
  for (const client::VectorField& other : found.fields) {
    if (other.name != field.name || Text(other) == Text(field)) continue;
    return absl::InvalidArgumentError(StrCat("namespace \"", name, "\" is there and has ",
                                             Text(other), ", wanted ", Text(field),
                                             ": name another directory or --namespace"));
  }
  return absl::OkStatus();
}

absl::Status RunBuildIndex(const BuildIndexOptions& options, Session& session) {
  const IngestInput& input = options.ingest.input;
  if (!input.more.empty()) return UsageError("build-index makes one field; leave out --vectors");
  VARVE_RETURN_IF_ERROR(CheckUsage(input));
  VARVE_ASSIGN_OR_RETURN(const client::VectorField field, FieldOf(options));
  VARVE_RETURN_IF_ERROR(session.WorkOn(
      {.data_dir = options.directory, .make = true, .index_threads = options.threads}));
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_RETURN_IF_ERROR(MakeNamespace(options.ingest.name_space, field, client));
  VARVE_RETURN_IF_ERROR(RunIngest(options.ingest, session));
  VARVE_RETURN_IF_ERROR(client->Flush(options.ingest.name_space));
  if (session.json) return absl::OkStatus();
  VARVE_ASSIGN_OR_RETURN(const client::ServerStats stats, client->Stats(options.ingest.name_space));
  session.out() << options.directory << ": namespace " << options.ingest.name_space << ", "
                << Thousands(stats.of_namespace->records) << " records, "
                << Thousands(stats.of_namespace->segments) << " segments, "
                << Megabytes(static_cast<double>(stats.disk_bytes)) << "\n";
  return absl::OkStatus();
}

}  // namespace

void AddBuildIndex(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<BuildIndexOptions>();
  CLI::App* const verb = app.add_subcommand(
      "build-index", "Builds a data directory from a file of vectors, without a server");
  verb->add_option("DIR", options->directory,
                   "What is made; go on with `varved --data-dir DIR` or `varve --data-dir DIR`")
      ->required();
  AddIngestInput(verb, &options->ingest.input);
  verb->add_option("--namespace", options->ingest.name_space, "Name of the namespace")
      ->capture_default_str();
  AddChoice(verb, "--metric", &options->metric, kMetrics, "How vectors are compared (l2)");
  AddChoice(verb, "--element-type", &options->element_type, kElementTypes,
            "How vectors are stored (as they are in the file)");
  AddIndexOptions(verb, &options->index);
  verb->add_option("--threads", options->threads, "Threads that build the index; 0: one per core")
      ->check(CLI::Range(0, kThreadsMax))
      ->capture_default_str();
  verb->callback(
      [=] { *chosen = [=](Session& session) { return RunBuildIndex(*options, session); }; });
}

}  // namespace varve::cli
