#include "clients/cli/json.h"

#include <charconv>
#include <cmath>
#include <variant>
#include <vector>

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

Json RowToJson(const TensorView& tensor, size_t row) {
  const std::vector<float> values =
      client::ToFloats({tensor.dtype, 1, tensor.columns, tensor.row(row)});
  Json array = Json::array();
  for (const float value : values) array.push_back(ToJson(value));
  return array;
}

}  // namespace varve::cli
