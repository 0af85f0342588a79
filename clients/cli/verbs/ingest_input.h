#ifndef VARVE_CLIENTS_CLI_VERBS_INGEST_INPUT_H_
#define VARVE_CLIENTS_CLI_VERBS_INGEST_INPUT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/cli/ingest/fingerprint.h"
#include "clients/cli/ingest/record_files.h"
#include "clients/cpp/varve/namespace.h"

namespace CLI {
class App;
}  // namespace CLI

namespace varve::cli {

// The files that `ingest` reads, as the command line names them.
struct IngestInput {
  std::string input;
  std::string field;  // of `input`; empty: the default field
  std::optional<uint32_t> dimension;
  std::string offsets;
  std::vector<std::string> more;  // NAME=FILE
  std::string ids;
  std::string metadata;
  std::string expire;
};

void AddIngestInput(CLI::App* verb, IngestInput* input);

// UsageError: what cannot be right whatever the namespace is.
absl::Status CheckUsage(const IngestInput& input);

// Opens all files. InvalidArgument: they do not fit the namespace, or each other.
absl::StatusOr<RecordFiles> OpenFiles(const IngestInput& input, const client::Namespace& space);

// What `files` have besides vectors of the default field and ids, for a fingerprint.
std::vector<std::pair<std::string, uint64_t>> MoreHashes(const IngestInput& input,
                                                         const RecordFiles& files);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_VERBS_INGEST_INPUT_H_
