#ifndef VARVE_CLIENTS_CPP_VARVE_TENSOR_H_
#define VARVE_CLIENTS_CPP_VARVE_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/tensor.h"

namespace varve::client {

// DType (kF32, kF16, kBF16, kU8, kI8) and TensorView ([rows, columns] in someone else's memory).
using varve::DType;
using varve::DTypeName;
using varve::SizeOf;
using varve::TensorView;

// A matrix of vectors that owns its bytes: row-major, little-endian, bytes.size() == rows * columns
// * SizeOf(dtype). Without vectors rows is 0.
struct Tensor {
  DType dtype = DType::kF32;
  size_t rows = 0;
  size_t columns = 0;
  std::string bytes;

  TensorView view() const { return {dtype, rows, columns, bytes}; }
};

// Views of vectors that lie one behind the other in `values`, each of `dimension` elements. The
// view points into `values`. values.size() must be a multiple of `dimension`: calls refuse a view
// that is not with InvalidArgument.
TensorView View(absl::Span<const float> values, size_t dimension);
TensorView View(absl::Span<const uint8_t> values, size_t dimension);
TensorView View(absl::Span<const int8_t> values, size_t dimension);
// IEEE 754 binary16 and bfloat16, as bits.
TensorView ViewF16(absl::Span<const uint16_t> bits, size_t dimension);
TensorView ViewBF16(absl::Span<const uint16_t> bits, size_t dimension);

// InvalidArgument, with both numbers, unless the bytes are exactly those of [rows, columns].
absl::Status CheckTensor(const TensorView& tensor);

// All elements as float32, exactly.
std::vector<float> ToFloats(const TensorView& tensor);

}  // namespace varve::client

#endif  // VARVE_CLIENTS_CPP_VARVE_TENSOR_H_
