#ifndef VARVE_INDEX_MEMORY_SEGMENT_STORAGE_H_
#define VARVE_INDEX_MEMORY_SEGMENT_STORAGE_H_

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "hwy/aligned_allocator.h"
#include "index/segment_storage.h"

namespace varve::index {

// A ByteSink into a string.
class StringSink final : public ByteSink {
 public:
  absl::Status Append(std::string_view bytes) override {
    contents_.append(bytes);
    return absl::OkStatus();
  }
  const std::string& contents() const { return contents_; }

 private:
  std::string contents_;
};

// A copy of bytes at an aligned address, as a mapped file is.
struct AlignedBytes {
  explicit AlignedBytes(std::string_view from)
      : memory(hwy::AllocateAligned<char>(from.size() + 1)), bytes(memory.get(), from.size()) {
    std::memcpy(memory.get(), from.data(), from.size());
  }
  hwy::AlignedFreeUniquePtr<char[]> memory;
  std::string_view bytes;
};

// SegmentStorage in memory, for tests: segments take the form of files, but stay in buffers.
class MemorySegmentStorage final : public SegmentStorage {
 public:
  absl::StatusOr<std::shared_ptr<const SealedSegment>> Write(uint64_t, const VectorSpace& space,
                                                             std::shared_ptr<RowHistory> history,
                                                             Writer write) override {
    StringSink sink;
    VARVE_RETURN_IF_ERROR(write(&sink).status());
    auto file = std::make_shared<const AlignedBytes>(sink.contents());
    return SealedSegment::Open(file->bytes, "in memory", file, space, std::move(history));
  }
  absl::Status Install(const SegmentChange&) override { return absl::OkStatus(); }
  void Discard(uint64_t) override {}
  absl::Status GiveUp(const std::vector<uint64_t>&) override { return absl::OkStatus(); }
  void Close() override {}
};

}  // namespace varve::index

#endif  // VARVE_INDEX_MEMORY_SEGMENT_STORAGE_H_
