#include "server/rpc/schema_mapping.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/tensor_codec.h"

namespace varve::server {
namespace {

absl::StatusOr<index::Metric> DecodeMetric(v1::Metric metric, const std::string& field) {
  switch (metric) {
    case v1::METRIC_UNSPECIFIED:
    case v1::METRIC_L2:
      return index::Metric::kL2;
    case v1::METRIC_COSINE:
      return index::Metric::kCosine;
    case v1::METRIC_DOT:
      return index::Metric::kDot;
    default:  // Sent by a newer client: enums of proto3 are open.
      return BadField(field + ".metric", StrCat("must be L2, COSINE or DOT (1 to 3), is ", metric));
  }
}

v1::Metric EncodeMetric(index::Metric metric) {
  switch (metric) {
    case index::Metric::kL2:
      return v1::METRIC_L2;
    case index::Metric::kCosine:
      return v1::METRIC_COSINE;
    case index::Metric::kDot:
      return v1::METRIC_DOT;
  }
  return v1::METRIC_UNSPECIFIED;
}

absl::StatusOr<engine::IdType> DecodeIdType(v1::IdType type) {
  switch (type) {
    case v1::ID_TYPE_UNSPECIFIED:
      return engine::IdType::kUndecided;
    case v1::ID_TYPE_NUMBER:
      return engine::IdType::kNumber;
    case v1::ID_TYPE_TEXT:
      return engine::IdType::kText;
    default:  // Sent by a newer client: enums of proto3 are open.
      return BadField("namespace.id_type", StrCat("must be NUMBER or TEXT (1 or 2), is ", type));
  }
}

v1::IdType EncodeIdType(engine::IdType type) {
  switch (type) {
    case engine::IdType::kUndecided:
      return v1::ID_TYPE_UNSPECIFIED;
    case engine::IdType::kNumber:
      return v1::ID_TYPE_NUMBER;
    case engine::IdType::kText:
      return v1::ID_TYPE_TEXT;
  }
  return v1::ID_TYPE_UNSPECIFIED;
}

void EncodeIndexOptions(const index::IndexOptions& in, v1::IndexOptions* out) {
  out->set_m(in.m);
  out->set_ef_construction(in.ef_construction);
  out->set_ef_search(in.ef_search);
  out->set_segment_size_threshold(in.segment_size_threshold);
  out->set_parallel_insert_threshold(in.parallel_insert_threshold);
  out->set_max_unindexed_rows(in.max_unindexed_rows);
  out->set_tombstone_rebuild_pct(in.tombstone_rebuild_pct);
  out->set_auto_compaction(in.auto_compaction);
  out->set_quantization(static_cast<v1::Quantization>(in.quantization));  // numbered alike
}

void EncodeLimits(const engine::NamespaceLimits& in, v1::NamespaceLimits* out) {
  if (in.vectors.has_value()) out->set_max_vectors(*in.vectors);
  if (in.vector_bytes.has_value()) out->set_max_vector_bytes(*in.vector_bytes);
  if (in.request_bytes.has_value()) out->set_max_request_bytes(*in.request_bytes);
  if (in.k.has_value()) out->set_max_k(*in.k);
  if (in.ef_search.has_value()) out->set_max_ef_search(*in.ef_search);
  if (in.searches.has_value()) out->set_max_searches(*in.searches);
  if (in.streams.has_value()) out->set_max_streams(*in.streams);
  if (in.ingest_bytes_per_second.has_value())
    out->set_max_ingest_bytes_per_second(*in.ingest_bytes_per_second);
}

absl::StatusOr<engine::FieldSchema> DecodeField(const v1::VectorField& in,
                                                const std::string& field) {
  engine::FieldSchema out;
  out.name = in.name();
  out.dimension = in.dimension();
  VARVE_ASSIGN_OR_RETURN(out.metric, DecodeMetric(in.metric(), field));
  if (in.element_type() != v1::DTYPE_UNSPECIFIED) {
    VARVE_ASSIGN_OR_RETURN(out.element_type,
                           DecodeDType(in.element_type(), field + ".element_type"));
  }
  out.multi_vector = in.multi_vector();
  Apply(DecodeIndexOptions(in.index()), &out.index);
  return out;
}

absl::StatusOr<engine::AttributeSchema> DecodeAttribute(const v1::AttributeSchema& in,
                                                        const std::string& field) {
  if (in.type() < v1::ATTRIBUTE_TYPE_BOOL || in.type() > v1::ATTRIBUTE_TYPE_STRING) {
    return BadField(
        field + ".type",
        StrCat("must be BOOL, INT64, DOUBLE, TIMESTAMP or STRING (1 to 5), is ", in.type()));
  }
  return engine::AttributeSchema{.path = in.path(),
                                 .type = static_cast<metadata::ValueType>(in.type()),  // alike
                                 .is_list = in.list()};
}

absl::StatusOr<absl::Duration> DecodeTtl(const google::protobuf::Duration& in) {
  // As far as a Timestamp goes.
  constexpr int64_t kSecondsMax = 315'576'000'000;
  if (in.seconds() < 0 || in.nanos() < 0 || in.seconds() > kSecondsMax ||
      in.nanos() > 999'999'999) {
    return BadField("namespace.default_ttl", StrCat("must be 0 to ", kSecondsMax, " seconds, is ",
                                                    in.seconds(), " and ", in.nanos(), " nanos"));
  }
  return absl::Seconds(in.seconds()) + absl::Nanoseconds(in.nanos());
}

}  // namespace

absl::StatusOr<engine::NamespaceSchema> DecodeNamespace(const v1::Namespace& in) {
  engine::NamespaceSchema out;
  out.name = in.name();
  VARVE_ASSIGN_OR_RETURN(out.id_type, DecodeIdType(in.id_type()));
  for (int i = 0; i < in.fields_size(); ++i) {
    VARVE_ASSIGN_OR_RETURN(engine::FieldSchema field,
                           DecodeField(in.fields(i), StrCat("namespace.fields[", i, "]")));
    out.fields.push_back(std::move(field));
  }
  for (int i = 0; i < in.attributes_size(); ++i) {
    VARVE_ASSIGN_OR_RETURN(
        engine::AttributeSchema attribute,
        DecodeAttribute(in.attributes(i), StrCat("namespace.attributes[", i, "]")));
    out.attributes.push_back(std::move(attribute));
  }
  VARVE_ASSIGN_OR_RETURN(out.default_ttl, DecodeTtl(in.default_ttl()));
  Apply(DecodeLimits(in.limits()), &out.limits);
  return out;
}

v1::Namespace EncodeNamespace(const engine::NamespaceSchema& schema) {
  v1::Namespace out;
  out.set_name(schema.name);
  out.set_id_type(EncodeIdType(schema.id_type));
  const int64_t nanos = absl::ToUnixNanos(schema.create_time);
  out.mutable_create_time()->set_seconds(nanos / 1'000'000'000);
  out.mutable_create_time()->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  for (const engine::FieldSchema& field : schema.fields) {
    v1::VectorField* added = out.add_fields();
    added->set_name(field.name);
    added->set_dimension(field.dimension);
    added->set_metric(EncodeMetric(field.metric));
    added->set_element_type(EncodeDType(field.element_type));
    added->set_multi_vector(field.multi_vector);
    EncodeIndexOptions(field.index, added->mutable_index());
  }
  for (const engine::AttributeSchema& attribute : schema.attributes) {
    v1::AttributeSchema* added = out.add_attributes();
    added->set_path(attribute.path);
    added->set_type(static_cast<v1::AttributeType>(attribute.type));  // numbered alike
    added->set_list(attribute.is_list);
  }
  EncodeLimits(schema.limits, out.mutable_limits());
  if (schema.default_ttl != absl::ZeroDuration()) {
    const int64_t ttl = absl::ToInt64Microseconds(schema.default_ttl);
    out.mutable_default_ttl()->set_seconds(ttl / 1'000'000);
    out.mutable_default_ttl()->set_nanos(static_cast<int32_t>(ttl % 1'000'000 * 1000));
  }
  return out;
}

engine::NamespaceLimits DecodeLimits(const v1::NamespaceLimits& in) {
  engine::NamespaceLimits out;
  if (in.has_max_vectors()) out.vectors = in.max_vectors();
  if (in.has_max_vector_bytes()) out.vector_bytes = in.max_vector_bytes();
  if (in.has_max_request_bytes()) out.request_bytes = in.max_request_bytes();
  if (in.has_max_k()) out.k = in.max_k();
  if (in.has_max_ef_search()) out.ef_search = in.max_ef_search();
  if (in.has_max_searches()) out.searches = in.max_searches();
  if (in.has_max_streams()) out.streams = in.max_streams();
  if (in.has_max_ingest_bytes_per_second())
    out.ingest_bytes_per_second = in.max_ingest_bytes_per_second();
  return out;
}

engine::IndexOptionsUpdate DecodeIndexOptions(const v1::IndexOptions& in) {
  engine::IndexOptionsUpdate out;
  if (in.has_m()) out.m = in.m();
  if (in.has_ef_construction()) out.ef_construction = in.ef_construction();
  if (in.has_ef_search()) out.ef_search = in.ef_search();
  if (in.has_segment_size_threshold()) out.segment_size_threshold = in.segment_size_threshold();
  if (in.has_parallel_insert_threshold()) {
    out.parallel_insert_threshold = in.parallel_insert_threshold();
  }
  if (in.has_max_unindexed_rows()) out.max_unindexed_rows = in.max_unindexed_rows();
  if (in.has_tombstone_rebuild_pct()) out.tombstone_rebuild_pct = in.tombstone_rebuild_pct();
  if (in.has_auto_compaction()) out.auto_compaction = in.auto_compaction();
  if (in.quantization() != v1::QUANTIZATION_UNSPECIFIED) {
    // One that this build does not know is refused with the schema.
    out.quantization = static_cast<index::Quantization>(std::clamp<int>(in.quantization(), 0, 255));
  }
  return out;
}

}  // namespace varve::server
