#include "storage/record_store.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "absl/memory/memory.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "base/thread_pool.h"
#include "storage/big_endian.h"
#include "storage/database.h"
#include "storage/group_sync.h"
#include "storage/keys.h"

namespace varve::storage {
namespace {

// A dropped namespace that ever had more rows than this is compacted away at once; smaller ones go
// with the compactions that happen anyway.
constexpr uint64_t kReclaimRowsMin = 10'000;

// Records that a scan by id fetches at a time, at most; and bytes of them, if they are as large as those
// before.
constexpr size_t kIdCursorBatch = 64;
constexpr size_t kIdCursorBytes = size_t{16} << 20;

constexpr std::array<Family, 6> kRecordFamilies = {Family::kIds,        Family::kRows,
                                                   Family::kVectors,    Family::kAttributes,
                                                   Family::kTombstones, Family::kUpdates};
// Where a dead row's record is.
constexpr std::array<Family, 3> kRowFamilies = {Family::kRows, Family::kVectors,
                                                Family::kAttributes};

Family MarkFamily(RowMarkKind kind) {
  return kind == RowMarkKind::kTombstone ? Family::kTombstones : Family::kUpdates;
}

// A record that the scans and reads below found half of: one family has it and another does not.
absl::Status Torn(std::string_view found, std::string_view key, std::string_view missing) {
  return absl::DataLossError(
      StrCat(found, " ", DescribeKey(key), " has no ", missing, " in the record store"));
}

absl::Status NoSuchNamespace(std::string_view name) {
  return absl::NotFoundError(StrCat("namespace \"", name, "\" does not exist"));
}

std::vector<std::string_view> Views(const std::vector<std::string>& keys) {
  return std::vector<std::string_view>(keys.begin(), keys.end());
}

template <size_t kSize>
std::vector<std::string_view> Views(const std::vector<std::array<char, kSize>>& keys) {
  std::vector<std::string_view> views;
  views.reserve(keys.size());
  for (const auto& key : keys) views.push_back(View(key));
  return views;
}

// The row of each id as of `snapshot`, kNoRow where there is none.
absl::Status FindRowsAt(const Database& db, const Snapshot& snapshot, NamespaceNumber number,
                        absl::Span<const std::string_view> ids, std::vector<uint64_t>* rows) {
  std::vector<std::string> keys;
  keys.reserve(ids.size());
  for (const std::string_view id : ids) keys.push_back(IdKey(number, id));
  VARVE_ASSIGN_OR_RETURN(const Values values, db.MultiGet(Family::kIds, snapshot, Views(keys)));
  rows->assign(ids.size(), kNoRow);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!values.has(i)) continue;
    VARVE_ASSIGN_OR_RETURN((*rows)[i], ParseIdValue(keys[i], values.view(i)));
  }
  return absl::OkStatus();
}

// Records whose parts are read at once: so what is too much is told before it is in memory.
constexpr size_t kRecordsPerRead = 64;

// What parts may still take.
class PartsBudget {
 public:
  explicit PartsBudget(size_t bytes) : bytes_(bytes), left_(bytes) {}

  absl::Status Take(size_t bytes) {
    if (bytes > left_) {
      return absl::ResourceExhaustedError(
          StrCat("the parts of the records asked for are more than ", bytes_,
                 " bytes; ask for less at a time"));
    }
    left_ -= bytes;
    return absl::OkStatus();
  }

 private:
  const size_t bytes_;
  size_t left_;
};

// Reads one field's vectors into `records`, whose rows are set.
absl::Status ReadVectorsAt(const Database& db, const Snapshot& snapshot, NamespaceNumber number,
                           FieldNumber field, absl::Span<StoredRecord* const> records,
                           PartsBudget* budget) {
  std::vector<std::array<char, kVectorKeyBytes>> keys;
  keys.reserve(records.size());
  for (const StoredRecord* record : records) keys.push_back(VectorKey(number, record->row, field));
  VARVE_ASSIGN_OR_RETURN(Values values, db.MultiGet(Family::kVectors, snapshot, Views(keys)));
  for (size_t i = 0; i < records.size(); ++i) {
    records[i]->vectors.push_back(values.has(i) ? values.Take(i) : std::string());
    VARVE_RETURN_IF_ERROR(budget->Take(records[i]->vectors.back().size()));
  }
  return absl::OkStatus();
}

absl::Status SetMetadata(std::string_view key, std::string_view value, StoredRecord* record) {
  VARVE_ASSIGN_OR_RETURN(const AttributesValueParts parts, ParseAttributesValue(key, value));
  record->attributes = parts.attributes;
  record->expires_at = parts.expires_at;
  return absl::OkStatus();
}

absl::Status ReadMetadataAt(const Database& db, const Snapshot& snapshot, NamespaceNumber number,
                            absl::Span<StoredRecord* const> records, PartsBudget* budget) {
  std::vector<std::array<char, kRowKeyBytes>> keys;
  keys.reserve(records.size());
  for (const StoredRecord* record : records) keys.push_back(RowKey(number, record->row));
  VARVE_ASSIGN_OR_RETURN(const Values values,
                         db.MultiGet(Family::kAttributes, snapshot, Views(keys)));
  for (size_t i = 0; i < records.size(); ++i) {
    if (!values.has(i)) continue;
    VARVE_RETURN_IF_ERROR(SetMetadata(View(keys[i]), values.view(i), records[i]));
    VARVE_RETURN_IF_ERROR(budget->Take(records[i]->attributes.size()));
  }
  return absl::OkStatus();
}

// The record of each row, nullopt where there is none.
absl::StatusOr<std::vector<std::optional<StoredRecord>>> ReadRowsAt(const Database& db,
                                                                    const Snapshot& snapshot,
                                                                    NamespaceNumber number,
                                                                    absl::Span<const uint64_t> rows,
                                                                    const RecordParts& parts) {
  std::vector<std::array<char, kRowKeyBytes>> keys;
  keys.reserve(rows.size());
  for (const uint64_t row : rows) keys.push_back(RowKey(number, row));
  VARVE_ASSIGN_OR_RETURN(const Values values, db.MultiGet(Family::kRows, snapshot, Views(keys)));
  std::vector<std::optional<StoredRecord>> records(rows.size());
  std::vector<StoredRecord*> found;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!values.has(i)) continue;
    VARVE_ASSIGN_OR_RETURN(const RowValueParts value, ParseRowValue(View(keys[i]), values.view(i)));
    StoredRecord& record = records[i].emplace();
    record.row = rows[i];
    record.sequence = value.sequence;
    record.id = value.id;
    found.push_back(&record);
  }
  PartsBudget budget(parts.bytes_max);
  for (absl::Span<StoredRecord* const> left = found; !left.empty();) {
    const auto some = left.subspan(0, kRecordsPerRead);
    left.remove_prefix(some.size());
    for (const FieldNumber field : parts.fields) {
      VARVE_RETURN_IF_ERROR(ReadVectorsAt(db, snapshot, number, field, some, &budget));
    }
    if (!parts.metadata) continue;
    VARVE_RETURN_IF_ERROR(ReadMetadataAt(db, snapshot, number, some, &budget));
  }
  return records;
}

// The records in `rows`, each of which lives at `snapshot`: one that is missing is DataLoss.
absl::StatusOr<std::vector<StoredRecord>> ReadLiveRowsAt(const Database& db,
                                                         const Snapshot& snapshot,
                                                         NamespaceNumber number,
                                                         absl::Span<const uint64_t> rows,
                                                         const RecordParts& parts) {
  VARVE_ASSIGN_OR_RETURN(auto found, ReadRowsAt(db, snapshot, number, rows, parts));
  std::vector<StoredRecord> records;
  records.reserve(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!found[i].has_value()) return Torn("row", View(RowKey(number, rows[i])), "record");
    records.push_back(*std::move(found[i]));
  }
  return records;
}

// Scan by id: walks over the ids and fetches what belongs to them some records at a time.
// Must not outlive the database.
class IdCursor final : public RecordStore::Cursor {
 public:
  IdCursor(const Database* db, NamespaceNumber number, std::string_view after,
           const RecordParts& parts)
      : db_(*db),
        number_(number),
        parts_(parts),
        snapshot_(db->TakeSnapshot()),
        walk_(db->NewWalk(Family::kIds, snapshot_, Begin(number, after),
                          NamespaceBegin(number + 1))) {}

  absl::StatusOr<bool> Next(StoredRecord* record) override {
    if (next_ == fetched_.size()) VARVE_RETURN_IF_ERROR(Fetch());
    if (next_ == fetched_.size()) return false;
    std::swap(*record, fetched_[next_++]);
    return true;
  }

 private:
  // The least key whose id is greater than `after`.
  static std::string Begin(NamespaceNumber number, std::string_view after) {
    std::string begin = IdKey(number, after);
    if (!after.empty()) begin.push_back('\0');
    return begin;
  }

  absl::Status Fetch() {
    std::vector<uint64_t> rows;
    while (rows.size() < batch_) {
      VARVE_ASSIGN_OR_RETURN(const bool more, walk_->Next());
      if (!more) break;
      VARVE_ASSIGN_OR_RETURN(const uint64_t row, ParseIdValue(walk_->key(), walk_->value()));
      rows.push_back(row);
    }
    VARVE_ASSIGN_OR_RETURN(fetched_, ReadLiveRowsAt(db_, snapshot_, number_, rows, parts_));
    size_t bytes = 1;
    for (const StoredRecord& record : fetched_) {
      bytes += record.attributes.size();
      for (const std::string& vectors : record.vectors) bytes += vectors.size();
    }
    batch_ = std::clamp<size_t>(fetched_.size() * kIdCursorBytes / bytes, 1, kIdCursorBatch);
    next_ = 0;
    return absl::OkStatus();
  }

  const Database& db_;
  const NamespaceNumber number_;
  const RecordParts parts_;
  const Snapshot snapshot_;
  const std::unique_ptr<Walk> walk_;
  size_t batch_ = 1;  // to be fetched next
  std::vector<StoredRecord> fetched_;
  size_t next_ = 0;  // in fetched_
};

// Scan by row: walks over rows, vectors and metadata side by side. Must not outlive the database.
class RowCursor final : public RecordStore::Cursor {
 public:
  RowCursor(const Database* db, NamespaceNumber number, RowRange range, const RecordParts& parts)
      : parts_(parts) {
    const Snapshot snapshot = db->TakeSnapshot();
    const std::string begin(View(RowKey(number, range.first)));
    const std::string end(View(RowKey(number, range.last + 1)));
    rows_ = db->NewWalk(Family::kRows, snapshot, begin, end);
    vectors_ = db->NewWalk(Family::kVectors, snapshot, begin, end);
    metadata_ = db->NewWalk(Family::kAttributes, snapshot, begin, end);
  }

  absl::StatusOr<bool> Next(StoredRecord* record) override {
    VARVE_ASSIGN_OR_RETURN(const bool more, rows_->Next());
    if (!more) return false;
    VARVE_ASSIGN_OR_RETURN(record->row, ParseRowKey(rows_->key()));
    VARVE_ASSIGN_OR_RETURN(const RowValueParts parts, ParseRowValue(rows_->key(), rows_->value()));
    record->sequence = parts.sequence;
    record->id = parts.id;
    record->vectors.assign(parts_.fields.size(), "");
    if (!parts_.fields.empty()) VARVE_RETURN_IF_ERROR(TakeVectors(record));
    record->attributes.clear();
    record->expires_at = kNeverExpires;
    if (parts_.metadata) VARVE_RETURN_IF_ERROR(TakeMetadata(record));
    return true;
  }

 private:
  // A walk that stands at a key that may be a later row's.
  struct Ahead {
    bool begun = false;
    bool more = false;
  };

  static absl::Status Advance(Walk* walk, Ahead* ahead) {
    VARVE_ASSIGN_OR_RETURN(ahead->more, walk->Next());
    ahead->begun = true;
    return absl::OkStatus();
  }

  absl::Status TakeVectors(StoredRecord* record) {
    if (!vectors_ahead_.begun) VARVE_RETURN_IF_ERROR(Advance(vectors_.get(), &vectors_ahead_));
    while (vectors_ahead_.more) {
      VARVE_ASSIGN_OR_RETURN(const RowFieldKeyParts key, ParseRowFieldKey(vectors_->key()));
      if (key.row > record->row) break;
      for (size_t i = 0; key.row == record->row && i < parts_.fields.size(); ++i) {
        if (key.field == parts_.fields[i]) record->vectors[i] = vectors_->value();
      }
      VARVE_RETURN_IF_ERROR(Advance(vectors_.get(), &vectors_ahead_));
    }
    return absl::OkStatus();
  }

  absl::Status TakeMetadata(StoredRecord* record) {
    if (!metadata_ahead_.begun) VARVE_RETURN_IF_ERROR(Advance(metadata_.get(), &metadata_ahead_));
    while (metadata_ahead_.more) {
      VARVE_ASSIGN_OR_RETURN(const uint64_t row, ParseRowKey(metadata_->key()));
      if (row > record->row) break;
      if (row == record->row) {
        VARVE_RETURN_IF_ERROR(SetMetadata(metadata_->key(), metadata_->value(), record));
      }
      VARVE_RETURN_IF_ERROR(Advance(metadata_.get(), &metadata_ahead_));
    }
    return absl::OkStatus();
  }

  const RecordParts parts_;
  std::unique_ptr<Walk> rows_, vectors_, metadata_;
  Ahead vectors_ahead_, metadata_ahead_;
};

// Import writes about so much at a time.
constexpr size_t kImportBatchBytes = size_t{4} << 20;

// Goes through all families, one after the other.
class RocksNamespaceImage final : public NamespaceImage {
 public:
  RocksNamespaceImage(const Database* db, NamespaceNumber number)
      : db_(*db), number_(number), snapshot_(db->TakeSnapshot()) {}

  absl::StatusOr<bool> Next(Entry* entry) override {
    while (true) {
      if (walk_ == nullptr) {
        if (family_ == kFamilyCount) return false;
        walk_ = db_.NewWalk(static_cast<Family>(family_), snapshot_, NamespaceBegin(number_),
                            NamespaceBegin(number_ + 1));
      }
      VARVE_ASSIGN_OR_RETURN(const bool more, walk_->Next());
      if (more) break;
      walk_ = nullptr;
      ++family_;
    }
    *entry = {.family = family_,
              .key = walk_->key().substr(kNamespacePrefixBytes),
              .value = walk_->value()};
    return true;
  }

 private:
  const Database& db_;
  const NamespaceNumber number_;
  const Snapshot snapshot_;
  size_t family_ = 0;
  std::unique_ptr<Walk> walk_;
};

// RecordStore over a Database: what a commit, a namespace and a record are in keys and values.
// Thread-safe.
class RocksRecordStore final : public RecordStore {
 public:
  explicit RocksRecordStore(std::unique_ptr<Database> db)
      : db_(std::move(db)),
        reclaimer_("reclaim", 1),
        group_sync_([this] { return db_->SyncLog(); }) {}
  ~RocksRecordStore() override { stopping_ = true; }

  absl::StatusOr<NamespaceNumber> CreateNamespace(std::string_view name,
                                                  std::string_view schema) override
      ABSL_LOCKS_EXCLUDED(namespaces_mu_);
  absl::Status UpdateSchema(NamespaceNumber number, std::string_view name,
                            std::string_view schema) override ABSL_LOCKS_EXCLUDED(namespaces_mu_);
  absl::Status DropNamespace(NamespaceNumber number, std::string_view name) override
      ABSL_LOCKS_EXCLUDED(namespaces_mu_);
  absl::StatusOr<NamespaceEntry> ReadNamespace(std::string_view name) const override;
  absl::StatusOr<std::vector<NamespaceEntry>> ListNamespaces() const override;

  // Removes what imports that were cut short have left. Called before anything else.
  absl::Status RemoveLeftImports();
  absl::Status Checkpoint(const std::string& directory) override {
    return db_->Checkpoint(directory);
  }
  absl::StatusOr<std::unique_ptr<NamespaceImage>> TakeImage(NamespaceNumber number) const override {
    return std::make_unique<RocksNamespaceImage>(db_.get(), number);
  }
  absl::StatusOr<NamespaceNumber> BeginImport() override ABSL_LOCKS_EXCLUDED(namespaces_mu_);
  absl::Status Import(NamespaceNumber number, NamespaceImage* image,
                      const CallControl& control) override;
  absl::Status FinishImport(NamespaceNumber number, std::string_view name,
                            std::string_view schema) override ABSL_LOCKS_EXCLUDED(namespaces_mu_);
  absl::Status AbandonImport(NamespaceNumber number) override;

  absl::Status Write(const Commit& commit) override;
  void SyncAsync(absl::AnyInvocable<void(absl::Status)> done) override {
    group_sync_.SyncAsync(std::move(done));
  }

  absl::Status FindRows(NamespaceNumber number, absl::Span<const std::string_view> ids,
                        std::vector<uint64_t>* rows) const override {
    return FindRowsAt(*db_, /*snapshot=*/nullptr, number, ids, rows);
  }
  absl::Status WriteManifest(NamespaceNumber number, FieldNumber field, std::string_view manifest,
                             absl::Span<const ForgottenMarks> forgotten) override;
  absl::Status Flush() override { return db_->Flush(); }
  bool NeedsReopening() override { return db_->NeedsReopening(); }
  void ReclaimRows(NamespaceNumber number, RowRange range) override;
  StoreStats Stats() const override { return db_->Stats(); }
  absl::StatusOr<std::string> ReadManifest(NamespaceNumber number,
                                           FieldNumber field) const override;
  absl::StatusOr<std::vector<RowMark>> ReadMarks(RowMarkKind kind, NamespaceNumber number,
                                                 FieldNumber field, RowRange range) const override;
  absl::StatusOr<std::vector<std::optional<StoredRecord>>> ReadRecords(
      NamespaceNumber number, absl::Span<const std::string_view> ids,
      const RecordParts& parts) const override;
  absl::StatusOr<std::vector<std::optional<StoredRecord>>> ReadRows(
      NamespaceNumber number, absl::Span<const uint64_t> rows,
      const RecordParts& parts) const override {
    return ReadRowsAt(*db_, db_->TakeSnapshot(), number, rows, parts);
  }
  absl::StatusOr<uint64_t> ProducerPosition(NamespaceNumber number,
                                            std::string_view producer) const override;
  absl::StatusOr<std::unique_ptr<Cursor>> ScanById(NamespaceNumber number, std::string_view after,
                                                   const RecordParts& parts) const override {
    return std::make_unique<IdCursor>(db_.get(), number, after, parts);
  }
  absl::StatusOr<std::unique_ptr<Cursor>> ScanByRow(NamespaceNumber number, RowRange range,
                                                    const RecordParts& parts) const override {
    return std::make_unique<RowCursor>(db_.get(), number, range, parts);
  }

 private:
  absl::StatusOr<NamespaceNumber> TakeNamespaceNumber(Batch* batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(namespaces_mu_);
  // AlreadyExists if there is a namespace of that name.
  absl::Status CheckNameFree(std::string_view name) const;
  // NotFound unless `name` is the namespace with this number.
  absl::Status CheckNamespace(NamespaceNumber number, std::string_view name) const;
  absl::StatusOr<CommitState> ReadCommitState(NamespaceNumber number) const;
  Mutex& UpdatesMutex(NamespaceNumber number) { return updates_mu_[number % updates_mu_.size()]; }
  // Gives a dropped namespace's disk space back. Best effort: what fails here, compaction does
  // later.
  void Reclaim(NamespaceNumber number);

  const std::unique_ptr<Database> db_;
  // Held while a namespace is created, changed or dropped, fsync included: each reads before it
  // writes, and they are rare.
  Mutex namespaces_mu_;
  // Held while marks of updates are written or removed; several namespaces share one.
  std::array<Mutex, 16> updates_mu_;
  std::atomic<bool> stopping_{false};  // cuts a compaction of the reclaimer short
  ThreadPool reclaimer_;
  GroupSync group_sync_;
};

absl::StatusOr<NamespaceNumber> RocksRecordStore::TakeNamespaceNumber(Batch* batch) {
  const std::string key = NextNamespaceKey();
  VARVE_ASSIGN_OR_RETURN(const std::optional<std::string> value, db_->Get(Family::kMeta, key));
  NamespaceNumber number = kStoreItself + 1;
  if (value.has_value()) {
    VARVE_ASSIGN_OR_RETURN(number, ParseNextNamespaceValue(key, *value));
  }
  if (number > kNamespaceNumberMax) {
    return absl::ResourceExhaustedError(StrCat(
        "all ", kNamespaceNumberMax, " namespace numbers of this data directory are used up"));
  }
  batch->Put(Family::kMeta, key, NextNamespaceValue(number + 1));
  return number;
}

absl::Status RocksRecordStore::CheckNamespace(NamespaceNumber number, std::string_view name) const {
  const std::string key = NamespaceKey(name);
  VARVE_ASSIGN_OR_RETURN(const std::optional<std::string> value, db_->Get(Family::kMeta, key));
  if (!value.has_value()) {
    return NoSuchNamespace(name);
  }
  VARVE_ASSIGN_OR_RETURN(const NamespaceValueParts parts, ParseNamespaceValue(key, *value));
  if (parts.number == number) return absl::OkStatus();
  return absl::NotFoundError(StrCat("namespace \"", name, "\" has number ", parts.number, ", not ",
                                    number, ": it was dropped and made anew"));
}

absl::StatusOr<CommitState> RocksRecordStore::ReadCommitState(NamespaceNumber number) const {
  const std::string key = CommitStateKey(number);
  VARVE_ASSIGN_OR_RETURN(const std::optional<std::string> value, db_->Get(Family::kMeta, key));
  if (!value.has_value()) return Torn("namespace", key, "commit state");
  return ParseCommitStateValue(key, *value);
}

absl::Status RocksRecordStore::CheckNameFree(std::string_view name) const {
  VARVE_ASSIGN_OR_RETURN(const std::optional<std::string> present,
                         db_->Get(Family::kMeta, NamespaceKey(name)));
  if (!present.has_value()) return absl::OkStatus();
  return absl::AlreadyExistsError(StrCat("namespace \"", name, "\" exists already"));
}

absl::StatusOr<NamespaceNumber> RocksRecordStore::CreateNamespace(std::string_view name,
                                                                  std::string_view schema) {
  MutexLock lock(&namespaces_mu_);
  VARVE_RETURN_IF_ERROR(CheckNameFree(name));
  Batch batch = db_->NewBatch();
  VARVE_ASSIGN_OR_RETURN(const NamespaceNumber number, TakeNamespaceNumber(&batch));
  batch.Put(Family::kMeta, NamespaceKey(name), NamespaceValue(number, schema));
  batch.Put(Family::kMeta, CommitStateKey(number), CommitStateValue(CommitState()));
  VARVE_RETURN_IF_ERROR(db_->WriteSynced(std::move(batch)));
  return number;
}

absl::Status RocksRecordStore::UpdateSchema(NamespaceNumber number, std::string_view name,
                                            std::string_view schema) {
  MutexLock lock(&namespaces_mu_);
  VARVE_RETURN_IF_ERROR(CheckNamespace(number, name));
  Batch batch = db_->NewBatch();
  batch.Put(Family::kMeta, NamespaceKey(name), NamespaceValue(number, schema));
  return db_->WriteSynced(std::move(batch));
}

// All that is stored under a namespace's number.
void DeleteContents(NamespaceNumber number, Batch* batch) {
  const std::string begin = NamespaceBegin(number);
  const std::string end = NamespaceBegin(number + 1);
  batch->DeleteRange(Family::kMeta, begin, end);
  for (const Family family : kRecordFamilies) batch->DeleteRange(family, begin, end);
}

absl::Status RocksRecordStore::DropNamespace(NamespaceNumber number, std::string_view name) {
  MutexLock lock(&namespaces_mu_);
  VARVE_RETURN_IF_ERROR(CheckNamespace(number, name));
  VARVE_ASSIGN_OR_RETURN(const CommitState state, ReadCommitState(number));
  Batch batch = db_->NewBatch();
  batch.Delete(Family::kMeta, NamespaceKey(name));
  DeleteContents(number, &batch);
  VARVE_RETURN_IF_ERROR(db_->WriteSynced(std::move(batch)));
  if (state.next_row > kReclaimRowsMin) {
    reclaimer_.Schedule([this, number] { Reclaim(number); });
  }
  return absl::OkStatus();
}

void RocksRecordStore::Reclaim(NamespaceNumber number) {
  for (const Family family : kRecordFamilies) {
    if (stopping_) return;
    db_->Compact(family, NamespaceBegin(number), NamespaceBegin(number + 1), &stopping_)
        .IgnoreError();
  }
}

absl::StatusOr<NamespaceEntry> RocksRecordStore::ReadNamespace(std::string_view name) const {
  const std::string key = NamespaceKey(name);
  VARVE_ASSIGN_OR_RETURN(const std::optional<std::string> value, db_->Get(Family::kMeta, key));
  if (!value.has_value()) return NoSuchNamespace(name);
  VARVE_ASSIGN_OR_RETURN(const NamespaceValueParts parts, ParseNamespaceValue(key, *value));
  NamespaceEntry entry{
      .number = parts.number, .name = std::string(name), .schema = std::string(parts.schema)};
  VARVE_ASSIGN_OR_RETURN(entry.state, ReadCommitState(parts.number));
  return entry;
}

absl::StatusOr<std::vector<NamespaceEntry>> RocksRecordStore::ListNamespaces() const {
  const Snapshot snapshot = db_->TakeSnapshot();
  std::vector<NamespaceEntry> entries;
  std::vector<std::string> state_keys;
  std::string end = NamespaceKeyPrefix();
  ++end.back();
  const auto walk = db_->NewWalk(Family::kMeta, snapshot, NamespaceKeyPrefix(), end);
  while (true) {
    VARVE_ASSIGN_OR_RETURN(const bool more, walk->Next());
    if (!more) break;
    VARVE_ASSIGN_OR_RETURN(const std::string_view name, ParseNamespaceKey(walk->key()));
    VARVE_ASSIGN_OR_RETURN(const NamespaceValueParts parts,
                           ParseNamespaceValue(walk->key(), walk->value()));
    entries.push_back(NamespaceEntry{
        .number = parts.number, .name = std::string(name), .schema = std::string(parts.schema)});
    state_keys.push_back(CommitStateKey(parts.number));
  }
  VARVE_ASSIGN_OR_RETURN(const Values states,
                         db_->MultiGet(Family::kMeta, snapshot, Views(state_keys)));
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!states.has(i)) return Torn("namespace", state_keys[i], "commit state");
    VARVE_ASSIGN_OR_RETURN(entries[i].state, ParseCommitStateValue(state_keys[i], states.view(i)));
  }
  return entries;
}

absl::Status RocksRecordStore::RemoveLeftImports() {
  std::vector<NamespaceNumber> numbers;
  {
    std::string end = ImportKeyPrefix();
    ++end.back();
    const auto walk =
        db_->NewWalk(Family::kMeta, db_->TakeSnapshot(), ImportKeyPrefix(), std::move(end));
    while (true) {
      VARVE_ASSIGN_OR_RETURN(const bool more, walk->Next());
      if (!more) break;
      VARVE_ASSIGN_OR_RETURN(const NamespaceNumber number, ParseImportKey(walk->key()));
      numbers.push_back(number);
    }
  }
  for (const NamespaceNumber number : numbers) VARVE_RETURN_IF_ERROR(AbandonImport(number));
  return absl::OkStatus();
}

absl::StatusOr<NamespaceNumber> RocksRecordStore::BeginImport() {
  MutexLock lock(&namespaces_mu_);
  Batch batch = db_->NewBatch();
  VARVE_ASSIGN_OR_RETURN(const NamespaceNumber number, TakeNamespaceNumber(&batch));
  batch.Put(Family::kMeta, ImportKey(number), "");
  VARVE_RETURN_IF_ERROR(db_->WriteSynced(std::move(batch)));
  return number;
}

absl::Status RocksRecordStore::Import(NamespaceNumber number, NamespaceImage* image,
                                      const CallControl& control) {
  const std::string prefix = NamespaceBegin(number);
  for (bool more = true; more;) {
    VARVE_RETURN_IF_ERROR(control.Check());
    Batch batch = db_->NewBatch(kImportBatchBytes);
    while (batch.bytes() < kImportBatchBytes) {
      NamespaceImage::Entry entry;
      VARVE_ASSIGN_OR_RETURN(more, image->Next(&entry));
      if (!more) break;
      batch.Put(static_cast<Family>(entry.family), StrCat(prefix, entry.key), entry.value);
    }
    VARVE_RETURN_IF_ERROR(db_->Write(std::move(batch)));
  }
  return absl::OkStatus();
}

absl::Status RocksRecordStore::FinishImport(NamespaceNumber number, std::string_view name,
                                            std::string_view schema) {
  MutexLock lock(&namespaces_mu_);
  VARVE_RETURN_IF_ERROR(CheckNameFree(name));
  VARVE_RETURN_IF_ERROR(ReadCommitState(number).status());  // it was imported whole
  Batch batch = db_->NewBatch();
  batch.Put(Family::kMeta, NamespaceKey(name), NamespaceValue(number, schema));
  batch.Delete(Family::kMeta, ImportKey(number));
  return db_->WriteSynced(std::move(batch));
}

absl::Status RocksRecordStore::AbandonImport(NamespaceNumber number) {
  Batch batch = db_->NewBatch();
  DeleteContents(number, &batch);
  batch.Delete(Family::kMeta, ImportKey(number));
  VARVE_RETURN_IF_ERROR(db_->WriteSynced(std::move(batch)));
  reclaimer_.Schedule([this, number] { Reclaim(number); });
  return absl::OkStatus();
}

absl::Status CheckCommit(const Commit& commit) {
  if (commit.namespace_number == kStoreItself || commit.namespace_number > kNamespaceNumberMax) {
    return absl::InvalidArgumentError(StrCat("a commit names namespace ", commit.namespace_number,
                                             ", expected 1 to ", kNamespaceNumberMax));
  }
  const auto check = [&](std::string_view what, size_t found) {
    if (found == commit.ids.size()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        StrCat("a commit has ", commit.ids.size(), " ids and ", found, " ", what));
  };
  for (const FieldColumn& column : commit.fields) {
    VARVE_RETURN_IF_ERROR(check("vectors", column.vectors.size()));
  }
  if (!commit.attributes.empty()) {
    VARVE_RETURN_IF_ERROR(check("attributes", commit.attributes.size()));
  }
  return commit.expires_at.empty() ? absl::OkStatus()
                                   : check("times of expiry", commit.expires_at.size());
}

// Room for a commit, so that its vectors are copied once.
size_t BatchBytes(const Commit& commit) {
  constexpr size_t kMark = Batch::Bytes(kVectorKeyBytes, sizeof(uint64_t));
  const size_t fields = commit.namespace_fields.size();
  size_t bytes = Batch::Bytes(kNamespacePrefixBytes + 1, sizeof(CommitState)) +
                 Batch::Bytes(kNamespacePrefixBytes + 1 + commit.producer.size(), sizeof(uint64_t));
  const auto metadata = [](std::string_view attributes) {
    return Batch::Bytes(kRowKeyBytes, sizeof(uint64_t) + attributes.size());
  };
  for (const std::string_view id : commit.ids) {
    bytes += Batch::Bytes(kNamespacePrefixBytes + id.size(), sizeof(uint64_t)) +
             Batch::Bytes(kRowKeyBytes, sizeof(uint64_t) + id.size());
  }
  for (const FieldColumn& column : commit.fields) {
    for (const std::string_view vector : column.vectors) {
      bytes += Batch::Bytes(kVectorKeyBytes, vector.size());
    }
  }
  for (const std::string_view attributes : commit.attributes) bytes += metadata(attributes);
  if (commit.attributes.empty()) bytes += commit.expires_at.size() * metadata("");
  for (const MetadataUpdate& update : commit.updates) {
    bytes += metadata(update.attributes) + fields * kMark;
  }
  for (const std::string_view id : commit.deleted_ids) {
    bytes += Batch::Bytes(kNamespacePrefixBytes + id.size(), 0);
  }
  return bytes + commit.dead_rows.size() * (kRowFamilies.size() * Batch::Bytes(kVectorKeyBytes, 0) +
                                            fields * (Batch::Bytes(kVectorKeyBytes, 0) + kMark));
}

void PutNewRow(const Commit& commit, size_t i, Batch* batch) {
  const NamespaceNumber number = commit.namespace_number;
  const uint64_t row = commit.first_row + i;
  batch->Put(Family::kIds, IdKey(number, commit.ids[i]), View(IdValue(row)));
  batch->Put(Family::kRows, View(RowKey(number, row)),
             RowValue(commit.state.sequence, commit.ids[i]));
  for (const FieldColumn& column : commit.fields) {
    if (column.vectors[i].empty()) continue;
    batch->Put(Family::kVectors, View(VectorKey(number, row, column.field)), column.vectors[i]);
  }
  const auto attributes = commit.attributes.empty() ? std::string_view() : commit.attributes[i];
  const int64_t expires_at = commit.expires_at.empty() ? kNeverExpires : commit.expires_at[i];
  if (attributes.empty() && expires_at == kNeverExpires) return;
  batch->Put(Family::kAttributes, View(RowKey(number, row)),
             AttributesValue(expires_at, attributes));
}

absl::Status RocksRecordStore::Write(const Commit& commit) {
  VARVE_RETURN_IF_ERROR(CheckCommit(commit));
  const NamespaceNumber number = commit.namespace_number;
  Batch batch = db_->NewBatch(BatchBytes(commit));
  batch.Put(Family::kMeta, CommitStateKey(number), CommitStateValue(commit.state));
  if (!commit.producer.empty()) {
    batch.Put(Family::kMeta, ProducerKey(number, commit.producer),
              ProducerValue(commit.producer_batch));
  }
  for (const std::string_view id : commit.deleted_ids) {
    batch.Delete(Family::kIds, IdKey(number, id));
  }
  const auto mark = MarkValue(commit.state.sequence);
  for (const uint64_t row : commit.dead_rows) {
    batch.Delete(Family::kRows, View(RowKey(number, row)));
    batch.Delete(Family::kAttributes, View(RowKey(number, row)));
    for (const FieldNumber field : commit.namespace_fields) {
      batch.Delete(Family::kVectors, View(VectorKey(number, row, field)));
      batch.Put(Family::kTombstones, MarkKey(number, row, field), View(mark));
    }
  }
  for (const MetadataUpdate& update : commit.updates) {
    if (update.attributes.empty() && update.expires_at == kNeverExpires) {
      batch.Delete(Family::kAttributes, View(RowKey(number, update.row)));
    } else {
      batch.Put(Family::kAttributes, View(RowKey(number, update.row)),
                AttributesValue(update.expires_at, update.attributes));
    }
    for (const FieldNumber field : commit.namespace_fields) {
      batch.Put(Family::kUpdates, MarkKey(number, update.row, field), View(mark));
    }
  }
  for (size_t i = 0; i < commit.ids.size(); ++i) PutNewRow(commit, i, &batch);
  if (commit.updates.empty()) return db_->Write(std::move(batch));
  MutexLock lock(&UpdatesMutex(number));
  return db_->Write(std::move(batch));
}

absl::Status RocksRecordStore::WriteManifest(NamespaceNumber number, FieldNumber field,
                                             std::string_view manifest,
                                             absl::Span<const ForgottenMarks> forgotten) {
  // A row's mark is replaced when the row is changed again: what was read must be what is removed.
  MutexLock lock(&UpdatesMutex(number));
  Batch batch = db_->NewBatch();
  batch.Put(Family::kMeta, ManifestKey(number, field), manifest);
  for (const ForgottenMarks& some : forgotten) {
    for (const RowMarkKind kind : {RowMarkKind::kTombstone, RowMarkKind::kUpdate}) {
      // One by one: rows go on dying and changing meanwhile, and theirs must stay.
      VARVE_ASSIGN_OR_RETURN(const auto marks, ReadMarks(kind, number, field, some.range));
      for (const RowMark& mark : marks) {
        if (mark.sequence > some.sequence) continue;
        batch.Delete(MarkFamily(kind), MarkKey(number, mark.row, field));
      }
    }
  }
  return db_->WriteSynced(std::move(batch));
}

void RocksRecordStore::ReclaimRows(NamespaceNumber number, RowRange range) {
  reclaimer_.Schedule([this, number, range] {
    // All families: a log is kept while any of them has something of it in memory alone.
    db_->Flush().IgnoreError();
    for (const Family family : kRowFamilies) {
      if (stopping_) return;
      db_->Compact(family, View(RowKey(number, range.first)), View(RowKey(number, range.last + 1)),
                   &stopping_)
          .IgnoreError();
    }
  });
}

absl::StatusOr<std::string> RocksRecordStore::ReadManifest(NamespaceNumber number,
                                                           FieldNumber field) const {
  VARVE_ASSIGN_OR_RETURN(std::optional<std::string> value,
                         db_->Get(Family::kMeta, ManifestKey(number, field)));
  return std::move(value).value_or("");
}

absl::StatusOr<std::vector<RowMark>> RocksRecordStore::ReadMarks(RowMarkKind kind,
                                                                 NamespaceNumber number,
                                                                 FieldNumber field,
                                                                 RowRange range) const {
  const auto walk = db_->NewWalk(MarkFamily(kind), db_->TakeSnapshot(),
                                 std::string(View(RowKey(number, range.first))),
                                 std::string(View(RowKey(number, range.last + 1))));
  std::vector<RowMark> marks;
  while (true) {
    VARVE_ASSIGN_OR_RETURN(const bool more, walk->Next());
    if (!more) return marks;
    VARVE_ASSIGN_OR_RETURN(const RowFieldKeyParts key, ParseRowFieldKey(walk->key()));
    if (key.field != field) continue;
    VARVE_ASSIGN_OR_RETURN(const uint64_t sequence, ParseMarkValue(walk->key(), walk->value()));
    marks.push_back({.row = key.row, .sequence = sequence});
  }
}

absl::StatusOr<std::vector<std::optional<StoredRecord>>> RocksRecordStore::ReadRecords(
    NamespaceNumber number, absl::Span<const std::string_view> ids,
    const RecordParts& parts) const {
  const Snapshot snapshot = db_->TakeSnapshot();
  std::vector<uint64_t> rows;
  VARVE_RETURN_IF_ERROR(FindRowsAt(*db_, snapshot, number, ids, &rows));
  std::vector<uint64_t> live;
  for (const uint64_t row : rows) {
    if (row != kNoRow) live.push_back(row);
  }
  VARVE_ASSIGN_OR_RETURN(std::vector<StoredRecord> found,
                         ReadLiveRowsAt(*db_, snapshot, number, live, parts));
  std::vector<std::optional<StoredRecord>> records(ids.size());
  for (size_t i = 0, next = 0; i < ids.size(); ++i) {
    if (rows[i] != kNoRow) records[i] = std::move(found[next++]);
  }
  return records;
}

absl::StatusOr<uint64_t> RocksRecordStore::ProducerPosition(NamespaceNumber number,
                                                            std::string_view producer) const {
  const std::string key = ProducerKey(number, producer);
  VARVE_ASSIGN_OR_RETURN(const std::optional<std::string> value, db_->Get(Family::kMeta, key));
  if (!value.has_value()) return 0;
  return ParseProducerValue(key, *value);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecordStore>> RecordStore::Open(const std::string& directory,
                                                               const RecordStoreOptions& options) {
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::Open(directory, options));
  auto store = std::make_unique<RocksRecordStore>(std::move(db));
  VARVE_RETURN_IF_ERROR(store->RemoveLeftImports());
  return store;
}

absl::StatusOr<std::unique_ptr<RecordStore>> RecordStore::OpenToRead(
    const std::string& directory, const RecordStoreOptions& options) {
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::OpenToRead(directory, options));
  return std::make_unique<RocksRecordStore>(std::move(db));
}

}  // namespace varve::storage
