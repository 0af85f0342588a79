#ifndef VARVE_SERVER_ENGINE_SCHEMA_H_
#define VARVE_SERVER_ENGINE_SCHEMA_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/tensor.h"
#include "index/options.h"
#include "metadata/value.h"

namespace varve::engine {

inline constexpr size_t kNamespaceNameBytesMax = 128;
inline constexpr size_t kTextIdBytesMax = 512;
inline constexpr uint32_t kDimensionMax = 65'535;
inline constexpr uint32_t kEfMax = 10'000;
inline constexpr uint32_t kResultsMax = 10'000;  // k
inline constexpr size_t kFieldsMax = 32;
inline constexpr size_t kFieldNameBytesMax = 64;
inline constexpr size_t kDeclaredAttributesMax = 1024;
inline constexpr size_t kVectorsPerRecordMax = 10'000;  // in a field of several

// What kind of external ids a namespace holds. Stored: never renumber.
enum class IdType : uint8_t { kUndecided = 0, kNumber = 1, kText = 2 };

// "number", "text" or "undecided".
std::string_view IdTypeName(IdType type);

// One named vector of every record.
struct FieldSchema {
  std::string name;  // empty: the default field
  uint32_t dimension = 0;
  index::Metric metric = index::Metric::kL2;
  DType element_type = DType::kF32;
  bool multi_vector = false;  // a record has several vectors in it
  index::IndexOptions index;
};

// What an attribute must be where it is there.
struct AttributeSchema {
  std::string path;
  metadata::ValueType type = metadata::ValueType::kString;
  bool is_list = false;
};

// What a namespace may take of its server, beside the server's own limits. One without a value is none.
struct NamespaceLimits {
  std::optional<uint64_t> vectors;
  std::optional<uint64_t> vector_bytes;
  std::optional<uint64_t> request_bytes;
  std::optional<uint64_t> k;
  std::optional<uint64_t> ef_search;
  std::optional<uint64_t> searches;  // at a time
  std::optional<uint64_t> streams;   // at a time
  std::optional<uint64_t> ingest_bytes_per_second;
};

struct NamespaceSchema {
  std::string name;
  std::vector<FieldSchema> fields;  // a field's number is its place
  std::vector<AttributeSchema> attributes;
  absl::Duration default_ttl;  // zero: records without a time of their own do not expire
  NamespaceLimits limits;
  IdType id_type = IdType::kUndecided;
  absl::Time create_time;  // whole microseconds
};

// Options to change; those without a value stay.
struct IndexOptionsUpdate {
  std::optional<uint32_t> m;
  std::optional<uint32_t> ef_construction;
  std::optional<uint32_t> ef_search;
  std::optional<uint32_t> segment_size_threshold;
  std::optional<uint32_t> parallel_insert_threshold;
  std::optional<uint32_t> max_unindexed_rows;
  std::optional<uint32_t> tombstone_rebuild_pct;
  std::optional<bool> auto_compaction;
  std::optional<index::Quantization> quantization;

  bool operator==(const IndexOptionsUpdate&) const = default;
};

void Apply(const IndexOptionsUpdate& update, index::IndexOptions* options);
// Those of the update that have a value; 0 takes one away.
void Apply(const NamespaceLimits& update, NamespaceLimits* limits);

// InvalidArgument names the field, what it must be and what it is.
absl::Status ValidateSchema(const NamespaceSchema& schema);

// The schema as JSON, the form in which it is stored; and back. DataLoss when it does not parse.
std::string SerializeSchema(const NamespaceSchema& schema);
absl::StatusOr<NamespaceSchema> ParseSchema(std::string_view json);

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_SCHEMA_H_
