#include "server/options.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace varve::server {
namespace {

ParsedOptions Parse(std::vector<const char*> args) {
  args.insert(args.begin(), "varved");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const ParsedOptions parsed = ParseOptions(static_cast<int>(args.size()), args.data());
  testing::internal::GetCapturedStdout();
  testing::internal::GetCapturedStderr();
  return parsed;
}

TEST(OptionsTest, WithoutArgumentsTheServerListensOnLoopback) {
  const ParsedOptions parsed = Parse({});
  ASSERT_TRUE(parsed.options.has_value());
  EXPECT_EQ(parsed.options->data_dir, "./varve-data");
  EXPECT_EQ(parsed.options->address, "127.0.0.1");
  EXPECT_EQ(parsed.options->port, 7780);
  EXPECT_EQ(parsed.options->http_port, 7781);
  EXPECT_EQ(parsed.options->max_message_bytes, size_t{64} << 20);
  EXPECT_EQ(parsed.options->drain, absl::Seconds(10));
}

TEST(OptionsTest, UnitsAreMibAndSeconds) {
  const ParsedOptions parsed =
      Parse({"--max-message-mib", "8", "--ingest-budget-mib", "9", "--drain-seconds", "0.5"});
  ASSERT_TRUE(parsed.options.has_value());
  EXPECT_EQ(parsed.options->max_message_bytes, size_t{8} << 20);
  EXPECT_EQ(parsed.options->ingest_budget_bytes, size_t{9} << 20);
  EXPECT_EQ(parsed.options->drain, absl::Milliseconds(500));
}

TEST(OptionsTest, NoSearchIsSlowWhenTheLimitIsZero) {
  EXPECT_EQ(Parse({}).options->slow_query, absl::Milliseconds(500));
  EXPECT_EQ(Parse({"--slow-query-ms", "20"}).options->slow_query, absl::Milliseconds(20));
  EXPECT_EQ(Parse({"--slow-query-ms", "0"}).options->slow_query, absl::InfiniteDuration());
  EXPECT_EQ(Parse({"--slow-query-ms", "-1"}).exit_code, 2);
}

TEST(OptionsTest, PortZeroLeavesTheHttpPortToTheKernelToo) {
  EXPECT_EQ(Parse({"--port", "0"}).options->http_port, 0);
  EXPECT_EQ(Parse({"--port", "0", "--http-port", "7999"}).options->http_port, 7999);
  EXPECT_EQ(Parse({"--port", "7999"}).options->http_port, 7781);
}

TEST(OptionsTest, EnvironmentVariablesStandInForOptions) {
  setenv("VARVE_DATA_DIR", "/srv/varve", /*overwrite=*/1);
  EXPECT_EQ(Parse({}).options->data_dir, "/srv/varve");
  EXPECT_EQ(Parse({"--data-dir", "here"}).options->data_dir, "here");
  unsetenv("VARVE_DATA_DIR");
}

TEST(OptionsTest, AddressesOfBothFamiliesAreTaken) {
  for (const char* address : {"0.0.0.0", "::1", "fe80::1"}) {
    EXPECT_EQ(Parse({"--address", address}).options->address, address);
  }
}

TEST(OptionsTest, AFileHoldsOptionsToo) {
  const std::string path = testing::TempDir() + "/varved.toml";
  std::ofstream(path) << "data-dir = \"/srv/varve\"\nmax-message-mib = 16\n";
  const ParsedOptions parsed = Parse({"--config", path.c_str(), "--max-message-mib", "32"});
  ASSERT_TRUE(parsed.options.has_value());
  EXPECT_EQ(parsed.options->data_dir, "/srv/varve");
  EXPECT_EQ(parsed.options->max_message_bytes, size_t{32} << 20);
  EXPECT_EQ(Parse({"--config", "/no/such/file"}).exit_code, 2);
}

TEST(OptionsTest, AUsageErrorIsExitCodeTwo) {
  const std::vector<std::vector<const char*>> wrong = {
      {"--no-such-option"},       {"--port", "65536"},
      {"--port", "http"},         {"--address", "example.com"},
      {"--log-level", "loud"},    {"--drain-seconds", "-1"},
      {"--max-message-mib", "0"}, {"extra"},
  };
  for (const auto& args : wrong) {
    const ParsedOptions parsed = Parse(args);
    EXPECT_FALSE(parsed.options.has_value()) << args[0];
    EXPECT_EQ(parsed.exit_code, 2) << args[0];
  }
}

TEST(OptionsTest, ABudgetMustHoldTheLargestMessage) {
  EXPECT_EQ(Parse({"--max-message-mib", "128", "--ingest-budget-mib", "64"}).exit_code, 2);
  EXPECT_TRUE(Parse({"--max-message-mib", "128"}).options.has_value());
}

TEST(OptionsTest, HelpAndVersionEndWell) {
  for (const char* flag : {"--help", "--version"}) {
    const ParsedOptions parsed = Parse({flag});
    EXPECT_FALSE(parsed.options.has_value());
    EXPECT_EQ(parsed.exit_code, 0);
  }
}

}  // namespace
}  // namespace varve::server
