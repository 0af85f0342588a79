#include "server/engine/record_assembler.h"

#include <numeric>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "metadata/attributes.h"
#include "server/engine/index_rows.h"

namespace varve::engine {
namespace {

absl::Status AppendVectors(const FieldSchema& field, std::string_view vectors, uint32_t position,
                           FieldVectorsList* list) {
  const size_t vector_bytes = IndexRows::VectorBytes(field);
  const bool whole = vectors.empty() || (field.multi_vector ? vectors.size() % vector_bytes == 0
                                                            : vectors.size() == vector_bytes);
  if (!whole) {
    return absl::DataLossError(StrCat("a stored vector of field \"", field.name, "\" has ",
                                      vectors.size(), " bytes, wanted ", vector_bytes));
  }
  if (vectors.empty()) list->missing.push_back(position);
  list->bytes.append(vectors);
  if (field.multi_vector) {
    list->offsets.push_back(list->bytes.size() / vector_bytes);
  } else if (vectors.empty()) {
    list->bytes.append(vector_bytes, '\0');
  }
  return absl::OkStatus();
}

}  // namespace

RecordAssembler::RecordAssembler(const NamespaceSchema& schema, const RecordMask& include)
    : schema_(schema), include_(include) {
  if (!include.vectors) return;
  fields_.resize(schema.fields.size());
  std::iota(fields_.begin(), fields_.end(), storage::kDefaultField);
}

absl::Status RecordAssembler::Append(const storage::StoredRecord& record,
                                     RecordList* records) const {
  if (include_.vectors && records->fields.empty()) {
    for (const FieldSchema& field : schema_.fields) {
      records->fields.push_back({.field = field.name,
                                 .dtype = field.element_type,
                                 .dimension = field.dimension,
                                 .has_offsets = field.multi_vector});
      if (field.multi_vector) records->fields.back().offsets.push_back(0);
    }
  }
  const auto position = static_cast<uint32_t>(records->appended++);
  for (size_t i = 0; i < fields_.size(); ++i) {
    VARVE_RETURN_IF_ERROR(
        AppendVectors(schema_.fields[i], record.vectors[i], position, &records->fields[i]));
  }
  if (!include_.metadata) return absl::OkStatus();
  records->expires_at.push_back(record.expires_at);
  records->attributes.push_back(
      include_.paths.empty() ? record.attributes
                             : metadata::SelectAttributes(record.attributes, include_.paths));
  return absl::OkStatus();
}

}  // namespace varve::engine
