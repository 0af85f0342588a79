#include "storage/synced_mark.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <optional>
#include <string_view>

#include "absl/memory/memory.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "storage/big_endian.h"

namespace varve::storage {
namespace {

constexpr std::string_view kFileName = "SYNCED";
constexpr std::string_view kMagic = "VSYN";
constexpr size_t kSequenceOffset = 8;
constexpr size_t kMarkBytes = 16;

uint32_t Checksum(std::string_view bytes) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

std::string Encode(uint64_t sequence) {
  const auto number = BigEndian(sequence);
  return StrCat(kMagic, View(BigEndian(Checksum(View(number)))), View(number));
}

absl::StatusOr<uint64_t> Decode(const std::string& path, std::string_view content) {
  if (content.size() != kMarkBytes) {
    return absl::DataLossError(
        StrCat(path, ": has ", content.size(), " bytes, expected ", kMarkBytes));
  }
  const std::string_view number = content.substr(kSequenceOffset);
  const auto stored = LoadBigEndian<uint32_t>(content.data() + kMagic.size());
  if (content.substr(0, kMagic.size()) != kMagic || stored != Checksum(number)) {
    return absl::DataLossError(StrCat(path, ": is damaged: its magic or checksum is wrong"));
  }
  return LoadBigEndian<uint64_t>(number.data());
}

}  // namespace

absl::StatusOr<std::unique_ptr<SyncedMark>> SyncedMark::Open(const std::string& directory) {
  std::string path = StrCat(directory, "/", kFileName);
  VARVE_ASSIGN_OR_RETURN(const std::optional<std::string> content, ReadSmallFile(path, kMarkBytes));
  uint64_t sequence = 0;
  if (content.has_value()) {
    VARVE_ASSIGN_OR_RETURN(sequence, Decode(path, *content));
  } else {
    VARVE_RETURN_IF_ERROR(WriteFileAtomically(directory, kFileName, Encode(0)));
  }
  FileDescriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return SystemError(errno, path, "open");
  return absl::WrapUnique(new SyncedMark(std::move(path), std::move(file), sequence));
}

uint64_t SyncedMark::sequence() const {
  MutexLock lock(&mu_);
  return sequence_;
}

absl::Status SyncedMark::Raise(uint64_t sequence) {
  MutexLock lock(&mu_);
  if (sequence <= sequence_) return absl::OkStatus();
  const std::string content = Encode(sequence);
  if (pwrite(file_.get(), content.data(), content.size(), 0) !=
      static_cast<ssize_t>(content.size())) {
    return SystemError(errno, path_, "write");
  }
  sequence_ = sequence;
  return absl::OkStatus();
}

}  // namespace varve::storage
