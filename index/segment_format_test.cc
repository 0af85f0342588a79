#include "index/segment_format.h"

#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/memory_segment_storage.h"
#include "index/segment.h"
#include "index/spoilt_segment.h"

namespace varve::index {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint32_t kRows = 5;
constexpr uint32_t kDimension = 3;
constexpr char kGolden[] = "index/testdata/segment_v3.golden";
constexpr char kGoldenV2[] = "index/testdata/segment_v2.golden";
constexpr char kGoldenV1[] = "index/testdata/segment_v1.golden";

// Five rows whose every value can be told from the others.
class FiveRows final : public RowSource {
 public:
  FiveRows() {
    for (uint32_t i = 0; i < kRows; ++i) {
      std::fill_n(vectors_[i], kVectorPadding, 0.0f);
      for (uint32_t j = 0; j < kDimension; ++j) vectors_[i][j] = static_cast<float>(10 * i + j);
    }
  }
  uint64_t row(uint32_t ordinal) const override { return 100 + 2 * ordinal; }
  std::string_view label(uint32_t ordinal) const override { return labels_[ordinal]; }
  const char* vector(uint32_t ordinal) const override {
    return reinterpret_cast<const char*>(vectors_[ordinal]);
  }
  int64_t expires_at(uint32_t ordinal) const override {
    return ordinal == 2 ? 1'700'000'000'000'000 : kNeverExpires;
  }
  const float* floats(uint32_t ordinal) const { return vectors_[ordinal]; }

 private:
  const std::string labels_[kRows] = {"zero", "", "two", "three", "4"};
  alignas(kVectorAlignment) float vectors_[kRows][kVectorPadding];
};

VectorSpace Space() { return VectorSpace(Metric::kDot, kDimension, DType::kF32); }

// A ring with a chord; nodes 1 and 3 are on level 1, node 3 on level 2.
GraphArrays Ring() {
  GraphArrays graph(kRows, /*m=*/2);
  for (uint32_t node = 0; node < kRows; ++node) {
    graph.AddLevel(node, 0, {(node + 1) % kRows, (node + 4) % kRows});
    if (node == 1 || node == 3) graph.AddLevel(node, 1, {4 - node});
    if (node == 3) graph.AddLevel(node, 2, {});
  }
  graph.set_entry({3, 2});
  return graph;
}

// The rows' codes about a center of ones.
class FiveCodes {
 public:
  explicit FiveCodes(Quantization quantization)
      : space_(Space(), quantization, center_),
        bytes_(hwy::AllocateAligned<char>(kRows * space_.code_bytes())) {
    const FiveRows rows;
    for (uint32_t i = 0; i < kRows; ++i) {
      space_.Encode(rows.floats(i), bytes_.get() + i * space_.code_bytes());
    }
  }
  CodeArray array() const { return {&space_, bytes_.get()}; }

 private:
  alignas(kVectorAlignment) const float center_[kVectorPadding] = {1, 1, 1};
  const CodeSpace space_;
  const hwy::AlignedFreeUniquePtr<char[]> bytes_;
};

// Attributes of the rows: `size`, an int64, and `tags`, a list of texts, of all but row 1.
std::string FiveAttributes() {
  AttributeColumnsBuilder builder;
  std::vector<std::string> encoded;
  for (uint32_t i = 0; i < kRows; ++i) {
    metadata::AttributeMap attributes;
    attributes["size"].values.emplace_back(metadata::ValueView::Int64(i / 2));
    attributes["tags"] = {
        .is_list = true,
        .values = {metadata::Value(metadata::ValueView::String("all")),
                   metadata::Value(metadata::ValueView::String(i % 2 == 0 ? "even" : "odd"))}};
    if (i == 1) attributes.clear();
    encoded.push_back(*metadata::EncodeAttributes(attributes));
  }
  for (uint32_t i = 0; i < kRows; ++i) builder.Add(i, encoded[i]);
  return builder.Finish();
}

std::string Encode(Quantization quantization = Quantization::kInt8) {
  StringSink sink;
  const FiveCodes codes(quantization);
  const std::string block = FiveAttributes();
  const AttributeColumns columns = *AttributeColumns::Parse(block, kRows, "five");
  const ColumnsToMerge attributes{.columns = &columns, .renumbered = {}, .first = 0};
  const auto summary = WriteSegment(77, Space(), FiveRows(), kRows, Ring(), codes.array(),
                                    absl::MakeConstSpan(&attributes, 1), &sink);
  EXPECT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->bytes, sink.contents().size());
  return sink.contents();
}

// Parses and verifies what may be damaged.
absl::Status Read(const std::string& bytes) {
  const AlignedBytes file(bytes);
  const auto layout = ParseSegment(file.bytes, "x.seg");
  if (!layout.ok()) return layout.status();
  return VerifySegment(file.bytes, *layout, "x.seg");
}

class Spoilt : public SpoiltSegment {
 public:
  Spoilt() : SpoiltSegment(Encode()) {}
};

TEST(SegmentFormatTest, TheBytesAreThoseOfTheGoldenFile) {
  std::ifstream file(kGolden, std::ios::binary);
  ASSERT_TRUE(file) << kGolden;
  const std::string golden{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(Encode(), golden) << "the format has changed: give it a new version";
}

std::shared_ptr<const SealedSegment> Open(const std::string& bytes) {
  const auto file = std::make_shared<const AlignedBytes>(bytes);
  const auto opened =
      SealedSegment::Open(file->bytes, "x.seg", file, Space(), std::make_shared<RowHistory>(kRows));
  EXPECT_TRUE(opened.ok()) << opened.status();
  EXPECT_TRUE(Read(bytes).ok()) << Read(bytes);
  return opened.ok() ? *opened : nullptr;
}

void ExpectFiveRows(const SealedSegment& segment) {
  const FiveRows rows;
  EXPECT_EQ(segment.id(), 77u);
  ASSERT_EQ(segment.size(), kRows);
  for (uint32_t i = 0; i < kRows; ++i) {
    EXPECT_EQ(segment.row(i), rows.row(i));
    EXPECT_EQ(segment.label(i), rows.label(i));
    EXPECT_EQ(std::memcmp(segment.vector(i), rows.vector(i), kVectorPadding * sizeof(float)), 0);
  }
  EXPECT_THAT(segment.graph().Links(0, 0), ElementsAre(1, 4));
  EXPECT_THAT(segment.graph().Links(3, 1), ElementsAre(1));
  EXPECT_THAT(segment.graph().Links(0, 1), ElementsAre());
  EXPECT_EQ(segment.graph().entry().node, 3u);
  EXPECT_EQ(segment.graph().entry().level, 2);
}

TEST(SegmentFormatTest, WhatWasWrittenIsReadBack) {
  const auto segment = Open(Encode());
  ASSERT_NE(segment, nullptr);
  ExpectFiveRows(*segment);
  const FiveCodes codes(Quantization::kInt8);
  const CodeSpace& space = *segment->codes().space;
  ASSERT_EQ(space.quantization(), Quantization::kInt8);
  EXPECT_EQ(space.center()[0], 1.0f);
  for (uint32_t i = 0; i < kRows; ++i) {
    EXPECT_EQ(std::memcmp(segment->codes()[i], codes.array()[i], space.code_bytes()), 0);
  }
}

TEST(SegmentFormatTest, WithoutQuantizationTheCodesAreTheVectors) {
  const auto segment = Open(Encode(Quantization::kNone));
  ASSERT_NE(segment, nullptr);
  ExpectFiveRows(*segment);
  EXPECT_EQ(segment->codes().space->quantization(), Quantization::kNone);
  EXPECT_EQ(segment->codes()[3], segment->vector(3));
}

// A file of the same rows as uint8.
std::string EncodeBytes(Quantization quantization) {
  struct Rows final : RowSource {
    uint64_t row(uint32_t ordinal) const override { return rows.row(ordinal); }
    std::string_view label(uint32_t ordinal) const override { return rows.label(ordinal); }
    const char* vector(uint32_t ordinal) const override { return vectors[ordinal]; }
    int64_t expires_at(uint32_t) const override { return kNeverExpires; }
    FiveRows rows;
    char vectors[kRows][kVectorPadding] = {};
  } bytes;
  for (uint32_t i = 0; i < kRows; ++i) {
    std::copy_n(bytes.rows.floats(i), kVectorPadding, bytes.vectors[i]);
  }
  StringSink sink;
  const FiveCodes codes(quantization);
  const VectorSpace space(Metric::kDot, kDimension, DType::kU8);
  const auto written = WriteSegment(77, space, bytes, kRows, Ring(), codes.array(), {}, &sink);
  EXPECT_TRUE(written.ok()) << written.status();
  return sink.contents();
}

TEST(SegmentFormatTest, VectorsOfAShortTypeAreKeptInItAndCodesAreWithThem) {
  for (const Quantization quantization : {Quantization::kInt8, Quantization::kNone}) {
    const std::string bytes = EncodeBytes(quantization);
    EXPECT_TRUE(Read(bytes).ok()) << Read(bytes);
    const auto file = std::make_shared<const AlignedBytes>(bytes);
    const VectorSpace space(Metric::kDot, kDimension, DType::kU8);
    const auto segment =
        SealedSegment::Open(file->bytes, "x.seg", file, space, std::make_shared<RowHistory>(kRows));
    ASSERT_TRUE(segment.ok()) << segment.status();
    const FiveCodes codes(quantization);
    for (uint32_t i = 0; i < kRows; ++i) {
      const char wanted[] = {static_cast<char>(10 * i), static_cast<char>(10 * i + 1),
                             static_cast<char>(10 * i + 2), 0};
      EXPECT_EQ(std::memcmp((*segment)->vector(i), wanted, sizeof(wanted)), 0);
      EXPECT_EQ(
          std::memcmp((*segment)->codes()[i], codes.array()[i], codes.array().space->code_bytes()),
          0);
    }
  }
}

TEST(SegmentFormatTest, AFileOfAnotherElementTypeIsNotTheFields) {
  const auto file = std::make_shared<const AlignedBytes>(EncodeBytes(Quantization::kInt8));
  const absl::Status status =
      SealedSegment::Open(file->bytes, "x.seg", file, Space(), std::make_shared<RowHistory>(kRows))
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("element type 4"));
}

TEST(SegmentFormatTest, AttributesAndExpiryComeBack) {
  const auto segment = Open(Encode());
  ASSERT_NE(segment, nullptr);
  EXPECT_TRUE(segment->Verify().ok()) << segment->Verify();
  EXPECT_TRUE(segment->MayExpire());
  EXPECT_EQ(segment->expires_at(2), 1'700'000'000'000'000);
  EXPECT_EQ(segment->expires_at(3), kNeverExpires);
  const auto matching = [&](const char* filter, int64_t now) {
    const RowBitmap rows =
        *segment->Match(*metadata::ParseFilter(filter), /*sequence=*/1, now, kRows);
    std::vector<uint32_t> found;
    for (uint32_t i = rows.Next(0); i < kRows; i = rows.Next(i + 1)) found.push_back(i);
    return found;
  };
  EXPECT_THAT(matching("tags:even", 0), ElementsAre(0, 2, 4));
  EXPECT_THAT(matching("tags:even", 1'700'000'000'000'000), ElementsAre(0, 4));
  EXPECT_THAT(matching("size <= 1", 0), ElementsAre(0, 2, 3));
  EXPECT_THAT(matching("NOT size:*", 0), ElementsAre(1));
}

TEST(SegmentFormatTest, AFileOfVersionTwoIsReadAsOneWithoutAttributes) {
  std::ifstream file(kGoldenV2, std::ios::binary);
  ASSERT_TRUE(file) << kGoldenV2;
  const auto segment = Open({std::istreambuf_iterator<char>(file), {}});
  ASSERT_NE(segment, nullptr);
  ExpectFiveRows(*segment);
  EXPECT_FALSE(segment->MayExpire());
  EXPECT_EQ(segment->columns().columns().size(), 0u);
}

TEST(SegmentFormatTest, ADirectoryOfColumnsThatDoesNotFitIsDataLoss) {
  Spoilt damaged;
  damaged.Set<uint64_t>(SectionKind::kAttributes,
                        damaged.section(SectionKind::kAttributes).bytes / 8 - 2, ~uint64_t{0});
  const auto file = std::make_shared<const AlignedBytes>(damaged.Resealed());
  const absl::Status status =
      SealedSegment::Open(file->bytes, "x.seg", file, Space(), std::make_shared<RowHistory>(kRows))
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("segment file x.seg: attributes"));
}

TEST(SegmentFormatTest, AFileOfVersionOneIsReadAsOneWithoutQuantization) {
  std::ifstream file(kGoldenV1, std::ios::binary);
  ASSERT_TRUE(file) << kGoldenV1;
  const auto segment = Open({std::istreambuf_iterator<char>(file), {}});
  ASSERT_NE(segment, nullptr);
  ExpectFiveRows(*segment);
  EXPECT_EQ(segment->codes().space->quantization(), Quantization::kNone);
}

TEST(SegmentFormatTest, AFileCutOffAnywhereIsDataLoss) {
  const std::string bytes = Encode();
  for (size_t length = 0; length < bytes.size(); ++length) {
    const absl::Status status = Read(bytes.substr(0, length));
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << length << ": " << status;
  }
}

TEST(SegmentFormatTest, AFlippedBitAnywhereIsNoticed) {
  const std::string bytes = Encode();
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_FALSE(Read(damaged).ok()) << "byte " << i;
  }
}

TEST(SegmentFormatTest, ANewerVersionIsRefusedAndBothAreNamed) {
  Spoilt file;
  file.header().format_version = 4;
  const absl::Status status = Read(file.Resealed());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("format version 4, this build reads up to 3"));
}

TEST(SegmentFormatTest, EachLieWithARightChecksumIsDataLossAndNamed) {
  struct Case {
    std::function<void(Spoilt&)> spoil;
    const char* message;
  };
  const Case cases[] = {
      {[](Spoilt& f) { f.header().magic[0] = 'v'; }, "segment magic"},
      {[](Spoilt& f) { f.header().format_version = 0; }, "format version must be 1 to 3, is 0"},
      {[](Spoilt& f) { f.header().metric = 4; }, "metric must be 1 to 3, is 4"},
      {[](Spoilt& f) { f.header().element_type = 6; }, "element type must be 1 to 5, is 6"},
      {[](Spoilt& f) { f.header().element_type = 3; }, "section vectors has 320 bytes"},
      {[](Spoilt& f) { f.header().dimension = 0; }, "dimension must be"},
      {[](Spoilt& f) { f.header().dimension = 17; }, "section vectors has"},
      {[](Spoilt& f) { f.header().rows = 0; }, "rows must be"},
      {[](Spoilt& f) { f.header().rows = 2'000'000'000; }, "rows must be"},
      {[](Spoilt& f) { f.header().rows = 6; }, "section rows has 40 bytes"},
      {[](Spoilt& f) { f.header().m = 0; }, "m must be"},
      {[](Spoilt& f) { f.header().m = 3; }, "section base links has"},
      {[](Spoilt& f) { f.header().entry_node = kRows; }, "entry node must be 0 to 4, is 5"},
      {[](Spoilt& f) { f.header().entry_level = 65; }, "entry level"},
      {[](Spoilt& f) { f.header().quantization = 0; }, "quantization must be 1 to 2, is 0"},
      {[](Spoilt& f) { f.section(SectionKind::kCenter).bytes -= 4; }, "section center has 60"},
      {[](Spoilt& f) { f.section(SectionKind::kCodes).bytes -= 32; }, "section codes has 128"},
      {[](Spoilt& f) { f.section(SectionKind::kExpiry).bytes -= 8; }, "section expiry has 32"},
      {[](Spoilt& f) { f.header().reserved[3] = 1; }, "reserved bytes of the header"},
      {[](Spoilt& f) { f.footer().reserved[3] = 1; }, "reserved bytes of the footer"},
      {[](Spoilt& f) { f.footer().magic[0] = 'v'; }, "cut off"},
      {[](Spoilt& f) { f.footer().file_bytes += 64; }, "its footer says"},
      {[](Spoilt& f) { f.section(SectionKind::kLabels).kind = 9; }, "wanted 3 (labels)"},
      {[](Spoilt& f) { f.section(SectionKind::kLabels).reserved = 1; }, "entry 2"},
      {[](Spoilt& f) { f.section(SectionKind::kLabels).offset += 1; }, "section labels claims"},
      {[](Spoilt& f) { f.section(SectionKind::kRows).offset = 0; }, "section rows claims"},
      {[](Spoilt& f) { f.section(SectionKind::kVectors).offset = ~0ull << 6; }, "vectors claims"},
      {[](Spoilt& f) { f.section(SectionKind::kVectors).bytes = ~0ull; }, "vectors claims"},
      {[](Spoilt& f) { f.section(SectionKind::kUpperLinks).bytes -= 4; }, "upper links has"},
      {[](Spoilt& f) { f.Set<uint64_t>(SectionKind::kRows, 2, 101); }, "row 101 follows row 102"},
      {[](Spoilt& f) { f.Set<uint64_t>(SectionKind::kLabelOffsets, 0, 1); }, "label offsets"},
      {[](Spoilt& f) { f.Set<uint64_t>(SectionKind::kLabelOffsets, 2, 1); }, "label offsets"},
      {[](Spoilt& f) { f.Set<uint64_t>(SectionKind::kLabelOffsets, kRows, 99); }, "label offsets"},
      {[](Spoilt& f) { f.Set<uint32_t>(SectionKind::kBaseLinks, 0, 5); }, "level 0 has 5 links"},
      {[](Spoilt& f) { f.Set<uint32_t>(SectionKind::kBaseLinks, 1, kRows); }, "links to 5"},
      {[](Spoilt& f) { f.Set<uint32_t>(SectionKind::kUpperLinks, 0, 3); }, "upper level has 3"},
      {[](Spoilt& f) { f.Set<uint32_t>(SectionKind::kUpperLinks, 1, 0); }, "links to 0"},
      {[](Spoilt& f) { f.Set<uint32_t>(SectionKind::kUpperOffsets, 1, 3); }, "upper links at 3"},
  };
  for (const Case& c : cases) {
    Spoilt file;
    c.spoil(file);
    const absl::Status status = Read(file.Resealed());
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << c.message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
    EXPECT_THAT(std::string(status.message()), HasSubstr("x.seg"));
  }
}

TEST(SegmentFormatTest, ASearchOfADamagedGraphStaysWithinTheFile) {
  Spoilt damaged;
  for (uint32_t i = 0; i < kRows * 5; ++i) damaged.Set<uint32_t>(SectionKind::kBaseLinks, i, ~0u);
  for (uint32_t i = 0; i < 9; ++i) damaged.Set<uint32_t>(SectionKind::kUpperLinks, i, 1'000'000);
  const auto file = std::make_shared<const AlignedBytes>(damaged.Resealed());
  const auto segment =
      SealedSegment::Open(file->bytes, "x.seg", file, Space(), std::make_shared<RowHistory>(kRows));
  ASSERT_TRUE(segment.ok()) << segment.status();
  TopK<Candidate> nearest(1);
  SearchReport report;
  const CallControl control;
  const FiveRows rows;
  const SegmentQuery query{.vector = rows.floats(0), .k = 1, .ef = 1, .control = &control};
  EXPECT_TRUE((*segment)->Search(query, kRows, &nearest, &report).ok());
}

}  // namespace
}  // namespace varve::index
