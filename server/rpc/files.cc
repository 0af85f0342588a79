#include "server/rpc/files.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>

#include "base/str_cat.h"

namespace varve::server {

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

FileWatch::FileWatch(std::vector<std::string> paths) : paths_(std::move(paths)) {
  std::erase(paths_, "");
  seen_ = Look();
}

bool FileWatch::Changed() {
  std::string found = Look();
  if (found == seen_) return false;
  seen_ = std::move(found);
  return true;
}

// A file that is renamed into place has another number, one that is written to another time or size;
// symbolic links, by which Kubernetes swaps whole folders, are followed.
std::string FileWatch::Look() const {
  std::string found;
  for (const std::string& path : paths_) {
    struct stat now = {};
    if (stat(path.c_str(), &now) == 0) {
      found += StrCat(now.st_dev, ":", now.st_ino, ":", now.st_size, ":", now.st_mtim.tv_sec, ":",
                      now.st_mtim.tv_nsec);
    }
    found += ";";
  }
  return found;
}

}  // namespace varve::server
