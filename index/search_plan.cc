#include "index/search_plan.h"

namespace varve::index {
namespace {

// From how many percent of matches on a walk through everything is the cheaper one (filter_bench).
constexpr uint64_t kWalkPercent = 75;
// What going from match to match costs, as so many times a walk where all match.
constexpr uint64_t kFilteredWalkCost = 4;

}  // namespace

SearchPlan ChoosePlan(const PlanInput& input) {
  if (input.matches == 0) return SearchPlan::kScan;
  const uint64_t walk = input.ef * input.m;
  const bool through = !input.filtered || input.matches * 100 >= kWalkPercent * input.rows;
  const uint64_t cost = through ? walk * input.rows / input.matches : walk * kFilteredWalkCost;
  if (cost >= (through ? input.rows : input.matches)) return SearchPlan::kScan;
  return through ? SearchPlan::kWalk : SearchPlan::kFilteredWalk;
}

}  // namespace varve::index
