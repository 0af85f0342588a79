// What libFuzzer and the fuzz driver call: the reader of segment files meets bytes of any kind. Once as
// they are, which tests the checksums' readers; once with the checksums made right, which lets them
// into everything else: a segment that can be opened is searched, damaged as it may be, for that is
// what a server does with a file that was damaged after it had been opened.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "index/memory_segment_storage.h"
#include "index/segment.h"
#include "index/segment_format.h"
#include "index/spoilt_segment.h"

namespace varve::index {
namespace {

void ReadAll(const SealedSegment& segment) {
  const auto query = hwy::MakeUniqueAlignedArray<float>(segment.space().padded_dimension());
  std::fill_n(query.get(), segment.space().padded_dimension(), 1.0f);
  const CallControl control;
  for (const bool exact : {false, true}) {
    TopK<Candidate> nearest(10);
    SearchReport report;
    segment
        .Search({.vector = query.get(), .k = 10, .ef = 10, .exact = exact, .control = &control},
                segment.size(), &nearest, &report)
        .IgnoreError();
    for (const Candidate& candidate : nearest.TakeSorted()) {
      volatile size_t sink = segment.label(candidate.ordinal).size();
      (void)sink;
    }
  }
  segment.LowerBound(7, segment.size());
  for (const AttributeColumn& column : segment.columns().columns()) {
    if (column.values() == 0) continue;
    const std::string path(column.path());
    const metadata::ValueView value = column.value(column.values() / 2);
    for (const auto& filter :
         {metadata::Filter::Exists(path), metadata::Filter::In(path, {metadata::Value(value)}),
          metadata::Filter::Compare(metadata::Filter::Op::kLess, path, value)}) {
      segment.Match(filter, 1, 0, segment.size());
      segment.EstimateMatches(filter, segment.size());
    }
  }
}

void Read(std::string_view bytes) {
  const auto file = std::make_shared<const AlignedBytes>(bytes);
  const auto layout = ParseSegment(file->bytes, "fuzz");
  if (!layout.ok()) return;
  VerifySegment(file->bytes, *layout, "fuzz").IgnoreError();
  const SegmentHeader& header = layout->header;
  const VectorSpace space(static_cast<Metric>(header.metric), header.dimension,
                          static_cast<DType>(header.element_type));
  const auto segment = SealedSegment::Open(file->bytes, "fuzz", file, space,
                                           std::make_shared<RowHistory>(layout->header.rows));
  if (segment.ok()) ReadAll(**segment);
}

}  // namespace
}  // namespace varve::index

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  varve::index::Read(bytes);
  if (size >= varve::index::SpoiltSegment::kBytesMin) {
    varve::index::Read(varve::index::SpoiltSegment(bytes).Resealed());
  }
  return 0;
}
