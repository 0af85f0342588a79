#include "storage/record_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "storage/big_endian.h"
#include "storage/database.h"
#include "storage/keys.h"
#include "storage/record_store_contract.h"
#include "storage/temporary_directory.h"

namespace varve::storage {
namespace {

using testing::HasSubstr;

// RocksDB in a directory of its own.
class RocksUnderTest final : public StoreUnderTest {
 public:
  explicit RocksUnderTest(const RecordStoreOptions& options) : options_(options) { Reopen(); }
  RecordStore& store() override { return *store_; }
  void Reopen() override {
    store_.reset();
    auto store = RecordStore::Open(directory_.path(), options_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

 private:
  const RecordStoreOptions options_;
  const TemporaryDirectory directory_;
  std::unique_ptr<RecordStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Default, RecordStoreContractTest, testing::Values([] {
                           return std::make_unique<RocksUnderTest>(RecordStoreOptions());
                         }));

// So small that flushes and compactions run all the time.
INSTANTIATE_TEST_SUITE_P(TinyBuffers, RecordStoreContractTest, testing::Values([] {
                           return std::make_unique<RocksUnderTest>(RecordStoreOptions{
                               .block_cache_bytes = 64 << 10, .write_buffer_bytes = 64 << 10});
                         }));

// One namespace with two records, whose stored bytes a test damages under the store.
class DamagedStoreTest : public testing::Test {
 protected:
  DamagedStoreTest() {
    auto store = Open();
    number_ = store->CreateNamespace("a", "schema").value();
    const std::vector<std::string_view> ids = {"x", "y"};
    const std::vector<std::string_view> vectors = {"1", "2"};
    Commit commit;
    commit.namespace_number = number_;
    commit.state = {.sequence = 1, .next_row = 3};
    commit.first_row = 1;
    commit.ids = ids;
    commit.vectors = vectors;
    commit.producer = "p";
    commit.producer_batch = 1;
    EXPECT_TRUE(store->Write(commit).ok());
  }

  std::unique_ptr<RecordStore> Open() {
    auto store = RecordStore::Open(directory_.path(), RecordStoreOptions());
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  void Put(Family family, std::string_view key, std::string_view value) {
    Change([&](Batch* batch) { batch->Put(family, key, value); });
  }
  void Delete(Family family, std::string_view key) {
    Change([&](Batch* batch) { batch->Delete(family, key); });
  }

  static void ExpectDataLoss(const absl::Status& status, std::string_view key) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(DescribeKey(key)));
  }
  static absl::Status FirstOf(absl::StatusOr<std::unique_ptr<RecordStore::Cursor>> cursor) {
    StoredRecord record;
    return (*cursor)->Next(&record).status();
  }

  NamespaceNumber number_ = 0;

 private:
  template <typename Change>
  void Change(const Change& change) {
    auto db = Database::Open(directory_.path(), RecordStoreOptions());
    ASSERT_TRUE(db.ok()) << db.status();
    Batch batch = (*db)->NewBatch();
    change(&batch);
    ASSERT_TRUE((*db)->Write(std::move(batch)).ok());
  }

  const TemporaryDirectory directory_;
};

TEST_F(DamagedStoreTest, AnIdWithoutARowNumberIsDataLoss) {
  const std::string key = IdKey(number_, "x");
  Put(Family::kIds, key, "short");
  const auto store = Open();
  std::vector<uint64_t> rows;
  ExpectDataLoss(store->FindRows(number_, {"y", "x"}, &rows), key);
  ExpectDataLoss(store->ReadRecords(number_, {"x"}, false).status(), key);
  ExpectDataLoss(FirstOf(store->ScanById(number_, "", false)), key);
}

TEST_F(DamagedStoreTest, AnIdWhoseRowIsMissingIsDataLoss) {
  const auto row_key = RowKey(number_, 1);
  Delete(Family::kRows, View(row_key));
  const auto store = Open();
  ExpectDataLoss(store->ReadRecords(number_, {"x"}, false).status(), View(row_key));
  ExpectDataLoss(FirstOf(store->ScanById(number_, "", false)), View(row_key));
}

TEST_F(DamagedStoreTest, ARowTooShortIsDataLoss) {
  const auto row_key = RowKey(number_, 1);
  Put(Family::kRows, View(row_key), "short");
  const auto store = Open();
  ExpectDataLoss(store->ReadRecords(number_, {"x"}, false).status(), View(row_key));
  ExpectDataLoss(FirstOf(store->ScanByRow(number_, {1, kLastRow})), View(row_key));
}

TEST_F(DamagedStoreTest, ARowWhoseVectorIsMissingIsDataLoss) {
  const auto row_key = RowKey(number_, 1);
  Delete(Family::kVectors, View(VectorKey(number_, 1, kDefaultField)));
  const auto store = Open();
  ExpectDataLoss(store->ReadRecords(number_, {"x"}, true).status(), View(row_key));
  ExpectDataLoss(FirstOf(store->ScanById(number_, "", true)), View(row_key));
  ExpectDataLoss(FirstOf(store->ScanByRow(number_, {1, kLastRow})), View(row_key));
  EXPECT_TRUE(store->ReadRecords(number_, {"x"}, false).ok()) << "the vector is not asked for";
  EXPECT_TRUE(store->ReadRecords(number_, {"y"}, true).ok()) << "the other record is whole";
}

TEST_F(DamagedStoreTest, ARowKeyOfTheWrongLengthIsDataLoss) {
  const std::string key = NamespaceBegin(number_) + "short";
  Put(Family::kRows, key, "12345678id");
  ExpectDataLoss(
      [&] {
        auto store = Open();
        auto cursor = store->ScanByRow(number_, {3, kLastRow}).value();
        StoredRecord record;
        return cursor->Next(&record).status();
      }(),
      key);
}

TEST_F(DamagedStoreTest, ANamespaceWithoutItsCommitStateIsDataLoss) {
  const std::string key = CommitStateKey(number_);
  Delete(Family::kMeta, key);
  const auto store = Open();
  ExpectDataLoss(store->ListNamespaces().status(), key);
  ExpectDataLoss(store->DropNamespace(number_, "a"), key);
}

TEST_F(DamagedStoreTest, AnEntryTooShortIsDataLoss) {
  const std::string key = NamespaceKey("a");
  Put(Family::kMeta, key, "abc");
  const auto store = Open();
  ExpectDataLoss(store->ListNamespaces().status(), key);
  ExpectDataLoss(store->UpdateSchema(number_, "a", "new"), key);
}

TEST_F(DamagedStoreTest, AProducerTooShortIsDataLoss) {
  const std::string key = ProducerKey(number_, "p");
  Put(Family::kMeta, key, "");
  ExpectDataLoss(Open()->ProducerPosition(number_, "p").status(), key);
}

TEST_F(DamagedStoreTest, ACounterTooShortIsDataLoss) {
  Put(Family::kMeta, NextNamespaceKey(), "abc");
  ExpectDataLoss(Open()->CreateNamespace("b", "").status(), NextNamespaceKey());
}

TEST_F(DamagedStoreTest, WhenNumbersAreUsedUpNamespacesAreResourceExhausted) {
  Put(Family::kMeta, NextNamespaceKey(), NextNamespaceValue(kNamespaceNumberMax));
  const auto store = Open();
  EXPECT_EQ(store->CreateNamespace("last", "").value(), kNamespaceNumberMax);
  EXPECT_EQ(store->CreateNamespace("one more", "").status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(store->DropNamespace(kNamespaceNumberMax, "last").ok());
}

uintmax_t BytesOf(const std::string& directory, std::string_view extension) {
  uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::error_code gone;  // files come and go while we look
    const uintmax_t size = entry.file_size(gone);
    if (!gone && entry.path().extension() == extension) bytes += size;
  }
  return bytes;
}

TEST(RecordStoreTest, DroppingALargeNamespaceGivesItsDiskSpaceBack) {
  const TemporaryDirectory directory;
  auto store = RecordStore::Open(directory.path(), {.write_buffer_bytes = 1 << 20}).value();
  const NamespaceNumber number = store->CreateNamespace("large", "").value();
  constexpr uint64_t kRows = 12'000;
  const std::string vector(1024, 'x');
  for (uint64_t row = 1; row <= kRows; ++row) {
    const auto id = BigEndian(row);
    const std::string_view ids[] = {View(id)};
    const std::string_view vectors[] = {vector};
    Commit commit;
    commit.namespace_number = number;
    commit.state = {.sequence = row, .next_row = row + 1};
    commit.first_row = row;
    commit.ids = ids;
    commit.vectors = vectors;
    ASSERT_TRUE(store->Write(commit).ok());
  }
  ASSERT_GT(BytesOf(directory.path(), ".blob"), kRows * vector.size() / 2);
  ASSERT_TRUE(store->DropNamespace(number, "large").ok());
  // Without anyone doing anything more. The test's own limit ends a wait that would be in vain.
  while (BytesOf(directory.path(), ".blob") > 0) std::this_thread::yield();
}

}  // namespace
}  // namespace varve::storage
