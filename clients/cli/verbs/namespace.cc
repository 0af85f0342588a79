#include "clients/cpp/varve/namespace.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/input/time_text.h"
#include "clients/cli/json.h"
#include "clients/cli/verbs/index_options.h"
#include "clients/cli/verbs/schema_argument.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

using client::Client;
using client::DType;
using client::IdType;
using client::IndexOptions;
using client::Metric;
using client::Namespace;
using client::NamespaceLimits;
using client::VectorField;

struct NamespaceOptions {
  std::string name;
  // Of the default field.
  std::optional<uint32_t> dimension;
  std::optional<Metric> metric;
  std::optional<DType> element_type;
  bool multi_vector = false;
  std::vector<std::string> fields;  // NAME:DIMENSION ...
  std::vector<std::string> attributes;
  std::string ttl;
  IdType id_type = IdType::kUndecided;
  IndexOptions index;
  NamespaceLimits limits;
  std::string field;  // to update
};

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

// A span as people write it: "7d" where it is whole days.
std::string SpanText(absl::Duration span) {
  constexpr absl::Duration kDay = absl::Hours(24);
  if (span % kDay == absl::ZeroDuration()) return StrCat(span / kDay, "d");
  return absl::FormatDuration(span);
}

Json IndexJson(IndexOptions index) {
  Json document;
  for (const auto& [name, value] : Members(&index)) {
    if (*value) document[name] = **value;
  }
  if (index.auto_compaction) document["auto_compaction"] = *index.auto_compaction;
  if (index.quantization) {
    document["quantization"] = client::QuantizationName(*index.quantization);
  }
  return document;
}

Json LimitsJson(const NamespaceLimits& limits) {
  Json document;
  ForEachLimit(&limits, [&](const char* name, const auto& limit, const char*) {
    if (limit) document[name] = *limit;
  });
  return document;
}

// What a field adds to the document it is in.
void AddField(const VectorField& field, Json* document) {
  (*document)["dimension"] = field.dimension;
  (*document)["metric"] = client::MetricName(field.metric);
  (*document)["element_type"] = DTypeName(field.element_type);
  if (field.multi_vector) (*document)["multi_vector"] = true;
}

// The default field is the document's own, others are in "fields".
Json ToJson(const Namespace& space) {
  Json document = {{"name", space.name}};
  Json fields = Json::array(), attributes = Json::array(), index;
  for (const VectorField& field : space.fields) {
    if (field.name.empty()) {
      AddField(field, &document);
      index = IndexJson(field.index);
      continue;
    }
    Json one = {{"name", field.name}};
    AddField(field, &one);
    one["index"] = IndexJson(field.index);
    fields.push_back(std::move(one));
  }
  for (const client::AttributeSchema& attribute : space.attributes) {
    attributes.push_back({{"path", attribute.path}, {"type", TypeText(attribute)}});
  }
  document["id_type"] = client::IdTypeName(space.id_type);
  document["create_time"] = absl::FormatTime(space.create_time, absl::UTCTimeZone());
  if (space.default_ttl != absl::ZeroDuration()) document["ttl"] = SpanText(space.default_ttl);
  if (!attributes.empty()) document["attributes"] = std::move(attributes);
  if (Json limits = LimitsJson(space.limits); !limits.is_null())
    document["limits"] = std::move(limits);
  if (!index.is_null()) document["index"] = std::move(index);
  if (!fields.empty()) document["fields"] = std::move(fields);
  return document;
}

// A line for each scalar of an object, then those of its limits and its index.
void PrintLines(const Json& object, std::string_view indent, std::ostream& out) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_structured()) continue;
    out << indent << name << ": " << (value.is_string() ? value.get<std::string>() : ToText(value))
        << "\n";
  }
  for (const char* part : {"limits", "index"}) {
    if (object.contains(part)) PrintLines(object[part], indent, out);
  }
}

// Prints one namespace, a line for each thing about it.
void Print(Session& session, const Namespace& space) {
  const Json document = ToJson(space);
  if (session.json) return session.PrintJson(document);
  PrintLines(document, "", session.out());
  for (const client::AttributeSchema& attribute : space.attributes) {
    session.out() << "attribute " << attribute.path << ": " << TypeText(attribute) << "\n";
  }
  for (const Json& field : document.value("fields", Json::array())) {
    Json rest = field;
    rest.erase("name");
    session.out() << "field " << field["name"].get<std::string>() << ":\n";
    PrintLines(rest, "  ", session.out());
  }
}

// The default field, if any of its options is there.
absl::StatusOr<std::vector<VectorField>> FieldsOf(const NamespaceOptions& options) {
  std::vector<VectorField> fields;
  if (options.dimension) {
    fields.push_back({.dimension = *options.dimension,
                      .metric = options.metric.value_or(Metric::kL2),
                      .element_type = options.element_type.value_or(DType::kF32),
                      .multi_vector = options.multi_vector});
  } else if (options.fields.empty()) {
    return UsageError("name --dimension, or fields with --field");
  } else if (options.metric || options.element_type || options.multi_vector) {
    return UsageError(
        "--metric, --element-type and --multi-vector are of the default field: they need "
        "--dimension");
  }
  for (const std::string& text : options.fields) {
    VARVE_ASSIGN_OR_RETURN(VectorField field, ParseField(text));
    fields.push_back(std::move(field));
  }
  for (VectorField& field : fields) field.index = options.index;
  return fields;
}

absl::Status Create(const NamespaceOptions& options, Session& session) {
  Namespace spec{.name = options.name, .id_type = options.id_type, .limits = options.limits};
  VARVE_ASSIGN_OR_RETURN(spec.fields, FieldsOf(options));
  for (const std::string& text : options.attributes) {
    VARVE_ASSIGN_OR_RETURN(client::AttributeSchema attribute, ParseAttribute(text));
    spec.attributes.push_back(std::move(attribute));
  }
  if (!options.ttl.empty()) {
    const absl::StatusOr<absl::Duration> ttl = ParseSpanText(options.ttl);
    if (!ttl.ok()) return UsageError(StrCat("--ttl ", ttl.status().message()));
    spec.default_ttl = *ttl;
  }
  session.local.make = true;
  VARVE_ASSIGN_OR_RETURN(Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const Namespace made, client->CreateNamespace(spec));
  Print(session, made);
  return absl::OkStatus();
}

// A line for each field of each namespace; what is the namespace's own stands in the first.
absl::Status List(Session& session) {
  VARVE_ASSIGN_OR_RETURN(Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const std::vector<Namespace> all, client->ListNamespaces());
  if (session.json) {
    Json list = Json::array();
    for (const Namespace& space : all) list.push_back(ToJson(space));
    session.PrintJson({{"namespaces", list}});
    return absl::OkStatus();
  }
  Table table({"NAME", "DIMENSION", "METRIC", "ELEMENTS", "IDS", "FIELD", "TTL", "ATTRIBUTES"});
  for (const Namespace& space : all) {
    std::string attributes;
    for (const client::AttributeSchema& attribute : space.attributes) {
      attributes += StrCat(attributes.empty() ? "" : " ", attribute.path, ":", TypeText(attribute));
    }
    for (const VectorField& field : space.fields) {
      const bool first = &field == &space.fields.front();
      const bool expires = space.default_ttl != absl::ZeroDuration();
      table.Add({first ? space.name : "", StrCat(field.dimension),
                 std::string(client::MetricName(field.metric)),
                 StrCat(DTypeName(field.element_type), field.multi_vector ? "[]" : ""),
                 first ? std::string(client::IdTypeName(space.id_type)) : "", field.name,
                 first && expires ? SpanText(space.default_ttl) : "", first ? attributes : ""});
    }
  }
  table.DropEmpty(5);  // what few namespaces have
  session.out() << table.Text();
  return absl::OkStatus();
}

absl::Status Describe(const NamespaceOptions& options, Session& session) {
  VARVE_ASSIGN_OR_RETURN(Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const Namespace space, client->GetNamespace(options.name));
  Print(session, space);
  return absl::OkStatus();
}

absl::Status Update(const NamespaceOptions& options, Session& session) {
  const bool index = !IndexJson(options.index).is_null();
  const bool limits = !LimitsJson(options.limits).is_null();
  if (!index && !limits) return UsageError("name an option to change");
  VARVE_ASSIGN_OR_RETURN(Client* const client, session.client());
  Namespace space;
  if (index) {
    VARVE_ASSIGN_OR_RETURN(space,
                           client->UpdateNamespace(options.name, options.index, options.field));
  }
  if (limits) {
    VARVE_ASSIGN_OR_RETURN(space, client->UpdateLimits(options.name, options.limits));
  }
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
  create->add_option("--dimension", options->dimension,
                     "Elements per vector of the default field, 1 to 65535");
  AddChoice(create, "--metric", &options->metric, kMetrics, "How vectors are compared (l2)");
  AddChoice(create, "--element-type", &options->element_type, kElementTypes,
            "How vectors are stored (f32)");
  create->add_flag("--multi-vector", options->multi_vector,
                   "Several vectors for each record in the default field, compared by MaxSim");
  create
      ->add_option("--field", options->fields,
                   "A field with a name, besides the default one or instead of it; repeatable")
      ->type_name("NAME:DIMENSION[:METRIC[:ELEMENT_TYPE[:multi]]]")
      ->allow_extra_args(false);
  create
      ->add_option("--attribute", options->attributes,
                   "What an attribute of the metadata must be: bool, int64, double, timestamp or "
                   "string, with [] for a list; repeatable")
      ->type_name("PATH:TYPE")
      ->allow_extra_args(false);
  create
      ->add_option("--ttl", options->ttl,
                   "How long after they were written records expire: 90m, 36h, 7d (never)")
      ->type_name("SPAN");
  AddChoice(create, "--id-type", &options->id_type, kIdTypes,
            "Kind of external ids (what the first batch has)");
  AddIndexOptions(create, &options->index);
  AddLimitOptions(create, &options->limits);

  AddPart(verb, "list", "Lists all namespaces", chosen, List);
  add("describe", "Shows a namespace and its index options", Describe);
  CLI::App* const update = add("update", "Changes index options and limits", Update);
  update->add_option("--field", options->field, "Vector field (the default one)");
  AddIndexOptions(update, &options->index);
  AddLimitOptions(update, &options->limits);
  add("delete", "Deletes a namespace and all its records", Delete);
}

}  // namespace varve::cli
