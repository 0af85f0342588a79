#ifndef VARVE_CLIENTS_CLI_INPUT_OFFSETS_FILE_H_
#define VARVE_CLIENTS_CLI_INPUT_OFFSETS_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace varve::cli {

// Where each record's vectors begin among `vectors`: a .npy file of one dimension of u8, u4, i8 or
// i4, one more than records, ascending from 0 to `vectors`, every record having one at least.
// InvalidArgument names the file, what was wanted and what was found.
absl::StatusOr<std::vector<uint64_t>> ReadOffsets(const std::string& path, uint64_t vectors);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_OFFSETS_FILE_H_
