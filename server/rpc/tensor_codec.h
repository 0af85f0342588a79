#ifndef VARVE_SERVER_RPC_TENSOR_CODEC_H_
#define VARVE_SERVER_RPC_TENSOR_CODEC_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/tensor.h"
#include "varve/v1/tensor.pb.h"

namespace varve::server {

// The wire's tensors as views, and back. Reading checks the shape of what was sent (dtype, rank,
// extents, exact number of bytes), all before anything is allocated; what the values mean is for
// the engine. Views point into the message. `field` is what errors call the tensor, "query" for
// example.

// InvalidArgument with the whole of `field`: DTYPE_UNSPECIFIED, or a type this server does not
// know.
absl::StatusOr<DType> DecodeDType(v1::Dtype dtype, std::string_view field);
v1::Dtype EncodeDType(DType dtype);

// A tensor of shape [rows, columns].
absl::StatusOr<TensorView> DecodeMatrix(const v1::Tensor& tensor, std::string_view field);
// A tensor of shape [columns], as one row.
absl::StatusOr<TensorView> DecodeVector(const v1::Tensor& tensor, std::string_view field);

void EncodeMatrix(DType dtype, size_t rows, size_t columns, std::string bytes, v1::Tensor* tensor);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_TENSOR_CODEC_H_
