#include "clients/cli/ingest/ingest_report.h"

#include <cmath>

#include "absl/strings/match.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"

namespace varve::cli {
namespace {

double PerSecond(uint64_t amount, absl::Duration elapsed) {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  return seconds > 0 ? static_cast<double>(amount) / seconds : 0;
}

}  // namespace

std::string ResumeCommand(const std::vector<std::string>& command_line, std::string_view producer) {
  std::string command;
  for (size_t i = 0; i < command_line.size(); ++i) {
    const std::string& word = command_line[i];
    if (word == "--producer") {
      ++i;  // its value
    } else if (!absl::StartsWith(word, "--producer=")) {
      command += StrCat(i > 0 ? " " : "", ShellWord(word));
    }
  }
  if (producer.empty()) return command;
  return StrCat(command, " --producer ", ShellWord(std::string(producer)));
}

std::string ResumeHint(const IngestReport& report) {
  return StrCat("; at least ", Thousands(report.totals.committed), " of ",
                Thousands(report.totals.rows),
                " rows are committed, go on with: ", report.resume_command);
}

Progress ProgressOf(const IngestTotals& totals) {
  return {.before = totals.already,
          .done = totals.committed,
          .total = totals.rows,
          .bytes = totals.sent_bytes};
}

std::string Summary(const IngestReport& report) {
  const IngestTotals& totals = report.totals;
  const uint64_t sent = totals.committed - totals.already;
  std::string text = StrCat("ingested ", Thousands(sent), " rows (",
                            Megabytes(static_cast<double>(totals.sent_bytes)), ") into ",
                            report.name_space, " in ", Took(report.elapsed), ": ",
                            Thousands(std::llround(PerSecond(sent, report.elapsed))), " rows/s, ",
                            Megabytes(PerSecond(totals.sent_bytes, report.elapsed)), "/s\n");
  if (totals.already > 0) text += AlreadyCommitted(totals) + "\n";
  if (totals.superseded > 0) {
    text += StrCat("superseded ", Thousands(totals.superseded),
                   " rows: their ids come again later in their batches\n");
  }
  if (totals.skipped > 0) text += StrCat("skipped ", Thousands(totals.skipped), " rows:\n");
  for (const SkippedRow& row : totals.first_skipped) {
    text += StrCat("  row ", row.row, ": ", row.message, "\n");
  }
  if (totals.skipped > totals.first_skipped.size()) text += "  ...\n";
  if (report.may_skip && totals.unheard_batches > 0) {
    text += StrCat("for ", totals.unheard_batches,
                   " batches the acknowledgement was lost: rows skipped or superseded in them are "
                   "not counted\n");
  }
  if (report.indexed_in) text += StrCat("indexed in ", Took(*report.indexed_in), " more\n");
  return text;
}

Json ToJson(const IngestReport& report) {
  const IngestTotals& totals = report.totals;
  const uint64_t sent = totals.committed - totals.already;
  Json skipped = Json::array();
  for (const SkippedRow& row : totals.first_skipped) {
    skipped.push_back({{"row", row.row}, {"message", row.message}});
  }
  Json document = {{"namespace", report.name_space},
                   {"producer", report.producer},
                   {"complete", report.complete},
                   {"rows", totals.rows},
                   {"committed", totals.committed},
                   {"already_committed", totals.already},
                   {"sent", sent},
                   {"sent_bytes", totals.sent_bytes},
                   {"superseded", totals.superseded},
                   {"skipped", totals.skipped},
                   {"first_skipped", skipped},
                   {"unheard_batches", totals.unheard_batches},
                   {"sequence", totals.sequence},
                   {"seconds", absl::ToDoubleSeconds(report.elapsed)},
                   {"rows_per_second", PerSecond(sent, report.elapsed)},
                   {"bytes_per_second", PerSecond(totals.sent_bytes, report.elapsed)}};
  if (report.indexed_in) {
    document["indexing_seconds"] = absl::ToDoubleSeconds(*report.indexed_in);
  }
  if (!report.complete) document["resume"] = report.resume_command;
  return document;
}

void Print(const IngestReport& report, Session& session) {
  if (session.json) {
    session.PrintJson(ToJson(report));
  } else if (report.complete) {
    session.out() << Summary(report);
  }
}

}  // namespace varve::cli
