#include "storage/file_system.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "storage/files.h"

namespace varve::storage {
namespace {

// Appends reach the system in writes of at least this many bytes.
constexpr size_t kBufferBytes = size_t{1} << 18;

absl::Status FileError(int error_number, std::string_view path, std::string_view action) {
  if (error_number != ENOENT) return SystemError(error_number, path, action);
  return absl::NotFoundError(StrCat(path, ": cannot ", action, ": no such file or directory"));
}

class SystemWritableFile final : public WritableFile {
 public:
  SystemWritableFile(std::string path, FileDescriptor fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}

  absl::Status Append(std::string_view bytes) override {
    buffer_.append(bytes);
    return buffer_.size() < kBufferBytes ? absl::OkStatus() : WriteBuffer();
  }

  absl::Status Sync() override {
    VARVE_RETURN_IF_ERROR(WriteBuffer());
    if (fdatasync(fd_.get()) == 0) return absl::OkStatus();
    return FileError(errno, path_, "sync");
  }

 private:
  absl::Status WriteBuffer() {
    for (std::string_view rest = buffer_; !rest.empty();) {
      const ssize_t written = write(fd_.get(), rest.data(), rest.size());
      if (written < 0 && errno != EINTR) return FileError(errno, path_, "write");
      if (written > 0) rest.remove_prefix(static_cast<size_t>(written));
    }
    buffer_.clear();
    return absl::OkStatus();
  }

  const std::string path_;
  const FileDescriptor fd_;
  std::string buffer_;
};

class SystemMappedFile final : public MappedFile {
 public:
  explicit SystemMappedFile(std::string_view bytes) : bytes_(bytes) {}
  ~SystemMappedFile() override {
    if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
  }
  std::string_view bytes() const override { return bytes_; }

 private:
  const std::string_view bytes_;
};

class SystemFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    FileDescriptor fd(open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644));
    if (!fd.valid()) return FileError(errno, path, "create");
    return std::make_unique<SystemWritableFile>(path, std::move(fd));
  }

  absl::StatusOr<std::shared_ptr<const MappedFile>> Map(const std::string& path) override {
    const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return FileError(errno, path, "open");
    struct stat status;
    if (fstat(fd.get(), &status) != 0) return FileError(errno, path, "look at");
    const auto size = static_cast<size_t>(status.st_size);
    if (size == 0) return std::make_shared<SystemMappedFile>(std::string_view());
    void* const memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
    if (memory == MAP_FAILED) return FileError(errno, path, "map");
    return std::make_shared<SystemMappedFile>(
        std::string_view(static_cast<const char*>(memory), size));
  }

  absl::Status LinkOrCopy(const std::string& from, const std::string& to) override {
    if (link(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    // Another file system, or one without links; or a file that is not ours.
    if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != EOPNOTSUPP) {
      return FileError(errno, from, StrCat("link to ", to));
    }
    VARVE_ASSIGN_OR_RETURN(const auto source, Map(from));
    VARVE_ASSIGN_OR_RETURN(const auto copy, Create(to));
    for (std::string_view rest = source->bytes(); !rest.empty();) {
      const std::string_view piece = rest.substr(0, kBufferBytes);
      VARVE_RETURN_IF_ERROR(copy->Append(piece));
      rest.remove_prefix(piece.size());
    }
    return copy->Sync();
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    return FileError(errno, from, StrCat("rename to ", to));
  }

  absl::Status Remove(const std::string& path) override {
    if (unlink(path.c_str()) == 0) return absl::OkStatus();
    return FileError(errno, path, "remove");
  }

  absl::Status CreateDirectory(const std::string& path) override {
    if (mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return absl::OkStatus();
    return FileError(errno, path, "create the directory");
  }

  absl::Status RemoveDirectory(const std::string& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    return error ? FileError(error.value(), path, "remove the directory") : absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator it(path, error), end; !error && it != end;
         it.increment(error)) {
      names.push_back(it->path().filename().string());
    }
    if (error && error.value() != ENOENT) return FileError(error.value(), path, "list");
    return names;
  }

  absl::Status SyncDirectory(const std::string& path) override {
    return storage::SyncDirectory(path);
  }
};

}  // namespace

FileSystem* FileSystem::System() {
  static FileSystem* const system = new SystemFileSystem;
  return system;
}

}  // namespace varve::storage
