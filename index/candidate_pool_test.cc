#include "index/candidate_pool.h"

#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varve::index {
namespace {

std::vector<uint32_t> Accepted(const CandidatePool& pool) {
  std::vector<Candidate> candidates;
  pool.TakeAccepted(&candidates);
  std::vector<uint32_t> ordinals;
  for (const Candidate& candidate : candidates) ordinals.push_back(candidate.ordinal);
  return ordinals;
}

TEST(CandidatePoolTest, TheNearestNotTakenYetIsNext) {
  CandidatePool pool(3);
  uint32_t ordinal = 0;
  EXPECT_FALSE(pool.TakeNext(&ordinal));
  pool.Insert({2, 20}, true);
  pool.Insert({3, 30}, true);
  ASSERT_TRUE(pool.TakeNext(&ordinal));
  EXPECT_EQ(ordinal, 20u);
  pool.Insert({1, 10}, true);
  ASSERT_TRUE(pool.TakeNext(&ordinal));
  EXPECT_EQ(ordinal, 10u);
  ASSERT_TRUE(pool.TakeNext(&ordinal));
  EXPECT_EQ(ordinal, 30u);
  EXPECT_FALSE(pool.TakeNext(&ordinal));
}

TEST(CandidatePoolTest, ThoseNotAcceptedTakeNoPlaceButAreWalkedThrough) {
  CandidatePool pool(2);
  for (uint32_t i = 0; i < 10; ++i) pool.Insert({static_cast<float>(i), i}, false);
  pool.Insert({20, 20}, true);
  EXPECT_TRUE(pool.Wants(30));
  pool.Insert({30, 30}, true);
  EXPECT_FALSE(pool.Wants(30)) << "full, and no nearer";
  EXPECT_TRUE(pool.Wants(25));
  uint32_t ordinal = 99;
  ASSERT_TRUE(pool.TakeNext(&ordinal));
  EXPECT_EQ(ordinal, 0u);
  EXPECT_THAT(Accepted(pool), ::testing::ElementsAre(20, 30));
}

// Against a list that keeps everything and is sorted anew each time.
TEST(CandidatePoolTest, AfterAnyInsertionsItHoldsTheNearestAccepted) {
  std::mt19937 random(3);
  for (int round = 0; round < 500; ++round) {
    const size_t capacity = 1 + random() % 20;
    CandidatePool pool(capacity);
    std::vector<Candidate> accepted;
    for (uint32_t ordinal = 0; ordinal < 100; ++ordinal) {
      const Candidate candidate{static_cast<float>(random() % 1'000'000), ordinal};
      if (!pool.Wants(candidate.distance)) continue;
      const bool is_accepted = random() % 3 != 0;
      pool.Insert(candidate, is_accepted);
      if (is_accepted) accepted.push_back(candidate);
      if (uint32_t taken; random() % 4 == 0) pool.TakeNext(&taken);
    }
    std::sort(accepted.begin(), accepted.end());
    std::vector<uint32_t> wanted;
    for (const Candidate& candidate : accepted) wanted.push_back(candidate.ordinal);
    wanted.resize(std::min(wanted.size(), capacity));
    EXPECT_EQ(Accepted(pool), wanted) << "capacity " << capacity;
  }
}

}  // namespace
}  // namespace varve::index
