#include "clients/cli/ingest/ingest_report.h"

#include <gtest/gtest.h>

namespace varve::cli {
namespace {

TEST(IngestReportTest, TheResumeCommandIsTheSameCommandWithTheProducer) {
  EXPECT_EQ(ResumeCommand({"./varve", "ingest", "a", "--input", "my file.npy"}, "run-1"),
            "./varve ingest a --input 'my file.npy' --producer run-1");
  EXPECT_EQ(ResumeCommand({"varve", "ingest", "a", "--producer", "p", "--input", "b.npy"}, "p"),
            "varve ingest a --input b.npy --producer p");
  EXPECT_EQ(ResumeCommand({"varve", "ingest", "a", "--producer=p q", "--json"}, "p q"),
            "varve ingest a --json --producer 'p q'");
}

IngestReport Report() {
  return {.name_space = "words",
          .producer = "p",
          .resume_command = "varve ingest words --producer p",
          .totals = {.rows = 20'000,
                     .already = 5'000,
                     .committed = 20'000,
                     .sent_bytes = 18'000'000,
                     .sequence = 24,
                     .superseded = 2,
                     .skipped = 12,
                     .first_skipped = {{17, "element 3 is NaN"}},
                     .unheard_batches = 1},
          .elapsed = absl::Seconds(3),
          .indexed_in = absl::Seconds(7),
          .may_skip = true,
          .complete = true};
}

TEST(IngestReportTest, TheSummaryTellsWhatPeopleWantToKnow) {
  EXPECT_EQ(Summary(Report()),
            "ingested 15,000 rows (18.0 MB) into words in 3.00s: 5,000 rows/s, 6.0 MB/s\n"
            "5,000 of 20,000 rows were already committed\n"
            "superseded 2 rows: their ids come again later in their batches\n"
            "skipped 12 rows:\n"
            "  row 17: element 3 is NaN\n"
            "  ...\n"
            "for 1 batches the acknowledgement was lost: rows skipped or superseded in them are "
            "not counted\n"
            "indexed in 7.00s more\n");
}

TEST(IngestReportTest, TheJsonSaysHowToResumeOnlyWhereSomethingIsLeft) {
  IngestReport report = Report();
  EXPECT_FALSE(ToJson(report).contains("resume"));
  EXPECT_EQ(ToJson(report)["rows_per_second"], 5'000.0);
  report.complete = false;
  EXPECT_EQ(ToJson(report)["resume"], "varve ingest words --producer p");
}

}  // namespace
}  // namespace varve::cli
