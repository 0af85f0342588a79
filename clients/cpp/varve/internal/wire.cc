#include "clients/cpp/varve/internal/wire.h"

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::client::internal {
namespace {

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

absl::Duration DurationFromWire(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

absl::StatusOr<Tensor> TensorFromWire(v1::Tensor* in) {
  VARVE_ASSIGN_OR_RETURN(const DType dtype, FromWire(in->dtype()));
  if (in->shape_size() != 2) {
    return absl::InternalError(
        StrCat("the server sent a tensor of ", in->shape_size(), " dimensions, not 2"));
  }
  Tensor tensor{.dtype = dtype,
                .rows = in->shape(0),
                .columns = in->shape(1),
                .bytes = std::move(*in->mutable_data())};
  if (absl::Status status = CheckTensor(tensor.view()); !status.ok()) {
    return absl::InternalError(StrCat("the server sent a ", status.message()));
  }
  return tensor;
}

absl::StatusOr<Tensor> DefaultField(google::protobuf::RepeatedPtrField<v1::FieldVectors>* fields) {
  for (v1::FieldVectors& field : *fields) {
    if (field.field().empty() && field.has_dense()) return TensorFromWire(field.mutable_dense());
  }
  return Tensor{};
}

absl::StatusOr<VectorField> FieldFromWire(const v1::VectorField& in) {
  VectorField field{.name = in.name(), .dimension = in.dimension()};
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

v1::Durability ToWire(Durability durability) {
  return durability == Durability::kSynced ? v1::DURABILITY_SYNCED : v1::DURABILITY_APPLIED;
}

v1::OnError ToWire(OnError on_error) {
  return on_error == OnError::kSkip ? v1::ON_ERROR_SKIP : v1::ON_ERROR_FAIL_BATCH;
}

void ToWire(const TensorView& tensor, v1::Tensor* out) {
  out->set_dtype(ToWire(tensor.dtype));
  out->add_shape(tensor.rows);
  out->add_shape(tensor.columns);
  out->set_data(tensor.bytes.data(), tensor.bytes.size());
}

void ToWire(const IdsView& ids, v1::Ids* out) {
  if (const auto* numbers = std::get_if<absl::Span<const uint64_t>>(&ids)) {
    out->mutable_numbers()->mutable_values()->Add(numbers->begin(), numbers->end());
    return;
  }
  const auto add = [&](const auto& texts) {
    auto* values = out->mutable_texts()->mutable_values();
    values->Reserve(static_cast<int>(texts.size()));
    for (const auto& text : texts) values->Add()->assign(text.data(), text.size());
  };
  if (const auto* texts = std::get_if<absl::Span<const std::string>>(&ids)) add(*texts);
  if (const auto* texts = std::get_if<absl::Span<const std::string_view>>(&ids)) add(*texts);
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

void ToWire(const Namespace& spec, v1::Namespace* out) {
  out->set_name(spec.name);
  out->set_id_type(ToWire(spec.id_type));
  for (const VectorField& field : spec.fields) {
    v1::VectorField* to = out->add_fields();
    to->set_name(field.name);
    to->set_dimension(field.dimension);
    to->set_metric(ToWire(field.metric));
    to->set_element_type(ToWire(field.element_type));
    ToWire(field.index, to->mutable_index());
  }
}

void ToWire(const SearchOptions& options, v1::SearchOptions* out) {
  out->set_k(options.k);
  if (options.ef_search) out->set_ef_search(*options.ef_search);
  out->set_exact(options.exact);
  out->set_min_sequence(options.min_sequence);
  out->set_include_vectors(options.include_vectors);
}

absl::Status ToWire(const RecordsView& records, v1::RecordBatch* out) {
  VARVE_RETURN_IF_ERROR(CheckTensor(records.vectors));
  if (Size(records.ids) != records.vectors.rows) {
    return absl::InvalidArgumentError(
        StrCat("a batch has ", Size(records.ids), " ids and ", records.vectors.rows, " vectors"));
  }
  ToWire(records.ids, out->mutable_ids());
  ToWire(records.vectors, out->add_fields()->mutable_dense());
  return absl::OkStatus();
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

Id FromWire(v1::Id id) {
  if (id.has_text()) return std::move(*id.mutable_text());
  return id.number();
}

Ids FromWire(v1::Ids ids) {
  if (!ids.has_texts()) {
    const auto& values = ids.numbers().values();
    return std::vector<uint64_t>(values.begin(), values.end());
  }
  std::vector<std::string> texts;
  texts.reserve(ids.texts().values_size());
  for (std::string& text : *ids.mutable_texts()->mutable_values()) texts.push_back(std::move(text));
  return texts;
}

absl::StatusOr<Namespace> FromWire(const v1::Namespace& in) {
  Namespace out{.name = in.name(),
                .fields = {},
                .id_type = IdTypeFromWire(in.id_type()),
                .create_time = absl::FromUnixSeconds(in.create_time().seconds()) +
                               absl::Nanoseconds(in.create_time().nanos())};
  for (const v1::VectorField& field : in.fields()) {
    VARVE_ASSIGN_OR_RETURN(VectorField converted, FieldFromWire(field));
    out.fields.push_back(std::move(converted));
  }
  if (out.fields.empty()) {
    return absl::InternalError(
        StrCat("the server sent namespace ", in.name(), " without vector fields"));
  }
  return out;
}

absl::StatusOr<Records> FromWire(v1::RecordBatch batch) {
  Records records{.ids = FromWire(std::move(*batch.mutable_ids())), .vectors = {}};
  VARVE_ASSIGN_OR_RETURN(records.vectors, DefaultField(batch.mutable_fields()));
  if (records.vectors.rows != 0 && records.vectors.rows != Size(records.ids)) {
    return absl::InternalError(StrCat("the server sent ", Size(records.ids), " ids with ",
                                      records.vectors.rows, " vectors"));
  }
  return records;
}

absl::StatusOr<Hit> FromWire(v1::Hit hit) {
  VARVE_ASSIGN_OR_RETURN(Tensor vector, DefaultField(hit.mutable_fields()));
  return Hit{.id = FromWire(std::move(*hit.mutable_id())),
             .distance = hit.distance(),
             .vector = std::move(vector)};
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
