#ifndef VARVE_INDEX_SPOILT_SEGMENT_H_
#define VARVE_INDEX_SPOILT_SEGMENT_H_

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "base/crc32c.h"
#include "index/segment_format.h"

namespace varve::index {

// For tests: a segment file with something spoilt, and then the checksums made right again, so that the
// reader has nothing but its own eyes.
class SpoiltSegment {
 public:
  // `bytes`: at least kBytesMin.
  explicit SpoiltSegment(std::string bytes) : bytes_(std::move(bytes)) {}

  static constexpr size_t kBytesMin =
      sizeof(SegmentHeader) + kSections * sizeof(SectionEntry) + sizeof(SegmentFooter);

  SegmentHeader& header() { return *reinterpret_cast<SegmentHeader*>(bytes_.data()); }
  SegmentFooter& footer() {
    return *reinterpret_cast<SegmentFooter*>(bytes_.data() + bytes_.size() - sizeof(SegmentFooter));
  }
  SectionEntry& section(SectionKind kind) {
    auto* table = reinterpret_cast<SectionEntry*>(bytes_.data() + bytes_.size() -
                                                  sizeof(SegmentFooter) - TableBytes());
    return table[static_cast<size_t>(kind) - 1];
  }
  template <typename T>
  void Set(SectionKind kind, size_t index, T value) {
    std::memcpy(bytes_.data() + section(kind).offset + index * sizeof(T), &value, sizeof(value));
  }

  std::string Resealed() {
    for (size_t i = 1; i <= TableBytes() / sizeof(SectionEntry); ++i) {
      SectionEntry& entry = section(static_cast<SectionKind>(i));
      if (entry.offset > bytes_.size() || entry.bytes > bytes_.size() - entry.offset) continue;
      entry.crc32c = Crc32c(std::string_view(bytes_).substr(entry.offset, entry.bytes));
    }
    header().header_crc32c = Crc32c({bytes_.data(), offsetof(SegmentHeader, header_crc32c)});
    const size_t body = bytes_.size() - sizeof(SegmentFooter);
    footer().table_crc32c = Crc32c({bytes_.data() + body - TableBytes(), TableBytes()});
    footer().file_crc32c = Crc32c({bytes_.data(), body});
    footer().footer_crc32c = Crc32c({bytes_.data() + body, offsetof(SegmentFooter, footer_crc32c)});
    return bytes_;
  }

 private:
  size_t TableBytes() { return SectionsOf(header().format_version) * sizeof(SectionEntry); }

  std::string bytes_;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_SPOILT_SEGMENT_H_
