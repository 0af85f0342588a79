#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/namespace.h"
#include "storage/file_system.h"
#include "storage/manifest.h"
#include "storage/temporary_directory.h"
#include "tests/testutil/memory_record_store.h"

namespace varve::engine {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr size_t kDimension = 4;

// The system's files, but for a switch that makes new ones fail as a full disk does.
class FillableFileSystem final : public storage::FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<storage::WritableFile>> Create(const std::string& path) override {
    if (before_create) before_create();
    if (full) return absl::ResourceExhaustedError(path + ": cannot create: no space left");
    return system_.Create(path);
  }
  absl::StatusOr<std::shared_ptr<const storage::MappedFile>> Map(const std::string& path) override {
    return system_.Map(path);
  }
  absl::Status LinkOrCopy(const std::string& from, const std::string& to) override {
    return system_.LinkOrCopy(from, to);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return system_.Rename(from, to);
  }
  absl::Status Remove(const std::string& path) override { return system_.Remove(path); }
  absl::Status CreateDirectory(const std::string& path) override {
    return system_.CreateDirectory(path);
  }
  absl::Status RemoveDirectory(const std::string& path) override {
    return system_.RemoveDirectory(path);
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    return system_.List(path);
  }
  absl::Status SyncDirectory(const std::string& path) override {
    return system_.SyncDirectory(path);
  }

  std::atomic<bool> full = false;
  std::function<void()> before_create;

 private:
  storage::FileSystem& system_ = *storage::FileSystem::System();
};

// A namespace of which most rows are in sealed files: ids 0 ... n - 1 at (id, 0, 0, 0).
class SegmentFilesTest : public testing::Test {
 protected:
  SegmentFilesTest() {
    schema_.fields.push_back(
        {.dimension = kDimension,
         .index = {.m = 8, .ef_construction = 40, .segment_size_threshold = 1000}});
    entry_.number = *store_.CreateNamespace("n", SerializeSchema(schema_));
    Open();
  }

  // Closes the namespace; it is opened again with or without compaction.
  void CloseAndSetCompaction(bool automatic) {
    namespace_.reset();
    schema_.fields.front().index.auto_compaction = automatic;
    ASSERT_TRUE(store_.UpdateSchema(entry_.number, "n", SerializeSchema(schema_)).ok());
  }

  void Open() {
    namespace_.reset();
    entry_ = store_.ListNamespaces()->front();
    auto opened = Namespace::Open(entry_, resources_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    namespace_ = *std::move(opened);
  }

  void Upsert(uint64_t begin, uint64_t end) {
    std::vector<uint64_t> ids(end - begin);
    std::iota(ids.begin(), ids.end(), begin);
    std::vector<float> values;
    for (uint64_t id : ids) values.insert(values.end(), {static_cast<float>(id), 0, 0, 0});
    ASSERT_TRUE(
        namespace_
            ->Upsert(
                {.ids = {.type = IdType::kNumber, .numbers = ids},
                 .fields = {{.vectors = {.rows = ids.size(),
                                         .columns = kDimension,
                                         .bytes = {reinterpret_cast<const char*>(values.data()),
                                                   values.size() * sizeof(float)}}}}},
                OnError::kFailBatch)
            .ok());
  }
  void Delete(const std::vector<uint64_t>& ids) {
    ASSERT_TRUE(namespace_->Delete({.type = IdType::kNumber, .numbers = ids}).ok());
  }
  std::vector<uint64_t> Search(float x, uint32_t k, bool exact = false) {
    const std::vector<float> query = {x, 0, 0, 0};
    const auto found =
        namespace_->Search({.queries = {.rows = 1,
                                        .columns = kDimension,
                                        .bytes = {reinterpret_cast<const char*>(query.data()), 16}},
                            .k = k,
                            .exact = exact},
                           CallControl());
    EXPECT_TRUE(found.ok()) << found.status();
    return found->records.ids.numbers;
  }
  uint64_t Sealed() const {
    const auto segments = namespace_->ListSegments("");
    return std::count_if(segments->begin(), segments->end(), [](const index::SegmentInfo& info) {
      return info.state == index::SegmentState::kSealed;
    });
  }
  void WaitUntilSealed(uint64_t segments) {
    while (Sealed() < segments) std::this_thread::yield();
  }
  void WaitUntilIdle() {
    while (!namespace_->Idle()) std::this_thread::yield();
  }
  absl::Status Await(void (Namespace::*call)(Namespace::Done)) {
    std::promise<absl::Status> result;
    ((*namespace_).*call)([&](absl::Status status) { result.set_value(std::move(status)); });
    return result.get_future().get();
  }
  std::string Directory() const { return directory_.path() + "/segments/1"; }
  std::vector<std::string> Files() { return *files_.List(Directory()); }

  storage::TemporaryDirectory directory_;
  storage::MemoryRecordStore store_;
  FillableFileSystem files_;
  index::CompactionGate gate_{1};
  ThreadPool index_pool_{"test-index", 2};
  ThreadPool search_pool_{"test-search", 2};
  NamespaceResources resources_{.store = &store_,
                                .files = &files_,
                                .segments_directory = directory_.path() + "/segments",
                                .index = {.pool = &index_pool_, .gate = &gate_},
                                .search_pool = &search_pool_};
  NamespaceSchema schema_{.name = "n", .id_type = IdType::kNumber};
  storage::NamespaceEntry entry_;
  std::shared_ptr<Namespace> namespace_;
};

TEST_F(SegmentFilesTest, FullSegmentsBecomeFilesThatAStartMaps) {
  Upsert(0, 3500);
  WaitUntilSealed(3);
  EXPECT_THAT(Files(), UnorderedElementsAre("1.segment", "2.segment", "3.segment"));
  Open();
  EXPECT_EQ(Sealed(), 3u) << "mapped, not built again";
  EXPECT_THAT(Search(1234.2f, 3), ElementsAre(1234, 1235, 1233));
  EXPECT_THAT(Search(3400.2f, 3), ElementsAre(3400, 3401, 3399)) << "of the tail";
  uint64_t sequence = 0;
  EXPECT_EQ(namespace_->Count(nullptr, &sequence), 3500u);
}

TEST_F(SegmentFilesTest, ARowThatDiesBeforeOrAfterSealingStaysDead) {
  Upsert(0, 900);
  Delete({10});
  Upsert(900, 2100);
  WaitUntilSealed(2);
  Delete({20, 1500});
  Upsert(30, 31);  // replaces a sealed row
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(Search(10, 2), ElementsAre(9, 11));
    EXPECT_THAT(Search(20, 2), ElementsAre(19, 21));
    EXPECT_THAT(Search(1500, 2), ElementsAre(1499, 1501));
    EXPECT_THAT(Search(30, 1), ElementsAre(30));
    uint64_t sequence = 0;
    EXPECT_EQ(namespace_->Count(nullptr, &sequence), 2097u);
    Open();
  }
}

TEST_F(SegmentFilesTest, AMissingOrDamagedFileIsBuiltAgainAndAnswersAreRightMeanwhile) {
  Upsert(0, 3500);
  WaitUntilSealed(3);
  Delete({1500});
  const std::vector<std::function<void(const std::string&)>> blows = {
      [](const std::string& path) { std::filesystem::remove(path); },
      [](const std::string& path) { std::filesystem::resize_file(path, 1000); },
      [](const std::string& path) { std::ofstream(path, std::ios::binary) << "not a segment"; },
      [](const std::string& path) {
        std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(16);
        file << "\x7f";
      }};
  for (const auto& blow : blows) {
    namespace_.reset();
    // Of the files that the manifest names, one in the middle.
    const auto manifest = storage::DecodeManifest(*store_.ReadManifest(1, storage::kDefaultField));
    blow(Directory() + "/" + std::to_string(manifest->segments[1].id) + ".segment");
    Open();
    EXPECT_THAT(Search(1500, 2, /*exact=*/true), ElementsAre(1499, 1501));
    EXPECT_THAT(Search(1234.2f, 3), ElementsAre(1234, 1235, 1233));
    uint64_t sequence = 0;
    EXPECT_EQ(namespace_->Count(nullptr, &sequence), 3499u);
    WaitUntilSealed(3);
    EXPECT_THAT(Search(1500, 2), ElementsAre(1499, 1501));
  }
}

TEST_F(SegmentFilesTest, SegmentsAboutALostOneAreNotMergedBeforeItsRowsAreBack) {
  CloseAndSetCompaction(false);
  Open();
  Upsert(0, 9000);
  WaitUntilSealed(9);
  CloseAndSetCompaction(true);
  std::filesystem::remove(Directory() + "/5.segment");
  Open();
  WaitUntilIdle();
  for (const float x : {10.2f, 4500.2f, 5500.2f, 8900.2f}) {
    const auto id = static_cast<uint64_t>(x);
    EXPECT_THAT(Search(x, 3), ElementsAre(id, id + 1, id - 1));
  }
  EXPECT_EQ(Search(0, 9500, /*exact=*/true).size(), 9000u) << "each row once";
}

TEST_F(SegmentFilesTest, ASegmentWithManyDeadRowsIsMadeAnewAndGivesItsSpaceBack) {
  Upsert(0, 3000);
  WaitUntilSealed(3);
  std::vector<uint64_t> dead(400);
  std::iota(dead.begin(), dead.end(), 1100);
  Delete(dead);
  WaitUntilIdle();
  EXPECT_EQ(namespace_->StatsOfIndex().dead_rows, 0u);
  EXPECT_THAT(*store_.ReadMarks(storage::RowMarkKind::kTombstone, 1, storage::kDefaultField,
                                {1, storage::kLastRow}),
              IsEmpty());
  EXPECT_THAT(Files(), UnorderedElementsAre("1.segment", "3.segment", "4.segment"));
  EXPECT_THAT(Search(1300, 2), ElementsAre(1500, 1099));
  Delete({1500});
  Open();
  EXPECT_THAT(Search(1300, 2), ElementsAre(1099, 1501));
  EXPECT_EQ(Sealed(), 3u);
}

TEST_F(SegmentFilesTest, ASegmentWithoutALiveRowGoes) {
  Upsert(0, 3000);
  WaitUntilSealed(3);
  std::vector<uint64_t> dead(1000);
  std::iota(dead.begin(), dead.end(), 1000);
  Delete(dead);
  WaitUntilIdle();
  EXPECT_THAT(Files(), UnorderedElementsAre("1.segment", "3.segment"));
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(Search(1500, 2), ElementsAre(2000, 999));
    uint64_t sequence = 0;
    EXPECT_EQ(namespace_->Count(nullptr, &sequence), 2000u);
    Open();
  }
}

TEST_F(SegmentFilesTest, FourSegmentsBecomeOneFile) {
  Upsert(0, 3500);
  Delete({10, 3400});
  Upsert(3500, 4500);
  while (Files() != std::vector<std::string>{"6.segment"}) std::this_thread::yield();
  Delete({20});
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(Search(10, 2), ElementsAre(9, 11));
    EXPECT_THAT(Search(20, 2), ElementsAre(19, 21));
    EXPECT_THAT(Search(3400, 2), ElementsAre(3399, 3401));
    EXPECT_THAT(Search(4400.2f, 2), ElementsAre(4400, 4401)) << "of the tail";
    uint64_t sequence = 0;
    EXPECT_EQ(namespace_->Count(nullptr, &sequence), 4497u);
    EXPECT_EQ(Sealed(), 1u);
    Open();
  }
}

TEST_F(SegmentFilesTest, AFlushLeavesNoTailAndACompactionOneSegmentWithoutDeadRows) {
  Upsert(0, 2500);
  Delete({10, 2400});
  EXPECT_TRUE(Await(&Namespace::Flush).ok());
  EXPECT_EQ(Sealed(), 3u);
  Open();
  EXPECT_EQ(Sealed(), 3u) << "nothing was read from the store";
  EXPECT_EQ(namespace_->StatsOfIndex().dead_rows, 2u);
  Upsert(2500, 2600);
  EXPECT_TRUE(Await(&Namespace::Compact).ok());
  EXPECT_EQ(Files().size(), 1u);
  EXPECT_EQ(namespace_->StatsOfIndex().dead_rows, 0u);
  EXPECT_THAT(*store_.ReadMarks(storage::RowMarkKind::kTombstone, 1, storage::kDefaultField,
                                {1, storage::kLastRow}),
              IsEmpty());
  Open();
  EXPECT_EQ(Sealed(), 1u);
  EXPECT_THAT(Search(10, 2), ElementsAre(9, 11));
  EXPECT_THAT(Search(2550.2f, 2), ElementsAre(2550, 2551));
}

TEST_F(SegmentFilesTest, AFullDiskIsWhatAFlushAndACompactionAnswer) {
  Upsert(0, 2500);
  WaitUntilIdle();
  files_.full = true;
  EXPECT_TRUE(absl::IsResourceExhausted(Await(&Namespace::Flush)));
  files_.full = false;
  EXPECT_TRUE(Await(&Namespace::Flush).ok());
  files_.full = true;
  EXPECT_TRUE(absl::IsResourceExhausted(Await(&Namespace::Compact)));
  EXPECT_EQ(gate_.counters().failed.value(), 1u);
  EXPECT_EQ(gate_.counters().finished.value(), 0u);
  EXPECT_THAT(Search(2400.2f, 2), ElementsAre(2400, 2401));
  files_.full = false;
  EXPECT_TRUE(Await(&Namespace::Compact).ok());
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(SegmentFilesTest, ANamespaceThatIsClosedLeavesTheFilesToTheNext) {
  Upsert(0, 1500);
  WaitUntilIdle();
  std::promise<void> reached, go_on;
  std::atomic<bool> waited = false;
  files_.before_create = [&] {
    if (waited.exchange(true)) return;
    reached.set_value();
    go_on.get_future().wait();
  };
  std::promise<absl::Status> flushed;
  namespace_->Flush([&](absl::Status status) { flushed.set_value(std::move(status)); });
  reached.get_future().wait();
  std::thread closing([&] { namespace_->Retire(absl::UnavailableError("closed")); });
  EXPECT_TRUE(absl::IsUnavailable(flushed.get_future().get()));
  go_on.set_value();
  closing.join();
  // What was being written is there whole, if it was the sooner, or gone.
  EXPECT_THAT(Files(),
              AnyOf(ElementsAre("1.segment"), UnorderedElementsAre("1.segment", "2.segment")));
  Open();
  EXPECT_TRUE(Await(&Namespace::Flush).ok());
  EXPECT_THAT(Files(), UnorderedElementsAre("1.segment", "2.segment"));
}

TEST_F(SegmentFilesTest, ADeletedNamespaceEndsItsWaits) {
  Upsert(0, 2500);
  namespace_->Retire(absl::NotFoundError("deleted"));
  EXPECT_TRUE(absl::IsNotFound(Await(&Namespace::Flush)));
  EXPECT_TRUE(absl::IsNotFound(Await(&Namespace::Compact)));
}

TEST_F(SegmentFilesTest, AFileThatTheManifestDoesNotNameIsRemoved) {
  Upsert(0, 1500);
  WaitUntilSealed(1);
  std::ofstream(Directory() + "/77.segment") << "left by a crash before the manifest";
  std::ofstream(Directory() + "/78.segment.tmp") << "left by a crash while writing";
  Open();
  EXPECT_THAT(Files(), ElementsAre("1.segment"));
}

TEST_F(SegmentFilesTest, AFileOfAnotherSegmentUnderItsNameIsNotTaken) {
  Upsert(0, 2500);
  WaitUntilSealed(2);
  namespace_.reset();
  std::filesystem::copy_file(Directory() + "/1.segment", Directory() + "/2.segment",
                             std::filesystem::copy_options::overwrite_existing);
  Open();
  EXPECT_THAT(Search(1234.2f, 3), ElementsAre(1234, 1235, 1233));
}

TEST_F(SegmentFilesTest, AFullDiskDelaysSealingAndNothingElse) {
  files_.full = true;
  Upsert(0, 1500);
  while (namespace_->StatsOfIndex().unindexed_rows > 0) std::this_thread::yield();
  EXPECT_THAT(Search(700.2f, 2), ElementsAre(700, 701));
  Upsert(1500, 1600);
  EXPECT_EQ(Sealed(), 0u);
  EXPECT_THAT(Files(), IsEmpty());
  files_.full = false;
  while (Sealed() == 0) Upsert(1600, 1601);  // the next commits try again
  EXPECT_THAT(Search(700.2f, 2), ElementsAre(700, 701));
}

}  // namespace
}  // namespace varve::engine
