#include "storage/group_sync.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/mutex.h"

namespace varve::storage {
namespace {

// A disk whose syncs take until the test lets them go.
class SlowDisk {
 public:
  absl::Status Sync() {
    MutexLock lock(&mu_);
    ++begun_;
    changed_.SignalAll();
    while (allowed_ < begun_) changed_.Wait(&mu_);
    return status_;
  }
  void WaitUntilBegun(int syncs) {
    MutexLock lock(&mu_);
    while (begun_ < syncs) changed_.Wait(&mu_);
  }
  void Allow(int syncs) {
    MutexLock lock(&mu_);
    allowed_ = syncs;
    changed_.SignalAll();
  }
  void Fail(absl::Status status) {
    MutexLock lock(&mu_);
    status_ = std::move(status);
  }
  int begun() {
    MutexLock lock(&mu_);
    return begun_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  int begun_ ABSL_GUARDED_BY(mu_) = 0;
  int allowed_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
};

// Collects what the callbacks were given; outlives the GroupSync that calls them.
class Answers {
 public:
  GroupSync::Callback Callback() {
    return [this](absl::Status status) {
      MutexLock lock(&mu_);
      statuses_.push_back(std::move(status));
      changed_.SignalAll();
    };
  }
  std::vector<absl::Status> WaitFor(size_t count) {
    MutexLock lock(&mu_);
    while (statuses_.size() < count) changed_.Wait(&mu_);
    return statuses_;
  }
  std::vector<absl::Status> statuses() { return WaitFor(0); }

 private:
  Mutex mu_;
  CondVar changed_;
  std::vector<absl::Status> statuses_ ABSL_GUARDED_BY(mu_);
};

class GroupSyncTest : public testing::Test {
 protected:
  void Ask(int callers) {
    for (int i = 0; i < callers; ++i) group_->SyncAsync(answers_.Callback());
  }

  SlowDisk disk_;
  Answers answers_;
  std::unique_ptr<GroupSync> group_ = std::make_unique<GroupSync>([this] { return disk_.Sync(); });
};

TEST_F(GroupSyncTest, WhoComesWhileASyncRunsSharesTheNextOne) {
  Ask(1);
  disk_.WaitUntilBegun(1);
  Ask(100);
  disk_.Allow(2);
  EXPECT_EQ(answers_.WaitFor(101).size(), 101);
  EXPECT_EQ(disk_.begun(), 2);
}

TEST_F(GroupSyncTest, WhoComesWhileASyncRunsIsNotAnsweredByIt) {
  Ask(1);
  disk_.WaitUntilBegun(1);
  Ask(1);
  disk_.Allow(1);
  disk_.WaitUntilBegun(2);
  EXPECT_EQ(answers_.statuses().size(), 1);
  disk_.Allow(2);
  EXPECT_EQ(answers_.WaitFor(2).size(), 2);
}

TEST_F(GroupSyncTest, AnErrorGoesToAllItWasForAndToNobodyElse) {
  disk_.Fail(absl::UnavailableError("the disk is gone"));
  Ask(1);
  disk_.WaitUntilBegun(1);
  Ask(2);
  disk_.Allow(2);
  for (const absl::Status& status : answers_.WaitFor(3)) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  }
  disk_.Fail(absl::OkStatus());
  disk_.Allow(3);
  Ask(1);
  EXPECT_TRUE(answers_.WaitFor(4).back().ok());
}

TEST_F(GroupSyncTest, TheDestructorAnswersAllWhoWait) {
  Ask(1);
  disk_.WaitUntilBegun(1);
  Ask(5);
  disk_.Allow(2);
  group_.reset();
  EXPECT_EQ(answers_.statuses().size(), 6);
}

TEST_F(GroupSyncTest, NobodyAsksAndNothingIsSynced) {
  group_.reset();
  EXPECT_EQ(disk_.begun(), 0);
}

}  // namespace
}  // namespace varve::storage
