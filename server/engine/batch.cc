#include "server/engine/batch.h"

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/cord.h"
#include "base/endian.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "metadata/attributes.h"

namespace varve::engine {
namespace {

// Vectors longer than this cannot be compared in float32: the square of a sum of two would
// overflow.
constexpr double kLengthMax = 1e18;

// Sum of squares in float32, in lanes that the compiler can keep side by side. Infinite or NaN when
// the true sum is beyond float32 or an element is not finite.
float FastSquaredLength(const float* vector, size_t n) {
  constexpr size_t kLanes = 16;
  float lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += vector[i + lane] * vector[i + lane];
  }
  for (; i < n; ++i) lanes[0] += vector[i] * vector[i];
  float sum = 0;
  for (float lane : lanes) sum += lane;
  return sum;
}

// What is wrong with a vector; empty when nothing is.
std::string VectorFault(const FieldSchema& field, const float* vector) {
  const float fast = FastSquaredLength(vector, field.dimension);
  if (fast > 1e-20f && fast < 1e30f) return "";
  double squares = 0;
  for (size_t i = 0; i < field.dimension; ++i) {
    if (!std::isfinite(vector[i])) {
      return StrCat("element ", i, " must be finite, is ", vector[i]);
    }
    squares += static_cast<double>(vector[i]) * vector[i];
  }
  if (squares > kLengthMax * kLengthMax) {
    return StrCat("the vector's length must be at most ", kLengthMax, ", is ", std::sqrt(squares));
  }
  if (field.metric == index::Metric::kCosine && squares == 0) {
    return "a zero vector has no direction: the field's metric is cosine";
  }
  return "";
}

// Reads the vectors of a tensor one at a time as float32.
class FloatReader {
 public:
  explicit FloatReader(const TensorView& tensor) : tensor_(tensor), buffer_(tensor.columns) {}
  const float* Row(size_t i) {
    const char* const row = tensor_.row(i).data();
    const bool aligned = reinterpret_cast<uintptr_t>(row) % alignof(float) == 0;
    if (tensor_.dtype == DType::kF32 && aligned) return reinterpret_cast<const float*>(row);
    ToFloat32(tensor_.dtype, row, tensor_.columns, buffer_.data());
    return buffer_.data();
  }

 private:
  const TensorView& tensor_;
  std::vector<float> buffer_;
};

// What is wrong with an id; empty when nothing is.
std::string IdFault(IdType type, std::string_view key) {
  if (type != IdType::kText || (!key.empty() && key.size() <= kTextIdBytesMax)) return "";
  return StrCat("a text id must be 1 to ", kTextIdBytesMax, " bytes, is ", key.size());
}

absl::Status BadRow(uint32_t row, std::string_view fault) {
  absl::Status status = absl::InvalidArgumentError(StrCat("row ", row, ": ", fault));
  status.SetPayload(kRowPayload, absl::Cord(StrCat(row)));
  return status;
}

absl::Status BadField(std::string_view name, std::string_view what) {
  return absl::InvalidArgumentError(StrCat("field \"", name, "\": ", what));
}

// The field that a column of vectors is for, and the vectors of each record in it.
struct CheckedField {
  const FieldSchema* schema = nullptr;
  const FieldVectorsView* column = nullptr;

  size_t begin(uint32_t row) const { return column->has_offsets ? column->offsets[row] : row; }
  size_t end(uint32_t row) const {
    return column->has_offsets ? column->offsets[row + 1] : row + 1;
  }
};

absl::Status CheckOffsets(const FieldVectorsView& column, size_t records) {
  const auto& offsets = column.offsets;
  if (offsets.size() != records + 1 || offsets.front() != 0 ||
      offsets.back() != column.vectors.rows || !std::is_sorted(offsets.begin(), offsets.end())) {
    return BadField(column.field,
                    StrCat("offsets must be ", records + 1, " numbers that ascend from 0 to the ",
                           column.vectors.rows, " vectors of the tensor, are ", offsets.size()));
  }
  return absl::OkStatus();
}

absl::Status CheckShape(const FieldSchema& field, const FieldVectorsView& column, size_t records) {
  const TensorView& vectors = column.vectors;
  if (column.has_offsets != field.multi_vector) {
    return BadField(field.name, field.multi_vector
                                    ? "a record has several vectors: offsets must say which"
                                    : "a record has one vector: there must be no offsets");
  }
  if (field.multi_vector) {
    VARVE_RETURN_IF_ERROR(CheckOffsets(column, records));
  } else if (vectors.rows != records) {
    return BadField(field.name, StrCat(vectors.rows, " vectors for ", records, " ids"));
  }
  if (vectors.rows == 0) return absl::OkStatus();
  if (vectors.columns != field.dimension) {
    return absl::InvalidArgumentError(StrCat("field \"", field.name, "\" has dimension ",
                                             field.dimension, ", the vectors have ",
                                             vectors.columns));
  }
  if (field.element_type != DType::kF32 && vectors.dtype != field.element_type) {
    return absl::InvalidArgumentError(
        StrCat("field \"", field.name, "\" has element type ", DTypeName(field.element_type),
               " and takes that alone, the tensor is ", DTypeName(vectors.dtype)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<CheckedField>> CheckFields(const NamespaceSchema& schema,
                                                      const RecordsView& records) {
  const size_t count = records.ids.size();
  std::vector<CheckedField> fields;
  for (const FieldVectorsView& column : records.fields) {
    const auto field = std::find_if(schema.fields.begin(), schema.fields.end(),
                                    [&](const FieldSchema& f) { return f.name == column.field; });
    if (field == schema.fields.end()) {
      return absl::InvalidArgumentError(StrCat("there is no vector field \"", column.field, "\""));
    }
    for (const CheckedField& other : fields) {
      if (other.schema == &*field) return BadField(field->name, "is in the batch twice");
    }
    VARVE_RETURN_IF_ERROR(CheckShape(*field, column, count));
    fields.push_back({&*field, &column});
  }
  if (fields.empty() && count > 0) {
    return absl::InvalidArgumentError("a batch must have the vectors of at least one field");
  }
  const auto check = [&](std::string_view what, size_t found) {
    if (found == 0 || found == count) return absl::OkStatus();
    return absl::InvalidArgumentError(StrCat(found, " ", what, " for ", count, " ids"));
  };
  VARVE_RETURN_IF_ERROR(check("records' metadata", records.attributes.size()));
  VARVE_RETURN_IF_ERROR(check("times of expiry", records.expires_at.size()));
  return fields;
}

// Reads one field of a batch.
struct FieldReader {
  CheckedField field;
  FloatReader reader;
};

std::string VectorsFault(uint32_t row, FieldReader* in) {
  const FieldSchema& schema = *in->field.schema;
  const size_t begin = in->field.begin(row), end = in->field.end(row);
  const std::string prefix = schema.name.empty() ? "" : StrCat("field \"", schema.name, "\": ");
  if (schema.multi_vector && (begin == end || end - begin > kVectorsPerRecordMax)) {
    return StrCat(prefix, "a record must have 1 to ", kVectorsPerRecordMax, " vectors, has ",
                  end - begin);
  }
  for (size_t i = begin; i < end; ++i) {
    const std::string fault = VectorFault(schema, in->reader.Row(i));
    if (fault.empty()) continue;
    return schema.multi_vector ? StrCat(prefix, "vector ", i - begin, ": ", fault)
                               : StrCat(prefix, fault);
  }
  return "";
}

// What is wrong with one row of a batch; empty when nothing is.
class RowCheck {
 public:
  RowCheck(const NamespaceSchema& schema, const RecordsView& records,
           const std::vector<CheckedField>& fields)
      : schema_(schema), records_(records) {
    for (const CheckedField& field : fields) {
      readers_.push_back({field, FloatReader(field.column->vectors)});
    }
  }

  // Rows in order.
  std::string Fault(uint32_t row, std::string_view key) {
    while (next_fault_ < records_.attribute_faults.size() &&
           records_.attribute_faults[next_fault_].row < row) {
      ++next_fault_;
    }
    if (next_fault_ < records_.attribute_faults.size() &&
        records_.attribute_faults[next_fault_].row == row) {
      return records_.attribute_faults[next_fault_].message;
    }
    std::string fault = IdFault(records_.ids.type, key);
    for (FieldReader& reader : readers_) {
      if (fault.empty()) fault = VectorsFault(row, &reader);
    }
    if (fault.empty() && !records_.attributes.empty()) {
      fault = AttributesFault(schema_, records_.attributes[row]);
    }
    return fault;
  }

 private:
  const NamespaceSchema& schema_;
  const RecordsView& records_;
  std::vector<FieldReader> readers_;
  size_t next_fault_ = 0;
};

}  // namespace

std::string AttributesFault(const NamespaceSchema& schema, std::string_view encoded) {
  if (schema.attributes.empty()) return "";
  metadata::AttributeReader reader(encoded);
  metadata::AttributeView attribute;
  while (reader.Next(&attribute)) {
    const auto declared = std::find_if(
        schema.attributes.begin(), schema.attributes.end(),
        [&](const AttributeSchema& wanted) { return wanted.path == attribute.path(); });
    if (declared == schema.attributes.end()) continue;
    const auto wanted = [&](std::string_view found) {
      return StrCat("attribute \"", attribute.path(), "\" must be ",
                    declared->is_list ? "a list of " : "", metadata::ValueTypeName(declared->type),
                    ", is ", found);
    };
    if (attribute.is_list() != declared->is_list) {
      return wanted(attribute.is_list() ? "a list" : "no list");
    }
    std::string fault;
    attribute.ForEach([&](const metadata::ValueView& value) {
      if (value.type != declared->type) fault = wanted(metadata::ValueTypeName(value.type));
      return fault.empty();
    });
    if (!fault.empty()) return fault;
  }
  return "";
}

EncodedIds::EncodedIds(const IdsView& ids) {
  if (ids.type == IdType::kText) {
    keys_.assign(ids.texts.begin(), ids.texts.end());
    return;
  }
  numbers_.resize(ids.numbers.size() * sizeof(uint64_t));
  keys_.reserve(ids.numbers.size());
  for (size_t i = 0; i < ids.numbers.size(); ++i) {
    char* key = numbers_.data() + i * sizeof(uint64_t);
    StoreBigEndian64(key, ids.numbers[i]);
    keys_.emplace_back(key, sizeof(uint64_t));
  }
}

absl::Status AppendDecodedId(IdType type, std::string_view key, IdList* ids) {
  ids->type = type;
  if (type == IdType::kText) {
    ids->texts.emplace_back(key);
    return absl::OkStatus();
  }
  if (key.size() != sizeof(uint64_t)) {
    return absl::DataLossError(
        StrCat("a numeric id is stored in ", sizeof(uint64_t), " bytes, found ", key.size()));
  }
  ids->numbers.push_back(LoadBigEndian64(key.data()));
  return absl::OkStatus();
}

absl::StatusOr<CheckedBatch> CheckBatch(const NamespaceSchema& schema, const RecordsView& records,
                                        const std::vector<std::string_view>& keys,
                                        OnError on_error) {
  VARVE_ASSIGN_OR_RETURN(const auto fields, CheckFields(schema, records));
  CheckedBatch batch;
  batch.rows.reserve(keys.size());
  RowCheck check(schema, records, fields);
  for (uint32_t row = 0; row < keys.size(); ++row) {
    std::string fault = check.Fault(row, keys[row]);
    if (fault.empty()) {
      batch.rows.push_back(row);
    } else if (on_error == OnError::kSkip) {
      batch.errors.push_back({row, std::move(fault)});
    } else {
      return BadRow(row, fault);
    }
  }
  // The last of equal ids wins: going backwards, it is the first that is met.
  absl::flat_hash_set<std::string_view> seen;
  seen.reserve(batch.rows.size());
  for (auto row = batch.rows.rbegin(); row != batch.rows.rend(); ++row) {
    if (!seen.insert(keys[*row]).second) batch.superseded.push_back(*row);
  }
  if (batch.superseded.empty()) return batch;
  std::reverse(batch.superseded.begin(), batch.superseded.end());
  std::vector<uint32_t> kept;
  kept.reserve(batch.rows.size() - batch.superseded.size());
  std::set_difference(batch.rows.begin(), batch.rows.end(), batch.superseded.begin(),
                      batch.superseded.end(), std::back_inserter(kept));
  batch.rows = std::move(kept);
  return batch;
}

TensorView InElementType(const FieldSchema& field, const TensorView& vectors, std::string* buffer) {
  if (vectors.dtype == field.element_type) return vectors;
  const size_t elements = vectors.rows * vectors.columns;
  buffer->resize(elements * sizeof(float));
  ToFloat32(vectors.dtype, vectors.bytes.data(), elements,
            reinterpret_cast<float*>(buffer->data()));
  return {.dtype = DType::kF32, .rows = vectors.rows, .columns = vectors.columns, .bytes = *buffer};
}

absl::Status CheckVectors(const FieldSchema& field, const TensorView& vectors,
                          std::string_view what) {
  if (vectors.columns != field.dimension) {
    return absl::InvalidArgumentError(StrCat("field \"", field.name, "\" has dimension ",
                                             field.dimension, ", the ", what, " has ",
                                             vectors.columns));
  }
  FloatReader reader(vectors);
  for (size_t row = 0; row < vectors.rows; ++row) {
    if (std::string fault = VectorFault(field, reader.Row(row)); !fault.empty()) {
      return absl::InvalidArgumentError(StrCat(what, " ", row, ": ", fault));
    }
  }
  return absl::OkStatus();
}

}  // namespace varve::engine
