#include "server/rpc/file_watch.h"

#include <sys/stat.h>

#include <utility>

#include "base/str_cat.h"

namespace varve::server {

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
