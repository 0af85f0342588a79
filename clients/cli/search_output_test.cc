#include "clients/cli/search_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "clients/cli/input/npy.h"
#include "clients/cli/testing/files.h"

namespace varve::cli {
namespace {

using client::SearchBatchResult;
using testing::BytesOf;
using ::testing::HasSubstr;
using testing::ReadTestFile;
using testing::TestPath;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Two queries, the second with one result only.
SearchBatchResult NumberResult() {
  return {.counts = {2, 1},
          .ids = std::vector<uint64_t>{7, 8, 9},
          .distances = {0.1f, 0.25f, -3},
          .sequence = 1};
}

SearchBatchResult TextResult() {
  SearchBatchResult result = NumberResult();
  result.ids = std::vector<std::string>{"a", "b", "c"};
  return result;
}

TEST(SearchOutputTest, NumbersGoToMatricesPaddedWhereThereAreFewerResults) {
  const auto files = WriteHits(NumberResult(), 3, TestPath("hits.npy"));
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->ids, TestPath("hits.npy"));
  EXPECT_EQ(files->distances, TestPath("hits.distances.npy"));
  const auto ids = OpenNpy(files->ids);
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_EQ(ids->type, (NpyType{'i', 8}));
  EXPECT_EQ(ids->shape, (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(ids->data, BytesOf<int64_t>({7, 8, -1, 9, -1, -1}));
  const auto distances = OpenNpy(files->distances);
  ASSERT_TRUE(distances.ok()) << distances.status();
  EXPECT_EQ(distances->type, (NpyType{'f', 4}));
  EXPECT_EQ(distances->data, BytesOf<float>({0.1f, 0.25f, kInfinity, -3, kInfinity, kInfinity}));
}

TEST(SearchOutputTest, TextIdsGoToJsonLines) {
  const auto files = WriteHits(TextResult(), 2, TestPath("texts.npy"));
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->ids, TestPath("texts.jsonl"));
  EXPECT_EQ(files->distances, TestPath("texts.distances.npy"));
  EXPECT_EQ(ReadTestFile(files->ids),
            "{\"query\":0,\"ids\":[\"a\",\"b\"],\"distances\":[0.1,0.25]}\n"
            "{\"query\":1,\"ids\":[\"c\"],\"distances\":[-3.0]}\n");
}

TEST(SearchOutputTest, JsonLinesTakeNumbersOfAnySize) {
  SearchBatchResult result = NumberResult();
  result.ids = std::vector<uint64_t>{7, UINT64_MAX, 9};
  const auto files = WriteHits(result, 2, TestPath("numbers.jsonl"));
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->distances, "");
  EXPECT_THAT(ReadTestFile(files->ids), HasSubstr("[7,18446744073709551615]"));
  const auto npy = WriteHits(result, 2, TestPath("numbers.npy"));
  EXPECT_THAT(std::string(npy.status().message()),
              HasSubstr("id 18446744073709551615 does not fit"));
}

TEST(SearchOutputTest, AFileThatCannotBeWrittenIsNamed) {
  const auto files = WriteHits(NumberResult(), 2, TestPath("nowhere/hits.npy"));
  EXPECT_THAT(std::string(files.status().message()), HasSubstr("nowhere/hits.npy"));
}

TEST(SearchOutputTest, JsonHoldsTheHitsOfEveryQuery) {
  EXPECT_EQ(ToText(HitsJson(TextResult())),
            "[[{\"id\":\"a\",\"distance\":0.1},{\"id\":\"b\",\"distance\":0.25}],"
            "[{\"id\":\"c\",\"distance\":-3.0}]]");
  EXPECT_EQ(ToText(HitsJson({})), "[]");
}

TEST(SearchOutputTest, TheTableRanksTheHits) {
  EXPECT_EQ(HitsTable(NumberResult()),
            "QUERY  RANK  ID  DISTANCE\n"
            "    0     1   7       0.1\n"
            "    0     2   8      0.25\n"
            "    1     1   9        -3\n");
}

}  // namespace
}  // namespace varve::cli
