#ifndef VARVE_CLIENTS_CLI_INGEST_RECORD_FILES_H_
#define VARVE_CLIENTS_CLI_INGEST_RECORD_FILES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cli/ingest/batch_plan.h"
#include "clients/cli/input/id_column.h"
#include "clients/cli/input/metadata_file.h"
#include "clients/cli/input/vector_file.h"
#include "clients/cpp/varve/records.h"

namespace varve::cli {

// The vectors of one field.
struct FieldFile {
  std::string field;
  VectorFile vectors;
  // Of a field of several vectors: where each record's begin, one more than records. Else none.
  std::vector<uint64_t> offsets;

  size_t records() const { return offsets.empty() ? vectors.rows() : offsets.size() - 1; }
  // The rows of `vectors` that records have.
  RowRange RowsOf(const RowRange& records) const;
};

// Memory for one batch, used again for the next.
struct RecordScratch {
  struct Field {
    std::string bytes;
    std::vector<uint64_t> offsets;
  };
  std::vector<uint64_t> ids;
  std::vector<Field> fields;
  std::vector<client::FieldVectorsView> views;
  std::vector<client::Metadata> metadata;
};

// What an ingest reads: files side by side, row i of each being record i. All have as many rows.
// Thread-safe once it is filled.
struct RecordFiles {
  std::vector<FieldFile> fields;  // at least one, which names the input
  IdColumn ids;
  std::optional<MetadataFile> metadata;
  AttributeTypes types;  // for the metadata
  std::optional<absl::Time> expire_time;

  size_t rows() const { return fields.front().records(); }
  const std::string& name() const { return fields.front().vectors.path(); }
  // Bytes of the vectors of some records.
  uint64_t VectorBytes(const RowRange& rows) const;
  // Bytes that records take in a message, at most.
  RowSizes MessageSizes() const;
  // Some records, in the files and in `scratch`, until that is used again. InvalidArgument names
  // the file and the line that does not read.
  absl::StatusOr<client::RecordsView> Read(const RowRange& rows, RecordScratch* scratch) const;
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INGEST_RECORD_FILES_H_
