#ifndef VARVE_CLIENTS_CLI_NUMBER_WRITER_H_
#define VARVE_CLIENTS_CLI_NUMBER_WRITER_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cli/input/hdf5_file.h"

namespace varve::cli {

// Writes a file of rows of numbers, block by block, in the format that its name tells: those that
// NumberFile reads, and .jsonl, a list a line. One thread uses it.
class NumberWriter {
 public:
  // `shape`: of what will be written; its name is that of an HDF5 file's dataset. The caller has seen to it
  // that files of this name hold its type. Unavailable, NotFound ...: what the system says.
  static absl::StatusOr<std::unique_ptr<NumberWriter>> Open(const std::string& path,
                                                            const Hdf5Shape& shape);
  virtual ~NumberWriter() = default;

  // The next rows, one behind the other.
  virtual absl::Status Write(std::string_view bytes) = 0;
  // All rows have been written.
  virtual absl::Status Close() = 0;
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_NUMBER_WRITER_H_
