#include "index/kernels/distance.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/aligned_allocator.h"

namespace varve::index {
namespace {

// Runs `body` once for every instruction set that this machine can run.
template <typename Body>
void ForEachTarget(Body body) {
  for (const Kernels& kernels : SupportedKernels()) {
    SCOPED_TRACE(kernels.name);
    body(kernels);
  }
}

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kU8, DType::kI8};

// Bytes that are finite elements of a type, of any size and sign, subnormals too.
void FillWithElements(DType type, size_t n, std::mt19937* random, char* out) {
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < n; ++i) {
    const float value = normal(*random);
    uint32_t bits = std::bit_cast<uint32_t>(value);
    if (type == DType::kBF16) bits >>= 16;
    if (type == DType::kF16) {
      bits = (*random)() & 0xffff;
      if ((bits & 0x7c00) >= 0x5000) bits &= 0x83ff;  // not so large that the rest does not count
    }
    if (type == DType::kU8 || type == DType::kI8) bits = (*random)() & 0xff;
    std::memcpy(out + i * SizeOf(type), &bits, SizeOf(type));
  }
}

TEST(DistanceTest, EveryTargetAgreesWithDoublePrecisionOnEveryTypeAndPaddedLength) {
  constexpr size_t kCount = 7;
  std::mt19937 random(1);
  for (const DType type : kTypes) {
    SCOPED_TRACE(DTypeName(type));
    // Rows of narrow elements have no alignment.
    const size_t unaligned = type == DType::kF32 ? 0 : SizeOf(type);
    for (size_t n = kVectorPadding; n <= 1104; n += kVectorPadding) {
      auto a = hwy::AllocateAligned<float>(n);
      FillWithElements(DType::kF32, n, &random, reinterpret_cast<char*>(a.get()));
      auto bytes = hwy::AllocateAligned<char>(kCount * n * SizeOf(type) + unaligned);
      FillWithElements(type, kCount * n, &random, bytes.get() + unaligned);
      std::vector<const char*> rows;
      std::vector<double> l2(kCount), dot(kCount), scale(kCount);
      for (size_t row = 0; row < kCount; ++row) {
        rows.push_back(bytes.get() + unaligned + row * n * SizeOf(type));
        std::vector<float> b(n);
        ToFloat32(type, rows[row], n, b.data());
        for (size_t i = 0; i < n; ++i) {
          const double x = a[i], y = b[i];
          l2[row] += (x - y) * (x - y);
          dot[row] += x * y;
          scale[row] += std::abs(x * y);
        }
      }
      ForEachTarget([&](const Kernels& kernels) {
        float got[kCount];
        kernels.Of(type).squared_l2(a.get(), rows.data(), kCount, n, got);
        for (size_t i = 0; i < kCount; ++i) EXPECT_NEAR(got[i], l2[i], 1e-5 * l2[i]) << n;
        for (size_t i = 0; i < kCount; ++i) {
          float alone;
          kernels.Of(type).squared_l2(a.get(), &rows[i], 1, n, &alone);
          EXPECT_EQ(got[i], alone) << n;
        }
        kernels.Of(type).negated_dot(a.get(), rows.data(), kCount, n, got);
        for (size_t i = 0; i < kCount; ++i) EXPECT_NEAR(got[i], -dot[i], 1e-5 * scale[i]) << n;
      });
    }
  }
}

TEST(DistanceTest, EveryValueOfTheShortTypesIsWhatItIs) {
  auto unit = hwy::AllocateAligned<float>(kVectorPadding);
  std::fill_n(unit.get(), kVectorPadding, 0.0f);
  unit[0] = 1;
  for (const DType type : {DType::kF16, DType::kBF16, DType::kU8, DType::kI8}) {
    for (uint32_t bits = 0; bits < (size_t{1} << (8 * SizeOf(type))); ++bits) {
      char row[kVectorPadding * 2] = {};
      std::memcpy(row, &bits, SizeOf(type));
      float value;
      ToFloat32(type, row, 1, &value);
      if (!std::isfinite(value)) continue;
      const char* const rows[] = {row};
      ForEachTarget([&](const Kernels& kernels) {
        float got;
        kernels.Of(type).negated_dot(unit.get(), rows, 1, kVectorPadding, &got);
        EXPECT_EQ(got, -value) << DTypeName(type) << " " << bits;
      });
    }
  }
}

TEST(DistanceTest, MoreThanOneTargetIsCompiledIn) { EXPECT_GT(SupportedKernels().size(), 1u); }

TEST(DistanceTest, TheDistanceOfAVectorToItselfIsExactlyZero) {
  auto a = hwy::AllocateAligned<float>(48);
  for (size_t i = 0; i < 48; ++i) a[i] = 1e10f / static_cast<float>(i + 1);
  const char* const rows[] = {reinterpret_cast<const char*>(a.get())};
  ForEachTarget([&](const Kernels& kernels) {
    float got;
    kernels.Of(DType::kF32).squared_l2(a.get(), rows, 1, 48, &got);
    EXPECT_EQ(got, 0.0f);
  });
}

TEST(DistanceTest, DotsOfCodesAreExactOnEveryLengthCountAndAlignment) {
  constexpr size_t kLengthMax = 1100, kCountMax = 9;
  std::mt19937 random(2);
  std::vector<int8_t> bytes(kCountMax * (kLengthMax + 7));
  for (int8_t& byte : bytes) byte = static_cast<int8_t>(random());
  std::fill_n(bytes.begin(), kLengthMax, -128);  // the extremes must not overflow on the way
  std::fill_n(bytes.begin() + kLengthMax + 7, kLengthMax, 127);
  for (size_t n = 1; n <= kLengthMax; ++n) {
    const size_t count = n % kCountMax + 1;
    std::vector<const int8_t*> rows;
    std::vector<int32_t> wanted;
    for (size_t i = 0; i < count; ++i) rows.push_back(&bytes[i * (kLengthMax + 7) + (n + i) % 7]);
    const int8_t* const a = rows[n % count];
    for (const int8_t* b : rows) {
      int64_t sum = 0;
      for (size_t i = 0; i < n; ++i) sum += int64_t{a[i] + 128} * b[i];
      wanted.push_back(static_cast<int32_t>(sum));
    }
    ForEachTarget([&](const Kernels& kernels) {
      std::vector<int32_t> got(count);
      kernels.code_dots(a, rows.data(), count, n, got.data());
      EXPECT_EQ(got, wanted) << n;
    });
  }
}

TEST(DistanceTest, EveryTargetMakesTheSameCodesOnEveryLength) {
  std::mt19937 random(5);
  for (size_t n = 1; n <= 1100; n += 7) {
    // Multiples of 1/4, so that every target's sums are exact and none rounds otherwise.
    std::vector<float> x(n), center(n);
    for (float& value : x) value = static_cast<float>(random() % 512) / 4;
    for (float& value : center) value = static_cast<float>(random() % 64) / 4;
    double low = 1e9, high = -1e9;
    for (size_t i = 0; i < n; ++i) {
      low = std::min<double>(low, x[i] - center[i]);
      high = std::max<double>(high, x[i] - center[i]);
    }
    ForEachTarget([&](const Kernels& kernels) {
      const Range range = kernels.range(x.data(), center.data(), n);
      EXPECT_EQ(range.low, low);
      EXPECT_EQ(range.high, high);
      std::vector<int8_t> codes(n);
      const CodeSums sums =
          kernels.encode(x.data(), center.data(), n, range.low, 1.0f, codes.data());
      int64_t sum = 0;
      double times_center = 0;
      for (size_t i = 0; i < n; ++i) {
        const double steps = std::min(std::nearbyint(x[i] - center[i] - low), 255.0);
        EXPECT_EQ(codes[i], steps - 128) << n;
        sum += codes[i];
        times_center += codes[i] * static_cast<double>(center[i]);
      }
      EXPECT_EQ(sums.codes, sum);
      EXPECT_EQ(sums.times_center, times_center);
    });
  }
}

TEST(DistanceTest, DistancesReadNothingBeyondTheRow) {
  // Under AddressSanitizer a byte too far ends the test.
  for (const DType type : kTypes) {
    for (size_t n = kVectorPadding; n <= 8 * kVectorPadding; n += kVectorPadding) {
      const auto a = hwy::MakeUniqueAlignedArray<float>(n);
      const std::unique_ptr<char[], decltype(&std::free)> row(
          static_cast<char*>(std::aligned_alloc(kVectorPadding * SizeOf(type), n * SizeOf(type))),
          &std::free);
      std::fill_n(a.get(), n, 0.0f);
      std::fill_n(row.get(), n * SizeOf(type), 0);
      const std::vector<const char*> rows(5, row.get());
      ForEachTarget([&](const Kernels& kernels) {
        float got[5];
        kernels.Of(type).squared_l2(a.get(), rows.data(), rows.size(), n, got);
        EXPECT_EQ(got[4], 0.0f);
      });
    }
  }
}

TEST(DistanceTest, DotsOfCodesReadNothingBeyondThem) {
  // Under AddressSanitizer a byte too far ends the test.
  for (size_t n = 1; n <= 130; ++n) {
    const std::unique_ptr<int8_t[]> a(new int8_t[n]()), b(new int8_t[n]());
    const std::vector<const int8_t*> rows(5, b.get());
    ForEachTarget([&](const Kernels& kernels) {
      int32_t got[5];
      kernels.code_dots(a.get(), rows.data(), rows.size(), n, got);
      EXPECT_EQ(got[4], 0);
    });
  }
}

}  // namespace
}  // namespace varve::index
