#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

using client::Segment;
using client::SegmentState;

std::string_view StateName(SegmentState state) {
  switch (state) {
    case SegmentState::kActive:
      return "active";
    case SegmentState::kSealing:
      return "sealing";
    case SegmentState::kSealed:
      return "sealed";
    case SegmentState::kCompacting:
      return "compacting";
  }
  return "unknown";
}

struct SegmentsOptions {
  std::string name_space;
  std::string field;
};

absl::Status RunSegments(const SegmentsOptions& options, Session& session) {
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const std::vector<Segment> segments,
                         client->ListSegments(options.name_space, options.field));
  if (session.json) {
    Json list = Json::array();
    for (const Segment& segment : segments) {
      list.push_back({{"id", segment.id},
                      {"level", segment.level},
                      {"state", StateName(segment.state)},
                      {"rows", segment.rows},
                      {"live_rows", segment.live_rows},
                      {"dead_rows", segment.dead_rows},
                      {"indexed_rows", segment.indexed_rows},
                      {"memory_bytes", segment.memory_bytes},
                      {"file_bytes", segment.file_bytes}});
    }
    session.PrintJson({{"segments", list}});
    return absl::OkStatus();
  }
  Table table({"ID", "LEVEL", "STATE", "ROWS", "LIVE", "DEAD", "INDEXED", "MEMORY", "FILE"});
  for (const Segment& segment : segments) {
    table.Add({StrCat(segment.id), StrCat(segment.level), std::string(StateName(segment.state)),
               Thousands(segment.rows), Thousands(segment.live_rows), Thousands(segment.dead_rows),
               Thousands(segment.indexed_rows),
               Megabytes(static_cast<double>(segment.memory_bytes)),
               Megabytes(static_cast<double>(segment.file_bytes))});
  }
  session.out() << table.Text();
  return absl::OkStatus();
}

}  // namespace

void AddSegments(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<SegmentsOptions>();
  CLI::App* const verb = app.add_subcommand("segments", "Lists the segments of the index");
  verb->add_option("NS", options->name_space, "Name of the namespace")->required();
  verb->add_option("--field", options->field, "Vector field (the default one)");
  verb->callback(
      [=] { *chosen = [=](Session& session) { return RunSegments(*options, session); }; });
}

}  // namespace varve::cli
