#ifndef VARVE_CLIENTS_CLI_INPUT_GZIP_H_
#define VARVE_CLIENTS_CLI_INPUT_GZIP_H_

#include <string>

#include "absl/status/statusor.h"
#include "clients/cli/input/mapped_file.h"

namespace varve::cli {

// What a gzip file holds, unpacked into a file in $TMPDIR (/tmp) that has no name any more: its
// space is free again with the mapping. Errors name the file: it cannot be read, is not gzip, is
// cut short or damaged, or there is no space.
absl::StatusOr<MappedFile> OpenGzip(const std::string& path);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_GZIP_H_
