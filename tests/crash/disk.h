#ifndef VARVE_TESTS_CRASH_DISK_H_
#define VARVE_TESTS_CRASH_DISK_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace varve {

// A disk under test control. The binary that links this replaces the C library's calls that change
// files (open, write, rename, fsync ...), so that whoever writes (our code, RocksDB, the standard
// library) writes to it: what happens below one directory is recorded call by call, and can be made
// to fail. RocksDB's own log of what it does, LOG, is left out: nothing depends on it. In such a
// binary fsync costs nothing, anywhere.

// One call that changed something, in the order in which they happened.
struct DiskCall {
  enum class Kind : uint8_t {
    kCreate,    // file `path`
    kWrite,     // `bytes` at `offset`
    kTruncate,  // to `offset` bytes
    kSync,      // a file's content
    kRename,    // `path` to `other_path`; a directory with all that is in it
    kLink,      // the file at `path` is at `other_path` too
    kRemove,    // a file or an empty directory
    kMakeDirectory,
    kSyncDirectory,
    kFailed,  // changed nothing
  };
  Kind kind;
  uint64_t file = 0;  // which file, whatever its name; 0: the call is about a name
  std::string path;
  std::string other_path;
  uint64_t offset = 0;
  std::string bytes;
};

// What a crash leaves of that which was not synced.
enum class CrashKind {
  kKilled,     // all: the process died, the system lives
  kPowerLoss,  // nothing
  kTorn,       // names all, of each file's bytes some sectors
};

// The content of a disk: what calls put there, and what of it is on stable storage. After POSIX: a
// file's bytes are when it was synced, a name when its directory was. Not thread-safe.
class DiskImage {
 public:
  // `root`: the directory that the calls' paths begin with; it is there.
  explicit DiskImage(std::string root) : root_(std::move(root)) {
    directories_.insert(root_);
    stable_directories_.insert(root_);
  }

  void Apply(const DiskCall& call);

  // Makes the directory `target` what is found at the root after a crash.
  void Write(CrashKind crash, const std::string& target) const;

 private:
  struct File {
    std::string bytes;
    std::string stable_bytes;
  };
  using Names = std::map<std::string, std::shared_ptr<File>>;

  // Gives all that is in a directory, and it, the names it has after it was renamed.
  template <typename Entries>
  static void Move(const std::string& from, const std::string& to, Entries* entries);
  static std::string Survives(CrashKind crash, const File& file);

  const std::string root_;
  std::map<uint64_t, std::shared_ptr<File>> files_;
  Names names_, stable_names_;
  std::set<std::string> directories_, stable_directories_;
  // Directories that were renamed, old and new name; not yet on stable storage.
  std::vector<std::pair<std::string, std::string>> renamed_;
};

// The recorder; one for the process. All functions are thread-safe.
class Disk {
 public:
  // Begins to record what happens below `root`, an empty directory.
  static void Record(const std::string& root);
  // Ends recording and gives out what was recorded.
  static std::vector<DiskCall> Stop();
  // Calls recorded so far, failed ones included.
  static size_t calls();
  // Lets call number `call` fail with EIO, and all that follow it if `and_all_later`.
  static void FailAt(size_t call, bool and_all_later);
  // Lets all calls fail with this error, as a disk that is full or read-only does; 0: none any more.
  static void Refuse(int error_number);
};

}  // namespace varve

#endif  // VARVE_TESTS_CRASH_DISK_H_
