#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/input/metadata_json.h"
#include "clients/cli/json.h"
#include "clients/cli/verbs/ids_argument.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

struct UpdateOptions {
  IdsArgument ids;
  std::string metadata;
  std::string durability = "applied";
};

void Print(const client::UpdateMetadataResult& result, size_t requested, Session& session) {
  Json missing = Json::array();
  for (size_t i = 0; i < client::Size(result.missing); ++i) {
    missing.push_back(ToJson(client::At(result.missing, i)));
  }
  if (session.json) {
    return session.PrintJson({{"updated", result.records_updated},
                              {"requested", requested},
                              {"missing", missing},
                              {"sequence", result.sequence}});
  }
  session.out() << "updated " << Thousands(result.records_updated) << " of " << Thousands(requested)
                << " records\n";
  if (missing.empty()) return;
  session.err() << "varve: there are no records " << ToText(missing) << std::endl;
}

absl::Status RunUpdate(const UpdateOptions& options, Session& session) {
  VARVE_RETURN_IF_ERROR(CheckUsage(options.ids));
  if (const absl::Status status = ParseMetadata(options.metadata, {}).status(); !status.ok()) {
    return UsageError(StrCat("--metadata ", status.message()));
  }
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const client::Namespace space,
                         client->GetNamespace(options.ids.name_space));
  VARVE_ASSIGN_OR_RETURN(const client::Metadata patch,
                         ParseMetadata(options.metadata, TypesOf(space)));
  VARVE_ASSIGN_OR_RETURN(const IdColumn ids, ReadIds(options.ids, space.id_type));
  std::vector<uint64_t> scratch;
  VARVE_ASSIGN_OR_RETURN(
      const client::UpdateMetadataResult result,
      client->UpdateMetadata(options.ids.name_space, ids.Slice(0, ids.size(), &scratch), {patch},
                             options.durability == "synced" ? client::Durability::kSynced
                                                            : client::Durability::kApplied));
  Print(result, ids.size(), session);
  return absl::OkStatus();
}

}  // namespace

void AddUpdate(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<UpdateOptions>();
  CLI::App* const verb = app.add_subcommand("update", "Changes the metadata of records");
  AddIdsArgument(verb, &options->ids);
  verb->add_option("--metadata", options->metadata,
                   "What changes, a merge patch: attributes named take the value given, null "
                   "removes them, the others stay")
      ->type_name("JSON")
      ->required();
  AddDurability(verb, &options->durability);
  verb->callback([=] { *chosen = [=](Session& session) { return RunUpdate(*options, session); }; });
}

}  // namespace varve::cli
