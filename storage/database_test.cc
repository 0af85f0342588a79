#include "storage/database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/str_cat.h"
#include "storage/temporary_directory.h"

namespace varve::storage {
namespace {

using testing::HasSubstr;

class DatabaseTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Database>> TryOpen() {
    return Database::Open(directory(), RecordStoreOptions());
  }
  std::unique_ptr<Database> Open() {
    auto db = TryOpen();
    EXPECT_TRUE(db.ok()) << db.status();
    return *std::move(db);
  }
  const std::string& directory() const { return directory_.path(); }

  static absl::Status Put(Database* db, const std::string& key, const std::string& value) {
    Batch batch = db->NewBatch();
    batch.Put(Family::kMeta, key, value);
    return db->Write(std::move(batch));
  }
  static std::optional<std::string> Get(const Database& db, const std::string& key) {
    const auto value = db.Get(Family::kMeta, key);
    EXPECT_TRUE(value.ok()) << value.status();
    return *value;
  }

  // The log that the last run wrote.
  std::filesystem::path Log() const {
    std::filesystem::path newest;
    for (const auto& entry : std::filesystem::directory_iterator(directory())) {
      if (entry.path().extension() == ".log" && entry.path() > newest) newest = entry.path();
    }
    return newest;
  }
  void FlipByteOfLog(uintmax_t offset) const {
    std::fstream file(Log(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 0x40));
  }
  // RocksDB removes files in the background: one may go while they are counted.
  uintmax_t DiskBytes() const {
    uintmax_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory())) {
      std::error_code gone;
      const uintmax_t size = entry.file_size(gone);
      if (!gone) bytes += size;
    }
    return bytes;
  }
  // Refused as DataLoss that says how to go on; and going on so keeps what is before the damage.
  void ExpectSyncedWritesLost(const std::string& first_key) {
    const auto refused = TryOpen();
    ASSERT_EQ(refused.status().code(), absl::StatusCode::kDataLoss) << refused.status();
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr(directory() + "/SYNCED"));
    EXPECT_EQ(TryOpen().status().code(), absl::StatusCode::kDataLoss) << "the second time too";
    std::filesystem::remove(directory() + "/SYNCED");
    EXPECT_TRUE(Get(*Open(), first_key).has_value());
  }

 private:
  const TemporaryDirectory directory_;
};

TEST_F(DatabaseTest, ABatchIsWrittenAsOneAcrossFamilies) {
  const auto db = Open();
  Batch batch = db->NewBatch();
  batch.Put(Family::kMeta, "a", "1");
  batch.Put(Family::kVectors, "a", "2");
  batch.Put(Family::kIds, "gone", "3");
  batch.Delete(Family::kIds, "gone");
  batch.Put(Family::kRows, "b", "4");
  batch.Put(Family::kRows, "c", "5");
  batch.DeleteRange(Family::kRows, "b", "c");
  ASSERT_TRUE(db->Write(std::move(batch)).ok());
  EXPECT_EQ(db->Get(Family::kMeta, "a").value(), "1");
  EXPECT_EQ(db->Get(Family::kVectors, "a").value(), "2");
  EXPECT_EQ(db->Get(Family::kIds, "gone").value(), std::nullopt);
  EXPECT_EQ(db->Get(Family::kRows, "b").value(), std::nullopt);
  EXPECT_EQ(db->Get(Family::kRows, "c").value(), "5");
}

// What the first version wrote had neither `attributes` nor `updates`.
TEST_F(DatabaseTest, ADatabaseOfTheFirstFamiliesAloneGetsTheOthers) {
  const RecordStoreOptions options;
  auto families = ColumnFamilies(options);
  families.resize(6);
  {
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* opened = nullptr;
    ASSERT_TRUE(
        rocksdb::DB::Open(DatabaseOptions(options), directory(), families, &handles, &opened).ok());
    const std::unique_ptr<rocksdb::DB> db(opened);
    for (size_t family = 0; family < families.size(); ++family) {
      EXPECT_TRUE(db->Put({}, handles[family], "a", families[family].name).ok());
      db->DestroyColumnFamilyHandle(handles[family]).PermitUncheckedError();
    }
  }
  const auto db = Open();
  EXPECT_EQ(db->Get(Family::kMeta, "a").value(), "meta");
  EXPECT_EQ(db->Get(Family::kIds, "a").value(), "ids");
  EXPECT_EQ(db->Get(Family::kRows, "a").value(), "rows");
  EXPECT_EQ(db->Get(Family::kVectors, "a").value(), "vectors");
  EXPECT_EQ(db->Get(Family::kTombstones, "a").value(), "tombstones");
  for (const Family added : {Family::kAttributes, Family::kUpdates}) {
    EXPECT_EQ(db->Get(added, "a").value(), std::nullopt);
    Batch batch = db->NewBatch();
    batch.Put(added, "a", "new");
    ASSERT_TRUE(db->Write(std::move(batch)).ok());
    EXPECT_EQ(db->Get(added, "a").value(), "new");
  }
}

TEST_F(DatabaseTest, ASnapshotStaysAtItsMoment) {
  const auto db = Open();
  ASSERT_TRUE(Put(db.get(), "a", "old").ok());
  const Snapshot snapshot = db->TakeSnapshot();
  ASSERT_TRUE(Put(db.get(), "a", "new").ok());
  ASSERT_TRUE(Put(db.get(), "b", "new").ok());
  auto then = db->MultiGet(Family::kMeta, snapshot, {"a", "b"});
  ASSERT_TRUE(then.ok());
  EXPECT_EQ(then->view(0), "old");
  EXPECT_FALSE(then->has(1));
  auto now = db->MultiGet(Family::kMeta, nullptr, {"b", "a"});
  ASSERT_TRUE(now.ok());
  EXPECT_EQ(now->Take(0), "new");
  EXPECT_EQ(now->Take(1), "new");
}

TEST_F(DatabaseTest, AWalkKeepsWithinItsRange) {
  const auto db = Open();
  for (const char* const key : {"a", "b", "c", "d"}) ASSERT_TRUE(Put(db.get(), key, key).ok());
  const auto walk = db->NewWalk(Family::kMeta, nullptr, "b", "d");
  ASSERT_TRUE(walk->Next().value());
  EXPECT_EQ(walk->key(), "b");
  ASSERT_TRUE(walk->Next().value());
  EXPECT_EQ(walk->key(), "c");
  EXPECT_EQ(walk->value(), "c");
  EXPECT_FALSE(walk->Next().value());
}

TEST_F(DatabaseTest, AWalkKeepsItsSnapshot) {
  const auto db = Open();
  Snapshot snapshot = db->TakeSnapshot();
  const std::weak_ptr<const rocksdb::Snapshot> watched = snapshot;
  auto walk = db->NewWalk(Family::kMeta, std::move(snapshot), "b", "d");
  EXPECT_FALSE(watched.expired());
  walk.reset();
  EXPECT_TRUE(watched.expired());
}

TEST_F(DatabaseTest, ASecondOpenOfOneDirectoryIsUnavailable) {
  const auto db = Open();
  const auto second = TryOpen();
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(directory()));
}

// What kill -9 in the middle of a write leaves.
TEST_F(DatabaseTest, ALogThatEndsInATornWriteOpensWithAllBeforeIt) {
  auto db = Open();
  ASSERT_TRUE(Put(db.get(), "whole", "1").ok());
  ASSERT_TRUE(db->SyncLog().ok());
  ASSERT_TRUE(Put(db.get(), "torn", std::string(1000, 'x')).ok());
  db.reset();
  std::filesystem::resize_file(Log(), std::filesystem::file_size(Log()) - 3);
  db = Open();
  EXPECT_TRUE(Get(*db, "whole").has_value());
  EXPECT_FALSE(Get(*db, "torn").has_value());
}

// What a power cut leaves: anything at all behind the last sync.
TEST_F(DatabaseTest, DamageBehindTheLastSyncLosesOnlyWhatCameAfterIt) {
  auto db = Open();
  ASSERT_TRUE(Put(db.get(), "synced", "1").ok());
  ASSERT_TRUE(db->SyncLog().ok());
  const uintmax_t synced_bytes = std::filesystem::file_size(Log());
  ASSERT_TRUE(Put(db.get(), "damaged", std::string(1000, 'x')).ok());
  ASSERT_TRUE(Put(db.get(), "behind the damage", "1").ok());
  db.reset();
  FlipByteOfLog(synced_bytes + 500);
  db = Open();
  EXPECT_TRUE(Get(*db, "synced").has_value());
  EXPECT_FALSE(Get(*db, "damaged").has_value());
  EXPECT_FALSE(Get(*db, "behind the damage").has_value());
}

TEST_F(DatabaseTest, DamageBeforeTheLastSyncIsDataLoss) {
  auto db = Open();
  ASSERT_TRUE(Put(db.get(), "first", "1").ok());
  const uintmax_t first_bytes = std::filesystem::file_size(Log());
  ASSERT_TRUE(Put(db.get(), "second", std::string(1000, 'x')).ok());
  ASSERT_TRUE(db->SyncLog().ok());
  db.reset();
  FlipByteOfLog(first_bytes + 500);
  ExpectSyncedWritesLost("first");
}

TEST_F(DatabaseTest, ALogCutOffBeforeTheLastSyncIsDataLoss) {
  auto db = Open();
  ASSERT_TRUE(Put(db.get(), "first", "1").ok());
  const uintmax_t first_bytes = std::filesystem::file_size(Log());
  ASSERT_TRUE(Put(db.get(), "second", "2").ok());
  ASSERT_TRUE(db->SyncLog().ok());
  db.reset();
  std::filesystem::resize_file(Log(), first_bytes);
  ExpectSyncedWritesLost("first");
}

TEST_F(DatabaseTest, ALogCutOffBeforeASyncedWriteIsDataLoss) {
  auto db = Open();
  ASSERT_TRUE(Put(db.get(), "first", "1").ok());
  const uintmax_t first_bytes = std::filesystem::file_size(Log());
  Batch batch = db->NewBatch();
  batch.Put(Family::kMeta, "second", "2");
  ASSERT_TRUE(db->WriteSynced(std::move(batch)).ok());
  db.reset();
  std::filesystem::resize_file(Log(), first_bytes);
  ExpectSyncedWritesLost("first");
}

TEST_F(DatabaseTest, ADamagedMarkIsDataLoss) {
  Open();
  std::ofstream(directory() + "/SYNCED") << "garbage";
  EXPECT_EQ(TryOpen().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DatabaseTest, CompactionGivesADeletedRangesSpaceBackAndKeepsTheRest) {
  auto db = Open();
  constexpr int kKeys = 4000;
  const std::string value(4096, 'x');
  for (int i = 0; i < kKeys; ++i) {
    Batch batch = db->NewBatch(Batch::Bytes(10, value.size()));
    batch.Put(Family::kVectors, StrCat(i % 2 == 0 ? "a" : "b", i), value);
    ASSERT_TRUE(db->Write(std::move(batch)).ok());
  }
  std::atomic<bool> stop{false};
  ASSERT_TRUE(db->Compact(Family::kVectors, "a", "b", &stop).ok());
  Batch batch = db->NewBatch();
  batch.DeleteRange(Family::kVectors, "a", "c");
  ASSERT_TRUE(db->Write(std::move(batch)).ok());
  ASSERT_TRUE(Put(db.get(), "kept", "1").ok());
  EXPECT_GT(DiskBytes(), kKeys * value.size());
  ASSERT_TRUE(db->Compact(Family::kVectors, "a", "c", &stop).ok());
  db.reset();
  db = Open();  // and the log with the old values is not needed any more
  EXPECT_EQ(Get(*db, "kept"), "1");
  EXPECT_LT(DiskBytes(), kKeys * value.size() / 20);
}

TEST_F(DatabaseTest, StatsFollowWhatIsWrittenFromTheLogToTables) {
  const auto db = Open();
  constexpr uint64_t kBytes = 1 << 20;
  Batch batch = db->NewBatch(Batch::Bytes(1, kBytes));
  batch.Put(Family::kVectors, "v", std::string(kBytes, 'x'));
  ASSERT_TRUE(db->Write(std::move(batch)).ok());
  const StoreStats written = db->Stats();
  EXPECT_GE(written.log_bytes, kBytes);
  EXPECT_GE(written.memtable_bytes, kBytes);
  EXPECT_EQ(written.blob_bytes, 0u);
  EXPECT_EQ(written.table_bytes, 0u);

  ASSERT_TRUE(db->Flush().ok());
  const StoreStats flushed = db->Stats();
  EXPECT_LT(flushed.memtable_bytes, written.memtable_bytes);
  EXPECT_GE(flushed.blob_bytes, kBytes);
  EXPECT_GT(flushed.table_bytes, 0u);
  EXPECT_EQ(flushed.background_errors, 0u);
  EXPECT_FALSE(flushed.writes_stopped);
}

TEST_F(DatabaseTest, ACompactionThatIsToStopIsNotDone) {
  const auto db = Open();
  ASSERT_TRUE(Put(db.get(), "a", "1").ok());
  std::atomic<bool> stop{true};
  EXPECT_FALSE(db->Compact(Family::kMeta, "a", "b", &stop).ok());
  EXPECT_EQ(Get(*db, "a"), "1");
}

}  // namespace
}  // namespace varve::storage
