#include "storage/manifest.h"

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "storage/big_endian.h"

namespace varve::storage {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kHeaderBytes = 1 + 8 + 4;
constexpr size_t kSegmentBytes = 8 + 8 + 8 + 4 + 8 + 4;

template <typename T>
void Append(T value, std::string* out) {
  out->append(View(BigEndian(value)));
}

template <typename T>
T Take(std::string_view* bytes) {
  const T value = LoadBigEndian<T>(bytes->data());
  bytes->remove_prefix(sizeof(T));
  return value;
}

}  // namespace

std::string EncodeManifest(const Manifest& manifest) {
  std::string bytes;
  bytes.reserve(kHeaderBytes + manifest.segments.size() * kSegmentBytes);
  Append(kVersion, &bytes);
  Append(manifest.next_segment_id, &bytes);
  Append(static_cast<uint32_t>(manifest.segments.size()), &bytes);
  for (const SegmentRecord& segment : manifest.segments) {
    Append(segment.id, &bytes);
    Append(segment.range.first, &bytes);
    Append(segment.range.last, &bytes);
    Append(segment.rows, &bytes);
    Append(segment.file_bytes, &bytes);
    Append(segment.file_crc32c, &bytes);
  }
  return bytes;
}

absl::StatusOr<Manifest> DecodeManifest(std::string_view bytes) {
  Manifest manifest;
  if (bytes.empty()) return manifest;
  if (const uint8_t version = static_cast<uint8_t>(bytes[0]); version != kVersion) {
    return absl::DataLossError(
        StrCat("the manifest has version ", version, ", this build reads ", kVersion));
  }
  if (bytes.size() < kHeaderBytes) {
    return absl::DataLossError(
        StrCat("the manifest has ", bytes.size(), " bytes, expected at least ", kHeaderBytes));
  }
  bytes.remove_prefix(1);
  manifest.next_segment_id = Take<uint64_t>(&bytes);
  const uint32_t count = Take<uint32_t>(&bytes);
  if (bytes.size() != uint64_t{count} * kSegmentBytes) {
    return absl::DataLossError(StrCat("the manifest has ", bytes.size(), " bytes for ", count,
                                      " segments, expected ", uint64_t{count} * kSegmentBytes));
  }
  uint64_t free_from = kNoRow + 1;
  for (uint32_t i = 0; i < count; ++i) {
    SegmentRecord segment;
    segment.id = Take<uint64_t>(&bytes);
    segment.range.first = Take<uint64_t>(&bytes);
    segment.range.last = Take<uint64_t>(&bytes);
    segment.rows = Take<uint32_t>(&bytes);
    segment.file_bytes = Take<uint64_t>(&bytes);
    segment.file_crc32c = Take<uint32_t>(&bytes);
    if (segment.range.first < free_from || segment.range.last < segment.range.first ||
        segment.range.last > kLastRow || segment.id >= manifest.next_segment_id) {
      return absl::DataLossError(StrCat("segment ", segment.id, " of the manifest stands for rows ",
                                        segment.range.first, " to ", segment.range.last,
                                        ", free are those from ", free_from,
                                        "; the next segment is ", manifest.next_segment_id));
    }
    free_from = segment.range.last + 1;
    manifest.segments.push_back(segment);
  }
  return manifest;
}

}  // namespace varve::storage
