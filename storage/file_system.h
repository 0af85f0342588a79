#ifndef VARVE_STORAGE_FILE_SYSTEM_H_
#define VARVE_STORAGE_FILE_SYSTEM_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace varve::storage {

// A file that is being written, from its beginning to its end. One thread. Destroyed unsynced, what
// it holds on disk is anything.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual absl::Status Append(std::string_view bytes) = 0;
  // Everything appended survives power loss, under whatever name the file has then.
  virtual absl::Status Sync() = 0;
};

// A file in memory, read-only, at an address aligned to a page. It stays readable when the file is
// removed, until this is destroyed. Thread-safe.
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  virtual std::string_view bytes() const = 0;
};

// FileSystem is the one door to segment files: what a crash may do to them is decided behind it, so
// a test can put one there that fails, or forgets what was not synced, at any call. Thread-safe.
// Errors: ResourceExhausted when the disk is full, NotFound where there is no such file, else
// Unavailable; the message is "<path>: cannot <action>: <the system's word>".
class FileSystem {
 public:
  // The system's own. Lives as long as the process.
  static FileSystem* System();
  virtual ~FileSystem() = default;

  // Replaces what is there.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;
  virtual absl::StatusOr<std::shared_ptr<const MappedFile>> Map(const std::string& path) = 0;
  // Gives a file that will not change any more a second name; a copy of it, where that cannot be. `to`
  // must not exist. It survives power loss once its directory is synced.
  virtual absl::Status LinkOrCopy(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  // Makes a directory whose parent exists; OK when it is there already.
  virtual absl::Status CreateDirectory(const std::string& path) = 0;
  // Removes a directory with all that is in it; OK when it is not there.
  virtual absl::Status RemoveDirectory(const std::string& path) = 0;
  // Names in a directory, in no order; none when it is not there.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& path) = 0;
  // Makes creations, renames and removals in a directory survive power loss.
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
};

}  // namespace varve::storage

#endif  // VARVE_STORAGE_FILE_SYSTEM_H_
