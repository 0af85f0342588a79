#ifndef VARVE_CLIENTS_CLI_INGEST_INGEST_TOTALS_H_
#define VARVE_CLIENTS_CLI_INGEST_INGEST_TOTALS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace varve::cli {

// A row of the input that was not written.
struct SkippedRow {
  uint64_t row = 0;
  std::string message;
};

// How far an ingest is.
struct IngestTotals {
  uint64_t rows = 0;        // of the input
  uint64_t already = 0;     // committed by earlier runs
  uint64_t committed = 0;   // for certain, by earlier runs and this one
  uint64_t sent_bytes = 0;  // of vectors, committed by this run
  uint64_t sequence = 0;    // largest commit of this run
  uint64_t superseded = 0;  // rows whose id came again later in their batch
  uint64_t skipped = 0;
  std::vector<SkippedRow> first_skipped;
  // Batches whose acknowledgement was lost: rows skipped or superseded in them are not counted.
  uint64_t unheard_batches = 0;
};

// "5,000 of 20,000 rows were already committed"
std::string AlreadyCommitted(const IngestTotals& totals);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INGEST_INGEST_TOTALS_H_
