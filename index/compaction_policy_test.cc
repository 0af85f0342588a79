#include "index/compaction_policy.h"

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace varve::index {
namespace {

using Plan = std::optional<CompactionPlan>;

struct Case {
  std::string name;
  std::vector<SegmentShape> segments;
  Plan plan;
};

SegmentShape Live(uint64_t rows) { return {.rows = rows, .live_rows = rows}; }
SegmentShape Dead(uint64_t rows, uint64_t dead) { return {.rows = rows, .live_rows = rows - dead}; }
SegmentShape Active(uint64_t rows) { return {.rows = rows, .live_rows = rows, .sealed = false}; }

TEST(CompactionPolicyTest, ATableOfCases) {
  constexpr uint64_t kMax = kSegmentRowsMax;
  const std::vector<Case> cases = {
      {"nothing", {}, {}},
      {"one is left alone", {Live(100)}, {}},
      {"three of a size are left alone", {Live(100), Live(100), Live(100)}, {}},
      {"four of a size are merged", {Live(100), Live(100), Live(100), Live(100)}, Plan{{0, 4}}},
      {"four nearly of a size are merged", {Live(100), Live(97), Live(60), Live(95)}, Plan{{0, 4}}},
      {"all of a long run are merged at once", std::vector<SegmentShape>(9, Live(100)),
       Plan{{0, 9}}},
      {"a large one is not rewritten for four small ones",
       {Live(1600), Live(100), Live(100), Live(100), Live(100)},
       Plan{{1, 5}}},
      {"what makes up for the largest takes it along",
       {Live(400), Live(400), Live(400), Live(100), Live(100), Live(100), Live(100)},
       Plan{{0, 7}}},
      {"small ones between large ones do not stay for ever",
       {Live(400), Live(1), Live(400), Live(1), Live(400), Live(1), Live(400)},
       Plan{{0, 7}}},
      {"the active segment is not touched", {Live(100), Live(100), Live(100), Active(100)}, {}},
      {"a segment being sealed keeps its neighbours apart",
       {Live(100), Live(100), Active(100), Live(100), Live(100)},
       {}},
      {"a dead share at the threshold stays", {Dead(100, 20)}, {}},
      {"a dead share above the threshold is rebuilt", {Live(900), Dead(100, 21)}, Plan{{1, 2}}},
      {"the worst is rebuilt first", {Dead(100, 30), Dead(100, 60), Dead(100, 40)}, Plan{{1, 2}}},
      {"a segment without a live row goes", {Live(900), Dead(100, 100)}, Plan{{1, 2}}},
      {"dead rows do not count for a merge's size",
       {Dead(400, 300), Live(100), Live(100), Live(100)},
       Plan{{0, 4}}},
      {"merging comes before rebuilding, and drops dead rows as well",
       {Live(100), Live(100), Dead(100, 30), Live(100), Live(100)},
       Plan{{0, 5}}},
      {"no merge goes beyond the largest segment",
       {Live(kMax / 2), Live(kMax / 2), Live(kMax / 2), Live(kMax / 2)},
       {}},
      {"of a run that is too large as much as fits is merged",
       std::vector<SegmentShape>(6, Live(kMax / 5)), Plan{{0, 5}}},
  };
  for (const Case& c : cases) EXPECT_EQ(PlanCompaction(c.segments, 20), c.plan) << c.name;
}

TEST(CompactionPolicyTest, AtAHundredPercentOnlySegmentsWithoutALiveRowAreRebuilt) {
  const std::vector<SegmentShape> nearly = {Dead(100, 99)}, wholly = {Dead(100, 100)};
  EXPECT_EQ(PlanCompaction(nearly, 100), Plan());
  EXPECT_EQ(PlanCompaction(wholly, 100), (Plan{{0, 1}}));
}

TEST(CompactionPolicyTest, AFullCompactionLeavesAsFewAsCanBeAndNoDeadRow) {
  constexpr uint64_t kMax = kSegmentRowsMax;
  const std::vector<Case> cases = {
      {"nothing", {}, {}},
      {"one whole segment stays", {Live(100)}, {}},
      {"one with a dead row is rebuilt", {Dead(100, 1)}, Plan{{0, 1}}},
      {"two are merged whatever their sizes", {Live(100000), Live(1)}, Plan{{0, 2}}},
      {"as many as fit are merged", {Live(kMax), Live(1), Live(kMax - 1), Live(5)}, Plan{{1, 3}}},
      {"what does not fit stays", {Live(kMax), Live(kMax), Active(3)}, {}},
      {"an unsealed one keeps its neighbours apart",
       {Live(1), Active(1), Live(1), Live(1), Active(1)},
       Plan{{2, 4}}},
      {"dead rows of full segments go too", {Live(kMax), Dead(kMax, 3)}, Plan{{1, 2}}},
  };
  for (const Case& c : cases) EXPECT_EQ(PlanFullCompaction(c.segments), c.plan) << c.name;
}

// Sizes as sealing and random deletes make them, merged as the policy says until it rests.
TEST(CompactionPolicyTest, AboutLogarithmicallyManySegmentsRemainAndRowsAreRewrittenAsOften) {
  std::mt19937 random(1);
  std::vector<SegmentShape> segments;
  uint64_t added = 0, rewritten = 0;
  for (int i = 0; i < 2000; ++i) {
    segments.push_back(Live(50 + random() % 100));
    added += segments.back().rows;
    for (SegmentShape& segment : segments) {
      if (random() % 10 == 0) segment.live_rows -= segment.live_rows / 20;
    }
    while (const Plan plan = PlanCompaction(segments, 20)) {
      SegmentShape merged;
      for (size_t s = plan->begin; s < plan->end; ++s) merged.rows += segments[s].live_rows;
      rewritten += merged.rows;
      merged.live_rows = merged.rows;
      segments.erase(segments.begin() + plan->begin + 1, segments.begin() + plan->end);
      segments[plan->begin] = merged;
      if (merged.rows == 0) segments.erase(segments.begin() + plan->begin);
    }
    const double levels = std::log(i + 2) / std::log(kCompactionFanIn) + 1;
    EXPECT_LE(segments.size(), 4 * levels) << "after " << i + 1 << " segments";
  }
  EXPECT_LE(rewritten, 8 * added);
}

TEST(CompactionPolicyTest, LevelsAreFourfold) {
  EXPECT_EQ(SegmentLevel(0, 100), 0u);
  EXPECT_EQ(SegmentLevel(200, 100), 0u);
  EXPECT_EQ(SegmentLevel(400, 100), 1u);
  EXPECT_EQ(SegmentLevel(801, 100), 2u);
  EXPECT_EQ(SegmentLevel(~uint64_t{0} / 2, 1), 31u);
}

TEST(CompactionPolicyTest, CompactionsShareOfTurnsGrowsWithTheNumberOfSegments) {
  EXPECT_EQ(TurnsPerCompactionTurn(0), 16u);
  EXPECT_EQ(TurnsPerCompactionTurn(32), 16u);
  EXPECT_EQ(TurnsPerCompactionTurn(64), 8u);
  EXPECT_EQ(TurnsPerCompactionTurn(256), 2u);
  EXPECT_EQ(TurnsPerCompactionTurn(100'000), 2u);
}

}  // namespace
}  // namespace varve::index
