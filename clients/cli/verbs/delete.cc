#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "clients/cli/format.h"
#include "clients/cli/verbs/ids_argument.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

struct DeleteOptions {
  IdsArgument ids;
  std::string durability = "applied";
};

absl::Status RunDelete(const DeleteOptions& options, Session& session) {
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const IdColumn ids, ReadIds(options.ids, client));
  std::vector<uint64_t> scratch;
  VARVE_ASSIGN_OR_RETURN(
      const client::DeleteResult result,
      client->Delete(options.ids.name_space, ids.Slice(0, ids.size(), &scratch),
                     options.durability == "synced" ? client::Durability::kSynced
                                                    : client::Durability::kApplied));
  if (session.json) {
    session.PrintJson({{"deleted", result.records_deleted},
                       {"requested", ids.size()},
                       {"sequence", result.sequence}});
  } else {
    session.out() << "deleted " << Thousands(result.records_deleted) << " of "
                  << Thousands(ids.size()) << " records\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddDelete(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<DeleteOptions>();
  CLI::App* const verb = app.add_subcommand("delete", "Deletes records");
  AddIdsArgument(verb, &options->ids);
  verb->add_option("--durability", options->durability,
                   "What is promised when it returns: applied (survives a killed server) or synced "
                   "(survives power loss)")
      ->check(CLI::IsMember({"applied", "synced"}))
      ->capture_default_str();
  verb->callback([=] { *chosen = [=](Session& session) { return RunDelete(*options, session); }; });
}

}  // namespace varve::cli
