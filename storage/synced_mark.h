#ifndef VARVE_STORAGE_SYNCED_MARK_H_
#define VARVE_STORAGE_SYNCED_MARK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "storage/files.h"

namespace varve::storage {

// SyncedMark remembers, beside the database, up to which of its writes the log has been synced, so
// that a start that recovers less than that is noticed: recovery itself ends at damage without a
// word.
//
// The file SYNCED, 16 bytes, big-endian, overwritten in place:
//    0  u32 magic     "VSYN"
//    4  u32 crc32     of bytes [8, 16)
//    8  u64 sequence  RocksDB's number of the last write that was synced
// It is never synced itself, which would double the fsyncs: after a killed process it is exact,
// after a power cut it may be some seconds old, and so it never claims too much.
//
// Thread-safe. Errors: DataLoss when the file is not as above, Unavailable when the disk refuses.
class SyncedMark {
 public:
  // Opens or creates `directory`/SYNCED.
  static absl::StatusOr<std::unique_ptr<SyncedMark>> Open(const std::string& directory);

  uint64_t sequence() const ABSL_LOCKS_EXCLUDED(mu_);
  // Notes that everything up to `sequence` is on stable storage. The mark never goes down.
  absl::Status Raise(uint64_t sequence) ABSL_LOCKS_EXCLUDED(mu_);

  const std::string& path() const { return path_; }

 private:
  SyncedMark(std::string path, FileDescriptor file, uint64_t sequence)
      : path_(std::move(path)), file_(std::move(file)), sequence_(sequence) {}

  const std::string path_;
  const FileDescriptor file_;
  mutable Mutex mu_;
  uint64_t sequence_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varve::storage

#endif  // VARVE_STORAGE_SYNCED_MARK_H_
