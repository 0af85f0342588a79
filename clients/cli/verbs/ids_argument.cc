#include "clients/cli/verbs/ids_argument.h"

#include <CLI/CLI.hpp>

#include "base/status_macros.h"
#include "clients/cli/session.h"

namespace varve::cli {

void AddIdsArgument(CLI::App* verb, IdsArgument* ids) {
  verb->add_option("NS", ids->name_space, "Name of the namespace")->required();
  verb->add_option("ID", ids->words, "Ids of records");
  verb->add_option("--ids", ids->file, "File of ids: .u64, .npy, or one id a line");
}

absl::StatusOr<IdColumn> ReadIds(const IdsArgument& argument, client::Client* client) {
  if (argument.words.empty() == argument.file.empty()) {
    return UsageError("name ids, or a file of them with --ids, not both");
  }
  VARVE_ASSIGN_OR_RETURN(const client::Namespace space, client->GetNamespace(argument.name_space));
  return argument.file.empty() ? IdColumn::FromWords(argument.words, space.id_type)
                               : IdColumn::Open(argument.file, space.id_type);
}

}  // namespace varve::cli
