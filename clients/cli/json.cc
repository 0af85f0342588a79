#include "clients/cli/json.h"

#include <charconv>
#include <cmath>
#include <variant>
#include <vector>

#include "clients/cli/input/time_text.h"
#include "clients/cpp/varve/tensor.h"

namespace varve::cli {

std::string ToText(const Json& document) {
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json ToJson(const client::Id& id) {
  return std::visit([](const auto& value) { return Json(value); }, id);
}

Json ToJson(float value) {
  if (!std::isfinite(value)) return nullptr;
  // The double nearest to the float's shortest digits prints as those digits.
  char digits[32];
  const char* const end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  double shortest = 0;
  std::from_chars(digits, end, shortest);
  return shortest;
}

Json ToJson(const client::Value& value) {
  struct Visitor {
    Json operator()(std::nullptr_t) { return nullptr; }
    Json operator()(absl::Time time) { return TimeText(time); }
    Json operator()(const client::Metadata& object) { return ToJson(object); }
    Json operator()(const client::List& list) {
      Json array = Json::array();
      for (const client::Value& element : list) array.push_back(ToJson(element));
      return array;
    }
    Json operator()(bool flag) { return flag; }
    Json operator()(int64_t number) { return number; }
    Json operator()(double number) { return number; }
    Json operator()(const std::string& text) { return text; }
  };
  return std::visit(Visitor(), value.variant());
}

Json ToJson(const client::Metadata& metadata) {
  Json object = Json::object();
  for (const auto& [name, value] : metadata) object[name] = ToJson(value);
  return object;
}

Json RowToJson(const TensorView& tensor, size_t row) {
  const std::vector<float> values =
      client::ToFloats({tensor.dtype, 1, tensor.columns, tensor.row(row)});
  Json array = Json::array();
  for (const float value : values) array.push_back(ToJson(value));
  return array;
}

Json RowsToJson(const TensorView& tensor, size_t begin, size_t end) {
  Json array = Json::array();
  for (size_t row = begin; row < end; ++row) array.push_back(RowToJson(tensor, row));
  return array;
}

}  // namespace varve::cli
