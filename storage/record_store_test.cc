#include "storage/record_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
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

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

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

constexpr FieldNumber kFields[] = {kDefaultField, 3};
constexpr RecordParts kNoParts;
constexpr RecordParts kVectors = {.fields = kFields};
constexpr RecordParts kMetadata = {.metadata = true};
constexpr RecordParts kEverything = {.fields = kFields, .metadata = true};
constexpr RowRange kAllRows = {1, kLastRow};

// A store with one namespace of two records, x and y, and access to the bytes under it.
class StoredBytesTest : public testing::Test {
 protected:
  const TemporaryDirectory directory_;

  StoredBytesTest() {
    auto store = Open();
    number_ = store->CreateNamespace("a", "schema").value();
    const std::vector<std::string_view> ids = {"x", "y"};
    const std::vector<std::string_view> vectors = {"1", "2"}, others = {"3", "4"};
    const std::vector<FieldColumn> fields = {{kDefaultField, vectors}, {3, others}};
    const std::vector<std::string_view> attributes = {"x's", "y's"};
    const std::vector<int64_t> expires_at = {7, kNeverExpires};
    Commit commit;
    commit.namespace_number = number_;
    commit.state = {.sequence = 1, .next_row = 3};
    commit.first_row = 1;
    commit.ids = ids;
    commit.fields = fields;
    commit.attributes = attributes;
    commit.expires_at = expires_at;
    commit.namespace_fields = kFields;
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

  // Updates or deletes x, row 1, in commit 2.
  absl::Status UpdateX(RecordStore* store, const MetadataUpdate& update) const {
    return store->Write({.namespace_number = number_,
                         .state = {.sequence = 2, .next_row = 3},
                         .updates = absl::MakeConstSpan(&update, 1),
                         .namespace_fields = kFields});
  }
  absl::Status DeleteX(RecordStore* store) const {
    const std::string_view id = "x";
    const uint64_t row = 1;
    return store->Write({.namespace_number = number_,
                         .state = {.sequence = 2, .next_row = 3},
                         .deleted_ids = absl::MakeConstSpan(&id, 1),
                         .dead_rows = absl::MakeConstSpan(&row, 1),
                         .namespace_fields = kFields});
  }

  // The namespace's keys.
  std::vector<std::string> Keys(Family family) {
    const auto db = Database::Open(directory_.path(), RecordStoreOptions());
    EXPECT_TRUE(db.ok()) << db.status();
    const auto walk =
        (*db)->NewWalk(family, nullptr, NamespaceBegin(number_), NamespaceBegin(number_ + 1));
    std::vector<std::string> keys;
    while (walk->Next().value()) keys.emplace_back(walk->key());
    return keys;
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
};

TEST_F(StoredBytesTest, ADeletedRecordLeavesNoKeyButATombstoneInEachField) {
  const auto x_key = RowKey(number_, 1), y_key = RowKey(number_, 2);
  ASSERT_TRUE(DeleteX(Open().get()).ok());
  EXPECT_THAT(Keys(Family::kIds), ElementsAre(IdKey(number_, "y")));
  EXPECT_THAT(Keys(Family::kRows), ElementsAre(View(y_key)));
  EXPECT_THAT(Keys(Family::kVectors),
              ElementsAre(View(VectorKey(number_, 2, 0)), View(VectorKey(number_, 2, 3))));
  EXPECT_THAT(Keys(Family::kAttributes), ElementsAre(View(y_key)));
  EXPECT_THAT(Keys(Family::kTombstones), ElementsAre(View(x_key), MarkKey(number_, 1, 3)));
  EXPECT_THAT(Keys(Family::kUpdates), IsEmpty());
}

TEST_F(StoredBytesTest, ADroppedNamespaceLeavesNoKeyInAnyFamily) {
  {
    const auto store = Open();
    ASSERT_TRUE(UpdateX(store.get(), {.row = 1, .attributes = "new"}).ok());
    ASSERT_TRUE(DeleteX(store.get()).ok());
    ASSERT_TRUE(store->WriteManifest(number_, kDefaultField, "m", {}).ok());
    ASSERT_TRUE(store->WriteManifest(number_, 3, "m", {}).ok());
  }
  EXPECT_EQ(Keys(Family::kMeta).size(), 4);  // state, two manifests, producer
  for (size_t family = 1; family < kFamilyCount; ++family) {
    EXPECT_THAT(Keys(static_cast<Family>(family)), Not(IsEmpty())) << "family " << family;
  }
  ASSERT_TRUE(Open()->DropNamespace(number_, "a").ok());
  for (size_t family = 0; family < kFamilyCount; ++family) {
    EXPECT_THAT(Keys(static_cast<Family>(family)), IsEmpty()) << "family " << family;
  }
}

TEST_F(StoredBytesTest, ARecordWithoutAVectorOrMetadataHasNoKeyForIt) {
  const std::vector<std::string_view> ids = {"z"}, none = {""}, some = {"5"};
  const std::vector<FieldColumn> fields = {{kDefaultField, none}, {3, some}};
  const std::vector<int64_t> expires_at = {kNeverExpires};
  ASSERT_TRUE(Open()
                  ->Write({.namespace_number = number_,
                           .state = {.sequence = 2, .next_row = 4},
                           .first_row = 3,
                           .ids = ids,
                           .fields = fields,
                           .attributes = none,
                           .expires_at = expires_at,
                           .namespace_fields = kFields})
                  .ok());
  EXPECT_THAT(Keys(Family::kRows), SizeIs(3));
  EXPECT_THAT(Keys(Family::kVectors), SizeIs(5));
  EXPECT_THAT(Keys(Family::kAttributes), SizeIs(2));
}

// What a store of the first version holds: a mark of the default field and a manifest without a
// field in their keys.
TEST_F(StoredBytesTest, MarksAndManifestsOfBeforeThereWereFieldsAreTheDefaultFields) {
  const auto row_key = RowKey(number_, 1);
  Put(Family::kTombstones, View(row_key), View(MarkValue(2)));
  Put(Family::kMeta, NamespaceBegin(number_) + "m", "old");
  const auto store = Open();
  EXPECT_EQ(store->ReadManifest(number_, kDefaultField).value(), "old");
  EXPECT_EQ(store->ReadManifest(number_, 3).value(), "");
  const auto marks = store->ReadMarks(RowMarkKind::kTombstone, number_, kDefaultField, kAllRows);
  ASSERT_EQ(marks->size(), 1);
  EXPECT_EQ(marks->front().row, 1);
  EXPECT_EQ(marks->front().sequence, 2);
  EXPECT_THAT(*store->ReadMarks(RowMarkKind::kTombstone, number_, 3, kAllRows), IsEmpty());
}

// The same store; a test damages the bytes.
class DamagedStoreTest : public StoredBytesTest {};

TEST_F(DamagedStoreTest, AnIdWithoutARowNumberIsDataLoss) {
  const std::string key = IdKey(number_, "x");
  Put(Family::kIds, key, "short");
  const auto store = Open();
  std::vector<uint64_t> rows;
  ExpectDataLoss(store->FindRows(number_, {"y", "x"}, &rows), key);
  ExpectDataLoss(store->ReadRecords(number_, {"x"}, kNoParts).status(), key);
  ExpectDataLoss(FirstOf(store->ScanById(number_, "", kNoParts)), key);
}

TEST_F(DamagedStoreTest, AnIdWhoseRowIsMissingIsDataLoss) {
  const auto row_key = RowKey(number_, 1);
  Delete(Family::kRows, View(row_key));
  const auto store = Open();
  ExpectDataLoss(store->ReadRecords(number_, {"x"}, kNoParts).status(), View(row_key));
  ExpectDataLoss(FirstOf(store->ScanById(number_, "", kNoParts)), View(row_key));
}

TEST_F(DamagedStoreTest, ARowTooShortIsDataLoss) {
  const auto row_key = RowKey(number_, 1);
  Put(Family::kRows, View(row_key), "short");
  const auto store = Open();
  ExpectDataLoss(store->ReadRecords(number_, {"x"}, kNoParts).status(), View(row_key));
  ExpectDataLoss(FirstOf(store->ScanByRow(number_, kAllRows, kNoParts)), View(row_key));
}

TEST_F(DamagedStoreTest, MetadataTooShortIsDataLoss) {
  const auto row_key = RowKey(number_, 1);
  Put(Family::kAttributes, View(row_key), "short");
  const auto store = Open();
  ExpectDataLoss(store->ReadRecords(number_, {"x"}, kMetadata).status(), View(row_key));
  ExpectDataLoss(store->ReadRows(number_, {1}, kMetadata).status(), View(row_key));
  ExpectDataLoss(FirstOf(store->ScanById(number_, "", kMetadata)), View(row_key));
  ExpectDataLoss(FirstOf(store->ScanByRow(number_, kAllRows, kMetadata)), View(row_key));
  EXPECT_TRUE(store->ReadRecords(number_, {"x"}, kVectors).ok()) << "metadata is not asked for";
  EXPECT_TRUE(FirstOf(store->ScanByRow(number_, kAllRows, kVectors)).ok());
  EXPECT_TRUE(store->ReadRecords(number_, {"y"}, kMetadata).ok()) << "the other record is whole";
}

TEST_F(DamagedStoreTest, AMetadataKeyOfTheWrongLengthIsDataLoss) {
  const std::string key = MarkKey(number_, 1, 3);
  Put(Family::kAttributes, key, AttributesValue(7, "x's"));
  ExpectDataLoss(FirstOf(Open()->ScanByRow(number_, kAllRows, kMetadata)), key);
}

TEST_F(DamagedStoreTest, AVectorKeyOfTheWrongLengthIsDataLoss) {
  const std::string key = std::string(View(RowKey(number_, 1))) + "x";
  Put(Family::kVectors, key, "1");
  const auto store = Open();
  ExpectDataLoss(FirstOf(store->ScanByRow(number_, kAllRows, kVectors)), key);
  EXPECT_TRUE(FirstOf(store->ScanByRow(number_, kAllRows, kMetadata)).ok());
}

TEST_F(DamagedStoreTest, VectorsAndMetadataWithoutARowAreNotTheNextRows) {
  const auto x_key = RowKey(number_, 1), y_key = RowKey(number_, 2);
  Delete(Family::kRows, View(x_key));
  Delete(Family::kVectors, View(VectorKey(number_, 2, 3)));
  Delete(Family::kAttributes, View(y_key));
  const auto store = Open();
  const auto cursor = store->ScanByRow(number_, kAllRows, kEverything).value();
  StoredRecord record;
  ASSERT_TRUE(cursor->Next(&record).value());
  EXPECT_EQ(record.id, "y");
  EXPECT_THAT(record.vectors, ElementsAre("2", ""));
  EXPECT_EQ(record.attributes, "");
  EXPECT_EQ(record.expires_at, kNeverExpires);
  EXPECT_FALSE(cursor->Next(&record).value());
}

TEST_F(DamagedStoreTest, AMarkTooShortIsDataLoss) {
  const std::string key = MarkKey(number_, 1, 3);
  for (const auto& [family, kind] : {std::pair(Family::kTombstones, RowMarkKind::kTombstone),
                                     std::pair(Family::kUpdates, RowMarkKind::kUpdate)}) {
    Put(family, key, "short");
    {
      const auto store = Open();
      ExpectDataLoss(store->ReadMarks(kind, number_, 3, kAllRows).status(), key);
      ExpectDataLoss(store->WriteManifest(number_, 3, "m", {{{.range = kAllRows}}}), key);
      EXPECT_EQ(store->ReadManifest(number_, 3).value(), "") << "nothing of it is written";
      EXPECT_TRUE(store->ReadMarks(kind, number_, kDefaultField, kAllRows).ok());
    }
    Delete(family, key);
  }
}

TEST_F(DamagedStoreTest, AMarkKeyOfTheWrongLengthIsDataLoss) {
  const std::string key = MarkKey(number_, 1, 3) + "x";
  Put(Family::kUpdates, key, View(MarkValue(1)));
  const auto store = Open();
  for (const FieldNumber field : kFields) {
    ExpectDataLoss(store->ReadMarks(RowMarkKind::kUpdate, number_, field, kAllRows).status(), key);
  }
}

TEST_F(DamagedStoreTest, ARowKeyOfTheWrongLengthIsDataLoss) {
  const std::string key = NamespaceBegin(number_) + "short";
  Put(Family::kRows, key, "12345678id");
  ExpectDataLoss(
      [&] {
        auto store = Open();
        auto cursor = store->ScanByRow(number_, {3, kLastRow}, kNoParts).value();
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
    const FieldColumn fields[] = {{kDefaultField, vectors}};
    Commit commit;
    commit.namespace_number = number;
    commit.state = {.sequence = row, .next_row = row + 1};
    commit.first_row = row;
    commit.ids = ids;
    commit.fields = fields;
    ASSERT_TRUE(store->Write(commit).ok());
  }
  ASSERT_GT(BytesOf(directory.path(), ".blob"), kRows * vector.size() / 2);
  ASSERT_TRUE(store->DropNamespace(number, "large").ok());
  // Without anyone doing anything more. The test's own limit ends a wait that would be in vain.
  while (BytesOf(directory.path(), ".blob") > 0) std::this_thread::yield();
}

// All keys under a number.
size_t CountKeys(const RecordStore& store, NamespaceNumber number) {
  const auto image = store.TakeImage(number);
  NamespaceImage::Entry entry;
  size_t keys = 0;
  while (image.ok() && *(*image)->Next(&entry)) ++keys;
  return keys;
}

TEST_F(StoredBytesTest, AnImportedNamespaceIsTheOneItWasTakenFrom) {
  const auto store = Open();
  const TemporaryDirectory other_directory;
  auto other = RecordStore::Open(other_directory.path(), {}).value();
  ASSERT_TRUE(other->CreateNamespace("first", "").ok());
  const NamespaceNumber number = other->BeginImport().value();
  EXPECT_NE(number, number_);
  const auto image = store->TakeImage(number_).value();
  ASSERT_TRUE(other->Import(number, image.get(), CallControl()).ok());
  EXPECT_THAT(*other->ListNamespaces(), SizeIs(1));
  ASSERT_TRUE(other->FinishImport(number, "b", "schema of b").ok());
  EXPECT_EQ(CountKeys(*other, number), CountKeys(*store, number_));

  other.reset();
  other = RecordStore::Open(other_directory.path(), {}).value();
  const NamespaceEntry entry = other->ReadNamespace("b").value();
  EXPECT_EQ(entry.number, number);
  EXPECT_EQ(entry.schema, "schema of b");
  EXPECT_EQ(entry.state.sequence, store->ReadNamespace("a")->state.sequence);
  const std::vector<std::string_view> ids = {"x", "y"};
  const auto wanted = store->ReadRecords(number_, ids, kEverything).value();
  const auto found = other->ReadRecords(number, ids, kEverything).value();
  ASSERT_THAT(found, SizeIs(2));
  for (size_t i = 0; i < ids.size(); ++i) {
    ASSERT_TRUE(found[i].has_value());
    EXPECT_EQ(found[i]->vectors, wanted[i]->vectors);
    EXPECT_EQ(found[i]->attributes, wanted[i]->attributes);
    EXPECT_EQ(found[i]->expires_at, wanted[i]->expires_at);
  }
}

TEST_F(StoredBytesTest, AnImportThatWasCutShortIsGoneWhenTheStoreIsOpened) {
  auto store = Open();
  const NamespaceNumber number = store->BeginImport().value();
  ASSERT_TRUE(store->Import(number, store->TakeImage(number_)->get(), CallControl()).ok());
  EXPECT_GT(CountKeys(*store, number), 0u);
  const size_t keys = CountKeys(*store, number_);
  store.reset();
  store = Open();
  EXPECT_EQ(CountKeys(*store, number), 0u);
  EXPECT_EQ(CountKeys(*store, number_), keys);
  EXPECT_NE(store->BeginImport().value(), number) << "numbers are not given out twice";
  EXPECT_TRUE(absl::IsDataLoss(store->FinishImport(number, "b", ""))) << "nothing was imported";
}

TEST_F(StoredBytesTest, AStoreThatIsOpenedToReadWritesNothing) {
  { const auto store = Open(); }
  const auto listing = [&] {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      names.insert(entry.path().filename().string() + " " +
                   std::to_string(entry.is_regular_file() ? entry.file_size() : 0));
    }
    return names;
  };
  const auto before = listing();
  {
    const auto store = RecordStore::OpenToRead(directory_.path(), {});
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_THAT(*(*store)->ListNamespaces(), SizeIs(1));
    EXPECT_FALSE((*store)->CreateNamespace("b", "").ok());
  }
  EXPECT_EQ(listing(), before);
  EXPECT_TRUE(absl::IsNotFound(RecordStore::OpenToRead("/nowhere", {}).status()));
}

}  // namespace
}  // namespace varve::storage
