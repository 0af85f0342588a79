#include "storage/record_store_contract.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <ostream>
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
using testing::Ge;
using testing::IsEmpty;
using testing::Pair;

// The first is every namespace's; the last two sort differently in the wrong byte order.
constexpr FieldNumber kFields[] = {kDefaultField, 3, 0x0100};
constexpr RecordParts kNoParts;
constexpr RecordParts kVector = {.fields = absl::Span<const FieldNumber>(kFields, 1)};
constexpr RecordParts kMetadata = {.metadata = true};
constexpr RecordParts kEverything = {.fields = kFields, .metadata = true};
constexpr RowRange kAllRows = {1, kLastRow};
constexpr RowMarkKind kMarkKinds[] = {RowMarkKind::kTombstone, RowMarkKind::kUpdate};

// What is stored under an id.
struct Metadata {
  std::string attributes;
  int64_t expires_at = kNeverExpires;

  bool operator==(const Metadata&) const = default;
};
struct Record {
  std::map<FieldNumber, std::string> vectors;
  Metadata metadata;

  bool operator==(const Record&) const = default;
};
using Records = std::map<std::string, Record>;
// The same of records that are a vector of the default field.
using Vectors = std::map<std::string, std::string>;

void PrintTo(const Record& record, std::ostream* out) {
  for (const auto& [field, vector] : record.vectors) *out << field << ": " << vector << ", ";
  *out << "attributes " << record.metadata.attributes << ", expires at "
       << record.metadata.expires_at;
}

Records ToRecords(const Vectors& vectors) {
  Records records;
  for (const auto& [id, vector] : vectors) records[id].vectors[kDefaultField] = vector;
  return records;
}

// One commit, by ids.
struct Change {
  Records puts;
  std::vector<std::string> deleted;
  std::map<std::string, Metadata> updates;
  std::string producer;
  uint64_t batch = 0;
};

std::vector<std::string_view> Views(const std::vector<std::string>& strings) {
  return std::vector<std::string_view>(strings.begin(), strings.end());
}

// One namespace, written as the engine writes: rows numbered upwards, old rows of ids dead.
class Writer {
 public:
  Writer(RecordStore* store, std::string_view name,
         absl::Span<const FieldNumber> fields = kVector.fields)
      : store_(store), fields_(fields) {
    const auto number = store->CreateNamespace(name, "schema");
    EXPECT_TRUE(number.ok()) << number.status();
    number_ = number.value_or(0);
  }

  NamespaceNumber number() const { return number_; }
  const CommitState& state() const { return state_; }
  void Use(RecordStore* store) { store_ = store; }

  absl::Status Put(const Vectors& vectors, std::string_view producer = "", uint64_t batch = 0) {
    return Write({.puts = ToRecords(vectors), .producer = std::string(producer), .batch = batch});
  }
  absl::Status PutRecords(const Records& records) { return Write({.puts = records}); }
  absl::Status Delete(const std::vector<std::string>& ids) { return Write({.deleted = ids}); }
  absl::Status Update(const std::map<std::string, Metadata>& updates) {
    return Write({.updates = updates});
  }

  absl::Status Write(const Change& change) {
    Columns columns;
    for (const auto& [id, record] : change.puts) columns.Add(id, record, fields_);
    std::vector<FieldColumn> fields;
    for (const auto& [field, vectors] : columns.vectors) fields.push_back({field, vectors});
    const std::vector<std::string_view> deleted_ids = Views(change.deleted);
    std::vector<std::string_view> touched = columns.ids;
    touched.insert(touched.end(), deleted_ids.begin(), deleted_ids.end());
    std::vector<uint64_t> dead_rows = Find(touched);
    std::erase(dead_rows, kNoRow);
    std::vector<MetadataUpdate> updates;
    for (const auto& [id, metadata] : change.updates) {
      updates.push_back({Find({id}).front(), metadata.attributes, metadata.expires_at});
    }

    Commit commit;
    commit.namespace_number = number_;
    commit.first_row = state_.next_row;
    state_.sequence += 1;
    state_.next_row += columns.ids.size();
    state_.id_type = 2;
    commit.state = state_;
    commit.ids = columns.ids;
    commit.fields = fields;
    if (columns.any_metadata) {
      commit.attributes = columns.attributes;
      commit.expires_at = columns.expires_at;
    }
    commit.updates = updates;
    commit.deleted_ids = deleted_ids;
    commit.dead_rows = dead_rows;
    commit.namespace_fields = fields_;
    commit.producer = change.producer;
    commit.producer_batch = change.batch;
    return store_->Write(commit);
  }

 private:
  struct Columns {
    void Add(std::string_view id, const Record& record, absl::Span<const FieldNumber> fields) {
      ids.push_back(id);
      for (const FieldNumber field : fields) {
        const auto vector = record.vectors.find(field);
        std::string_view& bytes = vectors[field].emplace_back();
        if (vector != record.vectors.end()) bytes = vector->second;
      }
      attributes.push_back(record.metadata.attributes);
      expires_at.push_back(record.metadata.expires_at);
      any_metadata |= record.metadata != Metadata();
    }

    std::vector<std::string_view> ids;
    std::map<FieldNumber, std::vector<std::string_view>> vectors;
    std::vector<std::string_view> attributes;
    std::vector<int64_t> expires_at;
    bool any_metadata = false;
  };

  std::vector<uint64_t> Find(absl::Span<const std::string_view> ids) const {
    std::vector<uint64_t> rows;
    EXPECT_TRUE(store_->FindRows(number_, ids, &rows).ok());
    return rows;
  }

  RecordStore* store_;
  absl::Span<const FieldNumber> fields_;
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
                               std::string_view after = "", const RecordParts& parts = kVector) {
  auto cursor = store.ScanById(number, after, parts);
  EXPECT_TRUE(cursor.ok()) << cursor.status();
  return Rest(cursor->get());
}

std::vector<StoredRecord> ByRow(const RecordStore& store, NamespaceNumber number,
                                RowRange range = kAllRows, const RecordParts& parts = kVector) {
  auto cursor = store.ScanByRow(number, range, parts);
  EXPECT_TRUE(cursor.ok()) << cursor.status();
  return Rest(cursor->get());
}

std::vector<std::optional<StoredRecord>> AtRows(const RecordStore& store, NamespaceNumber number,
                                                const std::vector<uint64_t>& rows,
                                                const RecordParts& parts = kVector) {
  auto records = store.ReadRows(number, rows, parts);
  EXPECT_TRUE(records.ok()) << records.status();
  return *std::move(records);
}

// The one record, by each way to read it.
std::vector<StoredRecord> ByEachRead(const RecordStore& store, NamespaceNumber number,
                                     std::string_view id, uint64_t row, const RecordParts& parts) {
  const auto by_id = store.ReadRecords(number, {id}, parts);
  const std::vector<StoredRecord> id_scan = ById(store, number, "", parts);
  const std::vector<StoredRecord> row_scan = ByRow(store, number, {row, row}, parts);
  EXPECT_TRUE(by_id.ok()) << by_id.status();
  std::vector<StoredRecord> found = {
      (*by_id)[0].value(), AtRows(store, number, {row}, parts)[0].value(), row_scan.at(0)};
  for (const StoredRecord& record : id_scan) {
    if (record.id == id) found.push_back(record);
  }
  EXPECT_EQ(found.size(), 4);
  return found;
}

Metadata MetadataOf(const StoredRecord& record) { return {record.attributes, record.expires_at}; }

// Of records of which kVector was asked for.
Vectors ToMap(const std::vector<StoredRecord>& records) {
  Vectors map;
  for (const StoredRecord& record : records) map.emplace(record.id, record.vectors.at(0));
  EXPECT_EQ(map.size(), records.size()) << "an id comes twice";
  return map;
}

// Of records of which kEverything was asked for.
Records ToRecords(const std::vector<StoredRecord>& stored) {
  Records records;
  for (const StoredRecord& each : stored) {
    Record& record = records[each.id];
    EXPECT_EQ(each.vectors.size(), std::size(kFields));
    for (size_t i = 0; i < each.vectors.size(); ++i) {
      if (!each.vectors[i].empty()) record.vectors[kFields[i]] = each.vectors[i];
    }
    record.metadata = MetadataOf(each);
  }
  EXPECT_EQ(records.size(), stored.size()) << "an id comes twice";
  return records;
}

// Row to sequence.
using Marks = std::map<uint64_t, uint64_t>;
Marks MarksOf(const RecordStore& store, RowMarkKind kind, NamespaceNumber number, FieldNumber field,
              RowRange range = kAllRows) {
  const auto marks = store.ReadMarks(kind, number, field, range);
  EXPECT_TRUE(marks.ok()) << marks.status();
  Marks map;
  for (const RowMark& mark : *marks) {
    EXPECT_TRUE(map.empty() || map.rbegin()->first < mark.row) << "not in order of row";
    map[mark.row] = mark.sequence;
  }
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
  const auto records = store().ReadRecords(a.number(), Views(ids), kVector);
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 3);
  ASSERT_TRUE((*records)[0].has_value());
  EXPECT_EQ((*records)[0]->row, 2);
  EXPECT_EQ((*records)[0]->sequence, 1);
  EXPECT_EQ((*records)[0]->id, "y");
  EXPECT_THAT((*records)[0]->vectors, ElementsAre(LongVector('2')));
  EXPECT_FALSE((*records)[1].has_value());
  ASSERT_TRUE((*records)[2].has_value());
  EXPECT_THAT((*records)[2]->vectors, ElementsAre("1"));
}

TEST_P(RecordStoreContractTest, VectorsAreLeftOutWhenNotAskedFor) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}}).ok());
  const auto records = store().ReadRecords(a.number(), {"x"}, kNoParts);
  ASSERT_TRUE(records.ok());
  EXPECT_EQ((*records)[0]->id, "x");
  EXPECT_THAT((*records)[0]->vectors, IsEmpty());
  EXPECT_THAT(ById(store(), a.number(), "", kNoParts)[0].vectors, IsEmpty());
  EXPECT_THAT(ByRow(store(), a.number(), kAllRows, kNoParts)[0].vectors, IsEmpty());
  EXPECT_THAT(AtRows(store(), a.number(), {1}, kNoParts)[0]->vectors, IsEmpty());
}

TEST_P(RecordStoreContractTest, NothingIsAskedForAndNothingFound) {
  Writer a(&store(), "a");
  EXPECT_THAT(Rows(store(), a.number(), {}), IsEmpty());
  const auto records = store().ReadRecords(a.number(), {}, kEverything);
  ASSERT_TRUE(records.ok());
  EXPECT_THAT(*records, IsEmpty());
  EXPECT_THAT(AtRows(store(), a.number(), {}, kEverything), IsEmpty());
}

TEST_P(RecordStoreContractTest, AnIdAskedForTwiceIsFoundTwice) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}}).ok());
  EXPECT_THAT(Rows(store(), a.number(), {"x", "x"}), ElementsAre(1, 1));
  const auto records = store().ReadRecords(a.number(), {"x", "x"}, kVector);
  ASSERT_TRUE(records.ok());
  EXPECT_THAT((*records)[0]->vectors, ElementsAre("1"));
  EXPECT_THAT((*records)[1]->vectors, ElementsAre("1"));
  for (const auto& record : AtRows(store(), a.number(), {1, 1})) {
    EXPECT_THAT(record->vectors, ElementsAre("1"));
  }
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
  const auto records = AtRows(store(), a.number(), {3, 1, 2, 77});
  ASSERT_EQ(records.size(), 4);
  EXPECT_EQ(records[0]->row, 3);
  EXPECT_EQ(records[0]->sequence, 2);
  EXPECT_EQ(records[0]->id, "x");
  EXPECT_THAT(records[0]->vectors, ElementsAre("new"));
  EXPECT_FALSE(records[1].has_value());
  EXPECT_EQ(records[2]->id, "y");
  EXPECT_THAT(records[2]->vectors, ElementsAre("2"));
  EXPECT_FALSE(records[3].has_value());
  EXPECT_THAT(ToMap(ByRow(store(), a.number())), ElementsAre(Pair("x", "new"), Pair("y", "2")));
}

TEST_P(RecordStoreContractTest, ADeletedIdIsFoundNowhere) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}, {"y", LongVector('2')}}).ok());
  ASSERT_TRUE(a.Delete({"y"}).ok());
  EXPECT_THAT(Rows(store(), a.number(), {"x", "y"}), ElementsAre(1, kNoRow));
  EXPECT_FALSE(AtRows(store(), a.number(), {2})[0].has_value());
  const auto records = store().ReadRecords(a.number(), {"y"}, kVector);
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
  ASSERT_TRUE(a.Write({.puts = ToRecords({{"x", "3"}, {"z", "4"}}),
                       .deleted = {"y"},
                       .producer = "p",
                       .batch = 7})
                  .ok());
  EXPECT_THAT(ToMap(ById(store(), a.number())), ElementsAre(Pair("x", "3"), Pair("z", "4")));
  EXPECT_EQ(store().ProducerPosition(a.number(), "p").value_or(0), 7);
}

TEST_P(RecordStoreContractTest, ACommitWithAVectorTooFewChangesNothing) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}}).ok());
  const std::vector<std::string_view> ids = {"y", "z"};
  const std::vector<std::string_view> enough = {"2", "3"}, too_few = {"2"};
  const std::vector<FieldColumn> fields = {{kDefaultField, enough}, {3, too_few}};
  Commit commit;
  commit.namespace_number = a.number();
  commit.state = {.sequence = 2, .next_row = 4};
  commit.first_row = 2;
  commit.ids = ids;
  commit.fields = fields;
  EXPECT_EQ(store().Write(commit).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FindEntry(store(), "a")->state.sequence, 1);
  EXPECT_THAT(ToMap(ById(store(), a.number())), ElementsAre(Pair("x", "1")));
}

TEST_P(RecordStoreContractTest, ACommitToNoNamespaceIsInvalid) {
  EXPECT_EQ(store().Write(Commit()).code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(RecordStoreContractTest, MetadataAndExpiryComeBackWhenAskedForAndNotOtherwise) {
  Writer a(&store(), "a");
  const Metadata metadata = {.attributes = "color\0red"s, .expires_at = 1'700'000'000'000'000};
  ASSERT_TRUE(a.PutRecords({{"v", {.vectors = {{0, "1"}}, .metadata = {"v's"}}},
                            {"w", {.vectors = {{0, "2"}}, .metadata = metadata}},
                            {"x", {.vectors = {{0, "3"}}, .metadata = {"x's"}}}})
                  .ok());
  for (const StoredRecord& record : ByEachRead(store(), a.number(), "w", 2, kMetadata)) {
    EXPECT_EQ(MetadataOf(record), metadata);
    EXPECT_THAT(record.vectors, IsEmpty());
    EXPECT_EQ(record.row, 2);
    EXPECT_EQ(record.id, "w");
  }
  for (const RecordParts& parts : {kNoParts, kVector}) {
    for (const StoredRecord& record : ByEachRead(store(), a.number(), "w", 2, parts)) {
      EXPECT_EQ(MetadataOf(record), Metadata());
    }
  }
}

TEST_P(RecordStoreContractTest, AnExpiryIsAnyNumberAndAttributesAreAnyBytes) {
  Writer a(&store(), "a");
  const std::map<std::string, Metadata> written = {
      {"before 1970", {"", -1}},
      {"first", {"1", std::numeric_limits<int64_t>::min()}},
      {"last", {"2", std::numeric_limits<int64_t>::max() - 1}},
      {"long", {LongVector('a'), 0x0102'0304'0506'0708}},
      {"never", {"\0\xff"s, kNeverExpires}},
      {"zero", {"\0"s, 0}}};
  Records records;
  for (const auto& [id, metadata] : written) records[id].metadata = metadata;
  ASSERT_TRUE(a.PutRecords(records).ok());
  EXPECT_EQ(ToRecords(ById(store(), a.number(), "", kEverything)), records);
  EXPECT_EQ(ToRecords(ByRow(store(), a.number(), kAllRows, kEverything)), records);
}

TEST_P(RecordStoreContractTest, ARecordWithoutMetadataHasNoneAndNeverExpires) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"bare", "1"}}).ok());
  ASSERT_TRUE(a.PutRecords({{"empty", {}}, {"full", {.metadata = {"f", 1}}}}).ok());
  for (const auto& [id, row] : std::map<std::string, uint64_t>{{"bare", 1}, {"empty", 2}}) {
    for (const StoredRecord& record : ByEachRead(store(), a.number(), id, row, kMetadata)) {
      EXPECT_EQ(MetadataOf(record), Metadata());
    }
  }
}

TEST_P(RecordStoreContractTest, ACommitMayHaveAttributesAloneOrExpiryAlone) {
  Writer a(&store(), "a");
  const auto write = [&](Commit commit, uint64_t sequence, std::string_view id) {
    commit.namespace_number = a.number();
    commit.state = {.sequence = sequence, .next_row = sequence + 1};
    commit.first_row = sequence;
    commit.ids = absl::MakeConstSpan(&id, 1);
    return store().Write(commit);
  };
  const std::vector<std::string_view> attributes = {"a's"};
  const std::vector<int64_t> expires_at = {5};
  Commit with_attributes, with_expiry;
  with_attributes.attributes = attributes;
  with_expiry.expires_at = expires_at;
  ASSERT_TRUE(write(with_attributes, 1, "x").ok());
  ASSERT_TRUE(write(with_expiry, 2, "y").ok());
  const auto records = AtRows(store(), a.number(), {1, 2}, kMetadata);
  EXPECT_EQ(MetadataOf(*records[0]), (Metadata{"a's", kNeverExpires}));
  EXPECT_EQ(MetadataOf(*records[1]), (Metadata{"", 5}));
}

TEST_P(RecordStoreContractTest, ACommitWhoseMetadataIsNotAsLongAsItsIdsChangesNothing) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}}).ok());
  const std::vector<std::string_view> ids = {"y", "z"};
  const std::vector<std::string_view> attributes = {"1", "2", "3"};
  const std::vector<int64_t> expires_at = {1, 2, 3};
  const auto expect_invalid = [&](size_t id_count, size_t attribute_count, size_t expiry_count) {
    Commit commit;
    commit.namespace_number = a.number();
    commit.state = {.sequence = 2, .next_row = 4};
    commit.first_row = 2;
    commit.ids = absl::MakeConstSpan(ids).first(id_count);
    commit.attributes = absl::MakeConstSpan(attributes).first(attribute_count);
    commit.expires_at = absl::MakeConstSpan(expires_at).first(expiry_count);
    EXPECT_EQ(store().Write(commit).code(), absl::StatusCode::kInvalidArgument)
        << id_count << " ids, " << attribute_count << " attributes, " << expiry_count
        << " expiries";
  };
  expect_invalid(2, 1, 2);
  expect_invalid(2, 3, 2);
  expect_invalid(2, 1, 0);
  expect_invalid(2, 2, 1);
  expect_invalid(2, 2, 3);
  expect_invalid(2, 0, 1);
  expect_invalid(0, 1, 0);
  expect_invalid(0, 0, 1);
  EXPECT_EQ(FindEntry(store(), "a")->state.sequence, 1);
  EXPECT_THAT(ToMap(ById(store(), a.number())), ElementsAre(Pair("x", "1")));
}

TEST_P(RecordStoreContractTest, AnUpdateChangesMetadataAloneAndMarksEveryField) {
  Writer a(&store(), "a", kFields);
  ASSERT_TRUE(a.PutRecords({{"x", {.vectors = {{0, "1"}, {3, "2"}}, .metadata = {"old", 7}}},
                            {"y", {.vectors = {{0, "3"}}, .metadata = {"y's", 8}}}})
                  .ok());
  ASSERT_TRUE(a.Update({{"x", {"new", 9}}}).ok());
  for (const StoredRecord& record : ByEachRead(store(), a.number(), "x", 1, kEverything)) {
    EXPECT_EQ(record.row, 1);
    EXPECT_EQ(record.sequence, 1);
    EXPECT_EQ(record.id, "x");
    EXPECT_THAT(record.vectors, ElementsAre("1", "2", ""));
    EXPECT_EQ(MetadataOf(record), (Metadata{"new", 9}));
  }
  for (const StoredRecord& record : ByEachRead(store(), a.number(), "y", 2, kEverything)) {
    EXPECT_EQ(MetadataOf(record), (Metadata{"y's", 8}));
  }
  for (const FieldNumber field : kFields) {
    EXPECT_THAT(MarksOf(store(), RowMarkKind::kUpdate, a.number(), field), ElementsAre(Pair(1, 2)));
    EXPECT_THAT(MarksOf(store(), RowMarkKind::kTombstone, a.number(), field), IsEmpty());
  }
}

TEST_P(RecordStoreContractTest, AnUpdateGivesMetadataAndTakesItAway) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.PutRecords({{"x", {}}, {"y", {.metadata = {"y's", 8}}}}).ok());
  ASSERT_TRUE(a.Update({{"x", {"new", 9}}, {"y", {}}}).ok());
  for (const StoredRecord& record : ByEachRead(store(), a.number(), "x", 1, kMetadata)) {
    EXPECT_EQ(MetadataOf(record), (Metadata{"new", 9}));
  }
  for (const StoredRecord& record : ByEachRead(store(), a.number(), "y", 2, kMetadata)) {
    EXPECT_EQ(MetadataOf(record), Metadata());
  }
}

TEST_P(RecordStoreContractTest, TheLastUpdateIsTheOneThatIsMarked) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}, {"y", "2"}}).ok());
  ASSERT_TRUE(a.Update({{"x", {"first"}}, {"y", {"first"}}}).ok());
  ASSERT_TRUE(a.Update({{"x", {"second"}}}).ok());
  EXPECT_EQ(AtRows(store(), a.number(), {1}, kMetadata)[0]->attributes, "second");
  EXPECT_THAT(MarksOf(store(), RowMarkKind::kUpdate, a.number(), 0),
              ElementsAre(Pair(1, 3), Pair(2, 2)));
}

TEST_P(RecordStoreContractTest, OneCommitPutsUpdatesAndDeletes) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}, {"y", "2"}, {"z", "3"}}).ok());
  ASSERT_TRUE(a.Write({.puts = {{"x", {.vectors = {{0, "4"}}, .metadata = {"x's", 1}}}},
                       .deleted = {"y"},
                       .updates = {{"z", {"z's", 2}}}})
                  .ok());
  const Records expected = {{"x", {.vectors = {{0, "4"}}, .metadata = {"x's", 1}}},
                            {"z", {.vectors = {{0, "3"}}, .metadata = {"z's", 2}}}};
  EXPECT_EQ(ToRecords(ById(store(), a.number(), "", kEverything)), expected);
  EXPECT_EQ(ToRecords(ByRow(store(), a.number(), kAllRows, kEverything)), expected);
  EXPECT_THAT(MarksOf(store(), RowMarkKind::kTombstone, a.number(), 0),
              ElementsAre(Pair(1, 2), Pair(2, 2)));
  EXPECT_THAT(MarksOf(store(), RowMarkKind::kUpdate, a.number(), 0), ElementsAre(Pair(3, 2)));
}

TEST_P(RecordStoreContractTest, VectorsComeBackFieldByFieldAndAnAbsentOneIsEmpty) {
  Writer a(&store(), "a", kFields);
  ASSERT_TRUE(a.PutRecords({{"all", {.vectors = {{0, "1"}, {3, LongVector('2')}, {0x100, "3"}}}},
                            {"none", {}},
                            {"one", {.vectors = {{3, "4"}}}}})
                  .ok());
  // In the order asked for, twice if asked for twice; 4 is no field.
  constexpr FieldNumber kAsked[] = {0x0100, 4, 0, 3, 0};
  const RecordParts parts = {.fields = kAsked};
  for (const StoredRecord& record : ByEachRead(store(), a.number(), "all", 1, parts)) {
    EXPECT_THAT(record.vectors, ElementsAre("3", "", "1", LongVector('2'), "1"));
  }
  for (const StoredRecord& record : ByEachRead(store(), a.number(), "none", 2, parts)) {
    EXPECT_THAT(record.vectors, ElementsAre("", "", "", "", ""));
  }
  for (const StoredRecord& record : ByEachRead(store(), a.number(), "one", 3, parts)) {
    EXPECT_THAT(record.vectors, ElementsAre("", "", "", "4", ""));
  }
}

TEST_P(RecordStoreContractTest, AScanByRowGivesEachRowItsOwnVectorsAndMetadata) {
  Writer a(&store(), "a", kFields);
  constexpr uint64_t kRows = 60;
  Records records;
  std::map<uint64_t, std::string> ids;
  // Periods without a common divisor: each part is there and not, beside each other part.
  for (uint64_t row = 1; row <= kRows; ++row) {
    ids[row] = StrCat("id", row + 100);
    Record& record = records[ids[row]];
    if (row % 2 == 0) record.vectors[0] = StrCat("default of ", row);
    if (row % 3 == 0) record.vectors[3] = LongVector('a').substr(0, row * 10);
    if (row % 5 == 0) record.vectors[0x0100] = StrCat("last of ", row);
    if (row % 7 < 3) record.metadata = {.attributes = StrCat("of ", row)};
    if (row % 4 == 0) record.metadata.expires_at = static_cast<int64_t>(row);
  }
  ASSERT_TRUE(a.PutRecords(records).ok());
  const std::vector<std::string> deleted = {ids[1], ids[20], ids[21], ids[30], ids[60]};
  ASSERT_TRUE(a.Delete(deleted).ok());
  for (const std::string& id : deleted) records.erase(id);
  const auto expected = [&](RowRange range) {
    Records some;
    for (const auto& [row, id] : ids) {
      const bool within = row >= range.first && row <= range.last;
      if (within && records.contains(id)) some[id] = records[id];
    }
    return some;
  };
  for (uint64_t first = 1; first <= kRows; ++first) {
    for (const uint64_t last : {first, first + 1, first + 9, kRows, kLastRow}) {
      SCOPED_TRACE(StrCat("rows ", first, " to ", last));
      const auto found = ByRow(store(), a.number(), {first, last}, kEverything);
      EXPECT_EQ(ToRecords(found), expected({first, last}));
      for (const StoredRecord& record : found) EXPECT_EQ(record.id, ids[record.row]);
    }
  }
  // A part that is not asked for does not show in another's place.
  constexpr FieldNumber kLastField[] = {0x0100};
  for (const StoredRecord& record : ByRow(store(), a.number(), kAllRows, {.fields = kLastField})) {
    EXPECT_THAT(record.vectors, ElementsAre(records[record.id].vectors[0x0100]));
    EXPECT_EQ(MetadataOf(record), Metadata());
  }
  for (const StoredRecord& record : ByRow(store(), a.number(), kAllRows, kMetadata)) {
    EXPECT_THAT(record.vectors, IsEmpty());
    EXPECT_EQ(MetadataOf(record), records[record.id].metadata);
  }
}

TEST_P(RecordStoreContractTest, AReplacedRecordKeepsNothingOfTheOldOne) {
  Writer a(&store(), "a", kFields);
  ASSERT_TRUE(
      a.PutRecords({{"x", {.vectors = {{0, "1"}, {3, "2"}}, .metadata = {"old", 7}}}}).ok());
  ASSERT_TRUE(a.PutRecords({{"x", {.vectors = {{0x0100, "3"}}}}}).ok());
  for (const StoredRecord& record : ByEachRead(store(), a.number(), "x", 2, kEverything)) {
    EXPECT_THAT(record.vectors, ElementsAre("", "", "3"));
    EXPECT_EQ(MetadataOf(record), Metadata());
  }
}

TEST_P(RecordStoreContractTest, DeletingTakesVectorsOfAllFieldsAndMetadataAndLeavesATombstoneEach) {
  Writer a(&store(), "a", kFields);
  const Record record = {.vectors = {{0, "1"}, {3, LongVector('2')}, {0x0100, "3"}},
                         .metadata = {"old", 7}};
  ASSERT_TRUE(a.PutRecords({{"x", record}, {"y", record}}).ok());
  ASSERT_TRUE(a.Delete({"x"}).ok());
  EXPECT_FALSE(AtRows(store(), a.number(), {1}, kEverything)[0].has_value());
  EXPECT_THAT(ToRecords(ByRow(store(), a.number(), kAllRows, kEverything)),
              ElementsAre(Pair("y", record)));
  for (const FieldNumber field : kFields) {
    EXPECT_THAT(MarksOf(store(), RowMarkKind::kTombstone, a.number(), field),
                ElementsAre(Pair(1, 2)));
    EXPECT_THAT(MarksOf(store(), RowMarkKind::kUpdate, a.number(), field), IsEmpty());
  }
  // What a new record in the old one's place would show, had it been left.
  const std::string_view id = "new";
  ASSERT_TRUE(store()
                  .Write({.namespace_number = a.number(),
                          .state = {.sequence = 3, .next_row = 3},
                          .first_row = 1,
                          .ids = absl::MakeConstSpan(&id, 1)})
                  .ok());
  for (const StoredRecord& found : ByEachRead(store(), a.number(), id, 1, kEverything)) {
    EXPECT_THAT(found.vectors, ElementsAre("", "", ""));
    EXPECT_EQ(MetadataOf(found), Metadata());
  }
}

// Rows 1, 2 and 3 die and rows 4, 5 and 6 are updated, in commits 2, 3 and 4.
void MakeMarks(Writer* writer) {
  ASSERT_TRUE(
      writer->Put({{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}, {"e", "5"}, {"f", "6"}}).ok());
  const auto commit = [&](const std::string& deleted, const std::string& updated) {
    return writer->Write({.deleted = {deleted}, .updates = {{updated, {"new"}}}});
  };
  ASSERT_TRUE(commit("a", "d").ok());
  ASSERT_TRUE(commit("b", "e").ok());
  ASSERT_TRUE(commit("c", "f").ok());
}

TEST_P(RecordStoreContractTest, MarksOfARangeAreReadInOrderOfRow) {
  Writer a(&store(), "a", kFields);
  ASSERT_NO_FATAL_FAILURE(MakeMarks(&a));
  const auto tombstones = [&](RowRange range) {
    return MarksOf(store(), RowMarkKind::kTombstone, a.number(), 3, range);
  };
  const auto updates = [&](RowRange range) {
    return MarksOf(store(), RowMarkKind::kUpdate, a.number(), 3, range);
  };
  EXPECT_THAT(tombstones(kAllRows), ElementsAre(Pair(1, 2), Pair(2, 3), Pair(3, 4)));
  EXPECT_THAT(tombstones({2, 5}), ElementsAre(Pair(2, 3), Pair(3, 4)));
  EXPECT_THAT(tombstones({2, 2}), ElementsAre(Pair(2, 3)));
  EXPECT_THAT(tombstones({4, kLastRow}), IsEmpty());
  EXPECT_THAT(updates(kAllRows), ElementsAre(Pair(4, 2), Pair(5, 3), Pair(6, 4)));
  EXPECT_THAT(updates({1, 4}), ElementsAre(Pair(4, 2)));
  EXPECT_THAT(updates({6, 6}), ElementsAre(Pair(6, 4)));
  for (const RowMarkKind kind : kMarkKinds) {
    EXPECT_THAT(MarksOf(store(), kind, a.number(), /*field=*/4), IsEmpty()) << "is no field";
  }
}

TEST_P(RecordStoreContractTest, AManifestTakesMarksOfItsRangeUpToItsSequence) {
  Writer a(&store(), "a");
  ASSERT_NO_FATAL_FAILURE(MakeMarks(&a));
  const std::vector<ForgottenMarks> forgotten = {{.range = {1, 2}, .sequence = 2},
                                                 {.range = {4, 5}, .sequence = 3}};
  ASSERT_TRUE(store().WriteManifest(a.number(), 0, "m", forgotten).ok());
  EXPECT_EQ(store().ReadManifest(a.number(), 0).value(), "m");
  // Row 2 died later than the manifest speaks of; 3 and 6 are in neither range.
  const auto expect_left = [&] {
    EXPECT_THAT(MarksOf(store(), RowMarkKind::kTombstone, a.number(), 0),
                ElementsAre(Pair(2, 3), Pair(3, 4)));
    EXPECT_THAT(MarksOf(store(), RowMarkKind::kUpdate, a.number(), 0), ElementsAre(Pair(6, 4)));
  };
  expect_left();
  store().ReclaimRows(a.number(), {1, 3});
  EXPECT_TRUE(store().Flush().ok());
  expect_left();
}

TEST_P(RecordStoreContractTest, AMarkMadeAgainAfterTheSequenceStays) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}, {"y", "2"}}).ok());
  ASSERT_TRUE(a.Update({{"x", {"2"}}, {"y", {"2"}}}).ok());
  ASSERT_TRUE(a.Update({{"x", {"3"}}}).ok());
  ASSERT_TRUE(store().WriteManifest(a.number(), 0, "m", {{{kAllRows, 2}}}).ok());
  EXPECT_THAT(MarksOf(store(), RowMarkKind::kUpdate, a.number(), 0), ElementsAre(Pair(1, 3)));
  ASSERT_TRUE(store().WriteManifest(a.number(), 0, "m", {{{.range = kAllRows}}}).ok());
  EXPECT_THAT(MarksOf(store(), RowMarkKind::kUpdate, a.number(), 0), IsEmpty());
  EXPECT_EQ(AtRows(store(), a.number(), {1}, kMetadata)[0]->attributes, "3");
}

TEST_P(RecordStoreContractTest, ForgettingMarksOfOneFieldLeavesThoseOfOthers) {
  Writer a(&store(), "a", kFields);
  Writer other(&store(), "other", kFields);
  ASSERT_NO_FATAL_FAILURE(MakeMarks(&a));
  ASSERT_NO_FATAL_FAILURE(MakeMarks(&other));
  const auto expect_left = [&](NamespaceNumber number, FieldNumber field, size_t count) {
    for (const RowMarkKind kind : kMarkKinds) {
      EXPECT_EQ(MarksOf(store(), kind, number, field).size(), count) << "field " << field;
    }
  };
  ASSERT_TRUE(store().WriteManifest(a.number(), 3, "m", {{{.range = kAllRows}}}).ok());
  expect_left(a.number(), 0, 3);
  expect_left(a.number(), 3, 0);
  expect_left(a.number(), 0x0100, 3);
  ASSERT_TRUE(store().WriteManifest(a.number(), 0, "m", {{{.range = kAllRows}}}).ok());
  expect_left(a.number(), 0, 0);
  expect_left(a.number(), 0x0100, 3);
  for (const FieldNumber field : kFields) expect_left(other.number(), field, 3);
}

TEST_P(RecordStoreContractTest, ManifestsOfFieldsAndNamespacesAreApart) {
  Writer a(&store(), "a", kFields);
  Writer b(&store(), "b", kFields);
  ASSERT_TRUE(store().WriteManifest(a.number(), 0, "a's 0", {}).ok());
  ASSERT_TRUE(store().WriteManifest(a.number(), 3, "a's 3", {}).ok());
  ASSERT_TRUE(store().WriteManifest(b.number(), 3, "b's 3", {}).ok());
  ASSERT_TRUE(store().WriteManifest(a.number(), 3, "new\0"s, {}).ok());
  const auto expect_all = [&] {
    EXPECT_EQ(store().ReadManifest(a.number(), 0).value(), "a's 0");
    EXPECT_EQ(store().ReadManifest(a.number(), 3).value(), "new\0"s);
    EXPECT_EQ(store().ReadManifest(a.number(), 0x0100).value(), "");
    EXPECT_EQ(store().ReadManifest(b.number(), 0).value(), "");
    EXPECT_EQ(store().ReadManifest(b.number(), 3).value(), "b's 3");
  };
  expect_all();
  Reopen();
  expect_all();
}

TEST_P(RecordStoreContractTest, ADroppedNamespaceLeavesNoMetadataNoMarksAndNoManifests) {
  Writer before(&store(), "before", kFields);
  Writer dropped(&store(), "dropped", kFields);
  Writer after(&store(), "after", kFields);
  for (Writer* writer : {&before, &dropped, &after}) {
    ASSERT_NO_FATAL_FAILURE(MakeMarks(writer));
    for (const FieldNumber field : kFields) {
      ASSERT_TRUE(store().WriteManifest(writer->number(), field, "m", {}).ok());
    }
  }
  const Records kept = ToRecords(ByRow(store(), before.number(), kAllRows, kEverything));
  ASSERT_TRUE(store().DropNamespace(dropped.number(), "dropped").ok());
  const auto expect = [&](NamespaceNumber number, size_t marks, std::string_view manifest) {
    for (const FieldNumber field : kFields) {
      EXPECT_EQ(store().ReadManifest(number, field).value(), manifest);
      for (const RowMarkKind kind : kMarkKinds) {
        EXPECT_EQ(MarksOf(store(), kind, number, field).size(), marks);
      }
    }
  };
  for (int i = 0; i < 2; ++i) {
    SCOPED_TRACE(i == 0 ? "at once" : "after reopening");
    expect(dropped.number(), 0, "");
    EXPECT_THAT(ByRow(store(), dropped.number(), kAllRows, kEverything), IsEmpty());
    EXPECT_FALSE(AtRows(store(), dropped.number(), {4}, kEverything)[0].has_value());
    for (const Writer* writer : {&before, &after}) {
      expect(writer->number(), 3, "m");
      EXPECT_EQ(ToRecords(ByRow(store(), writer->number(), kAllRows, kEverything)), kept);
    }
    Reopen();
  }
}

TEST_P(RecordStoreContractTest, FieldsMetadataAndMarksAreThereAfterReopening) {
  Writer a(&store(), "a", kFields);
  ASSERT_TRUE(a.PutRecords({{"x", {.vectors = {{0, "1"}, {3, "2"}}, .metadata = {"x's", 7}}},
                            {"y", {.vectors = {{0x0100, LongVector('3')}}, .metadata = {"y's"}}},
                            {"z", {.vectors = {{3, "4"}}}}})
                  .ok());
  ASSERT_TRUE(a.Update({{"y", {"new", 8}}}).ok());
  ASSERT_TRUE(a.Delete({"z"}).ok());
  Reopen();
  EXPECT_THAT(
      ToRecords(ById(store(), a.number(), "", kEverything)),
      ElementsAre(
          Pair("x", Record{.vectors = {{0, "1"}, {3, "2"}}, .metadata = {"x's", 7}}),
          Pair("y", Record{.vectors = {{0x0100, LongVector('3')}}, .metadata = {"new", 8}})));
  for (const FieldNumber field : kFields) {
    EXPECT_THAT(MarksOf(store(), RowMarkKind::kUpdate, a.number(), field), ElementsAre(Pair(2, 2)));
    EXPECT_THAT(MarksOf(store(), RowMarkKind::kTombstone, a.number(), field),
                ElementsAre(Pair(3, 3)));
  }
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
  const Vectors records = {{"\0"s, "1"},  {"\0\0"s, "2"},    {"\0\xff"s, "3"}, {"a", "4"},
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
  Vectors records;
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
  const std::vector<StoredRecord> found = ByRow(store(), a.number(), {255, kLastRow});
  ASSERT_EQ(found.size(), 45);
  EXPECT_EQ(found.front().row, 255);
  EXPECT_EQ(found.front().sequence, 255);
  EXPECT_EQ(found.front().id, "id254");
  EXPECT_THAT(found.front().vectors, ElementsAre("254"));
  EXPECT_EQ(found.back().row, 300);
  for (size_t i = 1; i < found.size(); ++i) {
    EXPECT_LT(found[i - 1].row, found[i].row);
    EXPECT_NE(found[i].row, 298);
  }
  EXPECT_THAT(ByRow(store(), a.number(), {301, kLastRow}), IsEmpty());
}

TEST_P(RecordStoreContractTest, AScanSeesTheMomentItWasMade) {
  Writer a(&store(), "a");
  Records records;
  for (int i = 0; i < 500; ++i) {
    records[StrCat("id", i)] = {.vectors = {{0, LongVector('o').substr(0, 1000)}},
                                .metadata = {.attributes = "old", .expires_at = i}};
  }
  ASSERT_TRUE(a.PutRecords(records).ok());
  auto by_id = store().ScanById(a.number(), "", kEverything);
  auto by_row = store().ScanByRow(a.number(), kAllRows, kEverything);
  ASSERT_TRUE(by_id.ok() && by_row.ok());
  StoredRecord record;
  ASSERT_TRUE((*by_id)->Next(&record).value_or(false));
  EXPECT_EQ(record.id, "id0");

  ASSERT_TRUE(a.Put({{"id1", "new"}, {"later", "new"}}).ok());
  ASSERT_TRUE(a.Delete({"id2", "id3", "id499"}).ok());
  ASSERT_TRUE(a.Update({{"id4", {"new"}}, {"id498", {}}}).ok());

  std::vector<StoredRecord> seen_by_id = Rest(by_id->get());
  seen_by_id.push_back(record);
  EXPECT_EQ(ToRecords(seen_by_id), records);
  EXPECT_EQ(ToRecords(Rest(by_row->get())), records);
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
  const Vectors records = {{"\0"s, "1"}, {"x", LongVector('2')}, {"\xff\xff", "3"}};
  for (Writer* writer : {&before, &dropped, &after}) {
    ASSERT_TRUE(writer->Put(records, "producer", 3).ok());
  }
  ASSERT_TRUE(store().DropNamespace(dropped.number(), "dropped").ok());

  EXPECT_FALSE(FindEntry(store(), "dropped").has_value());
  EXPECT_THAT(Rows(store(), dropped.number(), {"x"}), ElementsAre(kNoRow));
  EXPECT_THAT(ById(store(), dropped.number()), IsEmpty());
  EXPECT_THAT(ByRow(store(), dropped.number()), IsEmpty());
  EXPECT_EQ(store().ProducerPosition(dropped.number(), "producer").value_or(99), 0);
  for (const auto& record : AtRows(store(), dropped.number(), {1, 2, 3})) {
    EXPECT_FALSE(record.has_value());
  }
  for (const Writer* writer : {&before, &after}) {
    EXPECT_EQ(ToMap(ById(store(), writer->number())), records);
    EXPECT_EQ(ToMap(ByRow(store(), writer->number())), records);
    EXPECT_EQ(store().ProducerPosition(writer->number(), "producer").value_or(99), 3);
  }
}

TEST_P(RecordStoreContractTest, AScanBegunBeforeADropSeesItsRecords) {
  Writer a(&store(), "a");
  const Records records = {
      {"x", {.vectors = {{0, "1"}}, .metadata = {"x's", 7}}},
      {"y", {.vectors = {{0, LongVector('2')}}}},
  };
  ASSERT_TRUE(a.PutRecords(records).ok());
  auto by_id = store().ScanById(a.number(), "", kEverything);
  auto by_row = store().ScanByRow(a.number(), kAllRows, kEverything);
  ASSERT_TRUE(by_id.ok() && by_row.ok());
  ASSERT_TRUE(store().DropNamespace(a.number(), "a").ok());
  EXPECT_EQ(ToRecords(Rest(by_id->get())), records);
  EXPECT_EQ(ToRecords(Rest(by_row->get())), records);
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
  ASSERT_TRUE(
      a.Write({.puts = ToRecords({{"x", "4"}}), .deleted = {"z"}, .producer = "p", .batch = 2})
          .ok());
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

// A commit replaces ten records at once, brings one that the next deletes, and updates one that
// stays: who sees a mixture has seen half a commit.
TEST_P(RecordStoreContractTest, ReadersSeeWholeCommitsWhileOneWrites) {
  Writer a(&store(), "a", kFields);
  std::vector<std::string> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(StrCat("id", i));
  const auto commit = [&](int n) {
    const Record record = {.vectors = {{0, StrCat(n)}, {3, StrCat(n)}},
                           .metadata = {.attributes = StrCat(n), .expires_at = n}};
    Records records;
    for (const std::string& id : ids) records[id] = record;
    records[StrCat("only", n)] = record;
    ASSERT_TRUE(a.Write({.puts = records,
                         .deleted = {StrCat("only", n - 1)},
                         .updates = {{"updated", record.metadata}}})
                    .ok());
  };
  const auto expect_whole = [&](const std::vector<StoredRecord>& records) {
    EXPECT_EQ(records.size(), ids.size() + 2);
    const Metadata metadata = MetadataOf(records[0]);
    EXPECT_EQ(metadata.attributes, StrCat(metadata.expires_at));
    for (const StoredRecord& record : records) {
      EXPECT_EQ(MetadataOf(record), metadata);
      if (record.id == "updated") continue;
      EXPECT_THAT(record.vectors, ElementsAre(metadata.attributes, metadata.attributes, ""));
      EXPECT_EQ(record.sequence, metadata.expires_at + 2);
    }
  };
  ASSERT_TRUE(a.Put({{"updated", "1"}}).ok());
  commit(0);
  std::atomic<bool> stop{false};
  std::thread by_ids([&] {
    while (!stop) {
      const auto found = store().ReadRecords(a.number(), Views(ids), kEverything);
      ASSERT_TRUE(found.ok()) << found.status();
      for (const auto& record : *found) {
        EXPECT_EQ(record->vectors, (*found)[0]->vectors);
        EXPECT_EQ(record->attributes, record->vectors[0]);
      }
    }
  });
  std::thread by_scan([&] {
    while (!stop) {
      expect_whole(ById(store(), a.number(), "", kEverything));
      expect_whole(ByRow(store(), a.number(), kAllRows, kEverything));
    }
  });
  for (int n = 1; n < 500; ++n) commit(n);
  stop = true;
  by_ids.join();
  by_scan.join();
}

TEST_P(RecordStoreContractTest, AnUpdateWhileMarksAreForgottenKeepsItsMark) {
  Writer a(&store(), "a");
  ASSERT_TRUE(a.Put({{"x", "1"}}).ok());
  std::atomic<uint64_t> written{1};
  std::atomic<bool> stop{false};
  std::thread updates([&] {
    while (!stop) {
      EXPECT_TRUE(a.Update({{"x", {.attributes = "new"}}}).ok());
      written = a.state().sequence;
    }
  });
  for (int i = 0; i < 200 && !HasFailure(); ++i) {
    const uint64_t forgotten = written;
    EXPECT_TRUE(store().WriteManifest(a.number(), 0, "", {{{kAllRows, forgotten}}}).ok());
    const uint64_t last = written;
    const Marks marks = MarksOf(store(), RowMarkKind::kUpdate, a.number(), 0);
    if (last == forgotten) continue;
    EXPECT_THAT(marks, ElementsAre(Pair(1, Ge(last)))) << "forgotten up to " << forgotten;
  }
  stop = true;
  updates.join();
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
    EXPECT_THAT(ById(store(), writer.number()).back().vectors, ElementsAre(StrCat(kCommits)));
    EXPECT_EQ(store().ProducerPosition(writer.number(), "p").value_or(0), kCommits);
  }
}

// A namespace, and what must be in it.
class Model {
 public:
  Model(RecordStore* store, std::string name)
      : name_(std::move(name)), writer_(store, name_, kFields) {}

  const std::string& name() const { return name_; }
  NamespaceNumber number() const { return writer_.number(); }
  const CommitState& state() const { return writer_.state(); }
  bool has(const std::string& id) const { return records_.contains(id); }
  void Use(RecordStore* store) { writer_.Use(store); }

  void Write(const Change& change) {
    uint64_t next_row = state().next_row;
    ASSERT_TRUE(writer_.Write(change).ok());
    for (const std::string& id : change.deleted) Kill(id);
    for (const auto& [id, metadata] : change.updates) {
      records_[id].metadata = metadata;
      Mark(RowMarkKind::kUpdate, rows_[id]);
    }
    for (const auto& [id, record] : change.puts) {
      Kill(id);
      records_[id] = record;
      rows_[id] = next_row++;
    }
  }
  void Forget(RecordStore* store, FieldNumber field, const ForgottenMarks& forgotten) {
    manifests_[field] = StrCat("manifest ", state().sequence);
    ASSERT_TRUE(store->WriteManifest(number(), field, manifests_[field], {{forgotten}}).ok());
    for (const RowMarkKind kind : kMarkKinds) {
      std::erase_if(marks_[kind][field], [&](const auto& mark) {
        return mark.first >= forgotten.range.first && mark.first <= forgotten.range.last &&
               mark.second <= forgotten.sequence;
      });
    }
  }

  void ExpectStored(const RecordStore& store, RowRange range) {
    EXPECT_EQ(ToRecords(ById(store, number(), "", kEverything)), records_);
    Records in_range;
    for (const auto& [id, row] : rows_) {
      if (row >= range.first && row <= range.last) in_range[id] = records_[id];
    }
    EXPECT_EQ(ToRecords(ByRow(store, number(), range, kEverything)), in_range);
    for (const FieldNumber field : kFields) {
      EXPECT_EQ(store.ReadManifest(number(), field).value(), manifests_[field]);
      for (const RowMarkKind kind : kMarkKinds) {
        EXPECT_EQ(MarksOf(store, kind, number(), field), marks_[kind][field]);
      }
    }
    EXPECT_EQ(FindEntry(store, name_)->state.sequence, state().sequence);
  }

 private:
  void Kill(const std::string& id) {
    if (records_.erase(id) == 0) return;
    Mark(RowMarkKind::kTombstone, rows_[id]);
    rows_.erase(id);
  }
  void Mark(RowMarkKind kind, uint64_t row) {
    for (const FieldNumber field : kFields) marks_[kind][field][row] = state().sequence;
  }

  std::string name_;
  Writer writer_;
  Records records_;
  std::map<std::string, uint64_t> rows_;
  std::map<RowMarkKind, std::map<FieldNumber, Marks>> marks_;
  std::map<FieldNumber, std::string> manifests_;
};

TEST_P(RecordStoreContractTest, RandomOperationsAndReopeningsAgreeWithAModel) {
  constexpr uint32_t kSeed = 20'240'607;
  std::mt19937 random(kSeed);
  const auto below = [&random](uint32_t limit) { return random() % limit; };
  const auto random_id = [&] { return StrCat("id", below(300)); };
  const auto random_bytes = [&](uint32_t limit) {
    return std::string(1 + below(limit), static_cast<char>('a' + below(26)));
  };
  const auto random_metadata = [&] {
    Metadata metadata;
    if (below(2) == 0) metadata.attributes = random_bytes(300);
    if (below(4) == 0) metadata.expires_at = below(1000);
    return metadata;
  };
  const auto random_record = [&] {
    Record record;
    for (const FieldNumber field : kFields) {
      if (below(2) == 0) record.vectors[field] = random_bytes(3000);
    }
    if (below(2) == 0) record.metadata = random_metadata();
    return record;
  };
  std::vector<Model> models;
  int made = 0;
  const auto add = [&] { models.emplace_back(&store(), StrCat("n", made++)); };
  for (int i = 0; i < 3; ++i) add();

  for (int step = 0; step < 600; ++step) {
    SCOPED_TRACE(StrCat("seed ", kSeed, ", step ", step));
    Model& model = models[below(3)];
    const auto random_range = [&] {
      const uint64_t first = 1 + below(model.state().next_row);
      return RowRange{first, first + below(model.state().next_row)};
    };
    const uint32_t what = below(100);
    if (what < 75) {
      Change change;
      const bool puts = below(4) > 0, deletes = below(4) == 0, updates = below(3) == 0;
      for (uint32_t i = puts ? below(40) : 0; i > 0; --i)
        change.puts[random_id()] = random_record();
      if (deletes) {
        const std::string id = random_id();
        if (!change.puts.contains(id)) change.deleted.push_back(id);
      }
      for (uint32_t i = updates ? below(20) : 0; i > 0; --i) {
        const std::string id = random_id();
        const bool free =
            !change.puts.contains(id) &&
            std::find(change.deleted.begin(), change.deleted.end(), id) == change.deleted.end();
        if (free && model.has(id)) change.updates[id] = random_metadata();
      }
      ASSERT_NO_FATAL_FAILURE(model.Write(change));
    } else if (what < 87) {
      model.ExpectStored(store(), random_range());
    } else if (what < 92) {
      ASSERT_NO_FATAL_FAILURE(
          model.Forget(&store(), kFields[below(std::size(kFields))],
                       {.range = random_range(), .sequence = below(model.state().sequence + 1)}));
    } else if (what < 94) {
      ASSERT_TRUE(store().DropNamespace(model.number(), model.name()).ok());
      std::swap(model, models.back());
      models.pop_back();
      add();
    } else if (what < 97) {
      store().SyncAsync([](absl::Status status) { EXPECT_TRUE(status.ok()) << status; });
    } else {
      Reopen();
      for (Model& each : models) each.Use(&store());
    }
    if (HasFailure()) return;
  }
  Reopen();
  for (Model& model : models) model.ExpectStored(store(), kAllRows);
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
