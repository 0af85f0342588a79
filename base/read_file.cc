#include "base/read_file.h"

#include <cerrno>
#include <cstdio>
#include <memory>

#include "base/str_cat.h"

namespace varve {

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t bytes_max) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "re"), close);
  if (file == nullptr) return absl::ErrnoToStatus(errno, StrCat("cannot read ", path));
  std::string bytes(bytes_max + 1, '\0');
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file.get()));
  // A folder can be opened, and not read.
  if (std::ferror(file.get())) return absl::ErrnoToStatus(errno, StrCat("cannot read ", path));
  if (bytes.size() > bytes_max) {
    return absl::InvalidArgumentError(StrCat(path, " is larger than ", bytes_max, " bytes"));
  }
  return bytes;
}

}  // namespace varve
