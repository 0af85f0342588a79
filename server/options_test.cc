#include "server/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace varve::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What parsing printed is in `out` and `err`.
ParsedOptions Parse(std::vector<const char*> args, std::string* out = nullptr,
                    std::string* err = nullptr) {
  args.insert(args.begin(), "varved");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const ParsedOptions parsed = ParseOptions(static_cast<int>(args.size()), args.data());
  const std::string printed = testing::internal::GetCapturedStdout();
  const std::string complaints = testing::internal::GetCapturedStderr();
  if (out != nullptr) *out = printed;
  if (err != nullptr) *err = complaints;
  return parsed;
}

std::string WriteConfig(const std::string& text) {
  const std::string path = testing::TempDir() + "/varved.toml";
  std::ofstream(path) << text;
  return path;
}

class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), /*overwrite=*/1);
  }
  ~Variable() { unsetenv(name_); }

 private:
  const char* const name_;
};

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
    EXPECT_EQ(Parse({"--allow-insecure", "--address", address}).options->address, address);
  }
}

TEST(OptionsTest, TheCommandLineBeatsTheEnvironmentAndThatTheFile) {
  const std::string path =
      WriteConfig("data-dir = \"/file\"\nport = 1\nmax-message-mib = 16\nallow-insecure = true\n");
  const Variable data_dir("VARVE_DATA_DIR", "/environment");
  const Variable port("VARVE_PORT", "2");
  const ParsedOptions parsed = Parse({"--config", path.c_str(), "--port", "3"});
  ASSERT_TRUE(parsed.options.has_value());
  EXPECT_EQ(parsed.options->port, 3);
  EXPECT_EQ(parsed.options->data_dir, "/environment");
  EXPECT_EQ(parsed.options->max_message_bytes, size_t{16} << 20);
  EXPECT_TRUE(parsed.options->allow_insecure);
}

TEST(OptionsTest, TheEnvironmentMayNameTheFile) {
  const Variable config("VARVE_CONFIG", WriteConfig("port = 7999\n"));
  EXPECT_EQ(Parse({}).options->port, 7999);
  const Variable missing("VARVE_CONFIG", "/no/such/file");
  EXPECT_EQ(Parse({}).exit_code, 2);
}

TEST(OptionsTest, AnErrorInAFileNamesTheFileAndTheSetting) {
  const struct {
    std::string text;
    std::string expected;
  } cases[] = {
      {"prot = 7780\n", "prot: there is no such setting"},
      {"config = \"other\"\n", "config: there is no such setting"},
      {"print-config = true\n", "print-config: there is no such setting"},
      {"port = http\n", "--port"},
      {"port = 65536\n", "--port"},
      {"port =\n", "--port"},
      {"port\n", "--port"},
      {"port = [1, 2]\n", "port: must have one value"},
      {"port = 1\ndata-dir = \"d\"\nport = 2\n", "port: is there twice"},
      {"allow-insecure = perhaps\n", "allow-insecure"},
      {"log-level = \"loud\"\n", "--log-level"},
      {"data-dir = \"data#1\"\n", "\"data#1\": a value cannot hold a #"},
      {"[server]\nport = 1\n", "[server]: settings have no sections"},
  };
  for (const auto& one : cases) {
    const std::string path = WriteConfig(one.text);
    std::string error;
    EXPECT_EQ(Parse({"--config", path.c_str()}, nullptr, &error).exit_code, 2) << one.text;
    EXPECT_THAT(error, AllOf(HasSubstr(path + ": "), HasSubstr(one.expected))) << one.text;
  }
  EXPECT_EQ(Parse({"--config", "/no/such/file"}).exit_code, 2);
}

TEST(OptionsTest, AFileMayHoldWhatNeedsTheCommandLine) {
  const std::string path = WriteConfig("tls-cert = \"cert.pem\"\n");
  EXPECT_EQ(Parse({"--config", path.c_str()}).exit_code, 2);
  EXPECT_TRUE(Parse({"--config", path.c_str(), "--tls-key", "key.pem"}).options.has_value());
}

TEST(OptionsTest, WhatPrintConfigPrintsIsTakenBackAndMeansTheSame) {
  const std::vector<std::vector<const char*>> cases = {
      {},
      {"--port", "0", "--drain-seconds", "0.5"},
      {"--address", "::1", "--http-address", "127.0.0.2", "--data-dir", "a name with = and spaces"},
      {"--address", "0.0.0.0", "--tls-cert", "c", "--tls-key", "k", "--api-keys", "keys, all"},
      {"--address", "0.0.0.0", "--allow-insecure", "--log-level", "debug"},
  };
  for (std::vector<const char*> args : cases) {
    const ParsedOptions wanted = Parse(args);
    ASSERT_TRUE(wanted.options.has_value());
    std::string printed;
    args.push_back("--print-config");
    EXPECT_EQ(Parse(args, &printed).exit_code, 0);
    EXPECT_EQ(printed, wanted.options->toml);
    const std::string path = WriteConfig(printed);
    const ParsedOptions again = Parse({"--config", path.c_str()});
    ASSERT_TRUE(again.options.has_value()) << printed;
    EXPECT_EQ(again.options->toml, printed);
    EXPECT_EQ(again.options->http_port, wanted.options->http_port);
    EXPECT_EQ(again.options->http_address, wanted.options->http_address);
    EXPECT_EQ(again.options->data_dir, wanted.options->data_dir);
    EXPECT_EQ(again.options->api_keys, wanted.options->api_keys);
  }
}

TEST(OptionsTest, ListeningBeyondLoopbackNeedsCertificateAndKeysOrAllowInsecure) {
  for (const char* address : {"0.0.0.0", "::", "192.168.1.1", "::ffff:10.0.0.1"}) {
    std::string error;
    EXPECT_EQ(Parse({"--address", address}, nullptr, &error).exit_code, 2) << address;
    EXPECT_THAT(error, AllOf(HasSubstr(address), HasSubstr("--allow-insecure")));
    EXPECT_EQ(Parse({"--address", address, "--api-keys", "k"}).exit_code, 2) << address;
    EXPECT_EQ(Parse({"--address", address, "--tls-cert", "c", "--tls-key", "k"}).exit_code, 2);
    EXPECT_TRUE(Parse({"--address", address, "--allow-insecure"}).options.has_value());
    EXPECT_TRUE(
        Parse({"--address", address, "--tls-cert", "c", "--tls-key", "k", "--api-keys", "a"})
            .options.has_value());
  }
  for (const char* address : {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(Parse({"--address", address}).options.has_value()) << address;
  }
}

TEST(OptionsTest, HttpListensWhereGrpcDoesUnlessToldOtherwise) {
  EXPECT_EQ(Parse({"--address", "127.0.0.2"}).options->http_address, "127.0.0.2");
  EXPECT_EQ(Parse({"--http-address", "0.0.0.0"}).options->http_address, "0.0.0.0");
  EXPECT_EQ(Parse({"--http-address", "0.0.0.0"}).options->address, "127.0.0.1");
}

TEST(OptionsTest, CertificateAndKeyBelongTogether) {
  for (const std::vector<const char*>& args : std::vector<std::vector<const char*>>{
           {"--tls-cert", "c"}, {"--tls-key", "k"}, {"--tls-client-ca", "ca"}}) {
    EXPECT_EQ(Parse(args).exit_code, 2) << args[0];
  }
}

TEST(OptionsTest, ChangedSettingsAreNamed) {
  EXPECT_THAT(ChangedSettings("a=1\nb=2\nc=3\n", "a=1\nb=4\nd=x=y\n"), ElementsAre("b", "c", "d"));
  EXPECT_THAT(ChangedSettings("a=1\n", "a=1\n"), IsEmpty());
}

TEST(OptionsTest, AVariableThatIsNoSettingIsFound) {
  const char* const environment[] = {"VARVE_PORTS=1", "VARVE_PORT=1", "VARVE_API_KEY=x",
                                     "PATH=/bin",     "VARVE_=",      "VARVE_CONFIG=",
                                     nullptr};
  EXPECT_THAT(UnknownVariables(environment), ElementsAre("VARVE_PORTS", "VARVE_"));
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
