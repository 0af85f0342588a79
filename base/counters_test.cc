#include "base/counters.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace varve {
namespace {

TEST(CountersTest, WhatSeveralThreadsCountIsAllCounted) {
  Counter counter;
  InFlight in_flight;
  DurationHistogram histogram;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      in_flight.Begin();
      for (int j = 0; j < 10'000; ++j) {
        counter.Add(3);
        histogram.Observe(absl::Milliseconds(2));
        in_flight.Begin();
        in_flight.End();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 120'000);
  EXPECT_EQ(in_flight.value(), 4);
  const DurationHistogram::Snapshot read = histogram.Read();
  EXPECT_EQ(read.count(), 40'000);
  EXPECT_NEAR(read.sum_seconds, 80, 1e-6);
}

TEST(CountersTest, ADurationIsInTheFirstBucketWhoseBoundItDoesNotPass) {
  struct Case {
    absl::Duration duration;
    size_t bucket;
  };
  for (const Case& c : {Case{absl::Seconds(-1), 0}, Case{absl::ZeroDuration(), 0},
                        Case{absl::Microseconds(100), 0}, Case{absl::Microseconds(101), 1},
                        Case{absl::Seconds(1), 12}, Case{absl::Milliseconds(1001), 13},
                        Case{absl::Minutes(30), 19}, Case{absl::Hours(1), 20}}) {
    DurationHistogram histogram;
    histogram.Observe(c.duration);
    const DurationHistogram::Snapshot read = histogram.Read();
    EXPECT_EQ(read.counts[c.bucket], 1) << c.duration;
    EXPECT_EQ(read.count(), 1) << c.duration;
    EXPECT_GE(read.sum_seconds, 0) << c.duration;
  }
}

}  // namespace
}  // namespace varve
