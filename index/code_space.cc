#include "index/code_space.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace varve::index {
namespace {

constexpr double kStepsMax = 255;  // from the least code to the greatest

constexpr float kFarthest = std::numeric_limits<float>::max();

// Distances are worked out in pieces of as many rows.
constexpr size_t kRowsPerPiece = 64;

// A number that is no float32 any more is the largest that is.
float Narrow(double value) {
  return static_cast<float>(std::clamp<double>(value, -kFarthest, kFarthest));
}

// From a vector as long as that, everything is farthest.
float SquaredOrInfinite(double squared_length) {
  return squared_length < kFarthest ? static_cast<float>(squared_length)
                                    : std::numeric_limits<float>::infinity();
}

size_t TailBegin(size_t dimension) {
  return (dimension + sizeof(float) - 1) / sizeof(float) * sizeof(float);
}

}  // namespace

CodeSpace::CodeSpace(const VectorSpace& space, Quantization quantization, const float* center)
    : space_(space.metric(), space.dimension(), DType::kF32),
      quantization_(quantization),
      center_(center),
      code_bytes_(CodeBytes(quantization, space.dimension())),
      kernels_(&BestKernels()) {
  if (quantization == Quantization::kNone || space.metric() == Metric::kL2) return;
  double squares = 0;
  for (size_t i = 0; i < space.dimension(); ++i) {
    center_sum_ += center[i];
    squares += double{center[i]} * center[i];
  }
  center_bias_ = Narrow(-squares);
}

size_t CodeSpace::CodeBytes(Quantization quantization, size_t dimension) {
  if (quantization == Quantization::kNone) return PaddedDimension(dimension) * sizeof(float);
  const size_t bytes = TailBegin(dimension) + sizeof(CodeTail);
  return (bytes + kCodeAlignment - 1) / kCodeAlignment * kCodeAlignment;
}

void CodeSpace::Center(const VectorSpace& space, absl::Span<const char* const> rows, float* out) {
  std::fill_n(out, space.padded_dimension(), 0.0f);
  if (rows.empty()) return;
  const double share = 1.0 / static_cast<double>(rows.size());
  RowReader reader(space);
  for (const char* row : rows) {
    const float* const vector = reader.Read(row);
    for (size_t i = 0; i < space.dimension(); ++i) {
      out[i] += static_cast<float>(vector[i] * share);
    }
  }
}

void CodeSpace::Encode(const float* vector, char* code) const {
  if (quantization_ == Quantization::kNone) {
    std::memcpy(code, vector, code_bytes_);
    return;
  }
  const size_t n = space_.dimension();
  const Range range = kernels_->range(vector, center_, n);
  const double scale = (double{range.high} - range.low) / kStepsMax;
  // Of a vector whose elements are all the same, every code is -128.
  const float steps_per_unit = scale > 0 ? Narrow(1.0 / scale) : 0.0f;
  auto* const codes = reinterpret_cast<int8_t*>(code);
  const CodeSums sums = kernels_->encode(vector, center_, n, range.low, steps_per_unit, codes);
  std::fill(codes + n, codes + code_bytes_, int8_t{0});

  const double offset = range.low + 128.0 * scale;
  const double scaled_sum = scale * sums.codes;
  int32_t shifted_squares;  // sum of (code + 128) * code
  kernels_->code_dots(codes, &codes, 1, n, &shifted_squares);
  const double squares = shifted_squares - 128.0 * sums.codes;
  // Of the vector that the codes say, not of the one they were made of.
  const double squared_length =
      scale * scale * squares + 2 * offset * scaled_sum + offset * offset * static_cast<double>(n);
  const float bias = space_.metric() == Metric::kL2
                         ? SquaredOrInfinite(squared_length)
                         : Narrow(-(scale * sums.times_center + offset * center_sum_));
  const CodeTail tail = {.scale = Narrow(scale),
                         .offset = Narrow(offset),
                         .scaled_sum = Narrow(scaled_sum),
                         .bias = bias,
                         .squared_length = Narrow(squared_length)};
  std::memcpy(code + TailBegin(n), &tail, sizeof(tail));
}

CodeTail CodeSpace::TailOf(const char* code) const {
  CodeTail tail;
  std::memcpy(&tail, code + TailBegin(space_.dimension()), sizeof(tail));
  return tail;
}

CodeSpace::Query CodeSpace::Prepare(const char* code) const {
  Query query = {.code = code};
  if (quantization_ == Quantization::kNone) return query;
  const CodeTail tail = TailOf(code);
  // The kernel takes the codes of this side as if they were larger by 128.
  const float shifted_offset = tail.offset - 128.0f * tail.scale;
  const float total = tail.scaled_sum + tail.offset * static_cast<float>(space_.dimension());
  const float weight = space_.metric() == Metric::kL2 ? -2.0f : -1.0f;
  query.dot = weight * tail.scale;
  query.sum = weight * shifted_offset;
  query.offset = weight * total;
  query.bias = tail.bias + center_bias_;
  query.scale = tail.scale;
  query.squared_length = tail.squared_length;
  return query;
}

void CodeSpace::Distances(const Query& query, const char* const* codes, size_t count,
                          float* out) const {
  if (quantization_ == Quantization::kNone) {
    const auto* const vector = reinterpret_cast<const float*>(query.code);
    return space_.Distances(vector, codes, count, out);
  }
  const size_t n = space_.dimension();
  const auto* const query_codes = reinterpret_cast<const int8_t*>(query.code);
  int32_t dots[kRowsPerPiece];
  for (size_t begin = 0; begin < count; begin += kRowsPerPiece) {
    const size_t rows = std::min(count - begin, kRowsPerPiece);
    kernels_->code_dots(query_codes, reinterpret_cast<const int8_t* const*>(codes + begin), rows, n,
                        dots);
    for (size_t i = 0; i < rows; ++i) {
      const CodeTail tail = TailOf(codes[begin + i]);
      const float distance = query.dot * tail.scale * static_cast<float>(dots[i]) +
                             query.sum * tail.scaled_sum + query.offset * tail.offset + query.bias +
                             tail.bias;
      out[begin + i] =
          distance < kFarthest ? std::max(distance, -kFarthest) : kFarthest;  // not NaN
    }
  }
}

float CodeSpace::Error(const Query& query, const char* code, float distance) const {
  if (quantization_ == Quantization::kNone) return 0;
  constexpr float kDeviations = 3;
  const CodeTail tail = TailOf(code);
  // Rounding to whole steps is off by a step / sqrt(12) in each dimension. What counts of it is its part
  // along the difference of the two vectors, and its own length ...
  const float query_variance = query.scale * query.scale / 12;
  const float variance = tail.scale * tail.scale / 12;
  if (space_.metric() == Metric::kL2) {
    const float both = query_variance + variance;
    return kDeviations * 2 * std::sqrt(std::max(distance, 0.0f) * both) +
           both * static_cast<float>(space_.dimension());
  }
  // ... or along the other vector.
  return kDeviations *
         std::sqrt(query.squared_length * variance + tail.squared_length * query_variance);
}

}  // namespace varve::index
