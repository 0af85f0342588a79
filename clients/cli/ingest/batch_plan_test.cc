#include "clients/cli/ingest/batch_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace varve::cli {
namespace {

TEST(BatchPlanTest, EveryRowIsInExactlyOneBatch) {
  for (const uint64_t rows : {0, 1, 9, 10, 11, 99, 100, 101}) {
    for (const uint64_t batch_rows : {1, 7, 10, 1'000}) {
      for (const uint32_t streams : {1, 2, 3, 16}) {
        const BatchPlan plan{rows, batch_rows, streams};
        std::vector<int> seen(rows);
        for (uint32_t stream = 0; stream < streams; ++stream) {
          uint64_t in_stream = 0;
          for (uint64_t number = 1; number <= plan.BatchesOf(stream); ++number) {
            EXPECT_EQ(plan.RowsUpTo(stream, number - 1), in_stream);
            const RowRange range = plan.Rows(stream, number);
            EXPECT_GE(range.count, 1);
            EXPECT_LE(range.count, batch_rows);
            for (uint64_t i = 0; i < range.count; ++i) ++seen.at(range.first + i);
            in_stream += range.count;
          }
          EXPECT_EQ(plan.RowsUpTo(stream, plan.BatchesOf(stream)), in_stream);
        }
        EXPECT_EQ(seen, std::vector<int>(rows, 1)) << rows << " " << batch_rows << " " << streams;
      }
    }
  }
}

TEST(BatchPlanTest, ABatchIsAboutAMebibyteAndNeverAboveFour) {
  const RowSizes sizes{.rows = 10'000, .each = 3'080};
  EXPECT_EQ(DefaultBatchRows(sizes), 340);
  EXPECT_EQ(DefaultBatchRows({.rows = 10'000, .each = (size_t{2} << 20) + 8}), 1);
  const uint64_t most = FittingBatchRows(sizes, 1'000'000);
  EXPECT_LE(most * 3'080 + kBatchOverheadBytes, kBatchBytesMax);
  EXPECT_GT((most + 1) * 3'080 + kBatchOverheadBytes, kBatchBytesMax);
  EXPECT_EQ(FittingBatchRows(sizes, 7), 7);
}

TEST(BatchPlanTest, RowsThatDifferAreWeighedBatchByBatch) {
  RowSizes sizes{.rows = 10'000, .each = 10, .more = std::vector<uint64_t>(10'000, 990)};
  EXPECT_EQ(LargestBatchBytes(sizes, 10), 10'000 + kBatchOverheadBytes);
  EXPECT_EQ(DefaultBatchRows(sizes), (size_t{1} << 20) / 1'000);
  // A stretch of rows of 100,000 bytes: the batches around it may not have more than 40.
  std::fill(sizes.more.begin() + 5'000, sizes.more.begin() + 6'000, 100'000);
  const uint64_t rows = DefaultBatchRows(sizes);
  EXPECT_GT(rows, 20);
  EXPECT_LE(rows, 41);
  EXPECT_LE(LargestBatchBytes(sizes, rows), kBatchBytesMax);
}

TEST(BatchPlanTest, ARowAboveTheLimitGoesAlone) {
  RowSizes sizes{.rows = 3, .each = 8, .more = {10, kBatchBytesMax * 2, 10}};
  EXPECT_EQ(DefaultBatchRows(sizes), 1);
  EXPECT_EQ(FittingBatchRows(sizes, 3), 1);
  EXPECT_GT(LargestBatchBytes(sizes, 1), kBatchBytesMax * 2);
}

}  // namespace
}  // namespace varve::cli
