#ifndef VARVE_STORAGE_FILES_H_
#define VARVE_STORAGE_FILES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace varve::storage {

// An open file descriptor, closed when destroyed.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.Release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  bool valid() const { return fd_ >= 0; }
  int get() const { return fd_; }
  // Gives the descriptor away.
  int Release();

 private:
  int fd_;
};

// The status for a failed system call: ResourceExhausted when the disk is full, else Unavailable.
// The message is "<path>: cannot <action>: <the system's word>".
absl::Status SystemError(int error_number, std::string_view path, std::string_view action);

// The content of a small file, nullopt when there is none. DataLoss when it is longer than
// `bytes_max`.
absl::StatusOr<std::optional<std::string>> ReadSmallFile(const std::string& path, size_t bytes_max);

// Replaces (or creates) `directory`/`name`. After a crash at any moment the file is there with its
// old or its new content, and when this returns OK the new one survives power loss. In between it
// writes `directory`/`name`.tmp.
absl::Status WriteFileAtomically(const std::string& directory, std::string_view name,
                                 std::string_view content);

// Creates the missing part of the path, so that it survives power loss. FailedPrecondition: something
// that is no directory is in its place.
absl::Status CreateDirectories(const std::string& directory);

// Makes the entries of a directory survive power loss.
absl::Status SyncDirectory(const std::string& directory);

}  // namespace varve::storage

#endif  // VARVE_STORAGE_FILES_H_
