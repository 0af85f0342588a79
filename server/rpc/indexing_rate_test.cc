#include "server/rpc/indexing_rate.h"

#include <gtest/gtest.h>

namespace varve::server {
namespace {

absl::Time At(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

TEST(IndexingRateTest, WithoutTwoSamplesThereIsNoRate) {
  IndexingRate rate;
  EXPECT_EQ(rate.rows_per_second(), 0);
  rate.Add(At(0), 100);
  EXPECT_EQ(rate.rows_per_second(), 0);
  rate.Add(At(0), 200);
  EXPECT_EQ(rate.rows_per_second(), 0);
  EXPECT_FALSE(rate.Remaining(10).has_value());
}

TEST(IndexingRateTest, TheRateIsThatOfTheLastSeconds) {
  IndexingRate rate;
  for (int second = 0; second <= 10; ++second) rate.Add(At(second), 1000 * second);
  for (int second = 11; second <= 20; ++second) rate.Add(At(second), 10'000 + 100 * (second - 10));
  EXPECT_DOUBLE_EQ(rate.rows_per_second(), 100);
  EXPECT_EQ(rate.Remaining(500), absl::Seconds(5));
}

TEST(IndexingRateTest, NothingMovingHasNoEndInSight) {
  IndexingRate rate;
  rate.Add(At(0), 100);
  rate.Add(At(60), 100);
  EXPECT_EQ(rate.rows_per_second(), 0);
  EXPECT_FALSE(rate.Remaining(1).has_value());
}

}  // namespace
}  // namespace varve::server
