#include "storage/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::storage {
namespace {

constexpr mode_t kFileMode = 0600;

absl::Status WriteAll(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError(errno, path, "write");
    content.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

int FileDescriptor::Release() { return std::exchange(fd_, -1); }

absl::Status SystemError(int error_number, std::string_view path, std::string_view action) {
  const std::string message =
      StrCat(path, ": cannot ", action, ": ", std::generic_category().message(error_number));
  const bool full = error_number == ENOSPC || error_number == EDQUOT;
  return full ? absl::ResourceExhaustedError(message) : absl::UnavailableError(message);
}

absl::StatusOr<std::optional<std::string>> ReadSmallFile(const std::string& path,
                                                         size_t bytes_max) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid() && errno == ENOENT) return std::nullopt;
  if (!file.valid()) return SystemError(errno, path, "open");
  std::string content(bytes_max + 1, '\0');
  size_t size = 0;
  while (size < content.size()) {
    const ssize_t got = read(file.get(), content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(errno, path, "read");
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > bytes_max) {
    return absl::DataLossError(
        StrCat(path, ": is longer than the ", bytes_max, " bytes it may have"));
  }
  content.resize(size);
  return content;
}

absl::Status WriteFileAtomically(const std::string& directory, std::string_view name,
                                 std::string_view content) {
  const std::string path = StrCat(directory, "/", name);
  const std::string temporary = StrCat(path, ".tmp");
  const FileDescriptor file(
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode));
  if (!file.valid()) return SystemError(errno, temporary, "create");
  VARVE_RETURN_IF_ERROR(WriteAll(file.get(), content, temporary));
  if (fsync(file.get()) != 0) return SystemError(errno, temporary, "sync");
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return SystemError(errno, path, "rename the .tmp file to this");
  }
  return SyncDirectory(directory);
}

absl::Status CreateDirectories(const std::string& directory) {
  const std::filesystem::path path = directory;
  std::vector<std::filesystem::path> missing;
  std::error_code error;
  for (std::filesystem::path at = path; !at.empty() && !std::filesystem::exists(at, error);) {
    if (error) return SystemError(error.value(), at.native(), "look up");
    missing.push_back(at);
    at = at.parent_path();
  }
  for (; !missing.empty(); missing.pop_back()) {
    const std::filesystem::path& at = missing.back();
    if (mkdir(at.c_str(), 0700) != 0 && errno != EEXIST) {
      return SystemError(errno, at.native(), "create the directory");
    }
    const std::filesystem::path parent = at.parent_path();
    VARVE_RETURN_IF_ERROR(SyncDirectory(parent.empty() ? "." : parent.native()));
  }
  if (!std::filesystem::is_directory(path, error)) {
    return absl::FailedPreconditionError(
        StrCat(path.native(), ": is not a directory; name one for the data"));
  }
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& directory) {
  const FileDescriptor file(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.valid()) return SystemError(errno, directory, "open the directory");
  if (fsync(file.get()) != 0) return SystemError(errno, directory, "sync the directory");
  return absl::OkStatus();
}

}  // namespace varve::storage
