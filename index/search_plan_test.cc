#include "index/search_plan.h"

#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace varve::index {

void PrintTo(SearchPlan plan, std::ostream* out) { *out << SearchPlanName(plan); }

namespace {

constexpr uint64_t kMillion = 1'000'000;

struct Case {
  std::string name;
  PlanInput input;
  SearchPlan plan;
};

PlanInput All(uint64_t rows, uint64_t alive) {
  return {.rows = rows, .matches = alive, .ef = 64, .m = 16, .filtered = false};
}
PlanInput Filtered(uint64_t rows, uint64_t matches) {
  return {.rows = rows, .matches = matches, .ef = 64, .m = 16, .filtered = true};
}

// Well away from where one plan gives way to the next.
TEST(SearchPlanTest, ATableOfCases) {
  constexpr SearchPlan kScan = SearchPlan::kScan, kFilteredWalk = SearchPlan::kFilteredWalk,
                       kWalk = SearchPlan::kWalk;
  PlanInput wide = Filtered(kMillion, kMillion / 20);
  wide.ef = 10'000;
  PlanInput wide_unfiltered = All(100'000, 100'000);
  wide_unfiltered.ef = 100'000;
  const std::vector<Case> cases = {
      {"an empty segment is scanned", All(0, 0), kScan},
      {"so is an empty one with a filter", Filtered(0, 0), kScan},
      {"a small segment is scanned", All(100, 100), kScan},
      {"a large one is walked", All(kMillion, kMillion), kWalk},
      {"a huge one is walked", All(4000 * kMillion, 4000 * kMillion), kWalk},
      {"some dead rows change nothing", All(kMillion, kMillion * 7 / 10), kWalk},
      {"one whose rows are all dead is scanned", All(kMillion, 0), kScan},
      {"one whose rows are nearly all dead is scanned", All(kMillion, 20), kScan},
      {"no matches are scanned", Filtered(kMillion, 0), kScan},
      {"one match is scanned", Filtered(4000 * kMillion, 1), kScan},
      {"few matches are scanned", Filtered(kMillion, 200), kScan},
      {"matches in a small segment are scanned", Filtered(400, 200), kScan},
      {"one that matches wholly is walked", Filtered(kMillion, kMillion), kWalk},
      {"nine tenths of a large one are walked", Filtered(kMillion, kMillion / 10 * 9), kWalk},
      {"a twentieth of a large one is walked from match to match",
       Filtered(10 * kMillion, kMillion / 2), kFilteredWalk},
      {"a thousandth of a huge one is walked from match to match",
       Filtered(4000 * kMillion, 4 * kMillion), kFilteredWalk},
      {"a twentieth is scanned when the walk keeps nearly as many", wide, kScan},
      {"so is a whole segment", wide_unfiltered, kScan},
  };
  for (const Case& c : cases) EXPECT_EQ(ChoosePlan(c.input), c.plan) << c.name;
}

TEST(SearchPlanTest, ALargeSegmentMostOfWhichMatchesIsWalkedThrough) {
  EXPECT_EQ(ChoosePlan(Filtered(kMillion, kMillion / 10 * 8)), SearchPlan::kWalk);
}

TEST(SearchPlanTest, TheMoreRowsOfALargeSegmentMatchTheLessOfItIsPickedOut) {
  for (const uint64_t rows : {kMillion, 100 * kMillion}) {
    SearchPlan last = SearchPlan::kScan;
    for (uint64_t thousandth = 0; thousandth <= 1000; ++thousandth) {
      const SearchPlan plan = ChoosePlan(Filtered(rows, rows / 1000 * thousandth));
      EXPECT_GE(plan, last) << rows << " rows, " << thousandth << " thousandths match";
      last = plan;
    }
    EXPECT_EQ(last, SearchPlan::kWalk);
  }
}

TEST(SearchPlanTest, PlansHaveNames) {
  EXPECT_EQ(SearchPlanName(SearchPlan::kScan), "scan");
  EXPECT_EQ(SearchPlanName(SearchPlan::kFilteredWalk), "filtered walk");
  EXPECT_EQ(SearchPlanName(SearchPlan::kWalk), "walk");
}

}  // namespace
}  // namespace varve::index
