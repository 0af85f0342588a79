#include "clients/cli/ingest/batch_plan.h"

#include <gtest/gtest.h>

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
  EXPECT_EQ(DefaultBatchRows(3'072, 8), 340);
  EXPECT_EQ(DefaultBatchRows(size_t{2} << 20, 8), 1);
  EXPECT_LE(LargestBatchRows(3'072, 8) * 3'080 + kBatchOverheadBytes, kBatchBytesMax);
  EXPECT_GT((LargestBatchRows(3'072, 8) + 1) * 3'080 + kBatchOverheadBytes, kBatchBytesMax);
}

}  // namespace
}  // namespace varve::cli
