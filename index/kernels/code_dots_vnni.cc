#include "index/kernels/code_dots_vnni.h"

#if defined(__x86_64__)

#include <immintrin.h>

namespace varve::index {
namespace {

#define VARVE_VNNI __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

constexpr size_t kCodesPerStep = 64;
constexpr size_t kRowsAtOnce = 4;

// Rows are far apart and met in no order: their lines are fetched this many rows ahead.
constexpr size_t kRowsAhead = 8;
constexpr size_t kBytesBehind = 20;

// With what follows the codes, which is wanted right after.
VARVE_VNNI inline void Prefetch(const int8_t* row, size_t n) {
  for (size_t i = 0; i < n + kBytesBehind; i += 64)
    _mm_prefetch(reinterpret_cast<const char*>(row + i), _MM_HINT_T0);
}

VARVE_VNNI inline __m512i LoadShifted(__mmask64 mask, const int8_t* codes) {
  return _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, codes), _mm512_set1_epi8(-128));
}

VARVE_VNNI inline __m128i HalfSums(__m512i sum) {
  const __m256i half =
      _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

VARVE_VNNI void DotsOfFour(const int8_t* a, const int8_t* const* b, size_t n, int32_t* out) {
  const int8_t *b0 = b[0], *b1 = b[1], *b2 = b[2], *b3 = b[3];
  __m512i sum0 = _mm512_setzero_si512(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  size_t i = 0;
  for (; i + kCodesPerStep <= n; i += kCodesPerStep) {
    const __m512i x = _mm512_xor_si512(_mm512_loadu_si512(a + i), _mm512_set1_epi8(-128));
    sum0 = _mm512_dpbusd_epi32(sum0, x, _mm512_loadu_si512(b0 + i));
    sum1 = _mm512_dpbusd_epi32(sum1, x, _mm512_loadu_si512(b1 + i));
    sum2 = _mm512_dpbusd_epi32(sum2, x, _mm512_loadu_si512(b2 + i));
    sum3 = _mm512_dpbusd_epi32(sum3, x, _mm512_loadu_si512(b3 + i));
  }
  if (i < n) {
    const __mmask64 mask = (uint64_t{1} << (n - i)) - 1;
    const __m512i x = LoadShifted(mask, a + i);
    sum0 = _mm512_dpbusd_epi32(sum0, x, _mm512_maskz_loadu_epi8(mask, b0 + i));
    sum1 = _mm512_dpbusd_epi32(sum1, x, _mm512_maskz_loadu_epi8(mask, b1 + i));
    sum2 = _mm512_dpbusd_epi32(sum2, x, _mm512_maskz_loadu_epi8(mask, b2 + i));
    sum3 = _mm512_dpbusd_epi32(sum3, x, _mm512_maskz_loadu_epi8(mask, b3 + i));
  }
  // Pairs of sums are added until each lane holds one row's.
  const __m128i sums01 = _mm_hadd_epi32(HalfSums(sum0), HalfSums(sum1));
  const __m128i sums23 = _mm_hadd_epi32(HalfSums(sum2), HalfSums(sum3));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_hadd_epi32(sums01, sums23));
}

VARVE_VNNI int32_t DotOfOne(const int8_t* a, const int8_t* b, size_t n) {
  __m512i sum = _mm512_setzero_si512();
  size_t i = 0;
  for (; i + kCodesPerStep <= n; i += kCodesPerStep) {
    const __m512i x = _mm512_xor_si512(_mm512_loadu_si512(a + i), _mm512_set1_epi8(-128));
    sum = _mm512_dpbusd_epi32(sum, x, _mm512_loadu_si512(b + i));
  }
  if (i < n) {
    const __mmask64 mask = (uint64_t{1} << (n - i)) - 1;
    sum = _mm512_dpbusd_epi32(sum, LoadShifted(mask, a + i), _mm512_maskz_loadu_epi8(mask, b + i));
  }
  return _mm512_reduce_add_epi32(sum);
}

VARVE_VNNI void CodeDots(const int8_t* a, const int8_t* const* b, size_t count, size_t n,
                         int32_t* out) {
  for (size_t row = 0; row < count && row < kRowsAhead; ++row) Prefetch(b[row], n);
  size_t row = 0;
  for (; row + kRowsAtOnce <= count; row += kRowsAtOnce) {
    for (size_t next = row + kRowsAhead; next < count && next < row + kRowsAhead + kRowsAtOnce;
         ++next) {
      Prefetch(b[next], n);
    }
    DotsOfFour(a, b + row, n, out + row);
  }
  for (; row < count; ++row) out[row] = DotOfOne(a, b[row], n);
}

#undef VARVE_VNNI

}  // namespace

CodeDotsFunction CodeDotsVnni() {
  const bool supported = __builtin_cpu_supports("avx512vnni") &&
                         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vl");
  return supported ? &CodeDots : nullptr;
}

}  // namespace varve::index

#else

namespace varve::index {

CodeDotsFunction CodeDotsVnni() { return nullptr; }

}  // namespace varve::index

#endif
