#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "clients/cli/json.h"
#include "clients/cli/verbs/ids_argument.h"
#include "clients/cli/verbs/record_printer.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

// Records asked for at a time: what is in memory.
constexpr size_t kIdsAtOnce = 10'000;

struct GetVerbOptions {
  IdsArgument ids;
  bool metadata = false;
  bool no_vectors = false;
};

absl::Status RunGet(const GetVerbOptions& options, Session& session) {
  VARVE_RETURN_IF_ERROR(CheckUsage(options.ids));
  const std::string& name_space = options.ids.name_space;
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const client::Namespace space, client->GetNamespace(name_space));
  VARVE_ASSIGN_OR_RETURN(const IdColumn ids, ReadIds(options.ids, space.id_type));
  RecordPrinter printer(&session);
  Json missing = Json::array();
  std::vector<uint64_t> scratch;
  for (size_t first = 0; first < ids.size(); first += kIdsAtOnce) {
    const size_t count = std::min(kIdsAtOnce, ids.size() - first);
    VARVE_ASSIGN_OR_RETURN(const client::GetResult result,
                           client->Get(name_space, ids.Slice(first, count, &scratch),
                                       {.include_vectors = !options.no_vectors,
                                        .include_metadata = options.metadata}));
    printer.Print(result.records, 0, client::Size(result.records.ids));
    for (size_t i = 0; i < client::Size(result.missing); ++i) {
      missing.push_back(ToJson(client::At(result.missing, i)));
    }
  }
  printer.Finish({{"missing", missing}});
  if (!session.json && !missing.empty()) {
    session.err() << "varve: there are no records " << ToText(missing) << std::endl;
  }
  return absl::OkStatus();
}

}  // namespace

void AddGet(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<GetVerbOptions>();
  CLI::App* const verb = app.add_subcommand("get", "Prints records and their vectors");
  AddIdsArgument(verb, &options->ids);
  verb->add_flag("--metadata", options->metadata, "Print metadata too");
  verb->add_flag("--no-vectors", options->no_vectors, "Print no vectors");
  verb->callback([=] { *chosen = [=](Session& session) { return RunGet(*options, session); }; });
}

}  // namespace varve::cli
