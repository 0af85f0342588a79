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
  std::string filter;
  bool dry_run = false;
  std::string durability = "applied";
};

absl::Status CheckUsage(const DeleteOptions& options) {
  const bool any_ids = !options.ids.words.empty() || !options.ids.file.empty();
  if (!options.filter.empty() && any_ids) return UsageError("name ids or a --filter, not both");
  if (options.filter.empty() && !any_ids) return UsageError("name ids, or a --filter");
  if (options.dry_run && any_ids) return UsageError("--dry-run is for a --filter alone");
  return any_ids ? CheckUsage(options.ids) : absl::OkStatus();
}

absl::Status Preview(const DeleteOptions& options, client::Client* client, Session& session) {
  VARVE_ASSIGN_OR_RETURN(const client::DeletePreview preview,
                         client->PreviewDelete(options.ids.name_space, options.filter));
  const size_t named = client::Size(preview.sample);
  if (session.json) {
    Json sample = Json::array();
    for (size_t i = 0; i < named; ++i) sample.push_back(ToJson(client::At(preview.sample, i)));
    session.PrintJson(
        {{"would_delete", preview.records}, {"sample", sample}, {"sequence", preview.sequence}});
    return absl::OkStatus();
  }
  session.out() << "would delete " << Thousands(preview.records)
                << (preview.records == 1 ? " record" : " records");
  for (size_t i = 0; i < named; ++i) {
    session.out() << (i > 0                     ? ", "
                      : named < preview.records ? ", among them "
                                                : ": ")
                  << IdText(client::At(preview.sample, i));
  }
  session.out() << "\n";
  return absl::OkStatus();
}

absl::Status DeleteMatching(const DeleteOptions& options, client::Durability durability,
                            client::Client* client, Session& session) {
  VARVE_ASSIGN_OR_RETURN(
      const client::DeleteResult result,
      client->DeleteMatching(options.ids.name_space, options.filter, durability));
  if (session.json) {
    session.PrintJson({{"deleted", result.records_deleted}, {"sequence", result.sequence}});
  } else {
    session.out() << "deleted " << Thousands(result.records_deleted)
                  << (result.records_deleted == 1 ? " record\n" : " records\n");
  }
  return absl::OkStatus();
}

absl::Status DeleteIds(const DeleteOptions& options, client::Durability durability,
                       client::Client* client, Session& session) {
  VARVE_ASSIGN_OR_RETURN(const client::Namespace space,
                         client->GetNamespace(options.ids.name_space));
  VARVE_ASSIGN_OR_RETURN(const IdColumn ids, ReadIds(options.ids, space.id_type));
  std::vector<uint64_t> scratch;
  VARVE_ASSIGN_OR_RETURN(
      const client::DeleteResult result,
      client->Delete(options.ids.name_space, ids.Slice(0, ids.size(), &scratch), durability));
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

absl::Status RunDelete(const DeleteOptions& options, Session& session) {
  VARVE_RETURN_IF_ERROR(CheckUsage(options));
  session.set_filter(options.filter);
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  if (options.dry_run) return Preview(options, client, session);
  const client::Durability durability =
      options.durability == "synced" ? client::Durability::kSynced : client::Durability::kApplied;
  return options.filter.empty() ? DeleteIds(options, durability, client, session)
                                : DeleteMatching(options, durability, client, session);
}

}  // namespace

void AddDelete(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<DeleteOptions>();
  CLI::App* const verb = app.add_subcommand("delete", "Deletes records");
  AddIdsArgument(verb, &options->ids);
  AddFilter(verb, &options->filter, "Delete the records that satisfy it");
  verb->add_flag("--dry-run", options->dry_run,
                 "Count what the filter would delete and name some of it; delete nothing");
  AddDurability(verb, &options->durability);
  verb->callback([=] { *chosen = [=](Session& session) { return RunDelete(*options, session); }; });
}

}  // namespace varve::cli
