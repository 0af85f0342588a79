#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/status_macros.h"
#include "clients/cli/format.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

Json ToJson(const client::ServerStats& stats) {
  Json document = {{"version", stats.version},
                   {"uptime_seconds", absl::ToDoubleSeconds(stats.uptime)},
                   {"namespaces", stats.namespaces},
                   {"resident_bytes", stats.resident_bytes},
                   {"disk_bytes", stats.disk_bytes}};
  if (stats.of_namespace) {
    const client::NamespaceStats& one = *stats.of_namespace;
    document["namespace"] = {{"records", one.records},
                             {"sequence", one.sequence},
                             {"segments", one.segments},
                             {"dead_rows", one.dead_rows},
                             {"unindexed_rows", one.unindexed_rows},
                             {"index_memory_bytes", one.index_memory_bytes}};
  }
  return document;
}

absl::Status RunStats(const std::string& name_space, Session& session) {
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const client::ServerStats stats, client->Stats(name_space));
  if (session.json) {
    session.PrintJson(ToJson(stats));
    return absl::OkStatus();
  }
  session.out() << "version: " << stats.version << "\nuptime: " << Took(stats.uptime)
                << "\nnamespaces: " << Thousands(stats.namespaces)
                << "\nmemory: " << Megabytes(static_cast<double>(stats.resident_bytes))
                << "\ndisk: " << Megabytes(static_cast<double>(stats.disk_bytes)) << "\n";
  if (!stats.of_namespace) return absl::OkStatus();
  const client::NamespaceStats& one = *stats.of_namespace;
  session.out() << "\nrecords: " << Thousands(one.records) << "\nsequence: " << one.sequence
                << "\nsegments: " << Thousands(one.segments)
                << "\ndead rows: " << Thousands(one.dead_rows)
                << "\nunindexed rows: " << Thousands(one.unindexed_rows)
                << "\nindex memory: " << Megabytes(static_cast<double>(one.index_memory_bytes))
                << "\n";
  return absl::OkStatus();
}

}  // namespace

void AddStats(CLI::App& app, Action* chosen) {
  const auto name_space = std::make_shared<std::string>();
  CLI::App* const verb =
      app.add_subcommand("stats", "Shows figures of the server, or of one namespace too");
  verb->add_option("NS", *name_space, "Name of the namespace");
  verb->callback(
      [=] { *chosen = [=](Session& session) { return RunStats(*name_space, session); }; });
}

}  // namespace varve::cli
