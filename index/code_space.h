#ifndef VARVE_INDEX_CODE_SPACE_H_
#define VARVE_INDEX_CODE_SPACE_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "index/kernels/distance.h"
#include "index/options.h"
#include "index/vector.h"

namespace varve::index {

// Codes begin at multiples of this, so that a short one touches as few cache lines as can be.
inline constexpr size_t kCodeAlignment = 32;

// What follows the codes of a vector, from the next multiple of four on. On disk.
struct CodeTail {
  float scale;
  float offset;
  float scaled_sum;      // scale times the sum of the codes
  float bias;            // what the distance from any other vector has of this one alone
  float squared_length;  // of the vector less the center
};
static_assert(sizeof(CodeTail) == 20);

// How the nodes of one segment's graph are compared: by codes, a quarter of the size of the vectors,
// from which distances are near enough to lead a walk. Whoever wants the true order compares the best
// again by their vectors.
//
// With Quantization::kInt8 each vector, less the segment's center, has a scale and an offset of its own
// (locally-adaptive vector quantization: Aguerrebere et al., "Similarity search in the blink of an eye
// with compressed indices", 2023; here with the center of a sample instead of all rows, so that nothing
// is trained and a stream can begin cold):
//
//   x[i] ~ center[i] + scale * code[i] + offset,   code[i] in -128 ... 127
//
// The distance of two such vectors comes down to one dot product of their codes and a few numbers of
// each, which lie behind the codes (CodeTail). With kNone the code is the vector as float32.
//
// Immutable; copy it freely. Thread-safe.
class CodeSpace {
 public:
  // `center`: padded_dimension() floats that outlive this, as Center makes them; null with kNone.
  CodeSpace(const VectorSpace& space, Quantization quantization, const float* center);

  // The mean of some rows, for a CodeSpace: any center is right, a near one makes for exact codes.
  static void Center(const VectorSpace& space, absl::Span<const char* const> rows, float* out);

  // The bytes of a code, a multiple of kCodeAlignment.
  size_t code_bytes() const { return code_bytes_; }
  static size_t CodeBytes(Quantization quantization, size_t dimension);

  // Makes the code of a vector (as VectorSpace::LoadQuery makes it). `code` is aligned to kCodeAlignment.
  void Encode(const float* vector, char* code) const;

  // One side of a comparison, prepared. Refers to its code.
  struct Query {
    const char* code = nullptr;
    // What the other side's numbers are multiplied with; see Distances.
    float dot = 0, sum = 0, offset = 0, bias = 0;
    float scale = 0, squared_length = 0;  // see Error
  };
  Query Prepare(const char* code) const;

  // Near the raw distances (see VectorSpace); how near: see Error. Of a damaged code any number but NaN.
  void Distances(const Query& query, const char* const* codes, size_t count, float* out) const;
  float Distance(const Query& query, const char* code) const {
    float distance;
    Distances(query, &code, 1, &distance);
    return distance;
  }

  // What a distance given by Distances may be off by, but for one in a thousand: three standard
  // deviations of the rounding of both sides' codes.
  float Error(const Query& query, const char* code, float distance) const;

  Quantization quantization() const { return quantization_; }
  const float* center() const { return center_; }

 private:
  CodeTail TailOf(const char* code) const;

  VectorSpace space_;  // of float32
  Quantization quantization_;
  const float* center_;
  double center_sum_ = 0;
  float center_bias_ = 0;  // what all distances have of the center alone
  size_t code_bytes_;
  const Kernels* kernels_;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_CODE_SPACE_H_
