#include "tests/crash/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

namespace varve {
namespace {

constexpr size_t kSectorBytes = 512;

std::string ParentOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

// The name in an entry of a set or a map, or in a node taken out of it.
const std::string& NameOf(const std::string& name) { return name; }
template <typename File>
const std::string& NameOf(const std::pair<const std::string, File>& entry) {
  return entry.first;
}
std::string& NameOf(std::set<std::string>::node_type& node) { return node.value(); }
template <typename Node>
std::string& NameOf(Node& node) {
  return node.key();
}

// The names of `all` in `directory` take the place of those in `stable`.
template <typename Set, typename NameOf>
void MakeStable(const Set& all, const std::string& directory, NameOf name, Set* stable) {
  std::erase_if(*stable, [&](const auto& entry) { return ParentOf(name(entry)) == directory; });
  for (const auto& entry : all) {
    if (ParentOf(name(entry)) == directory) stable->insert(entry);
  }
}

}  // namespace

void DiskImage::Apply(const DiskCall& call) {
  using Kind = DiskCall::Kind;
  switch (call.kind) {
    case Kind::kCreate:
      names_[call.path] = files_[call.file] = std::make_shared<File>();
      break;
    case Kind::kWrite: {
      std::string& bytes = files_.at(call.file)->bytes;
      if (bytes.size() < call.offset + call.bytes.size()) {
        bytes.resize(call.offset + call.bytes.size());
      }
      bytes.replace(call.offset, call.bytes.size(), call.bytes);
      break;
    }
    case Kind::kTruncate:
      files_.at(call.file)->bytes.resize(call.offset);
      break;
    case Kind::kSync:
      files_.at(call.file)->stable_bytes = files_.at(call.file)->bytes;
      break;
    case Kind::kRename: {
      if (directories_.contains(call.path)) {
        Move(call.path, call.other_path, &names_);
        Move(call.path, call.other_path, &directories_);
        renamed_.emplace_back(call.path, call.other_path);
        break;
      }
      auto moved = names_.extract(call.path);
      names_.erase(call.other_path);
      moved.key() = call.other_path;
      names_.insert(std::move(moved));
      break;
    }
    case Kind::kLink:
      names_[call.other_path] = names_.at(call.path);
      break;
    case Kind::kRemove:
      if (names_.erase(call.path) == 0) directories_.erase(call.path);
      break;
    case Kind::kMakeDirectory:
      directories_.insert(call.path);
      break;
    case Kind::kSyncDirectory:
      std::erase_if(renamed_, [&](const auto& renamed) {
        if (ParentOf(renamed.second) != call.path) return false;
        Move(renamed.first, renamed.second, &stable_names_);
        Move(renamed.first, renamed.second, &stable_directories_);
        return true;
      });
      MakeStable(
          names_, call.path, [](const auto& entry) { return entry.first; }, &stable_names_);
      MakeStable(
          directories_, call.path, [](const auto& entry) { return entry; }, &stable_directories_);
      break;
    case Kind::kFailed:
      break;
  }
}

template <typename Entries>
void DiskImage::Move(const std::string& from, const std::string& to, Entries* entries) {
  std::vector<std::string> inside;
  for (const auto& entry : *entries) {
    const std::string& path = NameOf(entry);
    if (path == from || path.starts_with(from + "/")) inside.push_back(path);
  }
  for (const std::string& path : inside) {
    auto moved = entries->extract(path);
    NameOf(moved) = to + path.substr(from.size());
    entries->insert(std::move(moved));
  }
}

std::string DiskImage::Survives(CrashKind crash, const File& file) {
  if (crash == CrashKind::kKilled) return file.bytes;
  if (crash == CrashKind::kPowerLoss) return file.stable_bytes;
  // Half of what is new; of what was written over, as a log is not, the old.
  const size_t stable = file.stable_bytes.size();
  if (file.bytes.size() < stable || file.bytes.compare(0, stable, file.stable_bytes) != 0) {
    return file.stable_bytes;
  }
  const size_t half = stable + (file.bytes.size() - stable) / 2;
  return file.bytes.substr(0, std::max(stable, half / kSectorBytes * kSectorBytes));
}

void DiskImage::Write(CrashKind crash, const std::string& target) const {
  const bool lost = crash == CrashKind::kPowerLoss;
  std::filesystem::remove_all(target);
  // In order of name: a directory before what is in it. What is in one that is lost is lost.
  for (const std::string& directory : lost ? stable_directories_ : directories_) {
    std::error_code ignored;
    std::filesystem::create_directory(target + directory.substr(root_.size()), ignored);
  }
  for (const auto& [path, file] : lost ? stable_names_ : names_) {
    std::ofstream(target + path.substr(root_.size()), std::ios::binary) << Survives(crash, *file);
  }
}

namespace {

// What the process has open below the root.
struct OpenFile {
  uint64_t file = 0;  // 0: a directory
  std::string path;   // when it was opened
};

// The recorder's state. The lock is held through each call, so that the calls' order is the record's.
struct Recorder {
  std::mutex mu;
  std::string root;  // empty: not recording
  std::vector<DiskCall> calls;
  std::map<int, OpenFile> open;
  std::map<std::string, uint64_t> files;  // by their present name
  uint64_t last_file = 0;
  size_t fail_at = SIZE_MAX;
  bool fail_later = false;
  int refused_with = 0;

  bool Concerns(std::string_view path) const {
    return !root.empty() && path.size() > root.size() && path.substr(0, root.size()) == root &&
           path[root.size()] == '/' && !path.ends_with("/LOG");
  }
  // A file has another name now, or a directory and all that is in it.
  void Rename(const std::string& from, const std::string& to) {
    std::map<std::string, uint64_t> renamed;
    for (const auto& [path, file] : files) {
      const bool inside = path == from || path.starts_with(from + "/");
      if (path != to) renamed[inside ? to + path.substr(from.size()) : path] = file;
    }
    files = std::move(renamed);
  }
  // Runs a call that changes something and records it if it worked.
  template <typename Run>
  int64_t Change(DiskCall call, Run run) {
    const size_t number = calls.size();
    const bool fails = refused_with != 0 || (fail_later ? number >= fail_at : number == fail_at);
    const int64_t result = fails ? -1 : run();
    if (fails) errno = refused_with != 0 ? refused_with : EIO;
    if (result < 0) call = {.kind = DiskCall::Kind::kFailed};
    calls.push_back(std::move(call));
    return result;
  }
};

Recorder& recorder() {
  static auto& instance = *new Recorder;
  return instance;
}

// The absolute path of `path` as seen from the directory `at`.
std::string Resolve(Recorder& r, int at, const char* path) {
  if (path[0] == '/') return path;
  if (at != AT_FDCWD) {
    const auto found = r.open.find(at);
    return found == r.open.end() ? "" : found->second.path + "/" + path;
  }
  char buffer[PATH_MAX];
  return getcwd(buffer, sizeof(buffer)) == nullptr ? "" : std::string(buffer) + "/" + path;
}

int Open(int at, const char* path, int flags, mode_t mode) {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  const auto run = [&] { return syscall(SYS_openat, at, path, flags, mode); };
  const std::string whole = Resolve(r, at, path);
  if (!r.Concerns(whole) && whole != r.root) return static_cast<int>(run());
  const auto known = r.files.find(whole);
  int64_t fd;
  if (known == r.files.end() && (flags & O_CREAT) != 0) {
    const uint64_t file = ++r.last_file;
    fd = r.Change({.kind = DiskCall::Kind::kCreate, .file = file, .path = whole}, run);
    if (fd >= 0) r.files[whole] = file;
  } else if (known != r.files.end() && (flags & O_TRUNC) != 0) {
    fd = r.Change({.kind = DiskCall::Kind::kTruncate, .file = known->second}, run);
  } else {
    fd = run();
  }
  if (fd >= 0) {
    const auto file = r.files.find(whole);
    r.open[static_cast<int>(fd)] = {file == r.files.end() ? 0 : file->second, whole};
  }
  return static_cast<int>(fd);
}

ssize_t WriteAt(int fd, const void* data, size_t size, std::optional<off_t> offset) {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  const auto run = [&] {
    return offset.has_value() ? syscall(SYS_pwrite64, fd, data, size, *offset)
                              : syscall(SYS_write, fd, data, size);
  };
  const auto found = r.open.find(fd);
  if (found == r.open.end() || found->second.file == 0) return run();
  const off_t at = offset.value_or(lseek(fd, 0, SEEK_CUR));
  return r.Change({.kind = DiskCall::Kind::kWrite,
                   .file = found->second.file,
                   .offset = static_cast<uint64_t>(at),
                   .bytes = std::string(static_cast<const char*>(data), size)},
                  run);
}

int Truncate(int fd, off_t size) {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  const auto run = [&] { return syscall(SYS_ftruncate, fd, size); };
  const auto found = r.open.find(fd);
  if (found == r.open.end()) return static_cast<int>(run());
  return static_cast<int>(r.Change({.kind = DiskCall::Kind::kTruncate,
                                    .file = found->second.file,
                                    .offset = static_cast<uint64_t>(size)},
                                   run));
}

int Sync(int fd) {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  const auto found = r.open.find(fd);
  if (found == r.open.end()) return 0;
  const OpenFile& file = found->second;
  return static_cast<int>(
      r.Change({.kind = file.file == 0 ? DiskCall::Kind::kSyncDirectory : DiskCall::Kind::kSync,
                .file = file.file,
                .path = file.path},
               [] { return 0; }));
}

int Rename(const char* from, const char* to) {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  const auto run = [&] { return syscall(SYS_rename, from, to); };
  const std::string old_path = Resolve(r, AT_FDCWD, from), path = Resolve(r, AT_FDCWD, to);
  if (!r.Concerns(old_path)) return static_cast<int>(run());
  const int64_t result =
      r.Change({.kind = DiskCall::Kind::kRename, .path = old_path, .other_path = path}, run);
  if (result == 0) r.Rename(old_path, path);
  return static_cast<int>(result);
}

int Link(const char* from, const char* to) {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  const auto run = [&] { return syscall(SYS_link, from, to); };
  const std::string old_path = Resolve(r, AT_FDCWD, from), path = Resolve(r, AT_FDCWD, to);
  if (!r.Concerns(old_path)) return static_cast<int>(run());
  const int64_t result =
      r.Change({.kind = DiskCall::Kind::kLink, .path = old_path, .other_path = path}, run);
  if (result == 0) r.files[path] = r.files.at(old_path);
  return static_cast<int>(result);
}

int Remove(int at, const char* name, int flags) {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  const auto run = [&] { return syscall(SYS_unlinkat, at, name, flags); };
  const std::string path = Resolve(r, at, name);
  if (!r.Concerns(path)) return static_cast<int>(run());
  const int64_t result = r.Change({.kind = DiskCall::Kind::kRemove, .path = path}, run);
  if (result == 0) r.files.erase(path);
  return static_cast<int>(result);
}

int MakeDirectory(const char* name, mode_t mode) {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  const auto run = [&] { return syscall(SYS_mkdir, name, mode); };
  const std::string path = Resolve(r, AT_FDCWD, name);
  if (!r.Concerns(path)) return static_cast<int>(run());
  return static_cast<int>(r.Change({.kind = DiskCall::Kind::kMakeDirectory, .path = path}, run));
}

int Close(int fd) {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  r.open.erase(fd);
  return static_cast<int>(syscall(SYS_close, fd));
}

// The argument of open() that is there only when a file may be created.
mode_t ModeOf(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

void Disk::Record(const std::string& root) {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  r.root = root;
  r.calls.clear();
  r.open.clear();
  r.files.clear();
  r.last_file = 0;
  r.fail_at = SIZE_MAX;
  r.fail_later = false;
}

std::vector<DiskCall> Disk::Stop() {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  r.root.clear();
  r.open.clear();
  return std::exchange(r.calls, {});
}

size_t Disk::calls() {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  return r.calls.size();
}

void Disk::Refuse(int error_number) {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  r.refused_with = error_number;
}

void Disk::FailAt(size_t call, bool and_all_later) {
  Recorder& r = recorder();
  const std::lock_guard lock(r.mu);
  r.fail_at = call;
  r.fail_later = and_all_later;
}

}  // namespace varve

// The C library's names. Both widths are the same on 64-bit systems; the forms with two underscores
// are what callers with checks compiled in use.
extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = varve::ModeOf(flags, arguments);
  va_end(arguments);
  return varve::Open(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = varve::ModeOf(flags, arguments);
  va_end(arguments);
  return varve::Open(AT_FDCWD, path, flags, mode);
}
int openat(int at, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = varve::ModeOf(flags, arguments);
  va_end(arguments);
  return varve::Open(at, path, flags, mode);
}
int openat64(int at, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = varve::ModeOf(flags, arguments);
  va_end(arguments);
  return varve::Open(at, path, flags, mode);
}
// NOLINTBEGIN(bugprone-reserved-identifier, readability-identifier-naming): the names are the library's.
int __open_2(const char* path, int flags) { return varve::Open(AT_FDCWD, path, flags, 0); }
int __open64_2(const char* path, int flags) { return varve::Open(AT_FDCWD, path, flags, 0); }
// NOLINTEND(bugprone-reserved-identifier, readability-identifier-naming)
int close(int fd) { return varve::Close(fd); }

ssize_t write(int fd, const void* data, size_t size) {
  return varve::WriteAt(fd, data, size, std::nullopt);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  return varve::WriteAt(fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off_t offset) {
  return varve::WriteAt(fd, data, size, offset);
}
int ftruncate(int fd, off_t size) noexcept { return varve::Truncate(fd, size); }
int ftruncate64(int fd, off_t size) noexcept { return varve::Truncate(fd, size); }
// Room is a matter of speed: RocksDB goes on without.
int fallocate(int, int, off_t, off_t) {
  errno = EOPNOTSUPP;
  return -1;
}
int fallocate64(int, int, off_t, off_t) {
  errno = EOPNOTSUPP;
  return -1;
}

int fsync(int fd) { return varve::Sync(fd); }
int fdatasync(int fd) { return varve::Sync(fd); }

// Work in the background, which the script waits for, does not stand back behind what else the machine does.
int setpriority(__priority_which_t, id_t, int) noexcept { return 0; }

// RocksDB rests a second after each failure of a flush or a compaction.
int usleep(useconds_t microseconds) {
  constexpr useconds_t kMost = 1000;
  const timespec time = {.tv_sec = 0, .tv_nsec = 1000L * std::min(microseconds, kMost)};
  return nanosleep(&time, nullptr);
}

int rename(const char* from, const char* to) noexcept { return varve::Rename(from, to); }
int link(const char* from, const char* to) noexcept { return varve::Link(from, to); }
int unlink(const char* path) noexcept { return varve::Remove(AT_FDCWD, path, 0); }
int unlinkat(int at, const char* path, int flags) noexcept {
  return varve::Remove(at, path, flags);
}
int rmdir(const char* path) noexcept { return varve::Remove(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char* path) noexcept {
  const int result = unlink(path);
  return result != 0 && errno == EISDIR ? rmdir(path) : result;
}
int mkdir(const char* path, mode_t mode) noexcept { return varve::MakeDirectory(path, mode); }

}  // extern "C"
