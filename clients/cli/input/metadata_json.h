#ifndef VARVE_CLIENTS_CLI_INPUT_METADATA_JSON_H_
#define VARVE_CLIENTS_CLI_INPUT_METADATA_JSON_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "clients/cpp/varve/metadata.h"
#include "clients/cpp/varve/namespace.h"

namespace varve::cli {

// The types that a namespace declares, by path.
using AttributeTypes = std::map<std::string, client::AttributeType, std::less<>>;

AttributeTypes TypesOf(const client::Namespace& space);

// Reads a JSON object as metadata. A number without fraction and exponent is an int64 if it fits,
// any other a double. Where a timestamp is declared, text is read as RFC 3339; where a double is,
// integers are taken as doubles. What else does not fit a declared type is for the server to
// refuse. InvalidArgument: it is no JSON object, or names the attribute and what was found.
absl::StatusOr<client::Metadata> ParseMetadata(std::string_view json, const AttributeTypes& types);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_METADATA_JSON_H_
