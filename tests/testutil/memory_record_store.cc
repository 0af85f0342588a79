#include "tests/testutil/memory_record_store.h"

#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::storage {
namespace {

StoredRecord CopyRecord(const StoredRecord& record, bool include_vector) {
  return StoredRecord{.row = record.row,
                      .sequence = record.sequence,
                      .id = record.id,
                      .vector = include_vector ? record.vector : std::string()};
}

// Walks over copies: what came after it was made cannot show.
class CopyCursor final : public RecordStore::Cursor {
 public:
  explicit CopyCursor(std::vector<StoredRecord> records) : records_(std::move(records)) {}

  absl::StatusOr<bool> Next(StoredRecord* record) override {
    if (next_ == records_.size()) return false;
    *record = std::move(records_[next_++]);
    return true;
  }

 private:
  std::vector<StoredRecord> records_;
  size_t next_ = 0;
};

}  // namespace

absl::Status MemoryRecordStore::CheckNamespace(NamespaceNumber number,
                                               std::string_view name) const {
  const auto entry = entries_.find(name);
  if (entry != entries_.end() && entry->second.number == number) return absl::OkStatus();
  return absl::NotFoundError(
      StrCat("namespace \"", name, "\" with number ", number, " does not exist"));
}

const MemoryRecordStore::Contents& MemoryRecordStore::Find(NamespaceNumber number) const {
  static const Contents* const kEmpty = new Contents();
  const auto found = contents_.find(number);
  return found == contents_.end() ? *kEmpty : found->second;
}

absl::StatusOr<NamespaceNumber> MemoryRecordStore::CreateNamespace(std::string_view name,
                                                                   std::string_view schema) {
  MutexLock lock(&mu_);
  const auto [entry, created] = entries_.try_emplace(
      std::string(name), Entry{.number = next_number_, .schema = std::string(schema)});
  if (!created) {
    return absl::AlreadyExistsError(StrCat("namespace \"", name, "\" exists already"));
  }
  contents_.try_emplace(next_number_);
  return next_number_++;
}

absl::Status MemoryRecordStore::UpdateSchema(NamespaceNumber number, std::string_view name,
                                             std::string_view schema) {
  MutexLock lock(&mu_);
  VARVE_RETURN_IF_ERROR(CheckNamespace(number, name));
  entries_.find(name)->second.schema = schema;
  return absl::OkStatus();
}

absl::Status MemoryRecordStore::DropNamespace(NamespaceNumber number, std::string_view name) {
  MutexLock lock(&mu_);
  VARVE_RETURN_IF_ERROR(CheckNamespace(number, name));
  entries_.erase(entries_.find(name));
  contents_.erase(number);
  return absl::OkStatus();
}

absl::StatusOr<NamespaceEntry> MemoryRecordStore::ReadNamespace(std::string_view name) const {
  VARVE_ASSIGN_OR_RETURN(const std::vector<NamespaceEntry> all, ListNamespaces());
  for (const NamespaceEntry& entry : all) {
    if (entry.name == name) return entry;
  }
  return absl::NotFoundError(StrCat("namespace \"", name, "\" does not exist"));
}

absl::StatusOr<std::vector<NamespaceEntry>> MemoryRecordStore::ListNamespaces() const {
  MutexLock lock(&mu_);
  std::vector<NamespaceEntry> namespaces;
  for (const auto& [name, entry] : entries_) {
    namespaces.push_back(NamespaceEntry{.number = entry.number,
                                        .name = name,
                                        .schema = entry.schema,
                                        .state = Find(entry.number).state});
  }
  return namespaces;
}

absl::Status MemoryRecordStore::Write(const Commit& commit) {
  if (commit.namespace_number == 0 || commit.ids.size() != commit.vectors.size()) {
    return absl::InvalidArgumentError(StrCat("a commit to namespace ", commit.namespace_number,
                                             " has ", commit.ids.size(), " ids and ",
                                             commit.vectors.size(), " vectors"));
  }
  MutexLock lock(&mu_);
  Contents& contents = contents_[commit.namespace_number];
  contents.state = commit.state;
  if (!commit.producer.empty()) {
    contents.producers[std::string(commit.producer)] = commit.producer_batch;
  }
  for (const std::string_view id : commit.deleted_ids) contents.rows_by_id.erase(std::string(id));
  for (const uint64_t row : commit.dead_rows) {
    contents.records.erase(row);
    contents.tombstones[row] = commit.state.sequence;
  }
  for (size_t i = 0; i < commit.ids.size(); ++i) {
    const uint64_t row = commit.first_row + i;
    contents.rows_by_id[std::string(commit.ids[i])] = row;
    contents.records[row] = StoredRecord{.row = row,
                                         .sequence = commit.state.sequence,
                                         .id = std::string(commit.ids[i]),
                                         .vector = std::string(commit.vectors[i])};
  }
  return absl::OkStatus();
}

absl::Status MemoryRecordStore::WriteManifest(NamespaceNumber number, std::string_view manifest,
                                              absl::Span<const ForgottenTombstones> forgotten) {
  MutexLock lock(&mu_);
  Contents& contents = contents_[number];
  contents.manifest = manifest;
  for (const ForgottenTombstones& some : forgotten) {
    std::erase_if(contents.tombstones, [&](const auto& tombstone) {
      const auto& [row, sequence] = tombstone;
      return row >= some.range.first && row <= some.range.last && sequence <= some.sequence;
    });
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> MemoryRecordStore::ReadManifest(NamespaceNumber number) const {
  MutexLock lock(&mu_);
  return Find(number).manifest;
}

absl::StatusOr<std::vector<Tombstone>> MemoryRecordStore::ReadTombstones(NamespaceNumber number,
                                                                         RowRange range) const {
  MutexLock lock(&mu_);
  const auto& tombstones = Find(number).tombstones;
  std::vector<Tombstone> found;
  const auto end = tombstones.upper_bound(range.last);
  for (auto it = tombstones.lower_bound(range.first); it != end; ++it) {
    found.push_back({.row = it->first, .sequence = it->second});
  }
  return found;
}

void MemoryRecordStore::SyncAsync(absl::AnyInvocable<void(absl::Status)> done) {
  done(absl::OkStatus());
}

absl::Status MemoryRecordStore::FindRows(NamespaceNumber number,
                                         absl::Span<const std::string_view> ids,
                                         std::vector<uint64_t>* rows) const {
  MutexLock lock(&mu_);
  const Contents& contents = Find(number);
  rows->assign(ids.size(), kNoRow);
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto found = contents.rows_by_id.find(ids[i]);
    if (found != contents.rows_by_id.end()) (*rows)[i] = found->second;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::optional<StoredRecord>>> MemoryRecordStore::ReadRecords(
    NamespaceNumber number, absl::Span<const std::string_view> ids, bool include_vectors) const {
  MutexLock lock(&mu_);
  const Contents& contents = Find(number);
  std::vector<std::optional<StoredRecord>> records(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto found = contents.rows_by_id.find(ids[i]);
    if (found == contents.rows_by_id.end()) continue;
    records[i] = CopyRecord(contents.records.at(found->second), include_vectors);
  }
  return records;
}

absl::StatusOr<std::vector<std::optional<std::string>>> MemoryRecordStore::ReadVectors(
    NamespaceNumber number, absl::Span<const uint64_t> rows) const {
  MutexLock lock(&mu_);
  const Contents& contents = Find(number);
  std::vector<std::optional<std::string>> vectors(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto found = contents.records.find(rows[i]);
    if (found != contents.records.end()) vectors[i] = found->second.vector;
  }
  return vectors;
}

absl::StatusOr<uint64_t> MemoryRecordStore::ProducerPosition(NamespaceNumber number,
                                                             std::string_view producer) const {
  MutexLock lock(&mu_);
  const Contents& contents = Find(number);
  const auto found = contents.producers.find(producer);
  return found == contents.producers.end() ? 0 : found->second;
}

absl::StatusOr<std::unique_ptr<RecordStore::Cursor>> MemoryRecordStore::ScanById(
    NamespaceNumber number, std::string_view after, bool include_vectors) const {
  MutexLock lock(&mu_);
  const Contents& contents = Find(number);
  std::vector<StoredRecord> records;
  const auto& rows = contents.rows_by_id;
  for (auto it = after.empty() ? rows.begin() : rows.upper_bound(after); it != rows.end(); ++it) {
    records.push_back(CopyRecord(contents.records.at(it->second), include_vectors));
  }
  return std::make_unique<CopyCursor>(std::move(records));
}

absl::StatusOr<std::unique_ptr<RecordStore::Cursor>> MemoryRecordStore::ScanByRow(
    NamespaceNumber number, RowRange range) const {
  MutexLock lock(&mu_);
  const Contents& contents = Find(number);
  std::vector<StoredRecord> records;
  const auto end = contents.records.upper_bound(range.last);
  for (auto it = contents.records.lower_bound(range.first); it != end; ++it) {
    records.push_back(CopyRecord(it->second, /*include_vector=*/true));
  }
  return std::make_unique<CopyCursor>(std::move(records));
}

}  // namespace varve::storage
