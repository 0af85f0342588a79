#include "clients/cli/input/time_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace varve::cli {
namespace {

using ::testing::HasSubstr;

const absl::Time kTime = absl::FromUnixSeconds(1'000'000'000);

TEST(TimeTextTest, TimesAreReadInAnyZoneAndWrittenInUtc) {
  EXPECT_EQ(*ParseTimeText("2001-09-09T01:46:40Z"), kTime);
  EXPECT_EQ(*ParseTimeText("2001-09-09T03:46:40.25+02:00"), kTime + absl::Milliseconds(250));
  EXPECT_EQ(TimeText(kTime), "2001-09-09T01:46:40Z");
  EXPECT_EQ(TimeText(kTime + absl::Microseconds(1)), "2001-09-09T01:46:40.000001Z");
  for (const char* text : {"", "2001-09-09", "01:46:40", "infinite-future", "now", "1000000000"}) {
    EXPECT_THAT(std::string(ParseTimeText(text).status().message()), HasSubstr("wanted a time"))
        << text;
  }
}

TEST(TimeTextTest, SpansHaveUnitsAndDays) {
  EXPECT_EQ(*ParseSpanText("90m"), absl::Minutes(90));
  EXPECT_EQ(*ParseSpanText("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseSpanText("7d"), absl::Hours(168));
  for (const char* text :
       {"", "7", "d", "-1h", "-1d", "0d", "0s", "1.5d", "7 d", "inf", "9999999999d"}) {
    EXPECT_THAT(std::string(ParseSpanText(text).status().message()),
                HasSubstr("wanted a span of time"))
        << text;
  }
}

TEST(TimeTextTest, AMomentIsATimeOrASpanFromNow) {
  EXPECT_EQ(*ParseWhenText("2001-09-09T01:46:40Z", kTime), kTime);
  EXPECT_EQ(*ParseWhenText("+36h", kTime), kTime + absl::Hours(36));
  EXPECT_EQ(*ParseWhenText("+7d", kTime), kTime + absl::Hours(168));
  EXPECT_FALSE(ParseWhenText("36h", kTime).ok());
  EXPECT_FALSE(ParseWhenText("+", kTime).ok());
  EXPECT_FALSE(ParseWhenText("+2001-09-09T01:46:40Z", kTime).ok());
}

}  // namespace
}  // namespace varve::cli
