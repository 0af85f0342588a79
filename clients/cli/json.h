#ifndef VARVE_CLIENTS_CLI_JSON_H_
#define VARVE_CLIENTS_CLI_JSON_H_

#include <nlohmann/json.hpp>
#include <string>

#include "base/tensor.h"
#include "clients/cpp/varve/metadata.h"
#include "clients/cpp/varve/records.h"

namespace varve::cli {

// Members keep the order in which they are added.
using Json = nlohmann::ordered_json;

// A document on one line. What is not UTF-8 in it is replaced, never thrown over.
std::string ToText(const Json& document);

// A number or a string.
Json ToJson(const client::Id& id);
// The shortest number that reads back as this float32; null unless it is finite.
Json ToJson(float value);
// Times as RFC 3339.
Json ToJson(const client::Value& value);
Json ToJson(const client::Metadata& metadata);
// All elements of one row of a tensor.
Json RowToJson(const TensorView& tensor, size_t row);
// A list of rows [begin, end).
Json RowsToJson(const TensorView& tensor, size_t begin, size_t end);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_JSON_H_
