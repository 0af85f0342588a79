#include "clients/cpp/varve/namespace.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/json.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

using client::Client;
using client::DType;
using client::IdType;
using client::IndexOptions;
using client::Metric;
using client::Namespace;
using client::VectorField;

struct NamespaceOptions {
  std::string name;
  uint32_t dimension = 0;
  Metric metric = Metric::kL2;
  DType element_type = DType::kF32;
  IdType id_type = IdType::kUndecided;
  IndexOptions index;
};

const std::vector<std::pair<std::string, Metric>> kMetrics = {
    {"l2", Metric::kL2}, {"cosine", Metric::kCosine}, {"dot", Metric::kDot}};
const std::vector<std::pair<std::string, DType>> kElementTypes = {{"f32", DType::kF32},
                                                                  {"f16", DType::kF16},
                                                                  {"bf16", DType::kBF16},
                                                                  {"u8", DType::kU8},
                                                                  {"i8", DType::kI8}};
const std::vector<std::pair<std::string, client::Quantization>> kQuantizations = {
    {"int8", client::Quantization::kInt8}, {"none", client::Quantization::kNone}};
const std::vector<std::pair<std::string, IdType>> kIdTypes = {{"number", IdType::kNumber},
                                                              {"text", IdType::kText}};

// Name and value of every index option that is a number.
std::vector<std::pair<std::string, std::optional<uint32_t>*>> Members(IndexOptions* index) {
  return {{"m", &index->m},
          {"ef_construction", &index->ef_construction},
          {"ef_search", &index->ef_search},
          {"segment_size_threshold", &index->segment_size_threshold},
          {"parallel_insert_threshold", &index->parallel_insert_threshold},
          {"max_unindexed_rows", &index->max_unindexed_rows},
          {"tombstone_rebuild_pct", &index->tombstone_rebuild_pct}};
}

// An option whose value is one of a few words.
template <typename Value, typename T>
void AddChoice(CLI::App* verb, const std::string& name, Value* value,
               const std::vector<std::pair<std::string, T>>& choices, const std::string& help) {
  std::vector<std::string> words;
  for (const auto& choice : choices) words.push_back(choice.first);
  verb->add_option_function<std::string>(
          name,
          [value, choices](const std::string& word) {
            for (const auto& choice : choices) {
              if (choice.first == word) *value = choice.second;
            }
          },
          help)
      ->check(CLI::IsMember(words));
}

void AddIndexOptions(CLI::App* verb, IndexOptions* index) {
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

Json ToJson(const Namespace& space) {
  const VectorField& field = space.fields.front();
  Json document = {{"name", space.name},
                   {"dimension", field.dimension},
                   {"metric", client::MetricName(field.metric)},
                   {"element_type", DTypeName(field.element_type)},
                   {"id_type", client::IdTypeName(space.id_type)},
                   {"create_time", absl::FormatTime(space.create_time, absl::UTCTimeZone())}};
  IndexOptions index = field.index;
  for (const auto& [name, value] : Members(&index)) {
    if (*value) document["index"][name] = **value;
  }
  if (index.auto_compaction) document["index"]["auto_compaction"] = *index.auto_compaction;
  if (index.quantization) {
    document["index"]["quantization"] = client::QuantizationName(*index.quantization);
  }
  return document;
}

// Prints one namespace, a line for each thing about it.
void Print(Session& session, const Namespace& space) {
  const Json document = ToJson(space);
  if (session.json) return session.PrintJson(document);
  const auto print = [&](const Json& object) {
    for (const auto& [name, value] : object.items()) {
      if (value.is_object()) continue;
      session.out() << name << ": "
                    << (value.is_string() ? value.get<std::string>() : ToText(value)) << "\n";
    }
  };
  print(document);
  if (document.contains("index")) print(document["index"]);
}

absl::Status Create(const NamespaceOptions& options, Session& session) {
  VARVE_ASSIGN_OR_RETURN(Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const Namespace made,
                         client->CreateNamespace({.name = options.name,
                                                  .fields = {{.dimension = options.dimension,
                                                              .metric = options.metric,
                                                              .element_type = options.element_type,
                                                              .index = options.index}},
                                                  .id_type = options.id_type}));
  Print(session, made);
  return absl::OkStatus();
}

absl::Status List(Session& session) {
  VARVE_ASSIGN_OR_RETURN(Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const std::vector<Namespace> all, client->ListNamespaces());
  if (session.json) {
    Json list = Json::array();
    for (const Namespace& space : all) list.push_back(ToJson(space));
    session.PrintJson({{"namespaces", list}});
    return absl::OkStatus();
  }
  Table table({"NAME", "DIMENSION", "METRIC", "ELEMENTS", "IDS"});
  for (const Namespace& space : all) {
    const VectorField& field = space.fields.front();
    table.Add({space.name, StrCat(field.dimension), std::string(client::MetricName(field.metric)),
               std::string(DTypeName(field.element_type)),
               std::string(client::IdTypeName(space.id_type))});
  }
  session.out() << table.Text();
  return absl::OkStatus();
}

absl::Status Describe(const NamespaceOptions& options, Session& session) {
  VARVE_ASSIGN_OR_RETURN(Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const Namespace space, client->GetNamespace(options.name));
  Print(session, space);
  return absl::OkStatus();
}

absl::Status Update(NamespaceOptions options, Session& session) {
  bool any = options.index.auto_compaction.has_value() || options.index.quantization.has_value();
  for (const auto& [name, value] : Members(&options.index)) any = any || value->has_value();
  if (!any) return UsageError("name an option to change");
  VARVE_ASSIGN_OR_RETURN(Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const Namespace space,
                         client->UpdateNamespace(options.name, options.index));
  Print(session, space);
  return absl::OkStatus();
}

absl::Status Delete(const NamespaceOptions& options, Session& session) {
  VARVE_ASSIGN_OR_RETURN(Client* const client, session.client());
  VARVE_RETURN_IF_ERROR(client->DeleteNamespace(options.name));
  if (session.json) {
    session.PrintJson({{"deleted", options.name}});
  } else {
    session.out() << "deleted " << options.name << " and all its records\n";
  }
  return absl::OkStatus();
}

// A verb below `namespace`, with what it does.
CLI::App* AddPart(CLI::App* parent, const char* name, const char* help, Action* chosen,
                  Action action) {
  CLI::App* const part = parent->add_subcommand(name, help);
  part->callback([=] { *chosen = action; });
  return part;
}

}  // namespace

void AddNamespace(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<NamespaceOptions>();
  CLI::App* const verb =
      app.add_subcommand("namespace", "Creates, lists, describes, updates and deletes namespaces");
  verb->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, auto action) {
    CLI::App* const part = AddPart(verb, name, help, chosen, [options, action](Session& session) {
      return action(*options, session);
    });
    part->add_option("NS", options->name, "Name of the namespace")->required();
    return part;
  };

  CLI::App* const create = add("create", "Creates a namespace", Create);
  create->add_option("--dimension", options->dimension, "Elements per vector, 1 to 65535")
      ->required();
  AddChoice(create, "--metric", &options->metric, kMetrics, "How vectors are compared (l2)");
  AddChoice(create, "--element-type", &options->element_type, kElementTypes,
            "How vectors are stored (f32)");
  AddChoice(create, "--id-type", &options->id_type, kIdTypes,
            "Kind of external ids (what the first batch has)");
  AddIndexOptions(create, &options->index);

  AddPart(verb, "list", "Lists all namespaces", chosen, List);
  add("describe", "Shows a namespace and its index options", Describe);
  AddIndexOptions(add("update", "Changes index options", Update), &options->index);
  add("delete", "Deletes a namespace and all its records", Delete);
}

}  // namespace varve::cli
