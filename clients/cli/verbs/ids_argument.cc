#include "clients/cli/verbs/ids_argument.h"

#include <CLI/CLI.hpp>

#include "clients/cli/session.h"

namespace varve::cli {

void AddIdsArgument(CLI::App* verb, IdsArgument* ids) {
  verb->add_option("NS", ids->name_space, "Name of the namespace")->required();
  verb->add_option("ID", ids->words, "Ids of records");
  verb->add_option("--ids", ids->file, "File of ids: .u64, .npy, or one id a line");
}

absl::Status CheckUsage(const IdsArgument& argument) {
  if (argument.words.empty() != argument.file.empty()) return absl::OkStatus();
  return UsageError("name ids, or a file of them with --ids, not both");
}

absl::StatusOr<IdColumn> ReadIds(const IdsArgument& argument, IdType namespace_type) {
  return argument.file.empty() ? IdColumn::FromWords(argument.words, namespace_type)
                               : IdColumn::Open(argument.file, namespace_type);
}

void AddFilter(CLI::App* verb, std::string* filter, const std::string& help) {
  verb->add_option("--filter", *filter, help + ": 'category = \"boot\" AND price < 10'")
      ->type_name("EXPR");
}

void AddDurability(CLI::App* verb, std::string* durability) {
  verb->add_option("--durability", *durability,
                   "What is promised when it returns: applied (survives a killed server) or synced "
                   "(survives power loss)")
      ->check(CLI::IsMember({"applied", "synced"}))
      ->capture_default_str();
}

}  // namespace varve::cli
