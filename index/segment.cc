#include "index/segment.h"

#include <bit>
#include <iterator>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::index {
namespace {

template <typename T>
std::string_view AsBytes(absl::Span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// One section with a value of T for each row.
template <typename T, typename Value>
absl::Status WriteColumn(SegmentEncoder* encoder, SectionKind kind, uint32_t rows, Value value) {
  VARVE_RETURN_IF_ERROR(encoder->BeginSection(kind));
  constexpr uint32_t kRowsPerWrite = 8192;
  std::vector<T> buffer;
  buffer.reserve(kRowsPerWrite);
  for (uint32_t ordinal = 0; ordinal < rows; ++ordinal) {
    buffer.push_back(value(ordinal));
    if (buffer.size() < kRowsPerWrite && ordinal + 1 < rows) continue;
    VARVE_RETURN_IF_ERROR(encoder->Append(AsBytes(absl::MakeConstSpan(buffer))));
    buffer.clear();
  }
  return absl::OkStatus();
}

absl::Status WriteArray(SegmentEncoder* encoder, SectionKind kind,
                        absl::Span<const uint32_t> values) {
  VARVE_RETURN_IF_ERROR(encoder->BeginSection(kind));
  return encoder->Append(AsBytes(values));
}

absl::Status WriteLabels(SegmentEncoder* encoder, const RowSource& source, uint32_t rows) {
  uint64_t end = 0;
  VARVE_RETURN_IF_ERROR(
      WriteColumn<uint64_t>(encoder, SectionKind::kLabelOffsets, rows + 1, [&](uint32_t ordinal) {
        const uint64_t begin = end;
        if (ordinal < rows) end += source.label(ordinal).size();
        return begin;
      }));
  VARVE_RETURN_IF_ERROR(encoder->BeginSection(SectionKind::kLabels));
  constexpr size_t kBytesPerWrite = 1 << 16;
  std::string buffer;
  for (uint32_t ordinal = 0; ordinal < rows; ++ordinal) {
    buffer.append(source.label(ordinal));
    if (buffer.size() < kBytesPerWrite && ordinal + 1 < rows) continue;
    VARVE_RETURN_IF_ERROR(encoder->Append(buffer));
    buffer.clear();
  }
  return absl::OkStatus();
}

absl::Status WriteExpiry(SegmentEncoder* encoder, const RowSource& source, uint32_t rows) {
  uint32_t ordinal = 0;
  while (ordinal < rows && source.expires_at(ordinal) == kNeverExpires) ++ordinal;
  if (ordinal == rows) return encoder->BeginSection(SectionKind::kExpiry);
  return WriteColumn<int64_t>(encoder, SectionKind::kExpiry, rows,
                              [&](uint32_t i) { return source.expires_at(i); });
}

}  // namespace

CodeSpace::Query WalkScratch::Encode(const CodeSpace& space, const float* vector) {
  if (code_bytes < space.code_bytes()) {
    code_bytes = space.code_bytes();
    code = hwy::AllocateAligned<char>(code_bytes);
  }
  space.Encode(vector, code.get());
  return space.Prepare(code.get());
}

uint32_t Segment::LowerBound(uint64_t row_number, uint32_t end) const {
  uint32_t low = 0;
  while (low < end) {
    const uint32_t middle = low + (end - low) / 2;
    if (row(middle) < row_number) {
      low = middle + 1;
    } else {
      end = middle;
    }
  }
  return low;
}

SearchPlan Segment::Plan(const SegmentQuery& query, uint32_t rows, uint32_t m) const {
  if (query.exact || rows == 0) return SearchPlan::kScan;
  if (query.plan.has_value()) return *query.plan;
  const bool filtered = query.matches != nullptr;
  return ChoosePlan({.rows = rows,
                     .matches = filtered ? MatchesBelow(query, rows) : LiveRows(rows),
                     .ef = query.ef,
                     .m = m,
                     .filtered = filtered});
}

std::shared_ptr<const RowBitmap> Segment::Match(const metadata::Filter& filter, uint64_t sequence,
                                                int64_t now, uint32_t visible) const {
  const std::shared_ptr<const RowBitmap> written = MatchAsWritten(filter, visible);
  const AttributeOverlay& overlay = history_->overlay;
  const bool may_expire = MayExpire();
  if (tombstones()->dead() == 0 && overlay.changed_rows() == 0 && !may_expire) return written;
  auto matches = std::make_shared<RowBitmap>(*written);
  overlay.ForEach(sequence, [&](uint32_t ordinal, std::string_view encoded) {
    if (ordinal >= visible) return;
    if (metadata::Matches(filter, encoded)) {
      matches->Set(ordinal);
    } else {
      matches->Clear(ordinal);
    }
  });
  for (uint32_t word = 0; word < matches->words(); ++word) {
    uint64_t doubtful = matches->word(word);
    if (!may_expire) doubtful &= tombstones()->AnyDied(word);
    for (; doubtful != 0; doubtful &= doubtful - 1) {
      const uint32_t ordinal = word * 64 + std::countr_zero(doubtful);
      if (!IsThere(ordinal, sequence, now)) matches->Clear(ordinal);
    }
  }
  return matches;
}

std::shared_ptr<const RowBitmap> MatchCache::Get(
    const metadata::Filter& filter, absl::FunctionRef<std::shared_ptr<const RowBitmap>()> make) {
  std::string text = ToString(filter);
  const auto find = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return std::find_if(entries_.begin(), entries_.end(),
                        [&](const Entry& entry) { return entry.filter == text; });
  };
  {
    MutexLock lock(&mu_);
    if (const auto found = find(); found != entries_.end()) {
      std::rotate(entries_.begin(), found, std::next(found));
      return entries_.front().rows;
    }
  }
  std::shared_ptr<const RowBitmap> rows = make();
  MutexLock lock(&mu_);
  if (find() == entries_.end()) entries_.push_front({std::move(text), rows});
  if (entries_.size() > kFiltersMax) entries_.pop_back();
  return rows;
}

absl::StatusOr<std::shared_ptr<const SealedSegment>> SealedSegment::Open(
    std::string_view file, std::string_view name, std::shared_ptr<const void> owner,
    const VectorSpace& space, std::shared_ptr<RowHistory> history) {
  VARVE_ASSIGN_OR_RETURN(const SegmentLayout layout, ParseSegment(file, name));
  const SegmentHeader& header = layout.header;
  if (header.metric != static_cast<uint8_t>(space.metric()) ||
      header.dimension != space.dimension() ||
      header.element_type != static_cast<uint8_t>(space.element_type())) {
    return absl::DataLossError(StrCat("segment file ", name, ": is of metric ", header.metric,
                                      ", dimension ", header.dimension, " and element type ",
                                      header.element_type, ", its field of ",
                                      static_cast<int>(space.metric()), ", ", space.dimension(),
                                      " and ", static_cast<int>(space.element_type())));
  }
  VARVE_ASSIGN_OR_RETURN(
      AttributeColumns columns,
      AttributeColumns::Parse(layout.attributes, header.rows, StrCat("segment file ", name)));
  return std::shared_ptr<const SealedSegment>(new SealedSegment(
      file, name, layout, std::move(columns), std::move(owner), space, std::move(history)));
}

absl::Status SealedSegment::Verify() const {
  VARVE_RETURN_IF_ERROR(VerifySegment(file_, layout_, name_));
  return columns_.Verify(StrCat("segment file ", name_));
}

std::shared_ptr<const RowBitmap> SealedSegment::MatchAsWritten(const metadata::Filter& filter,
                                                               uint32_t) const {
  // All of a sealed segment's rows are visible.
  return match_cache_.Get(
      filter, [&] { return std::make_shared<const RowBitmap>(columns_.Select(filter)); });
}

double SealedSegment::EstimateMatches(const metadata::Filter& filter, uint32_t) const {
  return columns_.Estimate(filter);
}

absl::Status SealedSegment::Search(const SegmentQuery& query, uint32_t visible,
                                   TopK<Candidate>* nearest, SearchReport* report) const {
  const char* const vectors = layout_.vectors.data();
  const size_t stride = space().row_bytes();
  const auto vector = [=](uint32_t ordinal) { return vectors + size_t{ordinal} * stride; };
  const GraphView& graph = layout_.graph;
  const SearchPlan plan = Plan(query, visible, graph.m());
  if (plan == SearchPlan::kScan) {
    return WorthScanningCodes(query, visible)
               ? ScanCodes(query, vector, codes(), visible, nearest, report)
               : Scan(query, vector, 0, visible, nearest, report);
  }
  return Walk(query, plan, vector, ViewLinks(graph), codes(), graph.entry(), graph.nodes(), visible,
              nearest, report);
}

std::string_view SealedSegment::label(uint32_t ordinal) const {
  // A damaged file may say anything: an empty label is one that the engine refuses.
  const uint64_t begin = layout_.label_offsets[ordinal], end = layout_.label_offsets[ordinal + 1];
  if (begin > end || end > layout_.labels.size()) return {};
  return layout_.labels.substr(begin, end - begin);
}

SegmentInfo SealedSegment::Info(uint32_t visible) const {
  return {.id = id(),
          .state = SegmentState::kSealed,
          .rows = visible,
          .live_rows = LiveRows(visible),
          .indexed_rows = visible,
          .memory_bytes = visible * sizeof(uint64_t),  // tombstones
          .file_bytes = layout_.footer.file_bytes};
}

absl::StatusOr<SegmentFileSummary> WriteSegment(uint64_t segment_id, const VectorSpace& space,
                                                const RowSource& source, uint32_t rows,
                                                const GraphArrays& graph, CodeArray codes,
                                                absl::Span<const ColumnsToMerge> attributes,
                                                ByteSink* sink) {
  SegmentEncoder encoder(sink);
  VARVE_RETURN_IF_ERROR(encoder.Begin({.segment_id = segment_id,
                                       .metric = space.metric(),
                                       .element_type = space.element_type(),
                                       .dimension = static_cast<uint32_t>(space.dimension()),
                                       .rows = rows,
                                       .m = graph.view().m(),
                                       .entry = graph.view().entry(),
                                       .quantization = codes.space->quantization()}));
  VARVE_RETURN_IF_ERROR(WriteColumn<uint64_t>(&encoder, SectionKind::kRows, rows,
                                              [&](uint32_t i) { return source.row(i); }));
  VARVE_RETURN_IF_ERROR(WriteLabels(&encoder, source, rows));
  VARVE_RETURN_IF_ERROR(WriteArray(&encoder, SectionKind::kBaseLinks, graph.base()));
  VARVE_RETURN_IF_ERROR(WriteArray(&encoder, SectionKind::kUpperOffsets, graph.upper_offsets()));
  VARVE_RETURN_IF_ERROR(WriteArray(&encoder, SectionKind::kUpperLinks, graph.upper()));
  VARVE_RETURN_IF_ERROR(encoder.BeginSection(SectionKind::kVectors));
  for (uint32_t ordinal = 0; ordinal < rows; ++ordinal) {
    VARVE_RETURN_IF_ERROR(encoder.Append({source.vector(ordinal), space.row_bytes()}));
  }
  VARVE_RETURN_IF_ERROR(encoder.BeginSection(SectionKind::kCenter));
  if (codes.space->quantization() != Quantization::kNone) {
    VARVE_RETURN_IF_ERROR(encoder.Append(
        AsBytes(absl::MakeConstSpan(codes.space->center(), space.padded_dimension()))));
  }
  VARVE_RETURN_IF_ERROR(encoder.BeginSection(SectionKind::kCodes));
  if (HasCodes(codes.space->quantization(), space.element_type())) {
    VARVE_RETURN_IF_ERROR(encoder.Append({codes.bytes, rows * codes.space->code_bytes()}));
  }
  VARVE_RETURN_IF_ERROR(WriteExpiry(&encoder, source, rows));
  VARVE_RETURN_IF_ERROR(encoder.BeginSection(SectionKind::kAttributes));
  VARVE_RETURN_IF_ERROR(
      MergeColumns(attributes, [&](std::string_view bytes) { return encoder.Append(bytes); }));
  return encoder.Finish();
}

}  // namespace varve::index
