#include "clients/cli/input/metadata_json.h"

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/input/time_text.h"

namespace varve::cli {
namespace {

using client::AttributeType;
using client::Value;
using nlohmann::json;

// Deeper than any path is long.
constexpr int kDepthMax = 128;

absl::Status Bad(std::string_view what) {
  return absl::InvalidArgumentError(absl::string_view(what.data(), what.size()));
}

// "parse error at line 1, column 7: ..." without the library's own prefix and the line, which is
// always the first.
std::string Reason(const json::exception& error) {
  std::string_view what = error.what();
  if (const size_t bracket = what.find("] "); bracket != what.npos) what.remove_prefix(bracket + 2);
  std::string text(what);
  constexpr std::string_view kLine = "at line 1, ";
  if (const size_t at = text.find(kLine); at != text.npos) text.replace(at, kLine.size(), "at ");
  return text;
}

class Reader {
 public:
  explicit Reader(const AttributeTypes& types) : types_(types) {}

  absl::StatusOr<client::Metadata> Object(json& object, const std::string& path, int depth) {
    if (depth > kDepthMax) {
      return Bad(StrCat("attribute '", path, "' is nested more than ", kDepthMax, " deep"));
    }
    client::Metadata metadata;
    for (auto& [name, value] : object.items()) {
      VARVE_ASSIGN_OR_RETURN(Value read,
                             Any(value, path.empty() ? name : StrCat(path, ".", name), depth));
      metadata.insert_or_assign(name, std::move(read));
    }
    return metadata;
  }

 private:
  absl::StatusOr<Value> Any(json& value, const std::string& path, int depth) {
    if (value.is_object()) {
      VARVE_ASSIGN_OR_RETURN(client::Metadata object, Object(value, path, depth + 1));
      return Value(std::move(object));
    }
    std::optional<AttributeType> type;
    if (const auto it = types_.find(path); it != types_.end()) type = it->second;
    if (!value.is_array()) return Scalar(value, path, type);
    client::List list;
    list.reserve(value.size());
    for (json& element : value) {
      VARVE_ASSIGN_OR_RETURN(Value read, Scalar(element, path, type));
      list.push_back(std::move(read));
    }
    return Value(std::move(list));
  }

  absl::StatusOr<Value> Scalar(json& value, const std::string& path,
                               std::optional<AttributeType> type) {
    switch (value.type()) {
      case json::value_t::null:
        return Value();
      case json::value_t::boolean:
        return Value(value.get<bool>());
      case json::value_t::number_integer:
      case json::value_t::number_unsigned:
        return Integer(value, type);
      case json::value_t::number_float:
        return Value(value.get<double>());
      case json::value_t::string:
        return Text(std::move(value.get_ref<std::string&>()), path, type);
      default:
        return Bad(StrCat("attribute '", path, "' is a list of ", value.type_name(),
                          "s, wanted numbers, texts or booleans"));
    }
  }

  static Value Integer(const json& value, std::optional<AttributeType> type) {
    const bool fits =
        !value.is_number_unsigned() ||
        value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (type == AttributeType::kDouble || !fits) return value.get<double>();
    return value.get<int64_t>();
  }

  static absl::StatusOr<Value> Text(std::string text, const std::string& path,
                                    std::optional<AttributeType> type) {
    if (type != AttributeType::kTimestamp) return Value(std::move(text));
    const absl::StatusOr<absl::Time> time = ParseTimeText(text);
    if (!time.ok()) return Bad(StrCat("attribute '", path, "' ", time.status().message()));
    return Value(*time);
  }

  const AttributeTypes& types_;
};

}  // namespace

AttributeTypes TypesOf(const client::Namespace& space) {
  AttributeTypes types;
  for (const client::AttributeSchema& attribute : space.attributes) {
    types.emplace(attribute.path, attribute.type);
  }
  return types;
}

absl::StatusOr<client::Metadata> ParseMetadata(std::string_view text, const AttributeTypes& types) {
  json document;
  try {
    document = json::parse(text);
  } catch (const json::exception& error) {
    return Bad(StrCat("is not a JSON object: ", Reason(error)));
  }
  if (!document.is_object()) {
    return Bad(StrCat("is a JSON ", document.type_name(), ", wanted an object"));
  }
  return Reader(types).Object(document, "", 1);
}

}  // namespace varve::cli
