#ifndef VARVE_SERVER_ENGINE_SNAPSHOTS_H_
#define VARVE_SERVER_ENGINE_SNAPSHOTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "storage/file_system.h"

namespace varve::engine {

// What a snapshot says of itself.
struct SnapshotInfo {
  struct Part {
    std::string namespace_name;
    uint64_t sequence = 0;  // the last commit that is in it
  };

  std::string name;
  absl::Time create_time;
  std::string only_namespace;    // empty: all that there were
  std::vector<Part> namespaces;  // in order of name
  uint64_t bytes = 0;            // of its files; those shared with the server's, too
};

// The snapshots of a data directory: directories in snapshots/, each of which is a data directory
// itself, with a file SNAPSHOT that says what is in it. One that is there is whole: it is written under
// another name first. Thread-safe.
class Snapshots {
 public:
  // `files` must outlive the object. `directory` need not exist; its parent must.
  Snapshots(storage::FileSystem* files, std::string directory)
      : files_(*files), directory_(std::move(directory)) {}

  // Removes what a crash left of snapshots that were being made or deleted.
  absl::Status RemoveLeftovers() ABSL_LOCKS_EXCLUDED(mu_);

  // Makes a snapshot: `write` gets the path of a directory to make, whose files survive power loss
  // when it returns. `info` has all but the size. One at a time: others wait. InvalidArgument: not a
  // name; AlreadyExists; else the errors of `write`.
  absl::StatusOr<SnapshotInfo> Create(
      const std::string& name, std::string_view only_namespace,
      absl::FunctionRef<absl::StatusOr<std::vector<SnapshotInfo::Part>>(const std::string& path)>
          write) ABSL_LOCKS_EXCLUDED(mu_);

  // In order of time.
  absl::StatusOr<std::vector<SnapshotInfo>> List() const;

  // The directory of a snapshot. InvalidArgument, NotFound.
  absl::StatusOr<std::string> Find(const std::string& name) const;

  // NotFound; FailedPrecondition: it is being read.
  absl::Status Delete(const std::string& name) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  std::string Path(std::string_view name) const;
  // Where it is while it is made, or deleted.
  std::string HiddenPath(std::string_view name) const;
  absl::StatusOr<SnapshotInfo> Read(const std::string& name) const;

  storage::FileSystem& files_;
  const std::string directory_;
  Mutex mu_;  // held while a snapshot is made or deleted
};

// The error of whoever names a snapshot that is not there.
absl::Status NoSuchSnapshot(std::string_view name);

// Gives the sealed segments in one directory second names in another, which it makes. Nothing to do
// where there is no such directory. Survives power loss but for the name of `to`.
absl::Status LinkSegments(storage::FileSystem* files, const std::string& from,
                          const std::string& to);

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_SNAPSHOTS_H_
