#include "clients/cpp/varve/internal/retry.h"

#include <gtest/gtest.h>

namespace varve::client::internal {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'000);

TEST(RetryTest, PausesGrowAndAreRandomPartsOfTheirBound) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    Retry retry(absl::Hours(1), seed);
    absl::Duration bound = absl::Milliseconds(50);
    for (int attempt = 0; attempt < 10; ++attempt) {
      const auto pause = retry.OnFailure(kStart);
      ASSERT_TRUE(pause.has_value());
      EXPECT_GE(*pause, absl::ZeroDuration());
      EXPECT_LE(*pause, bound);
      bound = std::min(bound * 2, absl::Seconds(2));
    }
  }
}

TEST(RetryTest, GivesUpWhenNothingSucceededForSoLong) {
  Retry retry(absl::Seconds(30), 1);
  EXPECT_TRUE(retry.OnFailure(kStart).has_value());
  EXPECT_TRUE(retry.OnFailure(kStart + absl::Seconds(25)).has_value());
  EXPECT_FALSE(retry.OnFailure(kStart + absl::Seconds(30)).has_value());
}

TEST(RetryTest, AnAttemptThatHangsCountsFromItsStart) {
  Retry retry(absl::Seconds(30), 1);
  EXPECT_EQ(retry.OnAttempt(kStart), kStart + absl::Seconds(30));
  EXPECT_EQ(retry.OnAttempt(kStart + absl::Seconds(5)), kStart + absl::Seconds(30));
  EXPECT_FALSE(retry.OnFailure(kStart + absl::Seconds(30)).has_value());
}

TEST(RetryTest, EvenWithoutPatienceAnAttemptHasTimeToSucceed) {
  Retry retry(absl::ZeroDuration(), 1);
  EXPECT_EQ(retry.OnAttempt(kStart), kStart + absl::Seconds(5));
  EXPECT_FALSE(retry.OnFailure(kStart).has_value());
}

TEST(RetryTest, ProgressStartsTheClockAnew) {
  Retry retry(absl::Seconds(30), 1);
  EXPECT_TRUE(retry.OnFailure(kStart).has_value());
  retry.OnProgress();
  EXPECT_TRUE(retry.OnFailure(kStart + absl::Seconds(40)).has_value());
}

TEST(RetryTest, TimeConnectedDoesNotCountButOutagesAddUp) {
  Retry retry(absl::Seconds(30), 1);
  EXPECT_TRUE(retry.OnFailure(kStart).has_value());
  retry.OnConnected(kStart + absl::Seconds(20));
  const absl::Time later = kStart + absl::Hours(1);
  EXPECT_TRUE(retry.OnFailure(later).has_value());
  EXPECT_FALSE(retry.OnFailure(later + absl::Seconds(10)).has_value());
}

TEST(RetryTest, WhatTheCallerMustMendIsNotTransient) {
  EXPECT_TRUE(IsTransient(absl::UnavailableError("")));
  EXPECT_TRUE(IsTransient(absl::CancelledError("")));
  EXPECT_FALSE(IsTransient(absl::OkStatus()));
  for (const absl::Status& status :
       {absl::InvalidArgumentError(""), absl::NotFoundError(""), absl::FailedPreconditionError(""),
        absl::UnauthenticatedError(""), absl::PermissionDeniedError(""), absl::DataLossError(""),
        absl::UnimplementedError("")}) {
    EXPECT_FALSE(IsTransient(status)) << status;
  }
}

}  // namespace
}  // namespace varve::client::internal
