#ifndef VARVE_CLIENTS_CLI_VERBS_SCHEMA_ARGUMENT_H_
#define VARVE_CLIENTS_CLI_VERBS_SCHEMA_ARGUMENT_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/cpp/varve/namespace.h"

namespace varve::cli {

// The words for them on the command line.
extern const std::vector<std::pair<std::string, client::Metric>> kMetrics;
extern const std::vector<std::pair<std::string, client::DType>> kElementTypes;

// Reads NAME:DIMENSION[:METRIC[:ELEMENT_TYPE[:multi]]]; an empty part takes its default. UsageError
// says what was found.
absl::StatusOr<client::VectorField> ParseField(std::string_view text);

// Reads PATH:TYPE, or PATH:TYPE[] for a list. UsageError says what was found.
absl::StatusOr<client::AttributeSchema> ParseAttribute(std::string_view text);

// The same back: "TYPE", or "TYPE[]" for a list.
std::string TypeText(const client::AttributeSchema& attribute);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_VERBS_SCHEMA_ARGUMENT_H_
