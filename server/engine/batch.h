#ifndef VARVE_SERVER_ENGINE_BATCH_H_
#define VARVE_SERVER_ENGINE_BATCH_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/records.h"
#include "server/engine/schema.h"

namespace varve::engine {

// External ids as the store and the index keep them: bytes that sort as the ids do. Numbers become
// 8 bytes, big-endian, in memory of this class; text is its own bytes, in the caller's.
class EncodedIds {
 public:
  explicit EncodedIds(const IdsView& ids);
  // Not copyable: the keys may point into the object.
  EncodedIds(const EncodedIds&) = delete;
  EncodedIds& operator=(const EncodedIds&) = delete;

  const std::vector<std::string_view>& keys() const { return keys_; }

 private:
  std::string numbers_;
  std::vector<std::string_view> keys_;
};

// Appends the id that `key` encodes. DataLoss: a numeric key that is not 8 bytes.
absl::Status AppendDecodedId(IdType type, std::string_view key, IdList* ids);

// Which rows of a batch are to be written.
struct CheckedBatch {
  std::vector<uint32_t> rows;        // positions, ascending
  std::vector<uint32_t> superseded;  // positions whose id comes again later
  std::vector<RowError> errors;      // with OnError::kSkip
};

// Payload of an error that is about one row of a batch: its position, as text.
inline constexpr char kRowPayload[] = "varve.dev/metadata/row";

// Checks a batch against the namespace it is for: counts, dimensions, dtypes, ids, every vector and every
// attribute. InvalidArgument names the row, what was wanted and what was found; with OnError::kSkip
// faults of single rows are listed instead. `keys` are the batch's ids, encoded.
absl::StatusOr<CheckedBatch> CheckBatch(const NamespaceSchema& schema, const RecordsView& records,
                                        const std::vector<std::string_view>& keys,
                                        OnError on_error);

// What of encoded attributes is not as the namespace declares; empty when nothing is.
std::string AttributesFault(const NamespaceSchema& schema, std::string_view encoded);

// The vectors in the field's element type, as they are stored: as they came, or, in a field of
// float32, widened into `buffer`. For vectors that CheckBatch has let pass.
TensorView InElementType(const FieldSchema& field, const TensorView& vectors, std::string* buffer);

// OK when every vector can be compared under the field's metric: finite, not too long to square,
// not zero under cosine. InvalidArgument names the first bad one as "<what> <position>".
absl::Status CheckVectors(const FieldSchema& field, const TensorView& vectors,
                          std::string_view what);

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_BATCH_H_
