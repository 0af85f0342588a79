#include "clients/cpp/varve/internal/wire.h"

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::client::internal {
namespace {

v1::Metric ToWire(Metric metric) {
  switch (metric) {
    case Metric::kL2:
      return v1::METRIC_L2;
    case Metric::kCosine:
      return v1::METRIC_COSINE;
    case Metric::kDot:
      return v1::METRIC_DOT;
  }
  return v1::METRIC_UNSPECIFIED;
}

v1::IdType ToWire(IdType type) {
  switch (type) {
    case IdType::kUndecided:
      return v1::ID_TYPE_UNSPECIFIED;
    case IdType::kNumber:
      return v1::ID_TYPE_NUMBER;
    case IdType::kText:
      return v1::ID_TYPE_TEXT;
  }
  return v1::ID_TYPE_UNSPECIFIED;
}

absl::StatusOr<Metric> MetricFromWire(v1::Metric metric) {
  switch (metric) {
    case v1::METRIC_L2:
      return Metric::kL2;
    case v1::METRIC_COSINE:
      return Metric::kCosine;
    case v1::METRIC_DOT:
      return Metric::kDot;
    default:
      return absl::InternalError(
          StrCat("the server sent metric ", metric, ", which this client does not know"));
  }
}

IdType IdTypeFromWire(v1::IdType type) {
  switch (type) {
    case v1::ID_TYPE_NUMBER:
      return IdType::kNumber;
    case v1::ID_TYPE_TEXT:
      return IdType::kText;
    default:
      return IdType::kUndecided;
  }
}

v1::AttributeType ToWire(AttributeType type) {
  switch (type) {
    case AttributeType::kBool:
      return v1::ATTRIBUTE_TYPE_BOOL;
    case AttributeType::kInt64:
      return v1::ATTRIBUTE_TYPE_INT64;
    case AttributeType::kDouble:
      return v1::ATTRIBUTE_TYPE_DOUBLE;
    case AttributeType::kTimestamp:
      return v1::ATTRIBUTE_TYPE_TIMESTAMP;
    case AttributeType::kString:
      return v1::ATTRIBUTE_TYPE_STRING;
  }
  return v1::ATTRIBUTE_TYPE_UNSPECIFIED;
}

absl::StatusOr<AttributeType> AttributeTypeFromWire(v1::AttributeType type) {
  switch (type) {
    case v1::ATTRIBUTE_TYPE_BOOL:
      return AttributeType::kBool;
    case v1::ATTRIBUTE_TYPE_INT64:
      return AttributeType::kInt64;
    case v1::ATTRIBUTE_TYPE_DOUBLE:
      return AttributeType::kDouble;
    case v1::ATTRIBUTE_TYPE_TIMESTAMP:
      return AttributeType::kTimestamp;
    case v1::ATTRIBUTE_TYPE_STRING:
      return AttributeType::kString;
    default:
      return absl::InternalError(
          StrCat("the server sent attribute type ", type, ", which this client does not know"));
  }
}

SearchPlan SearchPlanFromWire(v1::SearchPlan plan) {
  switch (plan) {
    case v1::SEARCH_PLAN_SCAN:
      return SearchPlan::kScan;
    case v1::SEARCH_PLAN_FILTERED_WALK:
      return SearchPlan::kFilteredWalk;
    case v1::SEARCH_PLAN_WALK:
      return SearchPlan::kWalk;
    default:
      return SearchPlan::kUnknown;
  }
}

void DurationToWire(absl::Duration duration, google::protobuf::Duration* out) {
  absl::Duration below_a_second;
  out->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &below_a_second));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(below_a_second)));
}

absl::Duration DurationFromWire(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

absl::StatusOr<VectorField> FieldFromWire(const v1::VectorField& in) {
  VectorField field{
      .name = in.name(), .dimension = in.dimension(), .multi_vector = in.multi_vector()};
  VARVE_ASSIGN_OR_RETURN(field.metric, MetricFromWire(in.metric()));
  VARVE_ASSIGN_OR_RETURN(field.element_type, FromWire(in.element_type()));
  const v1::IndexOptions& index = in.index();
  if (index.has_m()) field.index.m = index.m();
  if (index.has_ef_construction()) field.index.ef_construction = index.ef_construction();
  if (index.has_ef_search()) field.index.ef_search = index.ef_search();
  if (index.has_segment_size_threshold()) {
    field.index.segment_size_threshold = index.segment_size_threshold();
  }
  if (index.has_parallel_insert_threshold()) {
    field.index.parallel_insert_threshold = index.parallel_insert_threshold();
  }
  if (index.has_max_unindexed_rows()) field.index.max_unindexed_rows = index.max_unindexed_rows();
  if (index.has_tombstone_rebuild_pct()) {
    field.index.tombstone_rebuild_pct = index.tombstone_rebuild_pct();
  }
  if (index.has_auto_compaction()) field.index.auto_compaction = index.auto_compaction();
  if (index.quantization() != v1::QUANTIZATION_UNSPECIFIED) {
    field.index.quantization =
        index.quantization() == v1::QUANTIZATION_NONE ? Quantization::kNone : Quantization::kInt8;
  }
  return field;
}

}  // namespace

v1::Dtype ToWire(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return v1::DTYPE_F32;
    case DType::kF16:
      return v1::DTYPE_F16;
    case DType::kBF16:
      return v1::DTYPE_BF16;
    case DType::kU8:
      return v1::DTYPE_U8;
    case DType::kI8:
      return v1::DTYPE_I8;
  }
  return v1::DTYPE_UNSPECIFIED;
}

v1::Durability ToWire(Durability durability) {
  return durability == Durability::kSynced ? v1::DURABILITY_SYNCED : v1::DURABILITY_APPLIED;
}

v1::OnError ToWire(OnError on_error) {
  return on_error == OnError::kSkip ? v1::ON_ERROR_SKIP : v1::ON_ERROR_FAIL_BATCH;
}

void ToWire(const IndexOptions& index, v1::IndexOptions* out) {
  if (index.m) out->set_m(*index.m);
  if (index.ef_construction) out->set_ef_construction(*index.ef_construction);
  if (index.ef_search) out->set_ef_search(*index.ef_search);
  if (index.segment_size_threshold) {
    out->set_segment_size_threshold(*index.segment_size_threshold);
  }
  if (index.parallel_insert_threshold) {
    out->set_parallel_insert_threshold(*index.parallel_insert_threshold);
  }
  if (index.max_unindexed_rows) out->set_max_unindexed_rows(*index.max_unindexed_rows);
  if (index.tombstone_rebuild_pct) out->set_tombstone_rebuild_pct(*index.tombstone_rebuild_pct);
  if (index.auto_compaction) out->set_auto_compaction(*index.auto_compaction);
  if (index.quantization) {
    out->set_quantization(*index.quantization == Quantization::kNone ? v1::QUANTIZATION_NONE
                                                                     : v1::QUANTIZATION_INT8);
  }
}

void ToWire(const NamespaceLimits& limits, v1::NamespaceLimits* out) {
  if (limits.max_vectors) out->set_max_vectors(*limits.max_vectors);
  if (limits.max_vector_bytes) out->set_max_vector_bytes(*limits.max_vector_bytes);
  if (limits.max_request_bytes) out->set_max_request_bytes(*limits.max_request_bytes);
  if (limits.max_k) out->set_max_k(*limits.max_k);
  if (limits.max_ef_search) out->set_max_ef_search(*limits.max_ef_search);
  if (limits.max_searches) out->set_max_searches(*limits.max_searches);
  if (limits.max_streams) out->set_max_streams(*limits.max_streams);
  if (limits.max_ingest_bytes_per_second)
    out->set_max_ingest_bytes_per_second(*limits.max_ingest_bytes_per_second);
}

void ToWire(const Namespace& spec, v1::Namespace* out) {
  out->set_name(spec.name);
  out->set_id_type(ToWire(spec.id_type));
  for (const VectorField& field : spec.fields) {
    v1::VectorField* to = out->add_fields();
    to->set_name(field.name);
    to->set_dimension(field.dimension);
    to->set_metric(ToWire(field.metric));
    to->set_element_type(ToWire(field.element_type));
    to->set_multi_vector(field.multi_vector);
    ToWire(field.index, to->mutable_index());
  }
  for (const AttributeSchema& attribute : spec.attributes) {
    v1::AttributeSchema* to = out->add_attributes();
    to->set_path(attribute.path);
    to->set_type(ToWire(attribute.type));
    to->set_list(attribute.list);
  }
  if (spec.default_ttl != absl::ZeroDuration()) {
    DurationToWire(spec.default_ttl, out->mutable_default_ttl());
  }
  ToWire(spec.limits, out->mutable_limits());
}

void ToWire(const SearchOptions& options, v1::SearchOptions* out) {
  out->set_k(options.k);
  if (options.ef_search) out->set_ef_search(*options.ef_search);
  out->set_exact(options.exact);
  out->set_min_sequence(options.min_sequence);
  out->set_include_vectors(options.include_vectors);
  out->set_field(options.field);
  if (!options.filter.empty()) out->mutable_filter()->set_text(options.filter);
  out->set_include_metadata(options.include_metadata);
  out->mutable_metadata_paths()->Assign(options.metadata_paths.begin(),
                                        options.metadata_paths.end());
  out->set_explain(options.explain);
  out->set_offset(options.offset);
  if (options.max_distance) out->set_max_distance(*options.max_distance);
  out->set_group_by(options.group_by);
  out->set_group_size(options.group_size);
  if (options.diversity) {
    out->mutable_diversity()->set_weight(options.diversity->weight);
    out->mutable_diversity()->set_candidates(options.diversity->candidates);
  }
}

Durability FromWire(v1::Durability durability) {
  return durability == v1::DURABILITY_SYNCED ? Durability::kSynced : Durability::kApplied;
}

absl::StatusOr<DType> FromWire(v1::Dtype dtype) {
  switch (dtype) {
    case v1::DTYPE_F32:
      return DType::kF32;
    case v1::DTYPE_F16:
      return DType::kF16;
    case v1::DTYPE_BF16:
      return DType::kBF16;
    case v1::DTYPE_U8:
      return DType::kU8;
    case v1::DTYPE_I8:
      return DType::kI8;
    default:
      return absl::InternalError(
          StrCat("the server sent dtype ", dtype, ", which this client does not know"));
  }
}

namespace {

NamespaceLimits LimitsFromWire(const v1::NamespaceLimits& in) {
  NamespaceLimits out;
  if (in.has_max_vectors()) out.max_vectors = in.max_vectors();
  if (in.has_max_vector_bytes()) out.max_vector_bytes = in.max_vector_bytes();
  if (in.has_max_request_bytes()) out.max_request_bytes = in.max_request_bytes();
  if (in.has_max_k()) out.max_k = in.max_k();
  if (in.has_max_ef_search()) out.max_ef_search = in.max_ef_search();
  if (in.has_max_searches()) out.max_searches = in.max_searches();
  if (in.has_max_streams()) out.max_streams = in.max_streams();
  if (in.has_max_ingest_bytes_per_second())
    out.max_ingest_bytes_per_second = in.max_ingest_bytes_per_second();
  return out;
}

absl::Time TimeFromWire(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

}  // namespace

absl::StatusOr<Namespace> FromWire(const v1::Namespace& in) {
  Namespace out{.name = in.name(),
                .fields = {},
                .id_type = IdTypeFromWire(in.id_type()),
                .create_time = TimeFromWire(in.create_time())};
  for (const v1::VectorField& field : in.fields()) {
    VARVE_ASSIGN_OR_RETURN(VectorField converted, FieldFromWire(field));
    out.fields.push_back(std::move(converted));
  }
  for (const v1::AttributeSchema& attribute : in.attributes()) {
    VARVE_ASSIGN_OR_RETURN(const AttributeType type, AttributeTypeFromWire(attribute.type()));
    out.attributes.push_back({.path = attribute.path(), .type = type, .list = attribute.list()});
  }
  out.default_ttl = DurationFromWire(in.default_ttl());
  out.limits = LimitsFromWire(in.limits());
  if (out.fields.empty()) {
    return absl::InternalError(
        StrCat("the server sent namespace ", in.name(), " without vector fields"));
  }
  return out;
}

Explanation FromWire(const v1::Explanation& explanation) {
  Explanation out{.segments = {}, .filter_time = DurationFromWire(explanation.filter_time())};
  for (const v1::SegmentExplanation& segment : explanation.segments()) {
    out.segments.push_back({.segment_id = segment.segment_id(),
                            .rows = segment.rows(),
                            .plan = SearchPlanFromWire(segment.plan()),
                            .gave_up = segment.gave_up(),
                            .estimated_selectivity = segment.estimated_selectivity(),
                            .selectivity = segment.selectivity(),
                            .distances = segment.distances(),
                            .hops = segment.hops(),
                            .dead_rows = segment.dead_rows(),
                            .rescored_rows = segment.rescored_rows(),
                            .time = DurationFromWire(segment.time())});
  }
  return out;
}

std::vector<RowError> FromWire(const google::protobuf::RepeatedPtrField<v1::RowError>& errors) {
  std::vector<RowError> out;
  out.reserve(errors.size());
  for (const v1::RowError& error : errors) {
    out.push_back({.row = error.row(), .message = error.message()});
  }
  return out;
}

Segment FromWire(const v1::Segment& segment) {
  SegmentState state = SegmentState::kActive;
  if (segment.state() == v1::SEGMENT_STATE_SEALING) state = SegmentState::kSealing;
  if (segment.state() == v1::SEGMENT_STATE_SEALED) state = SegmentState::kSealed;
  if (segment.state() == v1::SEGMENT_STATE_COMPACTING) state = SegmentState::kCompacting;
  return {.id = segment.id(),
          .level = segment.level(),
          .state = state,
          .rows = segment.rows(),
          .live_rows = segment.live_rows(),
          .dead_rows = segment.dead_rows(),
          .indexed_rows = segment.indexed_rows(),
          .memory_bytes = segment.memory_bytes(),
          .file_bytes = segment.file_bytes()};
}

IndexingProgress FromWire(const v1::WatchIndexingResponse& progress) {
  return {.indexed_rows = progress.indexed_rows(),
          .total_rows = progress.total_rows(),
          .rows_per_second = progress.rows_per_second(),
          .remaining = progress.has_remaining()
                           ? std::optional(DurationFromWire(progress.remaining()))
                           : std::nullopt};
}

Snapshot FromWire(const v1::Snapshot& snapshot) {
  Snapshot out{.name = snapshot.name(),
               .create_time = TimeFromWire(snapshot.create_time()),
               .only_namespace = snapshot.only_namespace(),
               .namespaces = {},
               .bytes = snapshot.bytes()};
  for (const v1::SnapshotNamespace& part : snapshot.namespaces()) {
    out.namespaces.push_back({.name_space = part.namespace_(), .sequence = part.sequence()});
  }
  return out;
}

ServerStats FromWire(const v1::StatsResponse& stats) {
  ServerStats out{.version = stats.version(),
                  .uptime = DurationFromWire(stats.uptime()),
                  .namespaces = stats.namespaces(),
                  .resident_bytes = stats.resident_bytes(),
                  .disk_bytes = stats.disk_bytes(),
                  .of_namespace = std::nullopt};
  if (stats.has_namespace_()) {
    const v1::NamespaceStats& in = stats.namespace_();
    out.of_namespace = NamespaceStats{.records = in.records(),
                                      .sequence = in.sequence(),
                                      .segments = in.segments(),
                                      .dead_rows = in.dead_rows(),
                                      .unindexed_rows = in.unindexed_rows(),
                                      .index_memory_bytes = in.index_memory_bytes()};
  }
  return out;
}

}  // namespace varve::client::internal
