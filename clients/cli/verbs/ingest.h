#ifndef VARVE_CLIENTS_CLI_VERBS_INGEST_H_
#define VARVE_CLIENTS_CLI_VERBS_INGEST_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "clients/cli/session.h"
#include "clients/cli/verbs/ingest_input.h"

namespace varve::cli {

// What `ingest` is told.
struct IngestVerbOptions {
  std::string name_space;
  IngestInput input;
  std::string producer;
  bool goes_on = false;     // the same command line again goes on where this one ended
  uint64_t batch_size = 0;  // 0: chosen
  uint32_t streams = 1;
  std::string durability = "applied";
  std::string on_error = "fail";
  bool wait_indexed = false;
  double retry_for_seconds = 30;
};

// Streams the files into the namespace and prints what came of it.
absl::Status RunIngest(const IngestVerbOptions& options, Session& session);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_VERBS_INGEST_H_
