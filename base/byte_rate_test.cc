#include "base/byte_rate.h"

#include "gtest/gtest.h"

namespace varve {
namespace {

constexpr uint64_t kRate = 1000;
const absl::Time kStart = absl::FromUnixSeconds(1'000'000);

TEST(ByteRateTest, WhatHasPassedIsOwedForAfterTheBurst) {
  ByteRate rate;
  EXPECT_EQ(rate.Owed(kRate, kStart), absl::ZeroDuration());
  rate.Pass(kRate, kRate, kStart);  // the pause before is made up for
  EXPECT_EQ(rate.Owed(kRate, kStart), absl::ZeroDuration());
  rate.Pass(5 * kRate, kRate, kStart);
  EXPECT_EQ(rate.Owed(kRate, kStart), absl::Seconds(5));
  EXPECT_EQ(rate.Owed(kRate, kStart + absl::Seconds(3)), absl::Seconds(2));
  EXPECT_EQ(rate.Owed(kRate, kStart + absl::Seconds(5)), absl::ZeroDuration());
}

TEST(ByteRateTest, ALongPauseIsMadeUpForByOneBurstAlone) {
  ByteRate rate;
  rate.Pass(kRate, kRate, kStart);
  const absl::Time later = kStart + absl::Hours(1);
  rate.Pass(3 * kRate, kRate, later);
  EXPECT_EQ(rate.Owed(kRate, later), absl::Seconds(2));
}

TEST(ByteRateTest, ANewRateHoldsForWhatIsOwedAlready) {
  ByteRate rate;
  rate.Pass(11 * kRate, kRate, kStart);
  EXPECT_EQ(rate.Owed(kRate, kStart), absl::Seconds(10));
  EXPECT_EQ(rate.Owed(10 * kRate, kStart), absl::Seconds(1));
  EXPECT_EQ(rate.Owed(0, kStart), absl::ZeroDuration());
}

TEST(ByteRateTest, AClockThatGoesBackPaysForNothing) {
  ByteRate rate;
  rate.Pass(3 * kRate, kRate, kStart);
  EXPECT_EQ(rate.Owed(kRate, kStart - absl::Hours(1)), absl::Seconds(2));
  EXPECT_EQ(rate.Owed(kRate, kStart + absl::Seconds(2)), absl::ZeroDuration());
}

}  // namespace
}  // namespace varve
