#include "clients/cli/ingest/fingerprint.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace varve::cli {
namespace {

const Numbering kNumbering = {.plan = {.rows = 1'000, .batch_rows = 10, .streams = 2},
                              .dimension = 3,
                              .dtype = DType::kF32,
                              .text_ids = false,
                              .input_hash = 1,
                              .ids_hash = 2};

TEST(FingerprintTest, TheNameIsTheSameInEveryRunAndRelease) {
  EXPECT_EQ(ProducerOf("nightly", kNumbering, 0), "nightly/735ef9dfba4fbff5/1of2");
  EXPECT_EQ(ContentHash("varve"), 0x6bc3f0448fbe28a0);
}

TEST(FingerprintTest, WhateverDecidesTheNumberingChangesTheName) {
  std::set<std::string> names;
  const auto add = [&](auto change) {
    Numbering other = kNumbering;
    change(other);
    names.insert(ProducerOf("nightly", other, 0));
  };
  add([](Numbering&) {});
  add([](Numbering& n) { n.plan.rows = 1'001; });
  add([](Numbering& n) { n.plan.batch_rows = 11; });
  add([](Numbering& n) { n.plan.streams = 3; });
  add([](Numbering& n) { n.dimension = 4; });
  add([](Numbering& n) { n.dtype = DType::kF16; });
  add([](Numbering& n) { n.text_ids = true; });
  add([](Numbering& n) { n.input_hash = 3; });
  add([](Numbering& n) { n.ids_hash = 3; });
  add([](Numbering& n) { n.more = {{"metadata", 1}}; });
  add([](Numbering& n) { n.more = {{"metadata", 2}}; });
  add([](Numbering& n) { n.more = {{"expire", 1}}; });
  add([](Numbering& n) { n.more = {{"expire", 1}, {"metadata", 1}}; });
  names.insert(ProducerOf("nightly", kNumbering, 1));
  names.insert(ProducerOf("weekly", kNumbering, 0));
  EXPECT_EQ(names.size(), 15);
}

TEST(FingerprintTest, AProducerFitsWhatAServerTakes) {
  Numbering most = kNumbering;
  most.plan.streams = UINT32_MAX;
  EXPECT_LE(ProducerOf(std::string(kRunNameBytesMax, 'x'), most, UINT32_MAX - 1).size(), 256);
}

TEST(FingerprintTest, EveryByteOfASmallFileCounts) {
  std::string bytes(10'000, 'a');
  const uint64_t before = ContentHash(bytes);
  for (const size_t at : {size_t{0}, size_t{5'000}, bytes.size() - 1}) {
    std::string other = bytes;
    other[at] = 'b';
    EXPECT_NE(ContentHash(other), before) << at;
  }
  EXPECT_NE(ContentHash(bytes + 'a'), before);
}

TEST(FingerprintTest, ALargeFileCountsByItsEndsItsSizeAndSamples) {
  std::string bytes(size_t{40} << 20, 'a');
  const uint64_t before = ContentHash(bytes);
  for (const size_t at : {size_t{0}, bytes.size() - 1}) {
    bytes[at] = 'b';
    EXPECT_NE(ContentHash(bytes), before) << at;
    bytes[at] = 'a';
  }
  // Longer than the distance between two samples.
  bytes.replace(size_t{21} << 20, 20'000, 20'000, 'b');
  EXPECT_NE(ContentHash(bytes), before);
  bytes.replace(size_t{21} << 20, 20'000, 20'000, 'a');
  EXPECT_EQ(ContentHash(bytes), before);
  bytes += 'a';
  EXPECT_NE(ContentHash(bytes), before);
}

}  // namespace
}  // namespace varve::cli
