#ifndef VARVE_CLIENTS_CLI_INPUT_ID_TEXT_H_
#define VARVE_CLIENTS_CLI_INPUT_ID_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"

namespace varve::cli {

inline constexpr size_t kTextIdBytesMax = 512;

// The number that `text` writes in the only way it can be written: decimal digits, no leading
// zeros, no sign, below 2^64. So every number is one text, and "007" is no number.
std::optional<uint64_t> ParseNumberId(std::string_view text);

// InvalidArgument unless `text` can be a text id: 1 to 512 bytes of UTF-8.
absl::Status CheckTextId(std::string_view text);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_ID_TEXT_H_
