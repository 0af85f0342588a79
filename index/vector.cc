#include "index/vector.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace varve::index {
namespace {

// In lanes that the compiler can keep side by side: one sum would wait for each addition.
double SquaredLength(const float* vector, size_t n) {
  constexpr size_t kLanes = 8;
  double lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] += static_cast<double>(vector[i + lane]) * vector[i + lane];
    }
  }
  for (; i < n; ++i) lanes[0] += static_cast<double>(vector[i]) * vector[i];
  return std::accumulate(lanes, lanes + kLanes, 0.0);
}

// The same of elements of another type, a piece at a time.
double SquaredLength(DType dtype, const char* bytes, size_t n) {
  constexpr size_t kPiece = 256;
  float piece[kPiece];
  double squares = 0;
  for (size_t begin = 0; begin < n; begin += kPiece) {
    const size_t count = std::min(kPiece, n - begin);
    ToFloat32(dtype, bytes + begin * SizeOf(dtype), count, piece);
    squares += SquaredLength(piece, count);
  }
  return squares;
}

}  // namespace

VectorSpace::VectorSpace(Metric metric, size_t dimension, DType element_type)
    : metric_(metric),
      dimension_(dimension),
      element_type_(element_type),
      row_bytes_(RowBytes(metric, dimension, element_type)) {
  const ElementKernels& kernels = BestKernels().Of(element_type);
  kernel_ = metric == Metric::kL2 ? kernels.squared_l2 : kernels.negated_dot;
}

size_t VectorSpace::RowBytes(Metric metric, size_t dimension, DType element_type) {
  const size_t elements = PaddedDimension(dimension) * SizeOf(element_type);
  const bool keeps_length = metric == Metric::kCosine && element_type != DType::kF32;
  return elements + (keeps_length ? kVectorPadding : 0);
}

void VectorSpace::LoadQuery(DType dtype, const char* bytes, float* out) const {
  ToFloat32(dtype, bytes, dimension_, out);
  std::fill(out + dimension_, out + padded_dimension(), 0.0f);
  if (metric_ != Metric::kCosine) return;
  const double scale = 1.0 / std::sqrt(SquaredLength(out, dimension_));
  for (size_t i = 0; i < dimension_; ++i) out[i] = static_cast<float>(out[i] * scale);
}

hwy::AlignedFreeUniquePtr<float[]> VectorSpace::LoadQuery(DType dtype, const char* bytes) const {
  auto out = hwy::AllocateAligned<float>(padded_dimension());
  LoadQuery(dtype, bytes, out.get());
  return out;
}

void VectorSpace::LoadRow(const char* bytes, char* out) const {
  if (element_type_ == DType::kF32)
    return LoadQuery(DType::kF32, bytes, reinterpret_cast<float*>(out));
  const size_t given = dimension_ * SizeOf(element_type_);
  std::memcpy(out, bytes, given);
  std::memset(out + given, 0, row_bytes_ - given);
  if (!KeepsLength()) return;
  const double length = std::sqrt(SquaredLength(element_type_, bytes, dimension_));
  const auto inverse = static_cast<float>(1.0 / length);
  std::memcpy(out + row_bytes_ - kVectorPadding, &inverse, sizeof(inverse));
}

void VectorSpace::Distances(const float* query, const char* const* rows, size_t count,
                            float* out) const {
  kernel_(query, rows, count, padded_dimension(), out);
  if (!KeepsLength()) return;
  for (size_t i = 0; i < count; ++i) {
    float inverse;
    std::memcpy(&inverse, rows[i] + row_bytes_ - kVectorPadding, sizeof(inverse));
    out[i] *= inverse;
  }
}

float VectorSpace::Report(float raw_distance) const {
  // Rounding can put a vector's cosine with itself a little above 1.
  return metric_ == Metric::kCosine ? std::max(0.0f, 1.0f + raw_distance) : raw_distance;
}

const float* RowReader::Read(const char* row) {
  if (space_.element_type() == DType::kF32) return reinterpret_cast<const float*>(row);
  if (buffer_ == nullptr) buffer_ = hwy::AllocateAligned<float>(space_.padded_dimension());
  space_.LoadQuery(space_.element_type(), row, buffer_.get());
  return buffer_.get();
}

}  // namespace varve::index
