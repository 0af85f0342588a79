#include "storage/manifest.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varve::storage {
namespace {

using ::testing::HasSubstr;

Manifest TwoSegments() {
  return {
      .next_segment_id = 9,
      .segments = {
          {.id = 3, .range = {1, 100}, .rows = 90, .file_bytes = 4096, .file_crc32c = 0x01020304},
          {.id = 8, .range = {150, 151}, .rows = 2, .file_bytes = 512, .file_crc32c = 7}}};
}

TEST(ManifestTest, NothingStoredIsAnEmptyManifest) {
  const auto manifest = DecodeManifest("");
  ASSERT_TRUE(manifest.ok());
  EXPECT_TRUE(manifest->segments.empty());
  EXPECT_EQ(manifest->next_segment_id, 1u);
}

TEST(ManifestTest, TheBytesAreThoseOfTheTable) {
  const std::string bytes = EncodeManifest(TwoSegments());
  EXPECT_EQ(bytes.substr(0, 13), std::string("\x01\0\0\0\0\0\0\0\x09\0\0\0\x02", 13));
  EXPECT_EQ(bytes.substr(13, 40), std::string("\0\0\0\0\0\0\0\x03"
                                              "\0\0\0\0\0\0\0\x01"
                                              "\0\0\0\0\0\0\0\x64"
                                              "\0\0\0\x5a"
                                              "\0\0\0\0\0\0\x10\0"
                                              "\x01\x02\x03\x04",
                                              40));
  EXPECT_EQ(bytes.size(), 13u + 2 * 40u);
}

TEST(ManifestTest, WhatWasEncodedIsDecoded) {
  const std::string bytes = EncodeManifest(TwoSegments());
  const auto manifest = DecodeManifest(bytes);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(EncodeManifest(*manifest), bytes);
  EXPECT_EQ(manifest->segments[0].rows, 90u);
}

TEST(ManifestTest, OneThatWasCutOffOrGrewIsDataLoss) {
  const std::string bytes = EncodeManifest(TwoSegments());
  for (size_t length = 1; length < bytes.size(); ++length) {
    EXPECT_EQ(DecodeManifest(bytes.substr(0, length)).status().code(), absl::StatusCode::kDataLoss)
        << length;
  }
  EXPECT_EQ(DecodeManifest(bytes + "x").status().code(), absl::StatusCode::kDataLoss);
}

TEST(ManifestTest, RangesThatOverlapAndIdsNotYetGivenAreDataLoss) {
  for (auto spoil : {+[](Manifest& m) { m.segments[1].range.first = 100; },
                     +[](Manifest& m) { m.segments[0].range.first = 101; },
                     +[](Manifest& m) { m.segments[0].range.first = 0; },
                     +[](Manifest& m) { m.segments[0].id = 9; },
                     +[](Manifest& m) { m.segments[1].range.last = kLastRow + 1; }}) {
    Manifest manifest = TwoSegments();
    spoil(manifest);
    const absl::Status status = DecodeManifest(EncodeManifest(manifest)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("segment"));
  }
  EXPECT_THAT(std::string(DecodeManifest("\x02").status().message()), HasSubstr("version 2"));
}

}  // namespace
}  // namespace varve::storage
