#include "clients/cpp/varve/internal/cutting.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace varve::client::internal {
namespace {

TEST(CuttingTest, QueriesFitTheRequest) {
  const size_t queries = QueriesPerCall(/*query_bytes=*/65'536, /*k=*/1);
  EXPECT_EQ(queries, 63);
  EXPECT_LT(queries * 65'536, kMessageBytesMax);
}

TEST(CuttingTest, AnswersFitEvenWithTheLongestIds) {
  for (const uint32_t k : {1, 10, 100, 1'000}) {
    EXPECT_LT(QueriesPerCall(4, k) * k * (kTextIdBytesMax + 8), kMessageBytesMax) << k;
    EXPECT_GT(QueriesPerCall(4, k) * k * (kTextIdBytesMax + 8), kMessageBytesMax * 8 / 10) << k;
  }
}

TEST(CuttingTest, OneQueryIsNeverTooMany) {
  EXPECT_EQ(QueriesPerCall(size_t{1} << 30, 10), 1);
  EXPECT_EQ(QueriesPerCall(4, 10'000), 1);
  EXPECT_GT(QueriesPerCall(0, 0), 1);
}

TEST(CuttingTest, IdsAreCutByNumberAndByBytes) {
  const std::vector<uint64_t> numbers(25'000);
  const IdsView view = absl::MakeConstSpan(numbers);
  EXPECT_EQ(IdsPerCall(view, 0, 10'000), 10'000);
  EXPECT_EQ(IdsPerCall(view, 20'000, 10'000), 5'000);
  EXPECT_EQ(IdsPerCall(view, 25'000, 10'000), 0);

  const std::vector<std::string> texts(10'000, std::string(kTextIdBytesMax, 'x'));
  const size_t fit = IdsPerCall(absl::MakeConstSpan(texts), 0, 10'000);
  EXPECT_LT(fit * (kTextIdBytesMax + 3), kMessageBytesMax);
  EXPECT_GT(fit, 7'500);
}

}  // namespace
}  // namespace varve::client::internal
