#include "server/adopt_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call_control.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/engine/engine.h"

namespace varve::server {
namespace {

enum ExitCode { kDone = 0, kFailed = 1, kUsageError = 2 };

struct Options {
  std::string data_dir = "./varve-data";
  std::string from;
  std::string name;
  std::string as;
  bool json = false;
};

struct Adopted {
  std::string name;
  uint64_t records = 0;
};

absl::StatusOr<Adopted> AdoptOne(engine::Engine* engine, const Options& options,
                                 const std::string& name, const std::string& as) {
  VARVE_RETURN_IF_ERROR(engine->AdoptNamespace(options.from, name, as, CallControl()).status());
  VARVE_ASSIGN_OR_RETURN(const auto space, engine->FindNamespace(as));
  uint64_t sequence = 0;
  return Adopted{.name = as, .records = space->Count(nullptr, &sequence)};
}

void Print(const Adopted& adopted, bool json) {
  if (json) return;
  std::printf("adopted namespace %s: %s records\n", adopted.name.c_str(),
              StrCat(adopted.records).c_str());
}

absl::Status Adopt(const Options& options) {
  VARVE_ASSIGN_OR_RETURN(std::vector<std::string> names, engine::NamespacesIn(options.from));
  if (!options.name.empty()) names = {options.name};
  if (!options.as.empty() && names.size() != 1) {
    return absl::InvalidArgumentError(StrCat("--as renames one namespace, and ", options.from,
                                             " has ", names.size(), ": name one with --namespace"));
  }
  VARVE_ASSIGN_OR_RETURN(const auto engine, engine::Engine::Open({.data_dir = options.data_dir}));
  nlohmann::json list = nlohmann::json::array();
  for (const std::string& name : names) {
    VARVE_ASSIGN_OR_RETURN(const Adopted adopted, AdoptOne(engine.get(), options, name,
                                                           options.as.empty() ? name : options.as));
    Print(adopted, options.json);
    list.push_back({{"namespace", adopted.name}, {"records", adopted.records}});
  }
  if (options.json) std::puts(nlohmann::json({{"adopted", list}}).dump().c_str());
  return absl::OkStatus();
}

}  // namespace

int RunAdopt(int argc, const char* const* argv) {
  Options options;
  CLI::App app(
      "Takes namespaces of another data directory (what `varve build-index` made, or a snapshot) "
      "into one that no server has open. Nothing is built anew",
      "varved adopt");
  app.add_option("--data-dir", options.data_dir, "Where the records are kept; made if need be")
      ->envname("VARVE_DATA_DIR")
      ->capture_default_str();
  app.add_option("--from", options.from, "The directory to take them from; it is only read")
      ->required();
  app.add_option("--namespace", options.name, "Take only this one; all if left out");
  app.add_option("--as", options.as, "Its new name; the same if left out");
  app.add_flag("--json", options.json, "Print one JSON object");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsageError;
  }
  if (absl::Status status = Adopt(options); !status.ok()) {
    std::fprintf(stderr, "varved adopt: %s\n", std::string(status.message()).c_str());
    return absl::IsInvalidArgument(status) ? kUsageError : kFailed;
  }
  return kDone;
}

}  // namespace varve::server
