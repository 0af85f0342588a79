#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cpp/varve/internal/wire.h"

// Records and what they are made of: ids, tensors, metadata.
namespace varve::client::internal {
namespace {

void TimeToWire(absl::Time time, google::protobuf::Timestamp* out) {
  const int64_t seconds = absl::ToUnixSeconds(time);  // rounded down
  out->set_seconds(seconds);
  out->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

absl::Time TimeFromWire(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

// --- To the wire ---

absl::Status Bad(std::string_view what) {
  return absl::InvalidArgumentError(absl::string_view(what.data(), what.size()));
}

std::string FieldName(std::string_view field) {
  return field.empty() ? "the default field" : StrCat("field ", field);
}

absl::Status CheckOffsets(const FieldVectorsView& field, size_t records) {
  const absl::Span<const uint64_t> offsets = field.offsets;
  if (offsets.size() != records + 1) {
    return Bad(StrCat("a batch of ", records, " records has ", offsets.size(), " offsets for ",
                      FieldName(field.field), ", wanted one more than records"));
  }
  if (offsets.front() != 0 || offsets.back() != field.vectors.rows) {
    return Bad(StrCat("the offsets of ", FieldName(field.field), " go from ", offsets.front(),
                      " to ", offsets.back(), ", wanted 0 to ", field.vectors.rows,
                      ", its vectors"));
  }
  const auto fall = std::adjacent_find(offsets.begin(), offsets.end(), std::greater<>());
  if (fall == offsets.end()) return absl::OkStatus();
  return Bad(StrCat("the offsets of ", FieldName(field.field), " fall from ", *fall, " to ",
                    *(fall + 1), " at record ", fall - offsets.begin()));
}

absl::Status AddField(const FieldVectorsView& field, size_t records, v1::RecordBatch* out) {
  VARVE_RETURN_IF_ERROR(CheckTensor(field.vectors));
  v1::FieldVectors* const added = out->add_fields();
  added->set_field(std::string(field.field));
  if (!field.offsets.empty()) {
    VARVE_RETURN_IF_ERROR(CheckOffsets(field, records));
    ToWire(field.vectors, added->mutable_ragged()->mutable_vectors());
    added->mutable_ragged()->mutable_offsets()->Add(field.offsets.begin(), field.offsets.end());
    return absl::OkStatus();
  }
  if (field.vectors.rows != records) {
    return Bad(StrCat("a batch has ", records, " ids and ", field.vectors.rows, " vectors",
                      field.field.empty() ? "" : StrCat(" in field ", field.field)));
  }
  ToWire(field.vectors, added->mutable_dense());
  return absl::OkStatus();
}

absl::Status AddMetadata(absl::Span<const Metadata> metadata, size_t records,
                         v1::RecordBatch* out) {
  if (!metadata.empty() && metadata.size() != records) {
    return Bad(StrCat("a batch has ", records, " ids and metadata of ", metadata.size(),
                      " records, wanted one each or none"));
  }
  out->mutable_metadata()->Reserve(static_cast<int>(metadata.size()));
  for (const Metadata& one : metadata) ToWire(one, out->add_metadata());
  return absl::OkStatus();
}

absl::Status AddExpireTimes(absl::Span<const absl::Time> times, size_t records,
                            v1::RecordBatch* out) {
  if (times.size() > 1 && times.size() != records) {
    return Bad(StrCat("a batch has ", records, " ids and ", times.size(),
                      " expire times, wanted one each, one for all or none"));
  }
  for (const absl::Time time : times) {
    google::protobuf::Timestamp* const added = out->add_expire_times();
    if (time != absl::InfiniteFuture()) TimeToWire(time, added);
  }
  return absl::OkStatus();
}

// --- From the wire ---

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

absl::StatusOr<FieldVectors> FieldFromWire(v1::FieldVectors* in) {
  FieldVectors field{.field = std::move(*in->mutable_field()),
                     .vectors = {},
                     .offsets = {},
                     .missing = {in->missing().begin(), in->missing().end()}};
  if (in->has_ragged()) {
    const auto& offsets = in->ragged().offsets();
    field.offsets = {offsets.begin(), offsets.end()};
    VARVE_ASSIGN_OR_RETURN(field.vectors, TensorFromWire(in->mutable_ragged()->mutable_vectors()));
  } else if (in->has_dense()) {
    VARVE_ASSIGN_OR_RETURN(field.vectors, TensorFromWire(in->mutable_dense()));
  }
  return field;
}

// Internal, unless the field is one of `records` records.
absl::Status CheckField(const FieldVectors& field, size_t records) {
  const std::vector<uint64_t>& offsets = field.offsets;
  const bool fits = offsets.empty() ? field.vectors.rows == records
                                    : offsets.size() == records + 1 && offsets.front() == 0 &&
                                          offsets.back() == field.vectors.rows &&
                                          std::is_sorted(offsets.begin(), offsets.end());
  const std::vector<uint32_t>& missing = field.missing;
  if (fits && std::is_sorted(missing.begin(), missing.end()) &&
      (missing.empty() || missing.back() < records)) {
    return absl::OkStatus();
  }
  return absl::InternalError(StrCat("the server sent ", records, " ids with ", field.vectors.rows,
                                    " vectors of ", FieldName(field.field), ", ", offsets.size(),
                                    " offsets and ", missing.size(), " missing"));
}

absl::Status TakeFields(google::protobuf::RepeatedPtrField<v1::FieldVectors>* fields,
                        Records* records) {
  for (v1::FieldVectors& in : *fields) {
    VARVE_ASSIGN_OR_RETURN(FieldVectors field, FieldFromWire(&in));
    VARVE_RETURN_IF_ERROR(CheckField(field, Size(records->ids)));
    if (field.field.empty() && field.offsets.empty()) {
      records->vectors = std::move(field.vectors);
      records->missing = std::move(field.missing);
    } else {
      records->fields.push_back(std::move(field));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCount(std::string_view what, size_t found, size_t records) {
  if (found == 0 || found == records) return absl::OkStatus();
  return absl::InternalError(StrCat("the server sent ", records, " ids with ", found, " ", what));
}

}  // namespace

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

void ToWire(const Value& value, v1::Value* out) {
  struct Visitor {
    v1::Value* out;
    void operator()(std::nullptr_t) { out->set_null_value(google::protobuf::NULL_VALUE); }
    void operator()(bool flag) { out->set_bool_value(flag); }
    void operator()(int64_t number) { out->set_int64_value(number); }
    void operator()(double number) { out->set_double_value(number); }
    void operator()(const std::string& text) { out->set_string_value(text); }
    void operator()(absl::Time time) { TimeToWire(time, out->mutable_timestamp_value()); }
    void operator()(const List& list) {
      v1::ListValue* const to = out->mutable_list_value();
      for (const Value& element : list) ToWire(element, to->add_values());
    }
    void operator()(const Metadata& object) { ToWire(object, out->mutable_object_value()); }
  };
  std::visit(Visitor{out}, value.variant());
}

void ToWire(const Metadata& metadata, v1::Metadata* out) {
  for (const auto& [name, value] : metadata) ToWire(value, &(*out->mutable_attributes())[name]);
}

absl::Status ToWire(const RecordsView& records, v1::RecordBatch* out) {
  const size_t count = Size(records.ids);
  ToWire(records.ids, out->mutable_ids());
  VARVE_RETURN_IF_ERROR(AddField({records.field, records.vectors, records.offsets}, count, out));
  for (const FieldVectorsView& field : records.more_fields) {
    VARVE_RETURN_IF_ERROR(AddField(field, count, out));
  }
  VARVE_RETURN_IF_ERROR(AddMetadata(records.metadata, count, out));
  return AddExpireTimes(records.expire_times, count, out);
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

Value FromWire(v1::Value value) {
  switch (value.kind_case()) {
    case v1::Value::kStringValue:
      return std::move(*value.mutable_string_value());
    case v1::Value::kInt64Value:
      return value.int64_value();
    case v1::Value::kDoubleValue:
      return value.double_value();
    case v1::Value::kBoolValue:
      return value.bool_value();
    case v1::Value::kTimestampValue:
      return TimeFromWire(value.timestamp_value());
    case v1::Value::kListValue: {
      List list;
      for (v1::Value& element : *value.mutable_list_value()->mutable_values()) {
        list.push_back(FromWire(std::move(element)));
      }
      return list;
    }
    case v1::Value::kObjectValue:
      return FromWire(std::move(*value.mutable_object_value()));
    case v1::Value::kNullValue:
    case v1::Value::KIND_NOT_SET:
      break;
  }
  return nullptr;
}

Metadata FromWire(v1::Metadata metadata) {
  Metadata out;
  for (auto& [name, value] : *metadata.mutable_attributes()) {
    out.emplace(name, FromWire(std::move(value)));
  }
  return out;
}

absl::StatusOr<Records> FromWire(v1::RecordBatch batch) {
  Records records{.ids = FromWire(std::move(*batch.mutable_ids()))};
  const size_t count = Size(records.ids);
  VARVE_RETURN_IF_ERROR(TakeFields(batch.mutable_fields(), &records));
  VARVE_RETURN_IF_ERROR(CheckCount("records' metadata", batch.metadata_size(), count));
  for (v1::Metadata& metadata : *batch.mutable_metadata()) {
    records.metadata.push_back(FromWire(std::move(metadata)));
  }
  VARVE_RETURN_IF_ERROR(CheckCount("expire times", batch.expire_times_size(), count));
  for (const google::protobuf::Timestamp& time : batch.expire_times()) {
    const bool never = time.seconds() == 0 && time.nanos() == 0;
    records.expire_times.push_back(never ? absl::InfiniteFuture() : TimeFromWire(time));
  }
  return records;
}

absl::StatusOr<Hit> FromWire(v1::Hit hit) {
  Hit out{.id = FromWire(std::move(*hit.mutable_id())), .distance = hit.distance()};
  for (v1::FieldVectors& in : *hit.mutable_fields()) {
    VARVE_ASSIGN_OR_RETURN(FieldVectors field, FieldFromWire(&in));
    if (field.field.empty()) {
      out.vector = std::move(field.vectors);
    } else {
      out.fields.push_back(std::move(field));
    }
  }
  out.metadata = FromWire(std::move(*hit.mutable_metadata()));
  if (hit.has_group()) out.group = FromWire(std::move(*hit.mutable_group()));
  return out;
}

}  // namespace varve::client::internal
