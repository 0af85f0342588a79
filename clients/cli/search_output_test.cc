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

using client::List;
using client::Metadata;
using testing::BytesOf;
using ::testing::HasSubstr;
using testing::ReadTestFile;
using testing::TestPath;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Two queries, the second with one result only.
Found NumberResult() {
  return {.hits = {.counts = {2, 1},
                   .ids = std::vector<uint64_t>{7, 8, 9},
                   .distances = {0.1f, 0.25f, -3},
                   .sequence = 1}};
}

Found TextResult() {
  Found result = NumberResult();
  result.hits.ids = std::vector<std::string>{"a", "b", "c"};
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
  Found result = NumberResult();
  result.hits.ids = std::vector<uint64_t>{7, UINT64_MAX, 9};
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

// Of one query, with all that can be told of hits.
Found WholeResult() {
  return {.hits = {.counts = {2},
                   .ids = std::vector<uint64_t>{7, 8},
                   .distances = {0.5f, 1},
                   .sequence = 1},
          .metadata = {{{"price", 9.5}, {"tags", List{"a", 1}}},
                       {{"at", absl::FromUnixSeconds(1'000'000'000)}, {"no", nullptr}}},
          .groups = {"x y", 3}};
}

TEST(SearchOutputTest, GroupsAndMetadataStandBehindTheHits) {
  EXPECT_EQ(ToText(HitsJson(WholeResult())),
            "[[{\"id\":7,\"distance\":0.5,\"group\":\"x y\","
            "\"metadata\":{\"price\":9.5,\"tags\":[\"a\",1]}},"
            "{\"id\":8,\"distance\":1.0,\"group\":3,"
            "\"metadata\":{\"at\":\"2001-09-09T01:46:40Z\",\"no\":null}}]]");
  EXPECT_EQ(HitsTable(WholeResult()),
            "QUERY  RANK  ID  DISTANCE  GROUP  METADATA\n"
            "    0     1   7       0.5  x y    {\"price\":9.5,\"tags\":[\"a\",1]}\n"
            "    0     2   8         1      3  {\"at\":\"2001-09-09T01:46:40Z\",\"no\":null}\n");
  const auto files = WriteHits(WholeResult(), 2, TestPath("whole.jsonl"));
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(ReadTestFile(files->ids),
            "{\"query\":0,\"ids\":[7,8],\"distances\":[0.5,1.0],\"groups\":[\"x y\",3],"
            "\"metadata\":[{\"price\":9.5,\"tags\":[\"a\",1]},"
            "{\"at\":\"2001-09-09T01:46:40Z\",\"no\":null}]}\n");
}

TEST(SearchOutputTest, AnExplanationHasALineForEachSegment) {
  const client::Explanation explanation{.segments = {{.segment_id = 3,
                                                      .rows = 50'000,
                                                      .plan = client::SearchPlan::kFilteredWalk,
                                                      .estimated_selectivity = 0.125,
                                                      .selectivity = 0.1,
                                                      .distances = 1'234,
                                                      .hops = 56,
                                                      .rescored_rows = 10,
                                                      .time = absl::Microseconds(1'500)},
                                                     {.segment_id = 4,
                                                      .rows = 7,
                                                      .plan = client::SearchPlan::kScan,
                                                      .gave_up = true,
                                                      .dead_rows = 1,
                                                      .time = absl::Microseconds(2)}},
                                        .filter_time = absl::Microseconds(250)};
  EXPECT_EQ(ExplanationTable(explanation),
            "SEGMENT  ROWS    PLAN                  ESTIMATED %  TRUE %  DISTANCES  HOPS  DEAD  "
            "RESCORED  "
            "MS\n"
            "      3  50,000  filtered walk               12.50   10.00      1,234    56     0     "
            "   10  "
            "1.500\n"
            "      4       7  scan, gave up a walk       100.00  100.00          0     0     1     "
            "    0  "
            "0.002\n"
            "filter: 0.250 ms\n");
  const Json json = ExplanationJson(explanation);
  EXPECT_EQ(json["filter_seconds"], 0.00025);
  EXPECT_EQ(json["segments"][0]["plan"], "filtered walk");
  EXPECT_EQ(json["segments"][0]["selectivity"], 0.1);
  EXPECT_EQ(json["segments"][1]["gave_up"], true);
}

}  // namespace
}  // namespace varve::cli
