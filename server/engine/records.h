#ifndef VARVE_SERVER_ENGINE_RECORDS_H_
#define VARVE_SERVER_ENGINE_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "base/tensor.h"
#include "server/engine/schema.h"
#include "storage/record_store.h"

namespace varve::engine {

// External ids in someone else's memory, all of one type: `numbers` or `texts` holds them.
struct IdsView {
  IdType type = IdType::kUndecided;
  absl::Span<const uint64_t> numbers;
  absl::Span<const std::string_view> texts;

  size_t size() const { return type == IdType::kText ? texts.size() : numbers.size(); }
};

// External ids that own their memory.
struct IdList {
  IdType type = IdType::kUndecided;
  std::vector<uint64_t> numbers;
  std::vector<std::string> texts;

  size_t size() const { return type == IdType::kText ? texts.size() : numbers.size(); }
};

enum class OnError : uint8_t { kFailBatch, kSkip };

struct RowError {
  uint32_t row = 0;  // position in the batch
  std::string message;
};

// The vectors of one field for all records of a batch, in someone else's memory. In a field of several
// vectors a record i has the rows offsets[i] ... offsets[i + 1] - 1 of the tensor.
struct FieldVectorsView {
  std::string_view field;
  TensorView vectors;
  bool has_offsets = false;
  absl::Span<const uint64_t> offsets;
};

// A batch of records in someone else's memory. Columns are as the client made them: whether they agree
// with ids.size() and the schema is for the engine to check.
struct RecordsView {
  IdsView ids;
  std::vector<FieldVectorsView> fields;           // any of the namespace's, once each
  absl::Span<const std::string_view> attributes;  // encoded; empty: none has any
  absl::Span<const RowError>
      attribute_faults;                  // rows whose attributes cannot be encoded, ascending
  absl::Span<const int64_t> expires_at;  // 0: as the namespace says; empty: all
};

// The vectors of one field of some records, in its element type, packed. One row for each record, in a
// field of several as many as offsets say; a record without one has zeros, or none.
struct FieldVectorsList {
  std::string field;
  DType dtype = DType::kF32;
  size_t dimension = 0;
  std::string bytes;
  bool has_offsets = false;
  std::vector<uint64_t> offsets;
  std::vector<uint32_t> missing;  // positions of records that have none
};

// Records that own their memory.
struct RecordList {
  IdList ids;
  std::vector<FieldVectorsList> fields;  // when asked for
  std::vector<std::string> attributes;   // encoded; when asked for
  std::vector<int64_t> expires_at;       // with the attributes
  size_t appended = 0;                   // records whose parts are there
};

// Which parts of records are to be returned, the id aside.
struct RecordMask {
  bool vectors = false;
  bool metadata = false;
  std::vector<std::string> paths;                         // of attributes and objects; empty: all
  size_t bytes_max = std::numeric_limits<size_t>::max();  // of these parts, all records together
};

// What a commit did.
struct WriteResult {
  uint64_t sequence = 0;
  bool duplicate = false;  // the producer's batch had been committed before
  uint64_t records_written = 0;
  uint64_t vector_bytes = 0;              // of these records, all fields
  std::vector<uint32_t> superseded_rows;  // positions whose id comes again later in the batch
  std::vector<RowError> row_errors;       // with OnError::kSkip
};

struct DeleteResult {
  uint64_t sequence = 0;
  uint64_t records_deleted = 0;
};

// What a deletion by filter would delete.
struct DeletePreview {
  uint64_t sequence = 0;
  uint64_t records = 0;
  IdList sample;  // some of them
};

struct UpdateResult {
  uint64_t sequence = 0;
  uint64_t records_updated = 0;
  IdList missing;
};

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_RECORDS_H_
