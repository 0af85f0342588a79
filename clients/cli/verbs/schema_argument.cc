#include "clients/cli/verbs/schema_argument.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <system_error>

#include "base/str_cat.h"
#include "clients/cli/session.h"

namespace varve::cli {
namespace {

using client::AttributeType;
using client::DType;
using client::Metric;

constexpr uint32_t kDimensionMax = 65'535;
constexpr std::string_view kList = "[]";
constexpr AttributeType kAttributeTypes[] = {AttributeType::kBool, AttributeType::kInt64,
                                             AttributeType::kDouble, AttributeType::kTimestamp,
                                             AttributeType::kString};

template <typename T>
std::optional<T> Find(const std::vector<std::pair<std::string, T>>& choices,
                      std::string_view word) {
  for (const auto& [name, value] : choices) {
    if (name == word) return value;
  }
  return std::nullopt;
}

std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (size_t colon = text.find(':'); colon != text.npos; colon = text.find(':')) {
    parts.push_back(text.substr(0, colon));
    text.remove_prefix(colon + 1);
  }
  parts.push_back(text);
  return parts;
}

std::optional<uint32_t> ParseDimension(std::string_view text) {
  uint32_t dimension = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, dimension);
  const bool fits = error == std::errc() && stop == end && dimension > 0;
  return fits && dimension <= kDimensionMax ? std::optional(dimension) : std::nullopt;
}

}  // namespace

const std::vector<std::pair<std::string, Metric>> kMetrics = {
    {"l2", Metric::kL2}, {"cosine", Metric::kCosine}, {"dot", Metric::kDot}};
const std::vector<std::pair<std::string, DType>> kElementTypes = {{"f32", DType::kF32},
                                                                  {"f16", DType::kF16},
                                                                  {"bf16", DType::kBF16},
                                                                  {"u8", DType::kU8},
                                                                  {"i8", DType::kI8}};

absl::StatusOr<client::VectorField> ParseField(std::string_view text) {
  const auto bad = [&](std::string_view what) {
    return UsageError(StrCat("--field '", text, "': ", what));
  };
  const std::vector<std::string_view> parts = Split(text);
  if (parts.size() < 2 || parts.size() > 5 || parts[0].empty()) {
    return bad("wanted NAME:DIMENSION[:METRIC[:ELEMENT_TYPE[:multi]]]");
  }
  client::VectorField field{.name = std::string(parts[0])};
  const std::optional<uint32_t> dimension = ParseDimension(parts[1]);
  if (!dimension) {
    return bad(StrCat("dimension is '", parts[1], "', wanted 1 to ", kDimensionMax));
  }
  field.dimension = *dimension;
  if (parts.size() > 2 && !parts[2].empty()) {
    const std::optional<Metric> metric = Find(kMetrics, parts[2]);
    if (!metric) return bad(StrCat("metric is '", parts[2], "', wanted l2, cosine or dot"));
    field.metric = *metric;
  }
  if (parts.size() > 3 && !parts[3].empty()) {
    const std::optional<DType> type = Find(kElementTypes, parts[3]);
    if (!type) {
      return bad(StrCat("element type is '", parts[3], "', wanted f32, f16, bf16, u8 or i8"));
    }
    field.element_type = *type;
  }
  if (parts.size() > 4) {
    if (parts[4] != "multi") return bad(StrCat("'", parts[4], "' is the last word, wanted multi"));
    field.multi_vector = true;
  }
  return field;
}

absl::StatusOr<client::AttributeSchema> ParseAttribute(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == text.npos || colon == 0) {
    return UsageError(StrCat("--attribute '", text, "': wanted PATH:TYPE"));
  }
  client::AttributeSchema attribute{.path = std::string(text.substr(0, colon))};
  std::string_view word = text.substr(colon + 1);
  if (word.ends_with(kList)) {
    attribute.list = true;
    word.remove_suffix(kList.size());
  }
  for (const AttributeType type : kAttributeTypes) {
    if (client::AttributeTypeName(type) != word) continue;
    attribute.type = type;
    return attribute;
  }
  return UsageError(
      StrCat("--attribute '", text, "': type is '", word,
             "', wanted bool, int64, double, timestamp or string, with [] for lists"));
}

std::string TypeText(const client::AttributeSchema& attribute) {
  return StrCat(client::AttributeTypeName(attribute.type), attribute.list ? kList : "");
}

}  // namespace varve::cli
