#include "server/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <thread>

namespace varve::server {
namespace {

// What Log() writes to stderr, whole lines.
std::string Logged(LogLevel threshold, LogLevel level, std::string_view message,
                   std::initializer_list<LogField> fields = {}) {
  SetLogLevel(threshold);
  testing::internal::CaptureStderr();
  Log(level, message, fields);
  return testing::internal::GetCapturedStderr();
}

TEST(LogTest, ALineIsAJsonObjectWithLevelMessageAndFields) {
  const std::string line =
      Logged(LogLevel::kInfo, LogLevel::kWarning, "batch refused",
             {{"namespace", "docs"}, {"row", 7}, {"seconds", 0.5}, {"retry", true}});
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["level"], "warning");
  EXPECT_EQ(json["message"], "batch refused");
  EXPECT_EQ(json["namespace"], "docs");
  EXPECT_EQ(json["row"], 7);
  EXPECT_EQ(json["seconds"], 0.5);
  EXPECT_EQ(json["retry"], true);
  EXPECT_EQ(json["time"].get<std::string>().back(), 'Z');
}

TEST(LogTest, WhateverAFieldHoldsItStaysOneLine) {
  const std::string line =
      Logged(LogLevel::kInfo, LogLevel::kInfo, "two\nlines", {{"name", "\"quoted\"\r\n{}"}});
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_EQ(nlohmann::json::parse(line)["name"], "\"quoted\"\r\n{}");
}

TEST(LogTest, BytesThatAreNotUtf8AreReplaced) {
  const std::string line = Logged(LogLevel::kInfo, LogLevel::kInfo, "odd",
                                  {{"name",
                                    "a\xff"
                                    "b"}});
  EXPECT_EQ(nlohmann::json::parse(line)["name"],
            "a\xef\xbf\xbd"
            "b");
}

TEST(LogTest, AScopeAddsItsFieldsToTheLinesOfItsThread) {
  const LogField outer_fields[] = {{"request_id", "outer"}, {"trace_id", "t"}};
  const LogField inner_fields[] = {{"request_id", "inner"}};
  const auto logged = [] {
    return nlohmann::json::parse(Logged(LogLevel::kInfo, LogLevel::kInfo, "line", {{"row", 7}}));
  };
  {
    const LogScope outer(outer_fields);
    {
      const LogScope inner(inner_fields);
      EXPECT_EQ(logged()["request_id"], "inner");
      EXPECT_FALSE(logged().contains("trace_id"));
    }
    EXPECT_EQ(logged()["request_id"], "outer");
    EXPECT_EQ(logged()["trace_id"], "t");
    EXPECT_EQ(logged()["row"], 7);
    std::thread([&] { EXPECT_FALSE(logged().contains("request_id")); }).join();
  }
  EXPECT_FALSE(logged().contains("request_id"));
}

TEST(LogTest, LinesBelowTheLevelAreDropped) {
  EXPECT_EQ(Logged(LogLevel::kWarning, LogLevel::kInfo, "chatter"), "");
  EXPECT_NE(Logged(LogLevel::kWarning, LogLevel::kError, "trouble"), "");
}

TEST(LogTest, LevelsAreKnownByName) {
  EXPECT_EQ(ParseLogLevel("debug"), LogLevel::kDebug);
  EXPECT_EQ(ParseLogLevel("error"), LogLevel::kError);
  EXPECT_EQ(ParseLogLevel("loud"), std::nullopt);
}

}  // namespace
}  // namespace varve::server
