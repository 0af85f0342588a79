#include "clients/cli/app.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

// The verb, or its part, that was being parsed: "varve namespace create".
std::string Command(const CLI::App& app) {
  std::string command = "varve";
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    command += StrCat(" ", at->get_name());
  }
  return command;
}

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

void PrintError(Session& session, std::string_view message) {
  session.err() << "varve: " << OneLine(std::string(message)) << std::endl;
}

// Each of these options asks for an encrypted connection.
void AddSecurity(CLI::App& app, Session& session) {
  const auto encrypt = [&session]() -> client::TlsOptions& {
    if (!session.tls.has_value()) session.tls.emplace();
    return *session.tls;
  };
  app.add_flag_callback(
         "--tls", [encrypt] { encrypt(); }, "Encrypt the connection")
      ->envname("VARVE_TLS");
  const auto add_file = [&](const char* name, std::string client::TlsOptions::*file,
                            const char* description) {
    const auto set = [encrypt, file](const std::string& path) { encrypt().*file = path; };
    return app.add_option_function<std::string>(name, set, description)->type_name("FILE");
  };
  add_file("--tls-ca", &client::TlsOptions::ca_file,
           "Encrypt; the server's certificate is signed by one of these authorities (PEM)")
      ->envname("VARVE_TLS_CA");
  add_file("--tls-cert", &client::TlsOptions::cert_file,
           "Encrypt; show this certificate to the server (PEM)");
  add_file("--tls-key", &client::TlsOptions::key_file, "The private key of --tls-cert (PEM)");
  app.add_option("--api-key-file", session.api_key_file,
                 "File with the API key; without it the key is $VARVE_API_KEY")
      ->type_name("FILE");
}

void AddEverything(CLI::App& app, Session& session, Action* chosen) {
  app.require_subcommand(1);
  // These options may also stand behind the verb.
  app.fallthrough();
  app.add_option("--server", session.server, "Address of the server")
      ->envname("VARVE_SERVER")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option("--data-dir", session.local.data_dir,
                 "Work on a data directory itself, without a server: `namespace create` makes one")
      ->type_name("DIR");
  AddSecurity(app, session);
  app.add_flag("--json", session.json, "Print one JSON document");
  AddNamespace(app, chosen);
  AddIngest(app, chosen);
  AddSearch(app, chosen);
  AddQuery(app, chosen);
  AddGet(app, chosen);
  AddUpdate(app, chosen);
  AddDelete(app, chosen);
  AddCount(app, chosen);
  AddScan(app, chosen);
  AddSegments(app, chosen);
  AddFlush(app, chosen);
  AddCompact(app, chosen);
  AddSnapshot(app, chosen);
  AddStats(app, chosen);
  AddBuildIndex(app, chosen);
  AddInfo(app, chosen);
  AddConvert(app, chosen);
}

// What helps where nobody answers.
std::string_view ConnectionHint(const absl::Status& status) {
  const bool nobody =
      absl::IsUnavailable(status) && absl::StrContains(status.message(), "failed to connect");
  return nobody ? "; is varved running there (--server)? --data-dir DIR works without one" : "";
}

int Report(Session& session, const CLI::App& app, const absl::Status& status) {
  if (IsUsageError(status)) {
    PrintError(session, StrCat(status.message(), " (see ", Command(app), " --help)"));
    return kUsage;
  }
  if (!status.ok()) {
    const std::string_view why =
        session.interrupted() ? std::string_view("interrupted")
                              : std::string_view(status.message().data(), status.message().size());
    PrintError(session, StrCat(why, ConnectionHint(status), session.resume_hint()));
    if (absl::IsInvalidArgument(status)) {
      session.err() << FilterFault(session.filter(), why) << std::flush;
    }
    return kFailed;
  }
  session.out().flush();
  if (!session.out()) {
    PrintError(session, "cannot write to standard output");
    return kFailed;
  }
  return kDone;
}

}  // namespace

int Run(const SessionOptions& options) {
  Session session(options);
  Action chosen;
  CLI::App app("Streams vectors into a Varve server and searches them.", "varve");
  AddEverything(app, session, &chosen);
  // CLI11 wants them reversed, without the program's name.
  std::vector<std::string> words(options.command_line.rbegin(), options.command_line.rend() - 1);
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    // Asking for help is thrown too.
    if (error.get_exit_code() == 0) return app.exit(error, session.out(), session.err());
    PrintError(session, StrCat(error.what(), " (see ", Command(app), " --help)"));
    return kUsage;
  }
  return Report(session, app, chosen(session));
}

}  // namespace varve::cli
