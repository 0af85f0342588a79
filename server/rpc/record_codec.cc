#include "server/rpc/record_codec.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/tensor_codec.h"

namespace varve::server {

absl::Status DecodedIds::Decode(const v1::Ids& ids, std::string_view field) {
  switch (ids.kind_case()) {
    case v1::Ids::kNumbers:
      type_ = engine::IdType::kNumber;
      numbers_ = absl::MakeConstSpan(ids.numbers().values().data(),
                                     static_cast<size_t>(ids.numbers().values_size()));
      return absl::OkStatus();
    case v1::Ids::kTexts:
      type_ = engine::IdType::kText;
      texts_.assign(ids.texts().values().begin(), ids.texts().values().end());
      return absl::OkStatus();
    case v1::Ids::KIND_NOT_SET:
      break;
  }
  return BadField(field, "must hold numbers or texts, holds neither");
}

engine::IdsView DecodedIds::view() const {
  return {.type = type_, .numbers = numbers_, .texts = texts_};
}

namespace {

absl::StatusOr<engine::FieldVectorsView> DecodeFieldVectors(const v1::FieldVectors& in,
                                                            const std::string& field) {
  engine::FieldVectorsView out{.field = in.field()};
  switch (in.vectors_case()) {
    case v1::FieldVectors::kDense: {
      VARVE_ASSIGN_OR_RETURN(out.vectors, DecodeMatrix(in.dense(), field + ".dense"));
      return out;
    }
    case v1::FieldVectors::kRagged: {
      VARVE_ASSIGN_OR_RETURN(out.vectors,
                             DecodeMatrix(in.ragged().vectors(), field + ".ragged.vectors"));
      out.has_offsets = true;
      out.offsets = absl::MakeConstSpan(in.ragged().offsets().data(),
                                        static_cast<size_t>(in.ragged().offsets_size()));
      return out;
    }
    case v1::FieldVectors::VECTORS_NOT_SET:
      break;
  }
  return BadField(field, "must hold vectors, dense or ragged, holds neither");
}

}  // namespace

absl::Status DecodedRecords::Decode(const v1::RecordBatch& batch) {
  VARVE_RETURN_IF_ERROR(ids_.Decode(batch.ids(), "records.ids"));
  const size_t records = ids_.view().size();
  for (int i = 0; i < batch.fields_size(); ++i) {
    VARVE_ASSIGN_OR_RETURN(engine::FieldVectorsView field,
                           DecodeFieldVectors(batch.fields(i), StrCat("records.fields[", i, "]")));
    fields_.push_back(field);
  }
  VARVE_RETURN_IF_ERROR(metadata_.Decode(batch, records));
  const int times = batch.expire_times_size();
  if (times > 1 && times != records) {
    return BadField("records.expire_times", StrCat("must be one for each of the ", records,
                                                   " records, one for all, or none, are ", times));
  }
  for (int i = 0; i < times; ++i) {
    VARVE_ASSIGN_OR_RETURN(
        const int64_t micros,
        DecodeTimestamp(batch.expire_times(i), StrCat("records.expire_times[", i, "]")));
    expires_at_.push_back(micros);
  }
  if (times == 1) expires_at_.resize(records, expires_at_.front());
  return absl::OkStatus();
}

engine::RecordsView DecodedRecords::view() const {
  return {.ids = ids_.view(),
          .fields = fields_,
          .attributes = metadata_.attributes(),
          .attribute_faults = metadata_.faults(),
          .expires_at = expires_at_};
}

void EncodeIds(engine::IdList ids, v1::Ids* out) {
  if (ids.type == engine::IdType::kText) {
    auto* texts = out->mutable_texts()->mutable_values();
    texts->Reserve(static_cast<int>(ids.texts.size()));
    for (std::string& text : ids.texts) *texts->Add() = std::move(text);
  } else {
    out->mutable_numbers()->mutable_values()->Add(ids.numbers.begin(), ids.numbers.end());
  }
}

void EncodeId(const engine::IdList& ids, size_t i, v1::Id* out) {
  if (ids.type == engine::IdType::kText) {
    out->set_text(ids.texts[i]);
  } else {
    out->set_number(ids.numbers[i]);
  }
}

absl::Status EncodeRecords(engine::RecordList records, v1::RecordBatch* out) {
  const size_t count = records.ids.size();
  for (engine::FieldVectorsList& field : records.fields) {
    v1::FieldVectors* added = out->add_fields();
    added->set_field(field.field);
    added->mutable_missing()->Add(field.missing.begin(), field.missing.end());
    if (field.has_offsets) {
      EncodeMatrix(field.dtype, field.offsets.back(), field.dimension, std::move(field.bytes),
                   added->mutable_ragged()->mutable_vectors());
      added->mutable_ragged()->mutable_offsets()->Add(field.offsets.begin(), field.offsets.end());
    } else {
      EncodeMatrix(field.dtype, count, field.dimension, std::move(field.bytes),
                   added->mutable_dense());
    }
  }
  for (const std::string& attributes : records.attributes) {
    VARVE_RETURN_IF_ERROR(EncodeMetadata(attributes, out->add_metadata()));
  }
  const bool any_expires =
      std::any_of(records.expires_at.begin(), records.expires_at.end(),
                  [](int64_t micros) { return micros != storage::kNeverExpires; });
  for (const int64_t micros : records.expires_at) {
    if (!any_expires) break;
    auto* const time = out->add_expire_times();  // not set: never
    if (micros != storage::kNeverExpires) EncodeTimestamp(micros, time);
  }
  EncodeIds(std::move(records.ids), out->mutable_ids());
  return absl::OkStatus();
}

void EncodeRecordVectors(const engine::RecordList& records, size_t i,
                         google::protobuf::RepeatedPtrField<v1::FieldVectors>* out) {
  for (const engine::FieldVectorsList& field : records.fields) {
    if (std::binary_search(field.missing.begin(), field.missing.end(), i)) continue;
    const size_t begin = field.has_offsets ? field.offsets[i] : i;
    const size_t end = field.has_offsets ? field.offsets[i + 1] : i + 1;
    const size_t row_bytes = field.dimension * SizeOf(field.dtype);
    v1::FieldVectors* added = out->Add();
    added->set_field(field.field);
    EncodeMatrix(field.dtype, end - begin, field.dimension,
                 field.bytes.substr(begin * row_bytes, (end - begin) * row_bytes),
                 added->mutable_dense());
  }
}

}  // namespace varve::server
