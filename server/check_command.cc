#include "server/check_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/engine/check.h"

namespace varve::server {
namespace {

using engine::CheckReport;

enum ExitCode { kClean = 0, kDamaged = 1, kCannotCheck = 2 };

struct Options {
  std::string data_dir = "./varve-data";
  bool repair = false;
  bool json = false;
};

void PrintJson(const CheckReport& report) {
  const nlohmann::json json = {{"clean", report.clean()},
                               {"namespaces", report.namespaces},
                               {"records", report.records},
                               {"segments", report.segments},
                               {"segment_rows", report.segment_rows},
                               {"index_damage", report.index_damage},
                               {"record_damage", report.record_damage},
                               {"leftovers", report.leftovers}};
  std::puts(json.dump().c_str());
}

void PrintText(const CheckReport& report) {
  for (const std::string& what : report.record_damage) std::printf("RECORDS  %s\n", what.c_str());
  for (const std::string& what : report.index_damage) std::printf("INDEX    %s\n", what.c_str());
  for (const std::string& what : report.leftovers) std::printf("unused   %s\n", what.c_str());
  const std::string read = StrCat(report.namespaces, " namespaces, ", report.records, " records, ",
                                  report.segments, " segments");
  std::printf("%s: %s\n", report.clean() ? "clean" : "DAMAGED", read.c_str());
  if (!report.record_damage.empty()) {
    std::puts("damaged records can only come from a backup");
  } else if (!report.index_damage.empty()) {
    std::puts("the index can be made anew from the records: varved check --repair");
  }
}

absl::StatusOr<CheckReport> CheckAndRepair(const Options& options) {
  if (!options.repair) return engine::CheckDataDirectory(options.data_dir);
  VARVE_ASSIGN_OR_RETURN(const CheckReport found, engine::RepairDataDirectory(options.data_dir));
  if (!options.json) {
    for (const std::string& what : found.index_damage) {
      std::printf("repaired %s\n", what.c_str());
    }
  }
  return engine::CheckDataDirectory(options.data_dir);
}

}  // namespace

int RunCheck(int argc, const char* const* argv) {
  Options options;
  CLI::App app("Verifies a data directory that no server has open: records, segments, manifests",
               "varved check");
  app.add_option("--data-dir", options.data_dir, "Where the records are kept")
      ->envname("VARVE_DATA_DIR")
      ->capture_default_str();
  app.add_flag("--repair", options.repair,
               "Make damaged parts of the index anew from the records; what was damaged is kept as "
               "NAME.damaged");
  app.add_flag("--json", options.json, "Print one JSON object");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kClean : kCannotCheck;
  }
  const auto report = CheckAndRepair(options);
  if (!report.ok()) {
    std::fprintf(stderr, "varved check: %s\n", std::string(report.status().message()).c_str());
    return kCannotCheck;
  }
  options.json ? PrintJson(*report) : PrintText(*report);
  return report->clean() ? kClean : kDamaged;
}

}  // namespace varve::server
