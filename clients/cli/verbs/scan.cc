#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "base/status_macros.h"
#include "clients/cli/verbs/record_printer.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

struct ScanVerbOptions {
  std::string name_space;
  bool vectors = false;
  std::optional<size_t> limit;
};

absl::Status RunScan(const ScanVerbOptions& options, Session& session) {
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  client::Scanner scanner = client->Scan(options.name_space, {.include_vectors = options.vectors});
  RecordPrinter printer(&session);
  client::Records page;
  size_t left = options.limit.value_or(SIZE_MAX);
  do {
    VARVE_ASSIGN_OR_RETURN(const bool more, scanner.Next(&page));
    if (!more) break;
    const size_t count = std::min(left, client::Size(page.ids));
    printer.Print(page, count);
    left -= count;
  } while (left > 0 && session.out());
  printer.Finish();
  return absl::OkStatus();
}

}  // namespace

void AddScan(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<ScanVerbOptions>();
  CLI::App* const verb =
      app.add_subcommand("scan", "Prints all records in order of id, one JSON object a line");
  verb->add_option("NS", options->name_space, "Name of the namespace")->required();
  verb->add_flag("--vectors", options->vectors, "Print vectors too");
  verb->add_option("--limit", options->limit, "Print so many records at most");
  verb->callback([=] { *chosen = [=](Session& session) { return RunScan(*options, session); }; });
}

}  // namespace varve::cli
