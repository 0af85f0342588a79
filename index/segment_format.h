#ifndef VARVE_INDEX_SEGMENT_FORMAT_H_
#define VARVE_INDEX_SEGMENT_FORMAT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/tensor.h"
#include "index/graph.h"
#include "index/options.h"

// The file of a sealed segment: encode, decode, verify. No I/O: bytes go to a sink and come from
// memory. docs/segment-format.md is the same byte by byte, for readers in other languages.
namespace varve::index {

// On disk: never renumber, never reuse.
enum class SegmentFormatVersion : uint16_t {
  kInitial = 1,
  kCodes = 2,       // header.quantization, kCenter and kCodes; element types other than float32
  kAttributes = 3,  // kExpiry and kAttributes
};

// Segment file header, 64 bytes, little-endian.
struct SegmentHeader {
  std::array<char, 8> magic;  // "VARVESEG"
  uint16_t format_version;    // a reader refuses versions newer than its own
  uint8_t metric;             // index::Metric
  uint8_t element_type;       // DType
  uint32_t dimension;         // elements per vector, without padding
  uint32_t rows;              // at least 1
  uint32_t m;            // links per node in the upper levels; level 0 has room for twice as many
  uint32_t entry_node;   // where walks begin, < rows
  uint32_t entry_level;  // its level
  uint64_t segment_id;
  uint8_t quantization;           // index::Quantization; 0 in version 1, where it is kNone
  std::array<char, 19> reserved;  // zero, refused when not
  uint32_t header_crc32c;         // of bytes [0, 60)
};
static_assert(sizeof(SegmentHeader) == 64 && offsetof(SegmentHeader, header_crc32c) == 60);

// Sections, in the order in which they lie in the file. Each begins at a multiple of 64.
enum class SectionKind : uint32_t {
  kRows = 1,          // u64[rows]: row numbers, ascending; once for each vector of a row
  kLabelOffsets = 2,  // u64[rows + 1]: where each label begins in kLabels; the last is its length
  kLabels = 3,        // bytes
  kBaseLinks = 4,     // u32[rows][1 + 2 * m]: number of links, then links; level 0
  kUpperOffsets = 5,  // u32[rows]: first list of each node in kUpperLinks, in lists; ~0: none
  kUpperLinks = 6,    // u32[lists][1 + m]: levels 1, 2 ... of a node lie together
  kVectors = 7,       // bytes[rows][VectorSpace::RowBytes]
  // Since version 2. See CodeSpace.
  kCenter = 8,  // f32[padded dimension]; empty without quantization
  kCodes = 9,  // bytes[rows][CodeSpace::CodeBytes]; empty when the vectors are codes (see HasCodes)
  // Since version 3.
  kExpiry = 10,      // i64[rows]: see RowSource::expires_at; empty when none expires
  kAttributes = 11,  // columns (attribute_columns.h)
};
inline constexpr size_t kSections = 11;

// The sections that a file of a version has: the first so many.
constexpr size_t SectionsOf(uint16_t format_version) {
  if (format_version < static_cast<uint16_t>(SegmentFormatVersion::kCodes)) {
    return static_cast<size_t>(SectionKind::kVectors);
  }
  return format_version < static_cast<uint16_t>(SegmentFormatVersion::kAttributes)
             ? static_cast<size_t>(SectionKind::kCodes)
             : kSections;
}

// Without quantization codes are float32, and so are most vectors: then nothing is kept twice.
constexpr bool HasCodes(Quantization quantization, DType element_type) {
  return quantization != Quantization::kNone || element_type != DType::kF32;
}

struct SectionEntry {
  uint32_t kind;
  uint32_t crc32c;  // of the section's bytes
  uint64_t offset;
  uint64_t bytes;
  uint64_t reserved;  // zero
};
static_assert(sizeof(SectionEntry) == 32);

// The last 64 bytes. The table of the sections, one entry each, lies right before it.
struct SegmentFooter {
  uint64_t file_bytes;            // length of the whole file: a torn write is told by it
  uint32_t file_crc32c;           // of bytes [0, file_bytes - 64)
  uint32_t table_crc32c;          // of the table
  std::array<char, 36> reserved;  // zero
  uint32_t footer_crc32c;         // of bytes [0, 52) of the footer
  std::array<char, 8> magic;      // "VARVEEND"
};
static_assert(sizeof(SegmentFooter) == 64 && offsetof(SegmentFooter, magic) == 56);

// Where the bytes of a file go, in order.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual absl::Status Append(std::string_view bytes) = 0;
};

// What the manifest keeps of a file.
struct SegmentFileSummary {
  uint64_t bytes = 0;
  uint32_t crc32c = 0;  // the footer's file_crc32c
};

// What a header says that its writer has to know.
struct SegmentDescription {
  uint64_t segment_id = 0;
  Metric metric = Metric::kL2;
  DType element_type = DType::kF32;
  uint32_t dimension = 0;
  uint32_t rows = 0;
  uint32_t m = 0;
  EntryPoint entry;
  Quantization quantization = Quantization::kNone;
};

// Writes one segment file to a sink: the sections in their order, each begun once and appended to.
// Keeps nothing but checksums, so a file may be larger than memory. Errors are the sink's.
class SegmentEncoder {
 public:
  explicit SegmentEncoder(ByteSink* sink) : sink_(sink) {}

  absl::Status Begin(const SegmentDescription& description);
  absl::Status BeginSection(SectionKind kind);
  absl::Status Append(std::string_view bytes);  // to the section begun last
  absl::StatusOr<SegmentFileSummary> Finish();

 private:
  absl::Status Write(std::string_view bytes);
  absl::Status PadToAlignment();

  ByteSink* const sink_;
  uint64_t written_ = 0;
  uint32_t file_crc_ = 0;
  std::vector<SectionEntry> table_;
};

// The parts of a segment file in memory that somebody else owns.
struct SegmentLayout {
  SegmentHeader header;
  SegmentFooter footer;
  std::vector<SectionEntry> table;
  absl::Span<const uint64_t> rows;
  absl::Span<const uint64_t> label_offsets;
  std::string_view labels;
  GraphView graph;
  std::string_view vectors;
  Quantization quantization = Quantization::kNone;
  absl::Span<const float> center;
  std::string_view codes;  // the vectors, when they are codes
  absl::Span<const int64_t> expiry;
  std::string_view attributes;
};

// Finds the parts of a file whose first byte is aligned to 64. Reads the header, the table and the
// footer alone, so it takes no longer for a larger file: every part lies within the file and has
// the size that the header asks for, but what it holds may be damaged (see VerifySegment, and
// GraphView::Links, which is safe all the same).
// DataLoss names `name`, the part, what was wanted and what was found; FailedPrecondition: the file
// is of a newer format.
absl::StatusOr<SegmentLayout> ParseSegment(std::string_view file, std::string_view name);

// Reads the whole file and checks all that can be but for attributes: checksums, ascending rows, ordered labels, links
// to nodes that exist and have the level. DataLoss as above.
absl::Status VerifySegment(std::string_view file, const SegmentLayout& layout,
                           std::string_view name);

}  // namespace varve::index

#endif  // VARVE_INDEX_SEGMENT_FORMAT_H_
