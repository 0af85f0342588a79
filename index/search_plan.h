#ifndef VARVE_INDEX_SEARCH_PLAN_H_
#define VARVE_INDEX_SEARCH_PLAN_H_

#include <cstdint>
#include <string_view>

namespace varve::index {

// How a segment is searched.
enum class SearchPlan : uint8_t {
  kScan,          // every row that may be found is compared: exact
  kFilteredWalk,  // the graph is walked from match to match, over the rows between (ACORN)
  kWalk,          // the graph is walked; what does not match is walked through
};

// "scan", "filtered walk", "walk".
constexpr std::string_view SearchPlanName(SearchPlan plan) {
  switch (plan) {
    case SearchPlan::kScan:
      return "scan";
    case SearchPlan::kFilteredWalk:
      return "filtered walk";
    case SearchPlan::kWalk:
      return "walk";
  }
  return "unknown";
}

// A segment as the choice sees it.
struct PlanInput {
  uint64_t rows = 0;     // of the graph
  uint64_t matches = 0;  // those of them that may be found: alive, and satisfying the filter if any
  uint64_t ef = 0;       // candidates that a walk keeps
  uint64_t m = 0;        // of the graph
  bool filtered = false;
};

// The plan that is likely to be the quickest. A walk compares about m new rows for each of the ef it keeps,
// and as many times more as rows that may not be found lie between those that may, or, where these are far
// from the query, all that lie before them; so with a filter it is taken only when most rows match. One
// that goes from match to match does without comparing the others, but looks at more links. With as few
// matches as a walk would cost, a scan is cheaper.
SearchPlan ChoosePlan(const PlanInput& input);

}  // namespace varve::index

#endif  // VARVE_INDEX_SEARCH_PLAN_H_
