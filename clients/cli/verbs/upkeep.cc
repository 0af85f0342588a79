#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/progress.h"
#include "clients/cli/verbs/verbs.h"

// flush and compact: upkeep that the server also does by itself, when it is due.
namespace varve::cli {
namespace {

using client::Segment;

// "5 segments, 2 of them being merged or rebuilt; 60,000 rows, 1,200 of them dead".
std::string Describe(const std::vector<Segment>& segments) {
  uint64_t compacting = 0, rows = 0, dead = 0;
  for (const Segment& segment : segments) {
    compacting += segment.state == client::SegmentState::kCompacting ? 1 : 0;
    rows += segment.rows;
    dead += segment.dead_rows;
  }
  std::string text = StrCat(segments.size(), segments.size() == 1 ? " segment" : " segments");
  if (compacting > 0) text += StrCat(", ", compacting, " of them being merged or rebuilt");
  text += StrCat("; ", Thousands(rows), " rows");
  if (dead > 0) text += StrCat(", ", Thousands(dead), " of them dead");
  return text;
}

// Those of all fields.
absl::StatusOr<std::vector<Segment>> AllSegments(const std::string& name_space,
                                                 client::Client* client) {
  VARVE_ASSIGN_OR_RETURN(const client::Namespace space, client->GetNamespace(name_space));
  std::vector<Segment> all;
  for (const client::VectorField& field : space.fields) {
    VARVE_ASSIGN_OR_RETURN(const std::vector<Segment> segments,
                           client->ListSegments(name_space, field.name));
    all.insert(all.end(), segments.begin(), segments.end());
  }
  return all;
}

absl::Status PrintOutcome(const std::string& name_space, std::string_view did, absl::Time began,
                          Session& session) {
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const std::vector<Segment> segments, AllSegments(name_space, client));
  if (session.json) {
    session.PrintJson({{std::string(did), name_space},
                       {"segments", segments.size()},
                       {"seconds", absl::ToDoubleSeconds(absl::Now() - began)}});
  } else {
    session.out() << did << " " << name_space << " in " << Took(absl::Now() - began) << ": "
                  << Describe(segments) << "\n";
  }
  return absl::OkStatus();
}

absl::Status RunFlush(const std::string& name_space, Session& session) {
  const absl::Time began = absl::Now();
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_RETURN_IF_ERROR(client->Flush(name_space));
  return PrintOutcome(name_space, "flushed", began, session);
}

absl::Status RunCompact(const std::string& name_space, bool wait, Session& session) {
  const absl::Time began = absl::Now();
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  if (!wait) {
    VARVE_RETURN_IF_ERROR(client->Compact(name_space, /*wait=*/false));
    if (session.json) {
      session.PrintJson({{"compacting", name_space}});
    } else {
      session.out() << "compacting " << name_space << "; varve segments shows how far it is\n";
    }
    return absl::OkStatus();
  }
  {
    const ProgressDisplay display(&session.err(), session.err_is_terminal(), [&] {
      const auto segments = AllSegments(name_space, client);
      return segments.ok() ? Describe(*segments) : std::string(segments.status().message());
    });
    VARVE_RETURN_IF_ERROR(client->Compact(name_space, /*wait=*/true));
  }
  return PrintOutcome(name_space, "compacted", began, session);
}

}  // namespace

void AddFlush(CLI::App& app, Action* chosen) {
  const auto name_space = std::make_shared<std::string>();
  CLI::App* const verb = app.add_subcommand(
      "flush", "Seals the active segment, so that a start has nothing to replay");
  verb->add_option("NS", *name_space, "Name of the namespace")->required();
  verb->callback(
      [=] { *chosen = [=](Session& session) { return RunFlush(*name_space, session); }; });
}

void AddCompact(CLI::App& app, Action* chosen) {
  const auto name_space = std::make_shared<std::string>();
  const auto no_wait = std::make_shared<bool>(false);
  CLI::App* const verb =
      app.add_subcommand("compact", "Merges segments into as few as can be, without dead rows");
  verb->add_option("NS", *name_space, "Name of the namespace")->required();
  verb->add_flag("--no-wait", *no_wait, "Return as soon as it is asked for");
  verb->callback([=] {
    *chosen = [=](Session& session) { return RunCompact(*name_space, !*no_wait, session); };
  });
}

}  // namespace varve::cli
