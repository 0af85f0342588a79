// A disk that refuses everything for a while, full, broken or read-only: acknowledged records stay readable,
// errors say what the system said, and all is as it was when the cause has gone.

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/check.h"
#include "server/engine/engine.h"
#include "storage/temporary_directory.h"
#include "tests/crash/disk.h"

namespace varve::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kDimension = 64;
constexpr uint64_t kBatch = 200;
// How long a server may take to notice that its disk works again.
constexpr absl::Duration kPatience = absl::Seconds(60);

class RefusingDiskTest : public testing::TestWithParam<int> {
 protected:
  RefusingDiskTest() {
    std::filesystem::create_directory(Root());
    Disk::Record(Root());
    Open();
    NamespaceSchema schema{.name = "n"};
    schema.fields.push_back(
        {.dimension = kDimension,
         .index = {.m = 4, .ef_construction = 16, .segment_size_threshold = 1000}});
    EXPECT_TRUE(engine_->CreateNamespace(schema).ok());
  }
  ~RefusingDiskTest() override {
    Disk::Refuse(0);
    engine_.reset();
    Disk::Stop();
  }

  std::string Root() const { return directory_.path() + "/disk"; }
  std::string DataDir() const { return Root() + "/data"; }
  void Open() {
    engine_.reset();
    auto opened = Engine::Open({.data_dir = DataDir()});
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
  }

  // The next batch of records.
  absl::Status Write() {
    const auto found = engine_->FindNamespace("n");
    if (!found.ok()) return found.status();
    std::vector<uint64_t> ids(kBatch);
    std::iota(ids.begin(), ids.end(), written_);
    const std::vector<float> values(kBatch * kDimension, 1);
    const TensorView vectors = {
        .rows = kBatch,
        .columns = kDimension,
        .bytes = {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)}};
    const absl::Status status = (*found)
                                    ->Upsert({.ids = {.type = IdType::kNumber, .numbers = ids},
                                              .fields = {{.vectors = vectors}}},
                                             OnError::kFailBatch)
                                    .status();
    if (status.ok()) written_ += kBatch;
    return status;
  }
  uint64_t Count() {
    const auto found = engine_->FindNamespace("n");
    EXPECT_TRUE(found.ok()) << found.status();
    uint64_t sequence = 0;
    return found.ok() ? (*found)->Count(nullptr, &sequence) : 0;
  }
  // Whether a write passes before long; does what the server does when the engine asks for it.
  bool WritesAgain() {
    const absl::Time end = absl::Now() + kPatience;
    while (absl::Now() < end) {
      if (Write().ok()) return true;
      if (engine_->NeedsReopening()) Open();
      absl::SleepFor(absl::Milliseconds(100));
    }
    return false;
  }

  storage::TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  uint64_t written_ = 0;  // records acknowledged
};

TEST_P(RefusingDiskTest, WhatWasAcknowledgedStaysAndWritesGoOnWhenTheCauseHasGone) {
  // Sealing and merging are under way.
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(Write().ok());
  Disk::Refuse(GetParam());
  const absl::Status refused = Write();
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.message()), HasSubstr(std::strerror(GetParam())));
  EXPECT_EQ(refused.code(), GetParam() == ENOSPC ? absl::StatusCode::kResourceExhausted
                                                 : absl::StatusCode::kUnavailable);
  EXPECT_FALSE(Write().ok());
  EXPECT_FALSE(engine_->NeedsReopening()) << "it would not help yet";
  EXPECT_EQ(Count(), written_) << "nothing of a refused batch is to be seen";
  const std::vector<float> query(kDimension, 1);
  const auto found =
      (*engine_->FindNamespace("n"))
          ->Search({.queries = {.rows = 1,
                                .columns = kDimension,
                                .bytes = {reinterpret_cast<const char*>(query.data()),
                                          query.size() * sizeof(float)}},
                    .k = 5},
                   CallControl());
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->records.ids.numbers.size(), 5u);

  Disk::Refuse(0);
  EXPECT_TRUE(WritesAgain());
  EXPECT_EQ(Count(), written_);
  Open();
  EXPECT_EQ(Count(), written_);
  EXPECT_TRUE(Write().ok());
  engine_.reset();
  const auto report = CheckDataDirectory(DataDir());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->record_damage, IsEmpty());
  EXPECT_THAT(report->index_damage, IsEmpty());
  EXPECT_EQ(report->records, written_);
}

std::string NameOf(const testing::TestParamInfo<int>& error) {
  return error.param == ENOSPC ? "Full" : error.param == EIO ? "Broken" : "ReadOnly";
}

INSTANTIATE_TEST_SUITE_P(Disks, RefusingDiskTest, testing::Values(ENOSPC, EIO, EROFS), NameOf);

}  // namespace
}  // namespace varve::engine
