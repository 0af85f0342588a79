#ifndef VARVE_SERVER_ENGINE_RECORDS_H_
#define VARVE_SERVER_ENGINE_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "base/tensor.h"
#include "server/engine/schema.h"

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

// A batch of records in someone else's memory. vectors.rows is the number of records the client
// claims; whether it agrees with ids.size() and the schema is for the engine to check.
struct RecordsView {
  IdsView ids;
  std::string_view field;
  TensorView vectors;
};

// Records that own their memory. Vectors are [ids.size(), dimension] in the field's element type,
// packed; empty when not asked for.
struct RecordList {
  IdList ids;
  DType dtype = DType::kF32;
  size_t dimension = 0;
  std::string vectors;
};

enum class OnError : uint8_t { kFailBatch, kSkip };

struct RowError {
  uint32_t row = 0;  // position in the batch
  std::string message;
};

// What a commit did.
struct WriteResult {
  uint64_t sequence = 0;
  bool duplicate = false;  // the producer's batch had been committed before
  uint64_t records_written = 0;
  std::vector<uint32_t> superseded_rows;  // positions whose id comes again later in the batch
  std::vector<RowError> row_errors;       // with OnError::kSkip
};

struct DeleteResult {
  uint64_t sequence = 0;
  uint64_t records_deleted = 0;
};

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_RECORDS_H_
