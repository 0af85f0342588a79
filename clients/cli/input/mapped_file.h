#ifndef VARVE_CLIENTS_CLI_INPUT_MAPPED_FILE_H_
#define VARVE_CLIENTS_CLI_INPUT_MAPPED_FILE_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace varve::cli {

// A file's bytes, mapped into memory for reading. Owns the mapping. Reading is thread-safe. The
// file must not be shortened meanwhile.
class MappedFile {
 public:
  // NotFound, PermissionDenied ... name the path; InvalidArgument: it is a directory, a pipe or the
  // like.
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::string& path() const { return path_; }
  std::string_view bytes() const { return {data_, size_}; }

 private:
  explicit MappedFile(std::string path) : path_(std::move(path)) {}

  std::string path_;
  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_MAPPED_FILE_H_
