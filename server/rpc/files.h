#ifndef VARVE_SERVER_RPC_FILES_H_
#define VARVE_SERVER_RPC_FILES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace varve::server {

// The whole of a file. NotFound, PermissionDenied and so on: it cannot be read. InvalidArgument: it
// is larger than `bytes_max`. Errors name it.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t bytes_max);

// Notices that files have been replaced or written to. Not thread-safe.
class FileWatch {
 public:
  // Empty paths are left out.
  explicit FileWatch(std::vector<std::string> paths);

  // Whether one of them differs from what the last call, or the constructor, found.
  bool Changed();

 private:
  std::string Look() const;

  std::vector<std::string> paths_;
  std::string seen_;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_FILES_H_
