#ifndef VARVE_CLIENTS_CLI_VERBS_IDS_ARGUMENT_H_
#define VARVE_CLIENTS_CLI_VERBS_IDS_ARGUMENT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cli/input/id_column.h"
#include "clients/cpp/varve/namespace.h"

namespace CLI {
class App;
}  // namespace CLI

namespace varve::cli {

// The records that `get`, `update` and `delete` are about: ids on the command line, or a file of
// them.
struct IdsArgument {
  std::string name_space;
  std::vector<std::string> words;
  std::string file;
};

// NS ID... and --ids FILE.
void AddIdsArgument(CLI::App* verb, IdsArgument* ids);

// UsageError: there are none, or both kinds.
absl::Status CheckUsage(const IdsArgument& argument);

// The ids, read as the namespace's kind says; they point into `argument`.
absl::StatusOr<IdColumn> ReadIds(const IdsArgument& argument, IdType namespace_type);

// --filter EXPR.
void AddFilter(CLI::App* verb, std::string* filter, const std::string& help);

// --durability applied|synced.
void AddDurability(CLI::App* verb, std::string* durability);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_VERBS_IDS_ARGUMENT_H_
