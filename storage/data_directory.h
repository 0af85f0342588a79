#ifndef VARVE_STORAGE_DATA_DIRECTORY_H_
#define VARVE_STORAGE_DATA_DIRECTORY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace varve::storage {

// The data directory of one server:
//   FORMAT     {"format": "varve", "version": N}: what wrote it, checked before anything else
//   LOCK       held (flock) while a server has it open, with that server's process id as text
//   records/   the record store
//   segments/  sealed segments: a directory for each namespace, named by its number
//   snapshots/ copies of the others, by name, each as of one moment
// The class owns the lock and gives it back when destroyed.
class DataDirectory {
 public:
  // The version this build writes, and the newest that it reads. An older directory is brought up to it when
  // it is opened, and cannot be opened by the builds that wrote it any more.
  //   1  the first
  //   2  records may have metadata, expire, and have vectors in several fields
  static constexpr int kFormatVersion = 2;

  // Opens `path`, creating it if it does not exist or is empty, and locks it.
  // FailedPrecondition: not empty and not Varve's (names what was found), of a newer version (both
  // numbers), or locked by another process (its id). Unavailable: the disk refuses.
  static absl::StatusOr<std::unique_ptr<DataDirectory>> Open(const std::string& path);
  // The same, but never creates one. NotFound: there is none.
  static absl::StatusOr<std::unique_ptr<DataDirectory>> OpenExisting(const std::string& path);
  // One that is only read: others may read it at the same time, and nothing is written to it, which may be
  // on a read-only file system. FailedPrecondition: as Open, and of an older version. NotFound.
  static absl::StatusOr<std::unique_ptr<DataDirectory>> OpenToRead(const std::string& path);
  ~DataDirectory();
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string records_path() const { return path_ + "/records"; }
  std::string segments_path() const { return path_ + "/segments"; }
  std::string snapshots_path() const { return path_ + "/snapshots"; }

 private:
  DataDirectory(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}

  const std::string path_;
  const int lock_fd_;  // -1: opened to read, and nobody ever had it open to write
};

}  // namespace varve::storage

#endif  // VARVE_STORAGE_DATA_DIRECTORY_H_
