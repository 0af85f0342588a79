#include "server/rpc/record_codec.h"

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

absl::Status DecodedRecords::Decode(const v1::RecordBatch& batch) {
  VARVE_RETURN_IF_ERROR(ids_.Decode(batch.ids(), "records.ids"));
  if (batch.fields_size() != 1) {
    return BadField("records.fields",
                    StrCat("must have one entry for each vector field of the namespace (1), "
                           "has ",
                           batch.fields_size()));
  }
  const v1::FieldVectors& field = batch.fields(0);
  if (!field.has_dense()) {
    return BadField("records.fields[0].dense", "must be set: there are no other vectors yet");
  }
  field_ = field.field();
  VARVE_ASSIGN_OR_RETURN(vectors_, DecodeMatrix(field.dense(), "records.fields[0].dense"));
  return absl::OkStatus();
}

engine::RecordsView DecodedRecords::view() const {
  return {.ids = ids_.view(), .field = field_, .vectors = vectors_};
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

void EncodeRecords(engine::RecordList records, bool include_vectors, v1::RecordBatch* out) {
  if (include_vectors) {
    v1::FieldVectors* field = out->add_fields();
    EncodeMatrix(records.dtype, records.ids.size(), records.dimension, std::move(records.vectors),
                 field->mutable_dense());
  }
  EncodeIds(std::move(records.ids), out->mutable_ids());
}

}  // namespace varve::server
