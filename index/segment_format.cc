#include "index/segment_format.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/crc32c.h"
#include "base/give_way.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "index/code_space.h"
#include "index/kernels/distance.h"

namespace varve::index {
namespace {

constexpr std::array<char, 8> kHeaderMagic = {'V', 'A', 'R', 'V', 'E', 'S', 'E', 'G'};
constexpr std::array<char, 8> kFooterMagic = {'V', 'A', 'R', 'V', 'E', 'E', 'N', 'D'};
constexpr size_t kAlignment = 64;
constexpr size_t kFileBytesMin = sizeof(SegmentHeader) + sizeof(SegmentFooter);
constexpr uint16_t kNewestVersion = static_cast<uint16_t>(SegmentFormatVersion::kAttributes);

// Whoever writes or reads a whole file does so in pieces.
constexpr size_t kPieceBytes = size_t{1} << 18;

constexpr uint32_t kRowsMax = 1'000'000'000;
constexpr uint32_t kDimensionMax = 65'535;
constexpr uint32_t kLinksMax = 1024;  // m

template <typename T>
std::string_view Bytes(const T& value, size_t size = sizeof(T)) {
  return {reinterpret_cast<const char*>(&value), size};
}

std::string_view TakePiece(std::string_view* bytes) {
  const std::string_view piece = bytes->substr(0, kPieceBytes);
  bytes->remove_prefix(piece.size());
  return piece;
}

uint32_t Checksum(std::string_view bytes) {
  uint32_t checksum = 0;
  while (!bytes.empty()) {
    checksum = Crc32c(TakePiece(&bytes), checksum);
    GiveWay();
  }
  return checksum;
}

constexpr std::string_view SectionName(SectionKind kind) {
  switch (kind) {
    case SectionKind::kRows:
      return "rows";
    case SectionKind::kLabelOffsets:
      return "label offsets";
    case SectionKind::kLabels:
      return "labels";
    case SectionKind::kBaseLinks:
      return "base links";
    case SectionKind::kUpperOffsets:
      return "upper offsets";
    case SectionKind::kUpperLinks:
      return "upper links";
    case SectionKind::kVectors:
      return "vectors";
    case SectionKind::kCenter:
      return "center";
    case SectionKind::kCodes:
      return "codes";
    case SectionKind::kExpiry:
      return "expiry";
    case SectionKind::kAttributes:
      return "attributes";
  }
  return "unknown";
}

// One file being read: makes errors that name it, and views of its parts.
class Parser {
 public:
  Parser(std::string_view file, std::string_view name) : file_(file), name_(name) {}

  template <typename... Args>
  absl::Status Damaged(const Args&... what) const {
    return absl::DataLossError(StrCat("segment file ", name_, ": ", what...));
  }

  absl::Status ReadFooter(SegmentFooter* footer) const {
    if (file_.size() < kFileBytesMin) {
      return Damaged("has ", file_.size(), " bytes, the least is ", kFileBytesMin);
    }
    std::memcpy(footer, file_.data() + file_.size() - sizeof(*footer), sizeof(*footer));
    if (footer->magic != kFooterMagic) return Damaged("does not end in a footer; it was cut off");
    if (footer->footer_crc32c != Crc32c(Bytes(*footer, offsetof(SegmentFooter, footer_crc32c)))) {
      return Damaged("the footer's checksum does not match");
    }
    if (footer->file_bytes != file_.size()) {
      return Damaged("has ", file_.size(), " bytes, its footer says ", footer->file_bytes);
    }
    return CheckReserved("footer", footer->reserved);
  }

  absl::Status ReadHeader(SegmentHeader* header) const {
    std::memcpy(header, file_.data(), sizeof(*header));
    if (header->magic != kHeaderMagic) return Damaged("does not begin with the segment magic");
    if (header->format_version > kNewestVersion) {
      return absl::FailedPreconditionError(StrCat("segment file ", name_, ": has format version ",
                                                  header->format_version,
                                                  ", this build reads up to ", kNewestVersion));
    }
    if (header->header_crc32c != Crc32c(Bytes(*header, offsetof(SegmentHeader, header_crc32c)))) {
      return Damaged("the header's checksum does not match");
    }
    VARVE_RETURN_IF_ERROR(CheckReserved("header", header->reserved));
    VARVE_RETURN_IF_ERROR(CheckRange("format version", header->format_version, 1, kNewestVersion));
    VARVE_RETURN_IF_ERROR(CheckRange("metric", header->metric, 1, 3));
    VARVE_RETURN_IF_ERROR(CheckRange("dimension", header->dimension, 1, kDimensionMax));
    VARVE_RETURN_IF_ERROR(CheckRange("rows", header->rows, 1, kRowsMax));
    VARVE_RETURN_IF_ERROR(CheckRange("m", header->m, 1, kLinksMax));
    VARVE_RETURN_IF_ERROR(CheckRange("entry node", header->entry_node, 0, header->rows - 1));
    VARVE_RETURN_IF_ERROR(CheckRange("entry level", header->entry_level, 0, kGraphLevelMax));
    const bool may_have_codes =
        SectionsOf(header->format_version) >= static_cast<size_t>(SectionKind::kCodes);
    VARVE_RETURN_IF_ERROR(
        CheckRange("element type", header->element_type, 1, may_have_codes ? 5 : 1));
    return CheckRange("quantization", header->quantization, may_have_codes ? 1 : 0,
                      may_have_codes ? 2 : 0);
  }

  absl::Status ReadTable(const SegmentHeader& header, const SegmentFooter& footer,
                         std::vector<SectionEntry>* table) const {
    const size_t sections = SectionsOf(header.format_version),
                 table_bytes = sections * sizeof(SectionEntry);
    if (file_.size() < kFileBytesMin + table_bytes) {
      return Damaged("has ", file_.size(), " bytes, no room for its table");
    }
    const size_t end = file_.size() - sizeof(SegmentFooter) - table_bytes;
    table->resize(sections);
    std::memcpy(table->data(), file_.data() + end, table_bytes);
    if (footer.table_crc32c !=
        Crc32c({reinterpret_cast<const char*>(table->data()), table_bytes})) {
      return Damaged("the section table's checksum does not match");
    }
    uint64_t free_from = sizeof(SegmentHeader);
    for (size_t i = 0; i < sections; ++i) {
      const SectionEntry& entry = (*table)[i];
      const auto kind = static_cast<SectionKind>(i + 1);
      if (entry.kind != i + 1 || entry.reserved != 0) {
        return Damaged("entry ", i, " of the section table is of kind ", entry.kind, ", wanted ",
                       i + 1, " (", SectionName(kind), ")");
      }
      if (entry.offset % kAlignment != 0 || entry.offset < free_from || entry.offset > end ||
          entry.bytes > end - entry.offset) {
        return Damaged("section ", SectionName(kind), " claims ", entry.bytes, " bytes at ",
                       entry.offset, ", free are ", free_from, " to ", end);
      }
      free_from = entry.offset + entry.bytes;
    }
    return absl::OkStatus();
  }

  // A section as an array of `count` Ts.
  template <typename T>
  absl::Status View(const SectionEntry& entry, uint64_t count, absl::Span<const T>* view) const {
    std::string_view bytes;
    VARVE_RETURN_IF_ERROR(View(entry, count * sizeof(T), &bytes));
    *view = {reinterpret_cast<const T*>(bytes.data()), count};
    return absl::OkStatus();
  }
  absl::Status View(const SectionEntry& entry, uint64_t bytes, std::string_view* view) const {
    if (entry.bytes != bytes) {
      return Damaged("section ", SectionName(static_cast<SectionKind>(entry.kind)), " has ",
                     entry.bytes, " bytes, the header asks for ", bytes);
    }
    *view = file_.substr(entry.offset, bytes);
    return absl::OkStatus();
  }

 private:
  template <size_t kSize>
  absl::Status CheckReserved(std::string_view part, const std::array<char, kSize>& bytes) const {
    const bool zero = std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
    return zero ? absl::OkStatus() : Damaged("reserved bytes of the ", part, " are not zero");
  }
  absl::Status CheckRange(std::string_view field, uint64_t value, uint64_t low,
                          uint64_t high) const {
    if (value >= low && value <= high) return absl::OkStatus();
    return Damaged(field, " must be ", low, " to ", high, ", is ", value);
  }

  const std::string_view file_;
  const std::string_view name_;
};

}  // namespace

absl::Status SegmentEncoder::Begin(const SegmentDescription& description) {
  SegmentHeader header = {};
  header.magic = kHeaderMagic;
  header.format_version = kNewestVersion;
  header.metric = static_cast<uint8_t>(description.metric);
  header.element_type = static_cast<uint8_t>(description.element_type);
  header.dimension = description.dimension;
  header.rows = description.rows;
  header.m = description.m;
  header.entry_node = description.entry.node;
  header.entry_level = static_cast<uint32_t>(description.entry.level);
  header.segment_id = description.segment_id;
  header.quantization = static_cast<uint8_t>(description.quantization);
  header.header_crc32c = Crc32c(Bytes(header, offsetof(SegmentHeader, header_crc32c)));
  return Write(Bytes(header));
}

absl::Status SegmentEncoder::BeginSection(SectionKind kind) {
  VARVE_RETURN_IF_ERROR(PadToAlignment());
  table_.push_back({.kind = static_cast<uint32_t>(kind),
                    .crc32c = 0,
                    .offset = written_,
                    .bytes = 0,
                    .reserved = 0});
  return absl::OkStatus();
}

absl::Status SegmentEncoder::Append(std::string_view bytes) {
  SectionEntry& section = table_.back();
  section.bytes += bytes.size();
  while (!bytes.empty()) {
    const std::string_view piece = TakePiece(&bytes);
    section.crc32c = Crc32c(piece, section.crc32c);
    VARVE_RETURN_IF_ERROR(Write(piece));
  }
  return absl::OkStatus();
}

absl::StatusOr<SegmentFileSummary> SegmentEncoder::Finish() {
  VARVE_RETURN_IF_ERROR(PadToAlignment());
  const std::string_view table(reinterpret_cast<const char*>(table_.data()),
                               table_.size() * sizeof(SectionEntry));
  VARVE_RETURN_IF_ERROR(Write(table));
  SegmentFooter footer = {};
  footer.file_bytes = written_ + sizeof(footer);
  footer.file_crc32c = file_crc_;
  footer.table_crc32c = Crc32c(table);
  footer.footer_crc32c = Crc32c(Bytes(footer, offsetof(SegmentFooter, footer_crc32c)));
  footer.magic = kFooterMagic;
  VARVE_RETURN_IF_ERROR(Write(Bytes(footer)));
  return SegmentFileSummary{.bytes = footer.file_bytes, .crc32c = footer.file_crc32c};
}

absl::Status SegmentEncoder::Write(std::string_view bytes) {
  file_crc_ = Crc32c(bytes, file_crc_);
  if (written_ / kPieceBytes != (written_ + bytes.size()) / kPieceBytes) GiveWay();
  written_ += bytes.size();
  return sink_->Append(bytes);
}

absl::Status SegmentEncoder::PadToAlignment() {
  static constexpr std::array<char, kAlignment> kZeros = {};
  return Write({kZeros.data(), (kAlignment - written_ % kAlignment) % kAlignment});
}

absl::StatusOr<SegmentLayout> ParseSegment(std::string_view file, std::string_view name) {
  const Parser parser(file, name);
  SegmentLayout layout;
  VARVE_RETURN_IF_ERROR(parser.ReadFooter(&layout.footer));
  VARVE_RETURN_IF_ERROR(parser.ReadHeader(&layout.header));
  VARVE_RETURN_IF_ERROR(parser.ReadTable(layout.header, layout.footer, &layout.table));
  const SegmentHeader& header = layout.header;
  const auto section = [&](SectionKind kind) -> const SectionEntry& {
    return layout.table[static_cast<size_t>(kind) - 1];
  };
  const uint64_t rows = header.rows, m = header.m;
  const uint64_t lists = section(SectionKind::kUpperLinks).bytes / ((1 + m) * sizeof(uint32_t));
  absl::Span<const uint32_t> base, upper_offsets, upper;
  VARVE_RETURN_IF_ERROR(parser.View(section(SectionKind::kRows), rows, &layout.rows));
  VARVE_RETURN_IF_ERROR(
      parser.View(section(SectionKind::kLabelOffsets), rows + 1, &layout.label_offsets));
  VARVE_RETURN_IF_ERROR(parser.View(section(SectionKind::kLabels),
                                    section(SectionKind::kLabels).bytes, &layout.labels));
  VARVE_RETURN_IF_ERROR(parser.View(section(SectionKind::kBaseLinks), rows * (1 + 2 * m), &base));
  VARVE_RETURN_IF_ERROR(parser.View(section(SectionKind::kUpperOffsets), rows, &upper_offsets));
  VARVE_RETURN_IF_ERROR(parser.View(section(SectionKind::kUpperLinks), lists * (1 + m), &upper));
  const auto element_type = static_cast<DType>(header.element_type);
  const uint64_t row_bytes =
      VectorSpace::RowBytes(static_cast<Metric>(header.metric), header.dimension, element_type);
  VARVE_RETURN_IF_ERROR(
      parser.View(section(SectionKind::kVectors), rows * row_bytes, &layout.vectors));
  if (header.quantization == static_cast<uint8_t>(Quantization::kInt8)) {
    layout.quantization = Quantization::kInt8;
    VARVE_RETURN_IF_ERROR(parser.View(section(SectionKind::kCenter),
                                      PaddedDimension(header.dimension), &layout.center));
  }
  layout.codes = layout.vectors;
  if (HasCodes(layout.quantization, element_type)) {
    const uint64_t code_bytes = CodeSpace::CodeBytes(layout.quantization, header.dimension);
    VARVE_RETURN_IF_ERROR(
        parser.View(section(SectionKind::kCodes), rows * code_bytes, &layout.codes));
  }
  if (SectionsOf(header.format_version) == kSections) {
    const SectionEntry& expiry = section(SectionKind::kExpiry);
    const SectionEntry& attributes = section(SectionKind::kAttributes);
    VARVE_RETURN_IF_ERROR(parser.View(expiry, expiry.bytes == 0 ? 0 : rows, &layout.expiry));
    VARVE_RETURN_IF_ERROR(parser.View(attributes, attributes.bytes, &layout.attributes));
  }
  layout.graph = GraphView(header.m, {header.entry_node, static_cast<int>(header.entry_level)},
                           base, upper_offsets, upper);
  return layout;
}

absl::Status VerifySegment(std::string_view file, const SegmentLayout& layout,
                           std::string_view name) {
  const Parser parser(file, name);
  for (const SectionEntry& entry : layout.table) {
    if (Checksum(file.substr(entry.offset, entry.bytes)) != entry.crc32c) {
      return parser.Damaged("the checksum of section ",
                            SectionName(static_cast<SectionKind>(entry.kind)), " does not match");
    }
  }
  if (Checksum(file.substr(0, file.size() - sizeof(SegmentFooter))) != layout.footer.file_crc32c) {
    return parser.Damaged("the file's checksum does not match");
  }
  for (size_t i = 1; i < layout.rows.size(); ++i) {
    if (layout.rows[i - 1] > layout.rows[i]) {
      return parser.Damaged("row ", layout.rows[i], " follows row ", layout.rows[i - 1]);
    }
  }
  if (layout.label_offsets.front() != 0 || layout.label_offsets.back() != layout.labels.size() ||
      !std::is_sorted(layout.label_offsets.begin(), layout.label_offsets.end())) {
    return parser.Damaged("label offsets do not divide the labels");
  }
  if (absl::Status status = layout.graph.Verify(); !status.ok()) {
    return parser.Damaged(std::string(status.message()));
  }
  return absl::OkStatus();
}

}  // namespace varve::index
