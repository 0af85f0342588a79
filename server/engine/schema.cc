#include "server/engine/schema.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "metadata/attributes.h"
#include "nlohmann/json.hpp"

namespace varve::engine {
namespace {

using Json = nlohmann::json;

absl::Status CheckRange(std::string_view field, std::string_view option, uint32_t value,
                        uint32_t low, uint32_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("field \"", field, "\": ", option, " must be ", low, " to ", high, ", is ", value));
}

absl::Status ValidateName(std::string_view name) {
  const auto allowed = [](char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  };
  if (name.empty() || name.size() > kNamespaceNameBytesMax || !absl::ascii_isalnum(name.front()) ||
      !std::all_of(name.begin(), name.end(), allowed)) {
    return absl::InvalidArgumentError(
        StrCat("namespace name must be 1 to ", kNamespaceNameBytesMax,
               " characters out of a-z A-Z 0-9 . _ -, beginning with a letter or a digit; is \"",
               name.substr(0, kNamespaceNameBytesMax), "\" (", name.size(), " bytes)"));
  }
  return absl::OkStatus();
}

absl::Status ValidateField(const FieldSchema& field) {
  const auto allowed = [](char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; };
  if (field.name.size() > kFieldNameBytesMax ||
      !std::all_of(field.name.begin(), field.name.end(), allowed)) {
    return absl::InvalidArgumentError(StrCat(
        "field \"", field.name.substr(0, kFieldNameBytesMax), "\": a field's name must be at most ",
        kFieldNameBytesMax, " characters out of a-z A-Z 0-9 _ -"));
  }
  const index::IndexOptions& options = field.index;
  VARVE_RETURN_IF_ERROR(CheckRange(field.name, "dimension", field.dimension, 1, kDimensionMax));
  VARVE_RETURN_IF_ERROR(CheckRange(field.name, "m", options.m, 4, 128));
  VARVE_RETURN_IF_ERROR(
      CheckRange(field.name, "ef_construction", options.ef_construction, 16, 4096));
  VARVE_RETURN_IF_ERROR(CheckRange(field.name, "ef_search", options.ef_search, 1, kEfMax));
  VARVE_RETURN_IF_ERROR(CheckRange(field.name, "segment_size_threshold",
                                   options.segment_size_threshold, 1'000, 10'000'000));
  VARVE_RETURN_IF_ERROR(CheckRange(field.name, "parallel_insert_threshold",
                                   options.parallel_insert_threshold, 1, 1'000'000'000));
  VARVE_RETURN_IF_ERROR(CheckRange(field.name, "max_unindexed_rows", options.max_unindexed_rows,
                                   1'000, 1'000'000'000));
  VARVE_RETURN_IF_ERROR(
      CheckRange(field.name, "tombstone_rebuild_pct", options.tombstone_rebuild_pct, 1, 100));
  return CheckRange(field.name, "quantization", static_cast<uint64_t>(options.quantization),
                    static_cast<uint64_t>(index::Quantization::kInt8),
                    static_cast<uint64_t>(index::Quantization::kNone));
}

// Calls `visit(name, limit)` with each limit of each set, side by side.
template <typename Visit, typename... Limits>
void ForEachLimit(Visit visit, Limits&... limits) {
  visit("max_vectors", limits.vectors...);
  visit("max_vector_bytes", limits.vector_bytes...);
  visit("max_request_bytes", limits.request_bytes...);
  visit("max_k", limits.k...);
  visit("max_ef_search", limits.ef_search...);
  visit("max_searches", limits.searches...);
  visit("max_streams", limits.streams...);
  visit("max_ingest_bytes_per_second", limits.ingest_bytes_per_second...);
}

Json ToJson(const NamespaceLimits& limits) {
  Json json = Json::object();
  ForEachLimit(
      [&](const char* name, const std::optional<uint64_t>& limit) {
        if (limit.has_value()) json[name] = *limit;
      },
      limits);
  return json;
}

// Throws Json::exception when a member is of another type.
NamespaceLimits LimitsFromJson(const Json& json) {
  NamespaceLimits limits;
  ForEachLimit(
      [&](const char* name, std::optional<uint64_t>& limit) {
        if (json.contains(name)) limit = json.at(name).get<uint64_t>();
      },
      limits);
  return limits;
}

Json ToJson(const FieldSchema& field) {
  const index::IndexOptions& options = field.index;
  return {{"name", field.name},
          {"dimension", field.dimension},
          {"metric", static_cast<int>(field.metric)},
          {"element_type", static_cast<int>(field.element_type)},
          {"multi_vector", field.multi_vector},
          {"m", options.m},
          {"ef_construction", options.ef_construction},
          {"ef_search", options.ef_search},
          {"segment_size_threshold", options.segment_size_threshold},
          {"parallel_insert_threshold", options.parallel_insert_threshold},
          {"max_unindexed_rows", options.max_unindexed_rows},
          {"tombstone_rebuild_pct", options.tombstone_rebuild_pct},
          {"auto_compaction", options.auto_compaction},
          {"quantization", static_cast<int>(options.quantization)}};
}

// Throws Json::exception when a member is missing or of another type.
FieldSchema FieldFromJson(const Json& json) {
  FieldSchema field;
  json.at("name").get_to(field.name);
  json.at("dimension").get_to(field.dimension);
  field.metric = static_cast<index::Metric>(json.at("metric").get<int>());
  field.element_type = static_cast<DType>(json.at("element_type").get<int>());
  json.at("m").get_to(field.index.m);
  json.at("ef_construction").get_to(field.index.ef_construction);
  json.at("ef_search").get_to(field.index.ef_search);
  json.at("segment_size_threshold").get_to(field.index.segment_size_threshold);
  json.at("parallel_insert_threshold").get_to(field.index.parallel_insert_threshold);
  json.at("max_unindexed_rows").get_to(field.index.max_unindexed_rows);
  // Younger than the first schemas.
  field.multi_vector = json.value("multi_vector", field.multi_vector);
  field.index.tombstone_rebuild_pct =
      json.value("tombstone_rebuild_pct", field.index.tombstone_rebuild_pct);
  field.index.auto_compaction = json.value("auto_compaction", field.index.auto_compaction);
  field.index.quantization = static_cast<index::Quantization>(
      json.value("quantization", static_cast<int>(field.index.quantization)));
  return field;
}

bool IsKnown(index::Metric metric) {
  return metric == index::Metric::kL2 || metric == index::Metric::kCosine ||
         metric == index::Metric::kDot;
}

absl::Status ValidateAttributes(const std::vector<AttributeSchema>& attributes) {
  if (attributes.size() > kDeclaredAttributesMax) {
    return absl::InvalidArgumentError(StrCat("a namespace may declare ", kDeclaredAttributesMax,
                                             " attributes, declared are ", attributes.size()));
  }
  std::set<std::string_view> paths;
  for (const AttributeSchema& attribute : attributes) {
    VARVE_RETURN_IF_ERROR(metadata::CheckPath(attribute.path));
    if (!paths.insert(attribute.path).second) {
      return absl::InvalidArgumentError(
          StrCat("attribute \"", attribute.path, "\" is declared twice"));
    }
    if (metadata::ValueTypeName(attribute.type) == "unknown") {
      return absl::InvalidArgumentError(StrCat("attribute \"", attribute.path,
                                               "\": its type must be 1 to 5, is ",
                                               static_cast<int>(attribute.type)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view IdTypeName(IdType type) {
  switch (type) {
    case IdType::kUndecided:
      return "undecided";
    case IdType::kNumber:
      return "number";
    case IdType::kText:
      return "text";
  }
  return "unknown";
}

void Apply(const IndexOptionsUpdate& update, index::IndexOptions* options) {
  const auto set = [](const auto& from, auto* to) {
    if (from.has_value()) *to = *from;
  };
  set(update.m, &options->m);
  set(update.ef_construction, &options->ef_construction);
  set(update.ef_search, &options->ef_search);
  set(update.segment_size_threshold, &options->segment_size_threshold);
  set(update.parallel_insert_threshold, &options->parallel_insert_threshold);
  set(update.max_unindexed_rows, &options->max_unindexed_rows);
  set(update.tombstone_rebuild_pct, &options->tombstone_rebuild_pct);
  set(update.auto_compaction, &options->auto_compaction);
  set(update.quantization, &options->quantization);
}

void Apply(const NamespaceLimits& update, NamespaceLimits* limits) {
  ForEachLimit(
      [](const char*, const std::optional<uint64_t>& from, std::optional<uint64_t>& to) {
        if (from.has_value()) to = *from == 0 ? std::nullopt : from;
      },
      update, *limits);
}

absl::Status ValidateSchema(const NamespaceSchema& schema) {
  VARVE_RETURN_IF_ERROR(ValidateName(schema.name));
  if (schema.fields.empty() || schema.fields.size() > kFieldsMax) {
    return absl::InvalidArgumentError(StrCat("namespace \"", schema.name, "\" must have 1 to ",
                                             kFieldsMax, " vector fields, has ",
                                             schema.fields.size()));
  }
  std::set<std::string_view> names;
  for (const FieldSchema& field : schema.fields) {
    VARVE_RETURN_IF_ERROR(ValidateField(field));
    if (!names.insert(field.name).second) {
      return absl::InvalidArgumentError(StrCat("field \"", field.name, "\" is there twice"));
    }
  }
  if (schema.default_ttl < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        StrCat("default_ttl must not be negative, is ", absl::FormatDuration(schema.default_ttl)));
  }
  return ValidateAttributes(schema.attributes);
}

std::string SerializeSchema(const NamespaceSchema& schema) {
  Json fields = Json::array();
  for (const FieldSchema& field : schema.fields) fields.push_back(ToJson(field));
  Json attributes = Json::array();
  for (const AttributeSchema& attribute : schema.attributes) {
    attributes.push_back({{"path", attribute.path},
                          {"type", static_cast<int>(attribute.type)},
                          {"list", attribute.is_list}});
  }
  return Json{{"name", schema.name},
              {"id_type", static_cast<int>(schema.id_type)},
              {"create_time_us", absl::ToUnixMicros(schema.create_time)},
              {"default_ttl_us", absl::ToInt64Microseconds(schema.default_ttl)},
              {"attributes", std::move(attributes)},
              {"limits", ToJson(schema.limits)},
              {"fields", std::move(fields)}}
      .dump();
}

absl::StatusOr<NamespaceSchema> ParseSchema(std::string_view text) {
  NamespaceSchema schema;
  try {
    const Json json = Json::parse(text);
    json.at("name").get_to(schema.name);
    schema.id_type = static_cast<IdType>(json.at("id_type").get<int>());
    schema.create_time = absl::FromUnixMicros(json.at("create_time_us").get<int64_t>());
    for (const Json& field : json.at("fields")) schema.fields.push_back(FieldFromJson(field));
    // Younger than the first schemas.
    schema.default_ttl = absl::Microseconds(json.value("default_ttl_us", int64_t{0}));
    schema.limits = LimitsFromJson(json.value("limits", Json::object()));
    for (const Json& attribute : json.value("attributes", Json::array())) {
      schema.attributes.push_back(
          {.path = attribute.at("path").get<std::string>(),
           .type = static_cast<metadata::ValueType>(attribute.at("type").get<int>()),
           .is_list = attribute.at("list").get<bool>()});
    }
  } catch (const Json::exception& error) {
    return absl::DataLossError(StrCat("stored namespace schema: ", error.what()));
  }
  absl::Status valid = ValidateSchema(schema);
  const auto known = [](const FieldSchema& field) {
    return IsKnown(field.metric) && SizeOf(field.element_type) != 0;
  };
  if (valid.ok() && (schema.id_type > IdType::kText ||
                     !std::all_of(schema.fields.begin(), schema.fields.end(), known))) {
    valid = absl::InvalidArgumentError("unknown id_type, metric or element_type");
  }
  if (!valid.ok()) {
    return absl::DataLossError(StrCat("stored namespace schema: ", valid.message()));
  }
  return schema;
}

}  // namespace varve::engine
