#include "server/rpc/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <utility>
#include <vector>

namespace varve::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A budget of 100 whose grants run on one thread.
class BudgetTest : public testing::Test {
 protected:
  // Waits for a share under a name; it is kept in held_ when it comes.
  void Wait(const std::string& name, size_t amount) {
    auto share = budget_.ReserveOrWait(amount, [this, name](Budget::Share late) {
      granted_.push_back(name);
      held_.push_back(std::move(late));
    });
    EXPECT_FALSE(share.has_value());
  }
  // Waits until those who could be served have been.
  void AwaitGrants() {
    std::promise<void> reached;
    pool_.Schedule([&reached] { reached.set_value(); });
    reached.get_future().wait();
  }
  void TearDown() override {
    while (!held_.empty()) {
      { const std::vector<Budget::Share> given_back = std::exchange(held_, {}); }
      AwaitGrants();
    }
  }

  ThreadPool pool_{"grants", 1};
  Budget budget_{"bytes", 100, &pool_};
  std::vector<std::string> granted_;
  std::vector<Budget::Share> held_;
};

TEST_F(BudgetTest, ASharesEndGivesItBack) {
  {
    const auto share = budget_.TryReserve(60);
    ASSERT_TRUE(share.ok());
    EXPECT_EQ(budget_.used(), 60);
  }
  EXPECT_EQ(budget_.used(), 0);
}

TEST_F(BudgetTest, AMovedShareIsGivenBackOnce) {
  Budget::Share kept;
  {
    auto share = budget_.TryReserve(60);
    kept = *std::move(share);
  }
  EXPECT_EQ(budget_.used(), 60);
  kept = Budget::Share();
  EXPECT_EQ(budget_.used(), 0);
}

TEST_F(BudgetTest, WhatIsNotFreeIsRefusedWithTheLimitInWords) {
  const auto first = budget_.TryReserve(60);
  const auto second = budget_.TryReserve(41);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("limit of 100 bytes"));
  EXPECT_TRUE(second.status().GetPayload("varve.dev/retry_after_ms").has_value());
  EXPECT_TRUE(budget_.TryReserve(40).ok());
}

TEST_F(BudgetTest, WhatIsLargerThanTheBudgetPassesAlone) {
  {
    const auto small = budget_.TryReserve(1);
    EXPECT_FALSE(budget_.TryReserve(1000).ok());
  }
  const auto large = budget_.TryReserve(1000);
  ASSERT_TRUE(large.ok());
  EXPECT_EQ(budget_.used(), 100);
  EXPECT_FALSE(budget_.TryReserve(1).ok());
}

TEST_F(BudgetTest, WhoWaitsIsServedInOrder) {
  auto first = budget_.TryReserve(100);
  Wait("large", 90);
  Wait("small", 5);
  Wait("last", 50);
  first = absl::CancelledError("");
  AwaitGrants();
  EXPECT_THAT(granted_, ElementsAre("large", "small"));
  EXPECT_EQ(budget_.used(), 95);
}

TEST_F(BudgetTest, NobodyOvertakesWhoWaits) {
  auto first = budget_.TryReserve(50);
  Wait("large", 80);
  EXPECT_FALSE(budget_.TryReserve(10).ok());
  Wait("small", 10);
  first = absl::CancelledError("");
  AwaitGrants();
  EXPECT_THAT(granted_, ElementsAre("large", "small"));
}

TEST_F(BudgetTest, AGrantThatIsDroppedServesTheNext) {
  auto first = budget_.TryReserve(100);
  EXPECT_FALSE(budget_.ReserveOrWait(100, [](Budget::Share) {}).has_value());
  EXPECT_EQ(budget_.waiters(), 1);
  Wait("next", 100);
  first = absl::CancelledError("");
  AwaitGrants();
  AwaitGrants();  // the second grant comes out of the first
  EXPECT_THAT(granted_, ElementsAre("next"));
  EXPECT_EQ(budget_.used(), 100);
}

TEST_F(BudgetTest, WhatIsFreeIsHadAtOnce) {
  const auto share = budget_.ReserveOrWait(100, [](Budget::Share) { FAIL() << "had at once"; });
  EXPECT_TRUE(share.has_value());
}

}  // namespace
}  // namespace varve::server
