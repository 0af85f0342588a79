#ifndef VARVE_SERVER_ENGINE_CHECK_H_
#define VARVE_SERVER_ENGINE_CHECK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/call_control.h"

namespace varve::engine {

// What a check of a data directory read and found. Each finding is a line that names the namespace,
// the file or row, and what was wanted.
struct CheckReport {
  uint64_t namespaces = 0;
  uint64_t records = 0;
  uint64_t segments = 0;
  uint64_t segment_rows = 0;
  // The records are right and what is derived from them is not: the manifest, a segment file, a
  // tombstone. A repair makes it anew.
  std::vector<std::string> index_damage;
  // Records that are damaged or contradict each other. Only a backup has them.
  std::vector<std::string> record_damage;
  // Files that nothing refers to: what a crash left, which the next use of the namespace removes, and
  // damaged files that were put aside. Harmless.
  std::vector<std::string> leftovers;

  bool clean() const { return index_damage.empty() && record_damage.empty(); }
};

// Reads all records and all segment files of a data directory that no server has open, and compares
// them. It opens the record store as a server does, which replays the log; it changes nothing else.
// Memory: a segment's mapping and 16 bytes for each tombstone.
// NotFound: there is no data directory. Else the errors of DataDirectory::Open and RecordStore::Open.
absl::StatusOr<CheckReport> CheckDataDirectory(const std::string& path);

// The same of one that is only read, such as a snapshot: it may be on a read-only file system. Cancelled,
// DeadlineExceeded.
absl::StatusOr<CheckReport> CheckSnapshot(const std::string& path,
                                          const CallControl& control = CallControl());

// Checks, and then makes anew all index that is damaged, from the records. Damaged files are put aside
// as NAME.damaged. Returns what was found before.
absl::StatusOr<CheckReport> RepairDataDirectory(const std::string& path);

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_CHECK_H_
