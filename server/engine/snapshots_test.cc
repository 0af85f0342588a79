#include "server/engine/snapshots.h"

#include <atomic>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "base/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/check.h"
#include "server/engine/engine.h"
#include "storage/data_directory.h"
#include "storage/temporary_directory.h"

namespace varve::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kDimension = 4;

class SnapshotsTest : public testing::Test {
 protected:
  SnapshotsTest() { Open(); }

  void Open() {
    engine_.reset();
    auto opened = Engine::Open({.data_dir = DataDir()});
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
  }
  std::string DataDir() const { return directory_.path() + "/data"; }

  void Create(const std::string& name) {
    NamespaceSchema schema{.name = name};
    schema.fields.push_back(
        {.dimension = kDimension,
         .index = {.m = 4, .ef_construction = 16, .segment_size_threshold = 1000}});
    ASSERT_TRUE(engine_->CreateNamespace(schema).ok());
  }
  // Records begin ... end - 1, each vector full of its id.
  void Fill(const std::string& name, uint64_t begin, uint64_t end) {
    const auto found = engine_->FindNamespace(name);
    ASSERT_TRUE(found.ok()) << found.status();
    std::vector<uint64_t> ids(end - begin);
    std::iota(ids.begin(), ids.end(), begin);
    std::vector<float> values;
    for (uint64_t id : ids) values.insert(values.end(), kDimension, static_cast<float>(id));
    const TensorView vectors = {
        .rows = ids.size(),
        .columns = kDimension,
        .bytes = {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)}};
    ASSERT_TRUE((*found)
                    ->Upsert({.ids = {.type = IdType::kNumber, .numbers = ids},
                              .fields = {{.vectors = vectors}}},
                             OnError::kFailBatch)
                    .ok());
  }
  // The ids in a namespace, ascending.
  static std::vector<uint64_t> Ids(const Engine& engine, const std::string& name) {
    const auto found = engine.FindNamespace(name);
    EXPECT_TRUE(found.ok()) << found.status();
    const auto scanner = *(*found)->Scan("", {});
    std::string token;
    std::vector<uint64_t> ids;
    for (bool done = false; !done;) {
      const auto records = scanner->Next(10'000, size_t{1} << 30, &token, &done);
      EXPECT_TRUE(records.ok()) << records.status();
      ids.insert(ids.end(), records->ids.numbers.begin(), records->ids.numbers.end());
    }
    return ids;
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const NamespaceSchema& schema : engine_->ListNamespaces("", 100)) {
      names.push_back(schema.name);
    }
    return names;
  }

  storage::TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
};

class ConsistencyTest : public SnapshotsTest, public testing::WithParamInterface<const char*> {};

// Batches of 50 records are written, sealed and merged while snapshots are taken: each has the batches up
// to its commit, whole, and at least those that were acknowledged before it was asked for.
TEST_P(ConsistencyTest, ASnapshotUnderIngestIsAnAcknowledgedPrefix) {
  constexpr uint64_t kBatch = 50, kBatches = 160, kSnapshots = 6;
  Create("a");
  std::atomic<uint64_t> acknowledged = 0;
  std::thread writer([&] {
    for (uint64_t i = 0; i < kBatches && !HasFatalFailure(); ++i) {
      Fill("a", i * kBatch, (i + 1) * kBatch);
      ++acknowledged;
    }
  });
  for (uint64_t i = 0; i < kSnapshots; ++i) {
    while (acknowledged < i * kBatches / kSnapshots) std::this_thread::yield();
    const uint64_t before = acknowledged;
    const auto made = engine_->CreateSnapshot(StrCat("s", i), GetParam(), CallControl());
    ASSERT_TRUE(made.ok()) << made.status();
    ASSERT_EQ(made->namespaces.size(), 1u);
    EXPECT_GE(made->namespaces[0].sequence, before);
  }
  writer.join();
  const auto snapshots = engine_->snapshots().List();
  ASSERT_TRUE(snapshots.ok()) << snapshots.status();
  EXPECT_EQ(snapshots->size(), kSnapshots);
  for (const SnapshotInfo& info : *snapshots) {
    const std::string path = *engine_->snapshots().Find(info.name);
    const auto report = CheckSnapshot(path);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->record_damage, IsEmpty());
    EXPECT_THAT(report->index_damage, IsEmpty());
    ASSERT_TRUE(engine_->AdoptNamespace(path, "a", info.name, CallControl()).ok());
    std::vector<uint64_t> wanted(info.namespaces[0].sequence * kBatch);
    std::iota(wanted.begin(), wanted.end(), 0);
    EXPECT_EQ(Ids(*engine_, info.name), wanted);
  }
}

INSTANTIATE_TEST_SUITE_P(OfAllAndOfOne, ConsistencyTest, testing::Values("", "a"));

TEST_F(SnapshotsTest, WhatIsRestoredIsThereAfterARestart) {
  Create("a"), Fill("a", 0, 2500);
  ASSERT_TRUE(engine_->CreateSnapshot("s", "", CallControl()).ok());
  Fill("a", 2500, 2600);
  ASSERT_TRUE(
      engine_->AdoptNamespace(*engine_->snapshots().Find("s"), "a", "b", CallControl()).ok());
  Fill("b", 9000, 9001);
  Open();
  EXPECT_EQ(Ids(*engine_, "a").size(), 2600u);
  EXPECT_EQ(Ids(*engine_, "b").size(), 2501u);
  engine_.reset();
  EXPECT_TRUE(CheckDataDirectory(DataDir())->clean());
}

TEST_F(SnapshotsTest, ARestoreThatIsCancelledLeavesNothing) {
  Create("a"), Fill("a", 0, 2500);
  ASSERT_TRUE(engine_->CreateSnapshot("s", "", CallControl()).ok());
  CallControl cancelled;
  cancelled.Cancel();
  const absl::Status status =
      engine_->AdoptNamespace(*engine_->snapshots().Find("s"), "a", "b", cancelled).status();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_THAT(Names(), ElementsAre("a"));
  engine_.reset();
  const auto report = CheckDataDirectory(DataDir());
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->clean());
  EXPECT_THAT(report->leftovers, IsEmpty());
}

TEST_F(SnapshotsTest, AVerificationThatIsCancelledFindsNothing) {
  Create("a"), Fill("a", 0, 10);
  ASSERT_TRUE(engine_->CreateSnapshot("s", "", CallControl()).ok());
  CallControl cancelled;
  cancelled.Cancel();
  const auto report = CheckSnapshot(*engine_->snapshots().Find("s"), cancelled);
  EXPECT_TRUE(absl::IsCancelled(report.status())) << report.status();
}

TEST_F(SnapshotsTest, ASnapshotOfANamespaceThatIsCancelledLeavesNothing) {
  Create("a"), Fill("a", 0, 10);
  CallControl cancelled;
  cancelled.Cancel();
  EXPECT_TRUE(absl::IsCancelled(engine_->CreateSnapshot("s", "a", cancelled).status()));
  EXPECT_THAT(*engine_->snapshots().List(), IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(DataDir() + "/snapshots"));
}

TEST_F(SnapshotsTest, WhatACrashLeftIsRemovedAtTheStart) {
  Create("a");
  ASSERT_TRUE(engine_->CreateSnapshot("s", "", CallControl()).ok());
  std::filesystem::create_directories(DataDir() + "/snapshots/.half/records");
  Open();
  EXPECT_FALSE(std::filesystem::exists(DataDir() + "/snapshots/.half"));
  EXPECT_EQ(engine_->snapshots().List()->size(), 1u);
}

TEST_F(SnapshotsTest, NamesThatCannotBeAreRefused) {
  for (const char* name : {"", ".", "..", ".s", "a/b", "../s", "-s", "s t"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(engine_->CreateSnapshot(name, "", CallControl()).status()))
        << name;
    EXPECT_TRUE(absl::IsInvalidArgument(engine_->snapshots().Find(name).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(engine_->snapshots().Delete(name))) << name;
  }
}

TEST_F(SnapshotsTest, WhatIsThereAlreadyOrIsNotThereIsNamed) {
  Create("a");
  ASSERT_TRUE(engine_->CreateSnapshot("s", "", CallControl()).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(engine_->CreateSnapshot("s", "", CallControl()).status()));
  const auto expect_not_found = [](const absl::Status& status, const char* what) {
    EXPECT_TRUE(absl::IsNotFound(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(what));
  };
  expect_not_found(engine_->CreateSnapshot("t", "b", CallControl()).status(), "\"b\"");
  expect_not_found(engine_->snapshots().Delete("t"), "\"t\"");
  expect_not_found(engine_->snapshots().Find("t").status(), "\"t\"");
  const std::string path = *engine_->snapshots().Find("s");
  expect_not_found(engine_->AdoptNamespace(path, "b", "c", CallControl()).status(), "\"b\"");
  expect_not_found(engine_->AdoptNamespace("/nowhere", "b", "c", CallControl()).status(),
                   "/nowhere");
  EXPECT_TRUE(
      absl::IsAlreadyExists(engine_->AdoptNamespace(path, "a", "a", CallControl()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      engine_->AdoptNamespace(path, "a", "no name", CallControl()).status()));
}

TEST_F(SnapshotsTest, ASnapshotThatIsBeingReadIsNotDeleted) {
  Create("a");
  ASSERT_TRUE(engine_->CreateSnapshot("s", "", CallControl()).ok());
  {
    const auto reader = storage::DataDirectory::OpenToRead(*engine_->snapshots().Find("s"));
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_TRUE(absl::IsFailedPrecondition(engine_->snapshots().Delete("s")));
  }
  EXPECT_TRUE(engine_->snapshots().Delete("s").ok());
  EXPECT_TRUE(std::filesystem::is_empty(DataDir() + "/snapshots"));
}

TEST_F(SnapshotsTest, ADirectoryThatAServerHasOpenIsNotAdoptedFrom) {
  Create("a");
  const absl::Status status = engine_->AdoptNamespace(DataDir(), "a", "b", CallControl()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("in use by process"));
}

}  // namespace
}  // namespace varve::engine
