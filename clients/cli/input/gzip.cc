#include "clients/cli/input/gzip.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::cli {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

struct CloseGzip {
  void operator()(gzFile file) const { gzclose(file); }
};
using GzipFile = std::unique_ptr<gzFile_s, CloseGzip>;

// A new file that is gone with this.
class TemporaryFile {
 public:
  TemporaryFile() {
    std::error_code error;
    path_ = (std::filesystem::temp_directory_path(error) / "varve-XXXXXX").string();
    if (error) {
      status_ = absl::NotFoundError(StrCat("TMPDIR: ", error.message()));
      return;
    }
    fd_ = mkostemp(path_.data(), O_CLOEXEC);
    if (fd_ < 0) status_ = absl::ErrnoToStatus(errno, StrCat("cannot make ", path_));
  }
  ~TemporaryFile() {
    if (fd_ < 0) return;
    close(fd_);
    unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }
  const absl::Status& status() const { return status_; }

  void Write(const char* data, size_t bytes) {
    while (bytes > 0 && status_.ok()) {
      const ssize_t written = write(fd_, data, bytes);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        status_ = absl::ErrnoToStatus(errno, StrCat("cannot write ", path_));
        return;
      }
      data += written;
      bytes -= static_cast<size_t>(written);
    }
  }

 private:
  std::string path_;
  int fd_ = -1;
  absl::Status status_;
};

absl::Status Unpack(const std::string& path, TemporaryFile* out) {
  errno = 0;
  const GzipFile in(gzopen(path.c_str(), "rbe"));
  if (in == nullptr) {
    return absl::ErrnoToStatus(errno == 0 ? ENOMEM : errno, StrCat("cannot open ", path));
  }
  std::vector<char> buffer(kBufferBytes);
  for (;;) {
    const int bytes = gzread(in.get(), buffer.data(), static_cast<unsigned>(buffer.size()));
    if (bytes <= 0) break;
    out->Write(buffer.data(), static_cast<size_t>(bytes));
    VARVE_RETURN_IF_ERROR(out->status());
  }
  int error = Z_OK;
  const char* const why = gzerror(in.get(), &error);
  if (error == Z_ERRNO) return absl::ErrnoToStatus(errno, StrCat("cannot read ", path));
  if (error == Z_BUF_ERROR) return absl::InvalidArgumentError(StrCat(path, ": is cut short"));
  if (error != Z_OK && error != Z_STREAM_END) {
    return absl::InvalidArgumentError(StrCat(path, ": is damaged: ", why));
  }
  // zlib hands what is not gzip through as it is.
  if (gzdirect(in.get()) != 0) return absl::InvalidArgumentError(StrCat(path, ": is not gzip"));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<MappedFile> OpenGzip(const std::string& path) {
  TemporaryFile unpacked;
  VARVE_RETURN_IF_ERROR(unpacked.status());
  VARVE_RETURN_IF_ERROR(Unpack(path, &unpacked));
  return MappedFile::Open(unpacked.path());
}

}  // namespace varve::cli
