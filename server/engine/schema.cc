#include "server/engine/schema.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
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
  if (!field.name.empty()) {
    return absl::InvalidArgumentError(
        StrCat("field \"", field.name,
               "\": a namespace has the default field alone, whose name is empty"));
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

Json ToJson(const FieldSchema& field) {
  const index::IndexOptions& options = field.index;
  return {{"name", field.name},
          {"dimension", field.dimension},
          {"metric", static_cast<int>(field.metric)},
          {"element_type", static_cast<int>(field.element_type)},
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

absl::Status ValidateSchema(const NamespaceSchema& schema) {
  VARVE_RETURN_IF_ERROR(ValidateName(schema.name));
  if (schema.fields.size() != 1) {
    return absl::InvalidArgumentError(StrCat("namespace \"", schema.name,
                                             "\" must have exactly one vector field, has ",
                                             schema.fields.size()));
  }
  return ValidateField(schema.fields.front());
}

std::string SerializeSchema(const NamespaceSchema& schema) {
  Json fields = Json::array();
  for (const FieldSchema& field : schema.fields) fields.push_back(ToJson(field));
  return Json{{"name", schema.name},
              {"id_type", static_cast<int>(schema.id_type)},
              {"create_time_us", absl::ToUnixMicros(schema.create_time)},
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
  } catch (const Json::exception& error) {
    return absl::DataLossError(StrCat("stored namespace schema: ", error.what()));
  }
  absl::Status valid = ValidateSchema(schema);
  if (valid.ok() && (schema.id_type > IdType::kText || !IsKnown(schema.fields[0].metric) ||
                     SizeOf(schema.fields[0].element_type) == 0)) {
    valid = absl::InvalidArgumentError("unknown id_type, metric or element_type");
  }
  if (!valid.ok()) {
    return absl::DataLossError(StrCat("stored namespace schema: ", valid.message()));
  }
  return schema;
}

}  // namespace varve::engine
