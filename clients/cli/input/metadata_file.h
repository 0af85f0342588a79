#ifndef VARVE_CLIENTS_CLI_INPUT_METADATA_FILE_H_
#define VARVE_CLIENTS_CLI_INPUT_METADATA_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cli/input/mapped_file.h"
#include "clients/cli/input/metadata_json.h"

namespace varve::cli {

// Whether MetadataFile reads files of this name: .jsonl or .jsonl.gz.
bool IsMetadataFileName(std::string_view path);

// The metadata of an ingest's records: one JSON object a line, as many lines as records. Mapped; of
// it only where lines begin is in memory. A .gz is unpacked to a file in $TMPDIR that nobody else
// sees and that ends with this. Thread-safe.
class MetadataFile {
 public:
  // Errors name the file.
  static absl::StatusOr<MetadataFile> Open(const std::string& path);

  const std::string& path() const { return path_; }
  size_t rows() const { return starts_.size() - 1; }
  // All of the text, unpacked.
  std::string_view bytes() const { return file_.bytes(); }

  // Bytes that a row takes in a message, at most.
  size_t MessageBytes(size_t row) const;

  // Replaces `rows` by rows [first, first + count). InvalidArgument names the file and the line.
  absl::Status Read(size_t first, size_t count, const AttributeTypes& types,
                    std::vector<client::Metadata>* rows) const;

 private:
  MetadataFile(std::string path, MappedFile file);

  // Without its end.
  std::string_view Line(size_t row) const;

  std::string path_;
  MappedFile file_;
  std::vector<uint64_t> starts_;  // of the lines, and of what would be the next one
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_METADATA_FILE_H_
