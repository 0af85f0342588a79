#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/status_macros.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

struct CountOptions {
  std::string name_space;
  uint64_t min_sequence = 0;
};

absl::Status RunCount(const CountOptions& options, Session& session) {
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const client::CountResult result,
                         client->Count(options.name_space, options.min_sequence));
  if (session.json) {
    session.PrintJson({{"count", result.count}, {"sequence", result.sequence}});
  } else {
    session.out() << result.count << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddCount(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<CountOptions>();
  CLI::App* const verb = app.add_subcommand("count", "Prints how many records there are");
  verb->add_option("NS", options->name_space, "Name of the namespace")->required();
  verb->add_option("--min-sequence", options->min_sequence, "Wait until this commit is seen");
  verb->callback([=] { *chosen = [=](Session& session) { return RunCount(*options, session); }; });
}

}  // namespace varve::cli
