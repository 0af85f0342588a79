#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/verbs/ids_argument.h"
#include "clients/cli/verbs/record_printer.h"
#include "clients/cli/verbs/scan_token.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

struct ScanVerbOptions {
  std::string name_space;
  client::ScanOptions scan;
  std::optional<size_t> limit;
  std::string token;
};

// How many of the records stand up to `after` in order of id.
size_t UpTo(const client::Id& after, const client::Ids& ids) {
  size_t count = 0;
  while (count < client::Size(ids) && client::At(ids, count) <= after) ++count;
  return count;
}

// Prints records until the limit; returns where to go on if it was reached.
absl::StatusOr<std::optional<ScanToken>> Walk(const ScanVerbOptions& options, ScanToken from,
                                              client::Client* client, RecordPrinter* printer,
                                              Session& session) {
  client::ScanOptions scan = options.scan;
  scan.token = from.server;
  client::Scanner scanner = client->Scan(options.name_space, scan);
  client::Records page;
  size_t left = options.limit.value_or(SIZE_MAX);
  ScanToken at = std::move(from);
  while (session.out()) {
    VARVE_ASSIGN_OR_RETURN(const bool more, scanner.Next(&page));
    if (!more) break;
    const size_t first = at.after ? UpTo(*at.after, page.ids) : 0;
    const size_t count = std::min(left, client::Size(page.ids) - first);
    if (count < client::Size(page.ids) - first) {
      printer->Print(page, first, count);
      if (count > 0) at.after = client::At(page.ids, first + count - 1);
      return std::optional(std::move(at));
    }
    printer->Print(page, first, count);
    left -= count;
    at = {.server = scanner.token(), .after = std::nullopt};
  }
  return std::optional<ScanToken>();
}

absl::Status RunScan(const ScanVerbOptions& options, Session& session) {
  std::optional<ScanToken> from = ScanToken();
  if (!options.token.empty()) from = ParseScanToken(options.token);
  if (!from) return UsageError(StrCat("--token is '", options.token, "', which no scan printed"));
  session.set_filter(options.scan.filter);
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  RecordPrinter printer(&session);
  VARVE_ASSIGN_OR_RETURN(const std::optional<ScanToken> rest,
                         Walk(options, *std::move(from), client, &printer, session));
  Json document = Json::object();
  if (rest) document["next_token"] = ToText(*rest);
  printer.Finish(document);
  if (rest && !session.json) {
    session.err() << "varve: there are more, go on with --token " << ToText(*rest) << std::endl;
  }
  return absl::OkStatus();
}

}  // namespace

void AddScan(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<ScanVerbOptions>();
  CLI::App* const verb =
      app.add_subcommand("scan", "Prints all records in order of id, one JSON object a line");
  verb->add_option("NS", options->name_space, "Name of the namespace")->required();
  verb->add_flag("--vectors", options->scan.include_vectors, "Print vectors too");
  verb->add_flag("--metadata", options->scan.include_metadata, "Print metadata too");
  AddFilter(verb, &options->scan.filter, "Print only the records that satisfy it");
  verb->add_option("--limit", options->limit, "Print so many records at most");
  verb->add_option("--token", options->token, "Go on behind an earlier scan, which named it");
  verb->callback([=] { *chosen = [=](Session& session) { return RunScan(*options, session); }; });
}

}  // namespace varve::cli
