#include "clients/cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <sstream>

namespace varve::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(ProgressTest, RateIsThatOfThisRunAndTimeLeftFollowsIt) {
  EXPECT_EQ(FormatProgress({.before = 10'000, .done = 20'000, .total = 60'000, .bytes = 30'720'000},
                           absl::Seconds(2)),
            "20,000 of 60,000 rows (33%), 5,000 rows/s, 15.4 MB/s, 8s left");
}

TEST(ProgressTest, WhatCannotBeToldIsLeftOut) {
  EXPECT_EQ(FormatProgress({.before = 5, .done = 5, .total = 10}, absl::Seconds(2)),
            "5 of 10 rows (50%)");
  EXPECT_EQ(FormatProgress({.done = 5, .total = 10, .bytes = 5}, absl::ZeroDuration()),
            "5 of 10 rows (50%)");
  EXPECT_EQ(FormatProgress({}, absl::Seconds(1)), "0 of 0 rows");
}

TEST(ProgressTest, NothingIsLeftAtTheEnd) {
  EXPECT_EQ(FormatProgress({.done = 10, .total = 10}, absl::Seconds(1)),
            "10 of 10 rows (100%), 10 rows/s");
}

TEST(ProgressDisplayTest, ATerminalHasOneLineThatIsReplacedAndClearedInTheEnd) {
  std::ostringstream stream;
  std::promise<void> shown;
  int times = 0;
  {
    ProgressDisplay display(&stream, /*is_terminal=*/true, [&] {
      if (++times == 2) shown.set_value();
      return "50%";
    });
    shown.get_future().wait();
    display.Print("connection lost");
  }
  EXPECT_THAT(stream.str(), HasSubstr("\r\x1b[K50%\r\x1b[K50%"));
  EXPECT_THAT(stream.str(), HasSubstr("\r\x1b[Kconnection lost\n"));
  EXPECT_THAT(stream.str(), EndsWith("\r\x1b[K"));
}

TEST(ProgressDisplayTest, ElsewhereAMessageIsALineAndAShortJobShowsNothingElse) {
  std::ostringstream stream;
  {
    ProgressDisplay display(&stream, /*is_terminal=*/false, [] { return "50%"; });
    display.Print("connection lost");
  }
  EXPECT_EQ(stream.str(), "connection lost\n");
}

}  // namespace
}  // namespace varve::cli
