#ifndef VARVE_CLIENTS_CLI_INGEST_INGEST_REPORT_H_
#define VARVE_CLIENTS_CLI_INGEST_INGEST_REPORT_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "clients/cli/ingest/ingest_totals.h"
#include "clients/cli/progress.h"
#include "clients/cli/session.h"

namespace varve::cli {

// What an ingest did, for its end.
struct IngestReport {
  std::string name_space;
  std::string producer;
  std::string resume_command;
  IngestTotals totals;
  absl::Duration elapsed;
  std::optional<absl::Duration> indexed_in;  // with --wait-indexed
  bool may_skip = false;                     // --on-error skip
  bool complete = false;
};

// The same command line with --producer `producer`, if that is not empty, for a shell.
std::string ResumeCommand(const std::vector<std::string>& command_line, std::string_view producer);

// What is committed and how to go on, to stand behind an error.
std::string ResumeHint(const IngestReport& report);

Progress ProgressOf(const IngestTotals& totals);

// Summary for people.
std::string Summary(const IngestReport& report);
// The same as JSON.
Json ToJson(const IngestReport& report);

// On `session`'s output: JSON always when asked for, the summary when the ingest is complete.
void Print(const IngestReport& report, Session& session);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INGEST_INGEST_REPORT_H_
