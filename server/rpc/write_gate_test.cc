#include "server/rpc/write_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "base/mutex.h"

namespace varve::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kMiB = uint64_t{1} << 20;

// A machine whose memory and disk the test decides. Writes are remembered, by number, as they come through.
class WriteGateTest : public testing::Test {
 protected:
  void Open(const WriteLimits& limits, absl::Duration patience = absl::Seconds(60)) {
    limits_ = limits;
    gate_.emplace(limits,
                  MachineProbes{.memory_used = [this] { return memory_.load(); },
                                .disk_free = [this]() -> absl::StatusOr<uint64_t> {
                                  if (disk_fails_) return absl::UnavailableError("disk: no answer");
                                  return disk_.load();
                                },
                                .data_used = [this] { return data_.load(); },
                                .relieve =
                                    [this] {
                                      MutexLock lock(&mu_);
                                      ++relieved_;
                                      changed_.SignalAll();
                                    }},
                  &pool_, patience);
  }
  // The machine is another now: what the gate has seen of it before counts no more.
  void Look() { gate_->SetLimits(limits_); }
  // What became of write number `number`: set once it is through or refused.
  void Enter(int number, size_t bytes = 1) {
    gate_->Enter(bytes, [this, number](absl::Status status) {
      MutexLock lock(&mu_);
      order_.push_back(number);
      statuses_.push_back(std::move(status));
      changed_.SignalAll();
    });
  }
  void Await(size_t outcomes) {
    MutexLock lock(&mu_);
    while (order_.size() < outcomes) changed_.Wait(&mu_);
  }
  void AwaitRelief() {
    MutexLock lock(&mu_);
    while (relieved_ == 0) changed_.Wait(&mu_);
  }
  size_t outcomes() {
    MutexLock lock(&mu_);
    return order_.size();
  }
  absl::Status last() {
    MutexLock lock(&mu_);
    return statuses_.back();
  }
  std::vector<int> order() {
    MutexLock lock(&mu_);
    return order_;
  }

  std::atomic<uint64_t> memory_ = 0, disk_ = 1000 * kMiB, data_ = 0;
  std::atomic<bool> disk_fails_ = false;
  Mutex mu_;
  CondVar changed_;
  int relieved_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<int> order_ ABSL_GUARDED_BY(mu_);
  std::vector<absl::Status> statuses_ ABSL_GUARDED_BY(mu_);
  WriteLimits limits_;
  ThreadPool pool_{"gate", 1};
  std::optional<WriteGate> gate_;
};

TEST_F(WriteGateTest, WithoutLimitsEveryWritePassesAtOnce) {
  memory_ = ~uint64_t{0}, disk_ = 0;
  Open({});
  Enter(1);
  EXPECT_EQ(outcomes(), 1u);
  EXPECT_TRUE(last().ok());
}

TEST_F(WriteGateTest, WritesWaitForMemoryInTheOrderInWhichTheyCame) {
  Open({.memory_bytes = 100 * kMiB});
  Enter(1);
  memory_ = 90 * kMiB;
  Look();
  for (int number = 2; number <= 5; ++number) Enter(number);
  EXPECT_THAT(order(), ElementsAre(1));
  EXPECT_EQ(gate_->waiting(), 4u);
  AwaitRelief();
  memory_ = 79 * kMiB;
  Await(5);
  EXPECT_THAT(order(), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_TRUE(last().ok());
}

TEST_F(WriteGateTest, AWriteThatHasWaitedLongEnoughIsRefusedWithTheLimitAndWhenToComeBack) {
  memory_ = 99 * kMiB;
  Open({.memory_bytes = 100 * kMiB}, absl::Milliseconds(50));
  Enter(1);
  EXPECT_EQ(outcomes(), 0u);
  Await(1);
  EXPECT_TRUE(absl::IsResourceExhausted(last())) << last();
  EXPECT_THAT(std::string(last().message()), AllOf(HasSubstr("99 MiB of its budget of 100 MiB"),
                                                   HasSubstr("--memory-budget-mib")));
  memory_ = 0;
  Look();
  Enter(2);
  Await(2);
  EXPECT_TRUE(last().ok()) << "the gate is open again";
}

TEST_F(WriteGateTest, ADiskThatIsNearlyFullRefusesAtOnceUntilThereIsRoom) {
  Open({.disk_reserve_bytes = 100 * kMiB});
  Enter(1);
  EXPECT_TRUE(last().ok());
  disk_ = 99 * kMiB;
  Look();
  Enter(2);
  EXPECT_EQ(outcomes(), 2u);
  EXPECT_TRUE(absl::IsResourceExhausted(last()));
  EXPECT_THAT(std::string(last().message()),
              AllOf(HasSubstr("99 MiB are free"), HasSubstr("100 MiB are to stay so"),
                    HasSubstr("--disk-reserve-mib")));
  disk_ = 100 * kMiB;
  Look();
  Enter(3);
  EXPECT_TRUE(last().ok());
  disk_fails_ = true;
  Look();
  Enter(4);
  EXPECT_TRUE(absl::IsUnavailable(last())) << last();
}

TEST_F(WriteGateTest, ADataDirectoryThatIsFullRefusesAtOnceUntilThereIsRoom) {
  data_ = 90 * kMiB;
  Open({.data_bytes = 100 * kMiB});
  Enter(1, 10 * kMiB);
  EXPECT_TRUE(last().ok());
  Enter(2);
  EXPECT_TRUE(absl::IsResourceExhausted(last())) << "what has passed counts before it is measured";
  EXPECT_THAT(std::string(last().message()),
              AllOf(HasSubstr("takes 100 MiB"), HasSubstr("may take 100 MiB"),
                    HasSubstr("--max-data-mib")));
  EXPECT_TRUE(absl::IsResourceExhausted(gate_->CheckDisk()));
  data_ = 50 * kMiB;
  Look();
  Enter(3);
  EXPECT_TRUE(last().ok());
}

TEST_F(WriteGateTest, TheDataDirectoryIsMeasuredNowAndThenByItself) {
  data_ = 100 * kMiB;
  Open({.data_bytes = 100 * kMiB});
  data_ = 0;
  do Enter(1);
  while (!last().ok());
}

TEST_F(WriteGateTest, ACopyAsksForTheDiskAloneAndWaitsForNothing) {
  memory_ = 150 * kMiB;
  Open({.memory_bytes = 100 * kMiB, .disk_reserve_bytes = 100 * kMiB});
  EXPECT_TRUE(gate_->CheckDisk().ok());
  disk_ = 99 * kMiB;
  Look();
  EXPECT_TRUE(absl::IsResourceExhausted(gate_->CheckDisk()));
}

TEST_F(WriteGateTest, TheRateHoldsWritesBackAndRefusesNone) {
  Open({.bytes_per_second = 100 * kMiB});
  const absl::Time begin = absl::Now();
  constexpr int kWrites = 30;
  for (int number = 0; number < kWrites; ++number) Enter(number, 10 * kMiB);
  EXPECT_GT(gate_->waiting(), 0u);
  Await(kWrites);
  // The first second's worth may come at once.
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(1500));
  EXPECT_TRUE(last().ok());
}

TEST_F(WriteGateTest, ALimitThatIsRaisedLetsThePatientPass) {
  memory_ = 150 * kMiB;
  Open({.memory_bytes = 100 * kMiB});
  Enter(1);
  EXPECT_EQ(outcomes(), 0u);
  gate_->SetLimits({.memory_bytes = 200 * kMiB});
  Await(1);
  EXPECT_TRUE(last().ok());
}

TEST_F(WriteGateTest, WhenTheServerStopsNobodyWaits) {
  memory_ = 150 * kMiB;
  Open({.memory_bytes = 100 * kMiB, .bytes_per_second = 1});
  Enter(1);
  gate_->Drain();
  Await(1);
  EXPECT_TRUE(absl::IsUnavailable(last())) << last();
  memory_ = 0;
  Look();
  Enter(2, 100 * kMiB), Enter(3);
  EXPECT_EQ(outcomes(), 3u) << "a rate is no reason to wait any more";
  EXPECT_TRUE(last().ok());
}

TEST_F(WriteGateTest, AGateThatGoesAwayForgetsWhoWaits) {
  memory_ = 150 * kMiB;
  Open({.memory_bytes = 100 * kMiB});
  Enter(1);
  gate_.reset();
  EXPECT_EQ(outcomes(), 0u);
}

}  // namespace
}  // namespace varve::server
