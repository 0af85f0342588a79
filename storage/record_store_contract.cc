#include "storage/record_store_contract.h"

#include <gmock/gmock.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/str_cat.h"

namespace varve::storage {
namespace {

using std::literals::operator""s;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

using Records = std::map<std::string, std::string>;  // id -> vector

std::vector<std::string_view> Views(const std::vector<std::string>& strings) {
  return std::vector<std::string_view>(strings.begin(), strings.end());
}

// One namespace, written as the engine writes: rows numbered upwards, old rows of ids dead.
class Writer {
 public:
  Writer(RecordStore* store, std::string_view name) : store_(store) {
    const auto number = store->CreateNamespace(name, "schema");
    EXPECT_TRUE(number.ok()) << number.status();
    number_ = number.value_or(0);
  }

  NamespaceNumber number() const { return number_; }
  const CommitState& state() const { return state_; }
  void Use(RecordStore* store) { store_ = store; }

  absl::Status Put(const Records& records, std::string_view producer = "", uint64_t batch = 0) {
    return Commit(records, {}, producer, batch);
  }
  absl::Status Delete(const std::vector<std::string>& ids) { return Commit({}, ids, "", 0); }

  absl::Status Commit(const Records& records, const std::vector<std::string>& deleted,
                      std::string_view producer, uint64_t batch) {
    std::vector<std::string_view> ids;
    std::vector<std::string_view> vectors;
    for (const auto& [id, vector] : records) {
      ids.push_back(id);
      vectors.push_back(vector);
    }
    const std::vector<std::string_view> deleted_ids = Views(deleted);
    std::vector<std::string_view> touched = ids;
    touched.insert(touched.end(), deleted_ids.begin(), deleted_ids.end());
    std::vector<uint64_t> dead_rows;
    EXPECT_TRUE(store_->FindRows(number_, touched, &dead_rows).ok());
    std::erase(dead_rows, kNoRow);

    storage::Commit commit;
    commit.namespace_number = number_;
    commit.first_row = state_.next_row;
    state_.sequence += 1;
    state_.next_row += ids.size();
    state_.id_type = 2;
    commit.state = state_;
    commit.ids = ids;
    commit.vectors = vectors;
    commit.deleted_ids = deleted_ids;
    commit.dead_rows = dead_rows;
    commit.producer = producer;
    commit.producer_batch = batch;
    return store_->Write(commit);
  }

 private:
  RecordStore* store_;
  NamespaceNumber number_ = 0;
  CommitState state_;
};

// What is left of a walk.
std::vector<StoredRecord> Rest(RecordStore::Cursor* cursor) {
  std::vector<StoredRecord> records;
  StoredRecord record;
  while (true) {
    const absl::StatusOr<bool> more = cursor->Next(&record);
    EXPECT_TRUE(more.ok()) << more.status();
    if (!more.value_or(false)) return records;
    records.push_back(record);
  }
}

std::vector<StoredRecord> ById(const RecordStore& store, NamespaceNumber number,
                               std::string_view after = "", bool include_vectors = true) {
  auto cursor = store.ScanById(number, after, include_vectors);
  EXPECT_TRUE(cursor.ok()) << cursor.status();
  return Rest(cursor->get());
}

std::vector<StoredRecord> ByRow(const RecordStore& store, NamespaceNumber number,
                                uint64_t first_row = 1) {
  auto cursor = store.ScanByRow(number, {first_row, kLastRow});
  EXPECT_TRUE(cursor.ok()) << cursor.status();
  return Rest(cursor->get());
}

Records ToMap(const std::vector<StoredRecord>& records) {
  Records map;
  for (const StoredRecord& record : records) map.emplace(record.id, record.vector);
  EXPECT_EQ(map.size(), records.size()) << "an id comes twice";
  return map;
}

std::vector<std::string> Ids(const std::vector<StoredRecord>& records) {
  std::vector<std::string> ids;
  for (const StoredRecord& record : records) ids.push_back(record.id);
  return ids;
}

std::vector<uint64_t> Rows(const RecordStore& store, NamespaceNumber number,
                           const std::vector<std::string>& ids) {
  std::vector<uint64_t> rows = {99};  // must not show
  EXPECT_TRUE(store.FindRows(number, Views(ids), &rows).ok());
  return rows;
}

std::optional<NamespaceEntry> FindEntry(const RecordStore& store, std::string_view name) {
  const auto entries = store.ListNamespaces();
  EXPECT_TRUE(entries.ok()) << entries.status();
  for (const NamespaceEntry& entry : *entries) {
    if (entry.name == name) return entry;
  }
  return std::nullopt;
}

// Long enough to be kept apart from its key, where short ones are not.
std::string LongVector(char byte) { return std::string(100'000, byte); }

TEST_P(RecordStoreContractTest, AnEmptyStoreHasNoNamespaces) {
  const auto entries = store().ListNamespaces();
  ASSERT_TRUE(entries.ok());
  EXPECT_THAT(*entries, IsEmpty());
}

TEST_P(RecordStoreContractTest, ANamespaceIsReadByItsName) {
  const auto number = store().CreateNamespace("ant", "schema");
  ASSERT_TRUE(number.ok());
  const auto entry = store().ReadNamespace("ant");
  ASSERT_TRUE(entry.ok()) << entry.status();
  EXPECT_EQ(entry->number, *number);
  EXPECT_EQ(entry->name, "ant");
  EXPECT_EQ(entry->schema, "schema");
  EXPECT_EQ(entry->state.next_row, 1);
  EXPECT_EQ(store().ReadNamespace("bee").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(RecordStoreContractTest, AManifestTakesTombstonesAlongUpToItsSequence) {
  const auto number = store().CreateNamespace("ant", "");
  ASSERT_TRUE(number.ok());
  const std::vector<std::string_view> ids = {"a", "b", "c"}, vectors = {"1", "2", "3"};
  ASSERT_TRUE(store()
                  .Write({.namespace_number = *number,
                          .state = {.sequence = 1, .next_row = 4},
                          .first_row = 1,
                          .ids = ids,
                          .vectors = vectors})
                  .ok());
  const auto kill = [&](uint64_t sequence, std::string_view id, uint64_t row) {
    return store().Write({.namespace_number = *number,
                          .state = {.sequence = sequence, .next_row = 4},
                          .first_row = 4,
                          .deleted_ids = absl::MakeConstSpan(&id, 1),
                          .dead_rows = absl::MakeConstSpan(&row, 1)});
  };
  ASSERT_TRUE(kill(2, "a", 1).ok());
  ASSERT_TRUE(kill(3, "b", 2).ok());
  ASSERT_TRUE(kill(4, "c", 3).ok());
  ASSERT_TRUE(store().WriteManifest(*number, "m", {{{.range = {1, 2}, .sequence = 2}}}).ok());
  EXPECT_EQ(store().ReadManifest(*number).value(), "m");
  const auto left = store().ReadTombstones(*number, {1, kLastRow});
  ASSERT_TRUE(left.ok());
  ASSERT_EQ(left->size(), 2);
  EXPECT_EQ((*left)[0].row, 2) << "died later than the manifest speaks of";
  EXPECT_EQ((*left)[1].row, 3) << "is not in the range";
  store().ReclaimRows(*number, {1, 3});
  EXPECT_TRUE(store().Flush().ok());
  EXPECT_EQ(store().ReadTombstones(*number, {1, kLastRow})->size(), 2);
}

TEST_P(RecordStoreContractTest, NamespacesAreListedByNameWithSchemaAndFreshState) {
  const auto zebra = store().CreateNamespace("zebra", "schema\0of zebra"s);
  const auto ant = store().CreateNamespace("ant", "");
  ASSERT_TRUE(zebra.ok() && ant.ok());
  EXPECT_NE(*zebra, *ant);
  const auto entries = store().ListNamespaces();
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 2);
  EXPECT_EQ((*entries)[0].name, "ant");
  EXPECT_EQ((*entries)[0].number, *ant);
  EXPECT_EQ((*entries)[0].schema, "");
  EXPECT_EQ((*entries)[1].name, "zebra");
  EXPECT_EQ((*entries)[1].number, *zebra);
  EXPECT_EQ((*entries)[1].schema, "schema\0of zebra"s);
  EXPECT_EQ((*entries)[1].state.sequence, 0);
  EXPECT_EQ((*entries)[1].state.next_row, 1);
}

TEST_P(RecordStoreContractTest, ASecondNamespaceOfTheSameNameIsAlreadyExists) {
  const auto first = store().CreateNamespace("a", "first");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(store().CreateNamespace("a", "second").status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(FindEntry(store(), "a")->schema, "first");
}

TEST_P(RecordStoreContractTest, ASchemaIsReplacedAndKeepsState) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}}).ok());
  ASSERT_TRUE(store().UpdateSchema(a.number(), "a", "new").ok());
  const auto entry = FindEntry(store(), "a");
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->schema, "new");
  EXPECT_EQ(entry->number, a.number());
  EXPECT_EQ(entry->state.sequence, 1);
}

TEST_P(RecordStoreContractTest, UpdatingOrDroppingWhatIsNotThereIsNotFound) {
  const auto number = store().CreateNamespace("a", "schema");
  ASSERT_TRUE(number.ok());
  EXPECT_EQ(store().UpdateSchema(*number, "b", "x").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store().UpdateSchema(*number + 1, "a", "x").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store().DropNamespace(*number, "b").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store().DropNamespace(*number + 1, "a").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FindEntry(store(), "a")->schema, "schema");
}

TEST_P(RecordStoreContractTest, ACommitIsReadBackWhole) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}, {"y", LongVector('2')}, {"z", ""}}).ok());
  EXPECT_THAT(Rows(store(), a.number(), {"z", "none", "x", "y"}), ElementsAre(3, kNoRow, 1, 2));

  const std::vector<std::string> ids = {"y", "none", "x"};
  const auto records = store().ReadRecords(a.number(), Views(ids), /*include_vectors=*/true);
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 3);
  ASSERT_TRUE((*records)[0].has_value());
  EXPECT_EQ((*records)[0]->row, 2);
  EXPECT_EQ((*records)[0]->sequence, 1);
  EXPECT_EQ((*records)[0]->id, "y");
  EXPECT_EQ((*records)[0]->vector, LongVector('2'));
  EXPECT_FALSE((*records)[1].has_value());
  ASSERT_TRUE((*records)[2].has_value());
  EXPECT_EQ((*records)[2]->vector, "1");
}

TEST_P(RecordStoreContractTest, VectorsAreLeftOutWhenNotAskedFor) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}}).ok());
  const auto records = store().ReadRecords(a.number(), {"x"}, /*include_vectors=*/false);
  ASSERT_TRUE(records.ok());
  EXPECT_EQ((*records)[0]->id, "x");
  EXPECT_EQ((*records)[0]->vector, "");
  EXPECT_EQ(ById(store(), a.number(), "", /*include_vectors=*/false)[0].vector, "");
}

TEST_P(RecordStoreContractTest, NothingIsAskedForAndNothingFound) {
  Writer a(&store(), "a");
  EXPECT_THAT(Rows(store(), a.number(), {}), IsEmpty());
  const auto records = store().ReadRecords(a.number(), {}, true);
  ASSERT_TRUE(records.ok());
  EXPECT_THAT(*records, IsEmpty());
  const auto vectors = store().ReadVectors(a.number(), {});
  ASSERT_TRUE(vectors.ok());
  EXPECT_THAT(*vectors, IsEmpty());
}

TEST_P(RecordStoreContractTest, AnIdAskedForTwiceIsFoundTwice) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}}).ok());
  EXPECT_THAT(Rows(store(), a.number(), {"x", "x"}), ElementsAre(1, 1));
  const auto records = store().ReadRecords(a.number(), {"x", "x"}, true);
  ASSERT_TRUE(records.ok());
  EXPECT_EQ((*records)[0]->vector, "1");
  EXPECT_EQ((*records)[1]->vector, "1");
}

TEST_P(RecordStoreContractTest, TheStateOfACommitIsStoredWithIt) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}, {"y", "2"}}).ok());
  ASSERT_TRUE(a.Put({{"z", "3"}}).ok());
  const auto entry = FindEntry(store(), "a");
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->state.sequence, 2);
  EXPECT_EQ(entry->state.next_row, 4);
  EXPECT_EQ(entry->state.id_type, 2);
}

TEST_P(RecordStoreContractTest, AReplacedIdHasItsNewRowAndTheOldOneIsGone) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "old"}, {"y", "2"}}).ok());
  ASSERT_TRUE(a.Put({{"x", "new"}}).ok());
  EXPECT_THAT(Rows(store(), a.number(), {"x", "y"}), ElementsAre(3, 2));
  const auto vectors = store().ReadVectors(a.number(), {3, 1, 2, 77});
  ASSERT_TRUE(vectors.ok());
  EXPECT_THAT(*vectors, ElementsAre("new", std::nullopt, "2", std::nullopt));
  EXPECT_THAT(ToMap(ByRow(store(), a.number())), ElementsAre(Pair("x", "new"), Pair("y", "2")));
}

TEST_P(RecordStoreContractTest, ADeletedIdIsFoundNowhere) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}, {"y", LongVector('2')}}).ok());
  ASSERT_TRUE(a.Delete({"y"}).ok());
  EXPECT_THAT(Rows(store(), a.number(), {"x", "y"}), ElementsAre(1, kNoRow));
  const auto vectors = store().ReadVectors(a.number(), {2});
  ASSERT_TRUE(vectors.ok());
  EXPECT_FALSE((*vectors)[0].has_value());
  const auto records = store().ReadRecords(a.number(), {"y"}, true);
  ASSERT_TRUE(records.ok());
  EXPECT_FALSE((*records)[0].has_value());
  EXPECT_THAT(ToMap(ById(store(), a.number())), ElementsAre(Pair("x", "1")));
  EXPECT_THAT(ToMap(ByRow(store(), a.number())), ElementsAre(Pair("x", "1")));
}

TEST_P(RecordStoreContractTest, ADeletedIdCanComeBack) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}}).ok());
  ASSERT_TRUE(a.Delete({"x"}).ok());
  ASSERT_TRUE(a.Put({{"x", "2"}}).ok());
  EXPECT_THAT(ToMap(ById(store(), a.number())), ElementsAre(Pair("x", "2")));
  EXPECT_THAT(Rows(store(), a.number(), {"x"}), ElementsAre(2));
}

TEST_P(RecordStoreContractTest, OneCommitPutsAndDeletes) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}, {"y", "2"}}).ok());
  ASSERT_TRUE(a.Commit({{"x", "3"}, {"z", "4"}}, {"y"}, "p", 7).ok());
  EXPECT_THAT(ToMap(ById(store(), a.number())), ElementsAre(Pair("x", "3"), Pair("z", "4")));
  EXPECT_EQ(store().ProducerPosition(a.number(), "p").value_or(0), 7);
}

TEST_P(RecordStoreContractTest, ACommitWithAVectorTooFewChangesNothing) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}}).ok());
  const std::vector<std::string_view> ids = {"y", "z"};
  const std::vector<std::string_view> vectors = {"2"};
  Commit commit;
  commit.namespace_number = a.number();
  commit.state = {.sequence = 2, .next_row = 4};
  commit.first_row = 2;
  commit.ids = ids;
  commit.vectors = vectors;
  EXPECT_EQ(store().Write(commit).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FindEntry(store(), "a")->state.sequence, 1);
  EXPECT_THAT(ToMap(ById(store(), a.number())), ElementsAre(Pair("x", "1")));
}

TEST_P(RecordStoreContractTest, ACommitToNoNamespaceIsInvalid) {
  EXPECT_EQ(store().Write(Commit()).code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(RecordStoreContractTest, ProducersHaveTheirOwnPositionsInEachNamespace) {
  Writer a(&store(), "a");
  Writer b(&store(), "b");
  ASSERT_TRUE(a.Put({{"x", "1"}}, "p", 1).ok());
  ASSERT_TRUE(a.Put({{"y", "1"}}, "p", 2).ok());
  ASSERT_TRUE(a.Put({{"z", "1"}}, "pq", 5).ok());
  ASSERT_TRUE(a.Put({{"w", "1"}}).ok());
  ASSERT_TRUE(b.Put({{"x", "1"}}, "p", 9).ok());
  EXPECT_EQ(store().ProducerPosition(a.number(), "p").value_or(99), 2);
  EXPECT_EQ(store().ProducerPosition(a.number(), "pq").value_or(99), 5);
  EXPECT_EQ(store().ProducerPosition(b.number(), "p").value_or(99), 9);
  EXPECT_EQ(store().ProducerPosition(a.number(), "nobody").value_or(99), 0);
  EXPECT_EQ(store().ProducerPosition(a.number(), "").value_or(99), 0);
}

TEST_P(RecordStoreContractTest, IdsAreAnyBytesAndSortAsBytes) {
  Writer a(&store(), "a");
  const Records records = {{"\0"s, "1"},  {"\0\0"s, "2"},    {"\0\xff"s, "3"}, {"a", "4"},
                           {"a\0"s, "5"}, {"ab", "6"},       {"\x7f", "7"},    {"\x80", "8"},
                           {"\xff", "9"}, {"\xff\xff", "10"}};
  ASSERT_TRUE(a.Put(records).ok());
  const std::vector<StoredRecord> found = ById(store(), a.number());
  EXPECT_THAT(Ids(found), ElementsAre("\0"s, "\0\0"s, "\0\xff"s, "a", "a\0"s, "ab", "\x7f", "\x80",
                                      "\xff", "\xff\xff"));
  EXPECT_EQ(ToMap(found), records);
  EXPECT_EQ(ToMap(ByRow(store(), a.number())), records);
}

TEST_P(RecordStoreContractTest, AnIdThatIsAnothersPrefixIsItsOwn) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"ab", "1"}}).ok());
  EXPECT_THAT(Rows(store(), a.number(), {"a", "ab", "abc"}), ElementsAre(kNoRow, 1, kNoRow));
  ASSERT_TRUE(a.Put({{"a", "2"}, {"abc", "3"}}).ok());
  ASSERT_TRUE(a.Delete({"ab"}).ok());
  EXPECT_THAT(ToMap(ById(store(), a.number())), ElementsAre(Pair("a", "2"), Pair("abc", "3")));
}

TEST_P(RecordStoreContractTest, AScanByIdGoesOnAfterAnyId) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"a", "1"}, {"a\0"s, "2"}, {"b", "3"}, {"\xff", "4"}}).ok());
  EXPECT_THAT(Ids(ById(store(), a.number(), "a")), ElementsAre("a\0"s, "b", "\xff"));
  EXPECT_THAT(Ids(ById(store(), a.number(), "a\0"s)), ElementsAre("b", "\xff"));
  EXPECT_THAT(Ids(ById(store(), a.number(), "aa")), ElementsAre("b", "\xff"));
  EXPECT_THAT(Ids(ById(store(), a.number(), "\xff")), IsEmpty());
  EXPECT_THAT(Ids(ById(store(), a.number(), "\xff\xff")), IsEmpty());
}

TEST_P(RecordStoreContractTest, ALongScanByIdMissesNothing) {
  Writer a(&store(), "a");
  Records records;
  for (int i = 0; i < 1000; ++i) records[StrCat("id", i)] = StrCat("vector", i);
  ASSERT_TRUE(a.Put(records).ok());
  const std::vector<StoredRecord> found = ById(store(), a.number());
  EXPECT_EQ(ToMap(found), records);
  for (size_t i = 1; i < found.size(); ++i) EXPECT_LT(found[i - 1].id, found[i].id);
}

TEST_P(RecordStoreContractTest, AScanByRowIsInOrderOfRowFromTheFirstAskedFor) {
  Writer a(&store(), "a");
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(a.Put({{StrCat("id", i), StrCat(i)}}).ok());
  ASSERT_TRUE(a.Delete({"id297"}).ok());  // row 298
  const std::vector<StoredRecord> found = ByRow(store(), a.number(), 255);
  ASSERT_EQ(found.size(), 45);
  EXPECT_EQ(found.front().row, 255);
  EXPECT_EQ(found.front().sequence, 255);
  EXPECT_EQ(found.front().id, "id254");
  EXPECT_EQ(found.front().vector, "254");
  EXPECT_EQ(found.back().row, 300);
  for (size_t i = 1; i < found.size(); ++i) {
    EXPECT_LT(found[i - 1].row, found[i].row);
    EXPECT_NE(found[i].row, 298);
  }
  EXPECT_THAT(ByRow(store(), a.number(), 301), IsEmpty());
}

TEST_P(RecordStoreContractTest, AScanSeesTheMomentItWasMade) {
  Writer a(&store(), "a");
  Records records;
  for (int i = 0; i < 500; ++i) records[StrCat("id", i)] = LongVector('o').substr(0, 1000);
  ASSERT_TRUE(a.Put(records).ok());
  auto by_id = store().ScanById(a.number(), "", true);
  auto by_row = store().ScanByRow(a.number(), {1, kLastRow});
  ASSERT_TRUE(by_id.ok() && by_row.ok());
  StoredRecord record;
  ASSERT_TRUE((*by_id)->Next(&record).value_or(false));
  EXPECT_EQ(record.id, "id0");

  ASSERT_TRUE(a.Put({{"id1", "new"}, {"later", "new"}}).ok());
  ASSERT_TRUE(a.Delete({"id2", "id3", "id499"}).ok());

  Records seen_by_id = ToMap(Rest(by_id->get()));
  seen_by_id.emplace(record.id, record.vector);
  EXPECT_EQ(seen_by_id, records);
  EXPECT_EQ(ToMap(Rest(by_row->get())), records);
}

TEST_P(RecordStoreContractTest, NamespacesDoNotSeeEachOther) {
  Writer a(&store(), "a");
  Writer b(&store(), "b");
  ASSERT_TRUE(a.Put({{"x", "a's"}, {"y", "a's"}}).ok());
  ASSERT_TRUE(b.Put({{"x", "b's"}}).ok());
  ASSERT_TRUE(a.Delete({"x"}).ok());
  EXPECT_THAT(ToMap(ById(store(), a.number())), ElementsAre(Pair("y", "a's")));
  EXPECT_THAT(ToMap(ById(store(), b.number())), ElementsAre(Pair("x", "b's")));
  EXPECT_THAT(ToMap(ByRow(store(), b.number())), ElementsAre(Pair("x", "b's")));
}

TEST_P(RecordStoreContractTest, ADropTakesOneNamespaceAndLeavesItsNeighbours) {
  Writer before(&store(), "before");
  Writer dropped(&store(), "dropped");
  Writer after(&store(), "after");
  const Records records = {{"\0"s, "1"}, {"x", LongVector('2')}, {"\xff\xff", "3"}};
  for (Writer* writer : {&before, &dropped, &after}) {
    ASSERT_TRUE(writer->Put(records, "producer", 3).ok());
  }
  ASSERT_TRUE(store().DropNamespace(dropped.number(), "dropped").ok());

  EXPECT_FALSE(FindEntry(store(), "dropped").has_value());
  EXPECT_THAT(Rows(store(), dropped.number(), {"x"}), ElementsAre(kNoRow));
  EXPECT_THAT(ById(store(), dropped.number()), IsEmpty());
  EXPECT_THAT(ByRow(store(), dropped.number()), IsEmpty());
  EXPECT_EQ(store().ProducerPosition(dropped.number(), "producer").value_or(99), 0);
  const auto vectors = store().ReadVectors(dropped.number(), {1, 2, 3});
  ASSERT_TRUE(vectors.ok());
  EXPECT_THAT(*vectors, ElementsAre(std::nullopt, std::nullopt, std::nullopt));
  for (const Writer* writer : {&before, &after}) {
    EXPECT_EQ(ToMap(ById(store(), writer->number())), records);
    EXPECT_EQ(ToMap(ByRow(store(), writer->number())), records);
    EXPECT_EQ(store().ProducerPosition(writer->number(), "producer").value_or(99), 3);
  }
}

TEST_P(RecordStoreContractTest, AScanBegunBeforeADropSeesItsRecords) {
  Writer a(&store(), "a");
  const Records records = {{"x", "1"}, {"y", LongVector('2')}};
  ASSERT_TRUE(a.Put(records).ok());
  auto by_id = store().ScanById(a.number(), "", true);
  auto by_row = store().ScanByRow(a.number(), {1, kLastRow});
  ASSERT_TRUE(by_id.ok() && by_row.ok());
  ASSERT_TRUE(store().DropNamespace(a.number(), "a").ok());
  EXPECT_EQ(ToMap(Rest(by_id->get())), records);
  EXPECT_EQ(ToMap(Rest(by_row->get())), records);
}

TEST_P(RecordStoreContractTest, ANumberIsNeverGivenOutAgain) {
  Writer first(&store(), "a");
  ASSERT_TRUE(first.Put({{"x", "1"}}, "p", 4).ok());
  ASSERT_TRUE(store().DropNamespace(first.number(), "a").ok());
  Reopen();
  Writer second(&store(), "a");
  EXPECT_GT(second.number(), first.number());
  EXPECT_THAT(ById(store(), second.number()), IsEmpty());
  EXPECT_EQ(store().ProducerPosition(second.number(), "p").value_or(99), 0);
  EXPECT_EQ(FindEntry(store(), "a")->state.sequence, 0);
}

TEST_P(RecordStoreContractTest, EverythingIsThereAfterReopening) {
  Writer a(&store(), "a");
  Writer b(&store(), "b");
  ASSERT_TRUE(a.Put({{"x", "1"}, {"y", LongVector('2')}, {"z", "3"}}, "p", 1).ok());
  ASSERT_TRUE(a.Commit({{"x", "4"}}, {"z"}, "p", 2).ok());
  ASSERT_TRUE(b.Put({{"x", "b's"}}).ok());
  ASSERT_TRUE(store().UpdateSchema(b.number(), "b", "new").ok());
  Reopen();
  EXPECT_THAT(ToMap(ById(store(), a.number())),
              ElementsAre(Pair("x", "4"), Pair("y", LongVector('2'))));
  EXPECT_THAT(ToMap(ById(store(), b.number())), ElementsAre(Pair("x", "b's")));
  EXPECT_EQ(store().ProducerPosition(a.number(), "p").value_or(0), 2);
  const auto entry = FindEntry(store(), "a");
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->number, a.number());
  EXPECT_EQ(entry->state.sequence, 2);
  EXPECT_EQ(entry->state.next_row, 5);
  EXPECT_EQ(FindEntry(store(), "b")->schema, "new");

  a.Use(&store());
  ASSERT_TRUE(a.Put({{"x", "5"}}).ok());
  EXPECT_THAT(Rows(store(), a.number(), {"x"}), ElementsAre(5));
}

// A commit replaces ten records at once and brings one that the next deletes: who sees a mixture
// has seen half a commit.
TEST_P(RecordStoreContractTest, ReadersSeeWholeCommitsWhileOneWrites) {
  Writer a(&store(), "a");
  std::vector<std::string> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(StrCat("id", i));
  const auto commit = [&](int n) {
    Records records;
    for (const std::string& id : ids) records[id] = StrCat(n);
    records[StrCat("only", n)] = StrCat(n);
    ASSERT_TRUE(a.Commit(records, {StrCat("only", n - 1)}, "", 0).ok());
  };
  const auto expect_whole = [&](const std::vector<StoredRecord>& records) {
    EXPECT_EQ(records.size(), ids.size() + 1);
    for (const StoredRecord& record : records) {
      EXPECT_EQ(record.vector, records[0].vector);
      EXPECT_EQ(record.sequence, records[0].sequence);
    }
  };
  commit(0);
  std::atomic<bool> stop{false};
  std::thread by_ids([&] {
    while (!stop) {
      const auto found = store().ReadRecords(a.number(), Views(ids), true);
      ASSERT_TRUE(found.ok()) << found.status();
      for (const auto& record : *found) EXPECT_EQ(record->vector, (*found)[0]->vector);
    }
  });
  std::thread by_scan([&] {
    while (!stop) {
      expect_whole(ById(store(), a.number()));
      expect_whole(ByRow(store(), a.number()));
    }
  });
  for (int n = 1; n < 500; ++n) commit(n);
  stop = true;
  by_ids.join();
  by_scan.join();
}

TEST_P(RecordStoreContractTest, NamespacesAreWrittenSideBySide) {
  constexpr int kThreads = 4;
  constexpr int kCommits = 100;
  std::vector<Writer> writers;
  for (int i = 0; i < kThreads; ++i) writers.emplace_back(&store(), StrCat("n", i));
  std::vector<std::thread> threads;
  for (Writer& writer : writers) {
    threads.emplace_back([&writer] {
      for (int n = 1; n <= kCommits; ++n) {
        ASSERT_TRUE(writer.Put({{"same", StrCat(n)}, {StrCat("id", n), "1"}}, "p", n).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Writer& writer : writers) {
    EXPECT_EQ(ById(store(), writer.number()).size(), kCommits + 1);
    EXPECT_EQ(ById(store(), writer.number()).back().vector, StrCat(kCommits));
    EXPECT_EQ(store().ProducerPosition(writer.number(), "p").value_or(0), kCommits);
  }
}

TEST_P(RecordStoreContractTest, RandomOperationsAndReopeningsAgreeWithAModel) {
  constexpr uint32_t kSeed = 20'240'607;
  std::mt19937 random(kSeed);
  const auto below = [&random](uint32_t limit) { return random() % limit; };
  const auto random_id = [&] { return StrCat("id", below(300)); };
  struct Model {
    std::string name;
    Writer writer;
    Records records;
  };
  std::vector<Model> models;
  int made = 0;
  const auto add = [&] {
    const std::string name = StrCat("n", made++);
    models.push_back({.name = name, .writer = Writer(&store(), name), .records = {}});
  };
  for (int i = 0; i < 3; ++i) add();

  for (int step = 0; step < 600; ++step) {
    SCOPED_TRACE(StrCat("seed ", kSeed, ", step ", step));
    Model& model = models[below(3)];
    const uint32_t what = below(100);
    if (what < 60) {
      Records records;
      for (uint32_t i = below(40); i > 0; --i) {
        records[random_id()] = std::string(below(3000), static_cast<char>('a' + below(26)));
      }
      ASSERT_TRUE(model.writer.Put(records).ok());
      for (const auto& [id, vector] : records) model.records[id] = vector;
    } else if (what < 80) {
      const std::string id = random_id();
      ASSERT_TRUE(model.writer.Delete({id}).ok());
      model.records.erase(id);
    } else if (what < 92) {
      EXPECT_EQ(ToMap(ById(store(), model.writer.number())), model.records);
      EXPECT_EQ(ToMap(ByRow(store(), model.writer.number())), model.records);
    } else if (what < 94) {
      ASSERT_TRUE(store().DropNamespace(model.writer.number(), model.name).ok());
      std::swap(model, models.back());
      models.pop_back();
      add();
    } else if (what < 97) {
      store().SyncAsync([](absl::Status status) { EXPECT_TRUE(status.ok()) << status; });
    } else {
      Reopen();
      for (Model& each : models) each.writer.Use(&store());
    }
  }
  Reopen();
  for (const Model& model : models) {
    EXPECT_EQ(ToMap(ById(store(), model.writer.number())), model.records);
    EXPECT_EQ(ToMap(ByRow(store(), model.writer.number())), model.records);
    EXPECT_EQ(FindEntry(store(), model.name)->state.sequence, model.writer.state().sequence);
  }
}

TEST_P(RecordStoreContractTest, EverySyncCallsBackOnce) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}}).ok());
  Mutex mu;
  CondVar changed;
  int calls = 0;
  constexpr int kSyncs = 10;
  for (int i = 0; i < kSyncs; ++i) {
    store().SyncAsync([&](absl::Status status) {
      MutexLock lock(&mu);
      EXPECT_TRUE(status.ok()) << status;
      ++calls;
      changed.Signal();
    });
  }
  {
    MutexLock lock(&mu);
    while (calls < kSyncs) changed.Wait(&mu);
  }
  Reopen();  // waits for whoever might call once more
  EXPECT_EQ(calls, kSyncs);
}

}  // namespace
}  // namespace varve::storage
