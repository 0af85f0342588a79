#ifndef VARVE_BASE_READ_FILE_H_
#define VARVE_BASE_READ_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace varve {

// The whole of a file. NotFound, PermissionDenied and so on: it cannot be read. InvalidArgument: it
// is larger than `bytes_max`. Errors name it.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t bytes_max);

}  // namespace varve

#endif  // VARVE_BASE_READ_FILE_H_
