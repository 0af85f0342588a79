#include "server/health_command.h"

#include <httplib.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "base/str_cat.h"
#include "server/options.h"

namespace varve::server {
namespace {

enum ExitCode { kHealthy = 0, kUnhealthy = 1, kCannotAsk = 2 };

struct Question {
  bool live = false;
  int timeout_seconds = 3;
};

// Where a server that listens on `address` is found from its own machine.
std::string OwnAddress(const std::string& address) {
  if (address == "0.0.0.0") return "127.0.0.1";
  return address == "::" ? "::1" : address;
}

int Fail(ExitCode code, const std::string& why) {
  std::fprintf(stderr, "varved health: %s\n", why.c_str());
  return code;
}

int Ask(const Options& options, const Question& question) {
  const std::string address = OwnAddress(options.http_address);
  const std::string path = question.live ? "/healthz" : "/readyz";
  const std::string where = StrCat(address, " port ", options.http_port, path);
  httplib::Client client(address, options.http_port);
  client.set_connection_timeout(question.timeout_seconds);
  client.set_read_timeout(question.timeout_seconds);
  const httplib::Result result = client.Get(path);
  if (!result) {
    return Fail(kUnhealthy, StrCat("no answer from ", where, " (", to_string(result.error()),
                                   "): is varved running, and is this its --http-port?"));
  }
  const std::string said = result->body.substr(0, result->body.find('\n'));
  if (result->status != 200) {
    return Fail(kUnhealthy, StrCat(where, " says ", result->status, ": ", said));
  }
  std::puts(said.c_str());
  return kHealthy;
}

}  // namespace

int RunHealth(int argc, const char* const* argv) {
  Question question;
  CLI::App app("Asks the server of this machine whether it takes calls", "varved health");
  app.footer("Settings of varved that say where it serves are taken too: --http-port and others");
  app.allow_extras();
  app.add_flag("--live", question.live,
               "Ask only whether the process lives, not whether it is ready");
  app.add_option("--timeout-seconds", question.timeout_seconds,
                 "Longest wait for the connection, and for the answer")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kHealthy : kCannotAsk;
  }
  // All else is the server's own.
  const std::vector<std::string> settings = app.remaining();
  std::vector<const char*> server_argv = {"varved"};
  for (const std::string& setting : settings) server_argv.push_back(setting.c_str());
  const ParsedOptions parsed =
      ParseOptions(static_cast<int>(server_argv.size()), server_argv.data());
  if (!parsed.options.has_value()) return parsed.exit_code;
  if (parsed.options->http_port == 0) {
    return Fail(kCannotAsk, "--http-port is 0, any free port: name the one that the server has");
  }
  return Ask(*parsed.options, question);
}

}  // namespace varve::server
