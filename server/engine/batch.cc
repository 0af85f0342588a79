#include "server/engine/batch.h"

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/cord.h"
#include "base/endian.h"
#include "base/status_macros.h"
#include "base/str_cat.h"

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

absl::Status CheckShape(const FieldSchema& field, const RecordsView& records) {
  const TensorView& vectors = records.vectors;
  if (records.field != field.name) {
    return absl::InvalidArgumentError(StrCat("there is no vector field \"", records.field, "\""));
  }
  if (vectors.rows != records.ids.size()) {
    return absl::InvalidArgumentError(StrCat("field \"", field.name, "\": ", vectors.rows,
                                             " vectors for ", records.ids.size(), " ids"));
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

}  // namespace

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

absl::StatusOr<CheckedBatch> CheckBatch(const FieldSchema& field, const RecordsView& records,
                                        const std::vector<std::string_view>& keys,
                                        OnError on_error) {
  VARVE_RETURN_IF_ERROR(CheckShape(field, records));
  CheckedBatch batch;
  batch.rows.reserve(keys.size());
  FloatReader reader(records.vectors);
  for (uint32_t row = 0; row < keys.size(); ++row) {
    std::string fault = IdFault(records.ids.type, keys[row]);
    if (fault.empty()) fault = VectorFault(field, reader.Row(row));
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
