#ifndef VARVE_CLIENTS_CPP_VARVE_NAMESPACE_H_
#define VARVE_CLIENTS_CPP_VARVE_NAMESPACE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "clients/cpp/varve/tensor.h"

namespace varve::client {

// How the distance of two vectors is measured. Distances are reported so that smaller is nearer.
enum class Metric {
  kL2,      // squared Euclidean distance
  kCosine,  // 1 - cosine
  kDot,     // negated dot product
};

// "l2", "cosine" or "dot".
std::string_view MetricName(Metric metric);

// What kind of external ids a namespace holds; decided at creation or by the first batch.
enum class IdType { kUndecided, kNumber, kText };

// "undecided", "number" or "text".
std::string_view IdTypeName(IdType type);

// What graphs are built and walked on: codes of one byte per element, or the float32 vectors
// themselves.
enum class Quantization { kInt8, kNone };

// "int8" or "none".
std::string_view QuantizationName(Quantization quantization);

// Options of a field's index. One without a value takes the server's default, or stays as it is.
struct IndexOptions {
  std::optional<uint32_t> m;                          // links per node; 4 to 128
  std::optional<uint32_t> ef_construction;            // candidates while linking; 16 to 4096
  std::optional<uint32_t> ef_search;                  // candidates while searching; 1 to 10,000
  std::optional<uint32_t> segment_size_threshold;     // rows at which a segment is sealed
  std::optional<uint32_t> parallel_insert_threshold;  // rows from which all cores link
  std::optional<uint32_t> max_unindexed_rows;     // rows that may wait before ingest is held back
  std::optional<uint32_t> tombstone_rebuild_pct;  // dead share that has a segment rebuilt; 1 to 100
  std::optional<bool> auto_compaction;            // false: merging and rebuilding pause
  std::optional<Quantization> quantization;       // of graphs begun afterwards
};

// What a namespace may take of its server, beside the server's own limits. One without a value is none; in
// an update it stays as it is, and 0 takes it away. Calls beyond one fail with ResourceExhausted.
struct NamespaceLimits {
  std::optional<uint64_t> max_vectors;        // of all fields together
  std::optional<uint64_t> max_vector_bytes;   // of these vectors, as they are stored
  std::optional<uint64_t> max_request_bytes;  // of a search, a write, or a batch of a stream
  std::optional<uint32_t> max_k;
  std::optional<uint32_t> max_ef_search;
  std::optional<uint32_t> max_searches;                 // at a time
  std::optional<uint32_t> max_streams;                  // of ingest, at a time
  std::optional<uint64_t> max_ingest_bytes_per_second;  // holds streams back
};

// One named vector of every record.
struct VectorField {
  std::string name;        // empty: the default field
  uint32_t dimension = 0;  // elements per vector, 1 to 65,535
  Metric metric = Metric::kL2;
  // How vectors are stored. kF32 takes tensors of every dtype, any other only its own.
  DType element_type = DType::kF32;
  IndexOptions index;
  // A record has several vectors in this field, and so has a query: ranked by MaxSim, the sum over
  // the query's vectors of the distance to the nearest of the record's.
  bool multi_vector = false;
};

enum class AttributeType { kBool, kInt64, kDouble, kTimestamp, kString };

// "bool", "int64", "double", "timestamp" or "string".
std::string_view AttributeTypeName(AttributeType type);

// What an attribute must be where a record has it.
struct AttributeSchema {
  std::string path;
  AttributeType type = AttributeType::kString;
  bool list = false;  // a list of such values
};

// An isolated collection of records.
struct Namespace {
  std::string name;  // 1 to 128 of a-z A-Z 0-9 . _ -, beginning with a letter or a digit
  std::vector<VectorField> fields;  // 1 to 32, each with an index of its own
  IdType id_type = IdType::kUndecided;
  std::vector<AttributeSchema> attributes;  // others may be of any type
  // How long after they were written records expire that do not say themselves; zero: never.
  absl::Duration default_ttl = absl::ZeroDuration();
  NamespaceLimits limits;
  absl::Time create_time = absl::InfinitePast();  // set by the server
};

}  // namespace varve::client

#endif  // VARVE_CLIENTS_CPP_VARVE_NAMESPACE_H_
