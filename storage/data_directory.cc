#include "storage/data_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "storage/files.h"

namespace varve::storage {
namespace {

constexpr std::string_view kFormatName = "varve";
constexpr std::string_view kFormatFile = "FORMAT";
constexpr std::string_view kLockFile = "LOCK";
constexpr size_t kFormatFileBytesMax = 4096;
constexpr size_t kLockFileBytesMax = 64;

// What may lie in a directory that is still empty to us: the file system's own, and what a start
// that was killed before it wrote FORMAT leaves.
bool IsLeftover(std::string_view name) {
  return name == "lost+found" || name == kLockFile || name == StrCat(kFormatFile, ".tmp");
}

// FailedPrecondition unless there is nothing of anyone's in the directory.
absl::Status CheckEmpty(const std::string& path) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(path, error), end; it != end; it.increment(error)) {
    const std::string name = it->path().filename().native();
    if (IsLeftover(name)) continue;
    return absl::FailedPreconditionError(StrCat(path, ": is not a Varve data directory: it has no ",
                                                kFormatFile, " file and is not empty (it holds \"",
                                                name, "\"); name another directory"));
  }
  if (error) return SystemError(error.value(), path, "list");
  return absl::OkStatus();
}

// The version of a directory that says so in FORMAT.
absl::StatusOr<uint64_t> ReadVersion(const std::string& path, const std::string& content) {
  const std::string file = StrCat(path, "/", kFormatFile);
  const nlohmann::json format = nlohmann::json::parse(content, nullptr, /*allow_exceptions=*/false);
  const auto name = format.find("format");  // end() also when it is no object
  if (name == format.end() || !name->is_string() ||
      name->get_ref<const std::string&>() != kFormatName) {
    return absl::FailedPreconditionError(StrCat(
        file, ": does not say {\"format\": \"varve\"}: the directory belongs to something else"));
  }
  const auto version = format.find("version");
  if (version == format.end() || !version->is_number_unsigned() || *version == 0) {
    return absl::FailedPreconditionError(StrCat(file, ": \"version\" must be a number from 1 on"));
  }
  if (const auto found = version->get<uint64_t>(); found > DataDirectory::kFormatVersion) {
    return absl::FailedPreconditionError(
        StrCat(file, ": the directory has format version ", found, ", this build reads up to ",
               DataDirectory::kFormatVersion, "; start the newer Varve that wrote it"));
  }
  return version->get<uint64_t>();
}

// The version of a directory that is Varve's already. None when it is empty; an error when it is anything
// else. Touches nothing.
absl::StatusOr<std::optional<uint64_t>> FindVersion(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const std::optional<std::string> content,
                         ReadSmallFile(StrCat(path, "/", kFormatFile), kFormatFileBytesMax));
  if (content.has_value()) return ReadVersion(path, *content);
  VARVE_RETURN_IF_ERROR(CheckEmpty(path));
  return std::nullopt;
}

absl::Status CheckExists(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(StrCat(path, "/", kFormatFile), error)) return absl::OkStatus();
  return absl::NotFoundError(
      StrCat(path, ": is not a Varve data directory: it has no ", kFormatFile, " file"));
}

absl::Status LockedByAnother(const std::string& path, const std::string& lock_path) {
  std::string holder;
  if (auto content = ReadSmallFile(lock_path, kLockFileBytesMax); content.ok()) {
    holder = content->value_or("");
    holder.erase(std::min(holder.find('\n'), holder.size()));
  }
  return absl::FailedPreconditionError(
      StrCat(path, ": is in use by process ", holder.empty() ? "(unknown)" : holder));
}

// flock, not fcntl: it belongs to the open file, so a second Open in one process fails as well, and
// closing some other descriptor of the file does not give it up. The system frees it when we die.
absl::StatusOr<FileDescriptor> Lock(const std::string& path) {
  const std::string lock_path = StrCat(path, "/", kLockFile);
  FileDescriptor file(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file.valid()) return SystemError(errno, lock_path, "open");
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return LockedByAnother(path, lock_path);
    return SystemError(errno, lock_path, "lock");
  }
  const std::string holder = StrCat(getpid(), "\n");
  if (ftruncate(file.get(), 0) != 0 ||
      pwrite(file.get(), holder.data(), holder.size(), 0) != static_cast<ssize_t>(holder.size())) {
    return SystemError(errno, lock_path, "write");
  }
  return file;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataDirectory>> DataDirectory::Open(const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError("the path of the data directory is empty");
  VARVE_RETURN_IF_ERROR(CreateDirectories(path));
  // Before the lock, so that nothing is created in a directory that is not ours; after it again,
  // because another process may have come first.
  VARVE_RETURN_IF_ERROR(FindVersion(path).status());
  VARVE_ASSIGN_OR_RETURN(FileDescriptor lock, Lock(path));
  VARVE_ASSIGN_OR_RETURN(const std::optional<uint64_t> version, FindVersion(path));
  // Whatever an older version wrote is valid in this one: only the number has to change.
  if (version != kFormatVersion) {
    const nlohmann::json format = {{"format", kFormatName}, {"version", kFormatVersion}};
    VARVE_RETURN_IF_ERROR(WriteFileAtomically(path, kFormatFile, format.dump() + "\n"));
  }
  return absl::WrapUnique(new DataDirectory(path, lock.Release()));
}

absl::StatusOr<std::unique_ptr<DataDirectory>> DataDirectory::OpenExisting(
    const std::string& path) {
  VARVE_RETURN_IF_ERROR(CheckExists(path));
  return Open(path);
}

absl::StatusOr<std::unique_ptr<DataDirectory>> DataDirectory::OpenToRead(const std::string& path) {
  VARVE_RETURN_IF_ERROR(CheckExists(path));
  const std::string lock_path = StrCat(path, "/", kLockFile);
  FileDescriptor lock(open(lock_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!lock.valid() && errno != ENOENT) return SystemError(errno, lock_path, "open");
  if (lock.valid() && flock(lock.get(), LOCK_SH | LOCK_NB) != 0) {
    return LockedByAnother(path, lock_path);
  }
  VARVE_ASSIGN_OR_RETURN(const std::optional<uint64_t> version, FindVersion(path));
  if (version != kFormatVersion) {
    return absl::FailedPreconditionError(
        StrCat(path, ": the directory has format version ", version.value_or(0),
               ", to be read it must have ", kFormatVersion,
               "; start this Varve on it once, which brings it up to that"));
  }
  return absl::WrapUnique(new DataDirectory(path, lock.Release()));
}

DataDirectory::~DataDirectory() {
  if (lock_fd_ >= 0) close(lock_fd_);
}

}  // namespace varve::storage
