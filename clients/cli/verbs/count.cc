#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/status_macros.h"
#include "clients/cli/verbs/ids_argument.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

struct CountVerbOptions {
  std::string name_space;
  client::CountOptions count;
};

absl::Status RunCount(const CountVerbOptions& options, Session& session) {
  session.set_filter(options.count.filter);
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const client::CountResult result,
                         client->Count(options.name_space, options.count));
  if (session.json) {
    session.PrintJson({{"count", result.count}, {"sequence", result.sequence}});
  } else {
    session.out() << result.count << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddCount(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<CountVerbOptions>();
  CLI::App* const verb = app.add_subcommand("count", "Prints how many records there are");
  verb->add_option("NS", options->name_space, "Name of the namespace")->required();
  AddFilter(verb, &options->count.filter, "Count only the records that satisfy it");
  verb->add_option("--min-sequence", options->count.min_sequence, "Wait until this commit is seen");
  verb->callback([=] { *chosen = [=](Session& session) { return RunCount(*options, session); }; });
}

}  // namespace varve::cli
