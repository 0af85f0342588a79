#include "base/thread_pool.h"

#include <atomic>
#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace varve {
namespace {

TEST(ThreadPoolTest, EveryScheduledTaskRunsBeforeThePoolIsGone) {
  std::atomic<int> ran = 0;
  {
    ThreadPool pool("test", 3);
    for (int i = 0; i < 1000; ++i) pool.Schedule([&] { ++ran; });
  }
  EXPECT_EQ(ran, 1000);
}

TEST(ThreadPoolTest, OneThreadKeepsTheOrderOfTasks) {
  std::vector<int> order;
  {
    ThreadPool pool("test", 1);
    for (int i = 0; i < 100; ++i) pool.Schedule([&order, i] { order.push_back(i); });
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[i], i);
}

TEST(ThreadPoolTest, ParallelForVisitsEachIndexOnceAndWaitsForAll) {
  ThreadPool pool("test", 3);
  for (size_t count : {0, 1, 2, 1000}) {
    std::vector<std::atomic<int>> visits(count);
    pool.ParallelFor(count, [&](size_t i) { ++visits[i]; });
    for (const auto& visit : visits) EXPECT_EQ(visit, 1);
  }
}

TEST(ThreadPoolTest, ParallelForMayBeNestedInATaskOfItsOwnPool) {
  std::atomic<int> sum = 0;
  {
    ThreadPool pool("test", 2);
    for (int task = 0; task < 8; ++task) {
      pool.Schedule([&] {
        pool.ParallelFor(10, [&](size_t) { pool.ParallelFor(10, [&](size_t) { ++sum; }); });
      });
    }
  }
  EXPECT_EQ(sum, 800);
}

}  // namespace
}  // namespace varve
