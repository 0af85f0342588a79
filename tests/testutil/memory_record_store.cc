#include "tests/testutil/memory_record_store.h"

#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::storage {
namespace {

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

StoredRecord MemoryRecordStore::Copy(const Record& record, const RecordParts& parts) {
  StoredRecord copy = record.record;
  if (!parts.metadata) copy.attributes.clear(), copy.expires_at = kNeverExpires;
  for (const FieldNumber field : parts.fields) {
    const auto vector = record.vectors.find(field);
    copy.vectors.push_back(vector == record.vectors.end() ? "" : vector->second);
  }
  return copy;
}

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
  const auto fits = [&](size_t size) { return size == 0 || size == commit.ids.size(); };
  bool whole = commit.namespace_number != 0 && fits(commit.attributes.size()) &&
               fits(commit.expires_at.size());
  for (const FieldColumn& column : commit.fields) {
    whole &= column.vectors.size() == commit.ids.size();
  }
  if (!whole) {
    return absl::InvalidArgumentError(StrCat("a commit to namespace ", commit.namespace_number,
                                             " has ", commit.ids.size(),
                                             " ids and other columns of another length"));
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
    for (const FieldNumber field : commit.namespace_fields) {
      contents.marks[RowMarkKind::kTombstone][field][row] = commit.state.sequence;
    }
  }
  for (const MetadataUpdate& update : commit.updates) {
    StoredRecord& record = contents.records[update.row].record;
    record.attributes = update.attributes;
    record.expires_at = update.expires_at;
    for (const FieldNumber field : commit.namespace_fields) {
      contents.marks[RowMarkKind::kUpdate][field][update.row] = commit.state.sequence;
    }
  }
  for (size_t i = 0; i < commit.ids.size(); ++i) {
    const uint64_t row = commit.first_row + i;
    contents.rows_by_id[std::string(commit.ids[i])] = row;
    Record& added = contents.records[row];
    added.record.row = row;
    added.record.sequence = commit.state.sequence;
    added.record.id = commit.ids[i];
    if (!commit.attributes.empty()) added.record.attributes = commit.attributes[i];
    if (!commit.expires_at.empty()) added.record.expires_at = commit.expires_at[i];
    for (const FieldColumn& column : commit.fields) {
      if (!column.vectors[i].empty()) added.vectors[column.field] = column.vectors[i];
    }
  }
  return absl::OkStatus();
}

absl::Status MemoryRecordStore::WriteManifest(NamespaceNumber number, FieldNumber field,
                                              std::string_view manifest,
                                              absl::Span<const ForgottenMarks> forgotten) {
  MutexLock lock(&mu_);
  Contents& contents = contents_[number];
  contents.manifests[field] = manifest;
  for (const ForgottenMarks& some : forgotten) {
    for (auto& [kind, marks] : contents.marks) {
      std::erase_if(marks[field], [&](const auto& mark) {
        const auto& [row, sequence] = mark;
        return row >= some.range.first && row <= some.range.last && sequence <= some.sequence;
      });
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> MemoryRecordStore::ReadManifest(NamespaceNumber number,
                                                            FieldNumber field) const {
  MutexLock lock(&mu_);
  const auto& manifests = Find(number).manifests;
  const auto found = manifests.find(field);
  return found == manifests.end() ? "" : found->second;
}

absl::StatusOr<std::vector<RowMark>> MemoryRecordStore::ReadMarks(RowMarkKind kind,
                                                                  NamespaceNumber number,
                                                                  FieldNumber field,
                                                                  RowRange range) const {
  MutexLock lock(&mu_);
  std::vector<RowMark> found;
  const auto& by_kind = Find(number).marks;
  const auto of_kind = by_kind.find(kind);
  if (of_kind == by_kind.end() || !of_kind->second.contains(field)) return found;
  const auto& marks = of_kind->second.at(field);
  const auto end = marks.upper_bound(range.last);
  for (auto it = marks.lower_bound(range.first); it != end; ++it) {
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
    NamespaceNumber number, absl::Span<const std::string_view> ids,
    const RecordParts& parts) const {
  MutexLock lock(&mu_);
  const Contents& contents = Find(number);
  std::vector<std::optional<StoredRecord>> records(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto found = contents.rows_by_id.find(ids[i]);
    if (found == contents.rows_by_id.end()) continue;
    records[i] = Copy(contents.records.at(found->second), parts);
  }
  return records;
}

absl::StatusOr<std::vector<std::optional<StoredRecord>>> MemoryRecordStore::ReadRows(
    NamespaceNumber number, absl::Span<const uint64_t> rows, const RecordParts& parts) const {
  MutexLock lock(&mu_);
  const Contents& contents = Find(number);
  std::vector<std::optional<StoredRecord>> records(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto found = contents.records.find(rows[i]);
    if (found != contents.records.end()) records[i] = Copy(found->second, parts);
  }
  return records;
}

absl::StatusOr<uint64_t> MemoryRecordStore::ProducerPosition(NamespaceNumber number,
                                                             std::string_view producer) const {
  MutexLock lock(&mu_);
  const Contents& contents = Find(number);
  const auto found = contents.producers.find(producer);
  return found == contents.producers.end() ? 0 : found->second;
}

absl::StatusOr<std::unique_ptr<RecordStore::Cursor>> MemoryRecordStore::ScanById(
    NamespaceNumber number, std::string_view after, const RecordParts& parts) const {
  MutexLock lock(&mu_);
  const Contents& contents = Find(number);
  std::vector<StoredRecord> records;
  const auto& rows = contents.rows_by_id;
  for (auto it = after.empty() ? rows.begin() : rows.upper_bound(after); it != rows.end(); ++it) {
    records.push_back(Copy(contents.records.at(it->second), parts));
  }
  return std::make_unique<CopyCursor>(std::move(records));
}

absl::StatusOr<std::unique_ptr<RecordStore::Cursor>> MemoryRecordStore::ScanByRow(
    NamespaceNumber number, RowRange range, const RecordParts& parts) const {
  MutexLock lock(&mu_);
  const Contents& contents = Find(number);
  std::vector<StoredRecord> records;
  const auto end = contents.records.upper_bound(range.last);
  for (auto it = contents.records.lower_bound(range.first); it != end; ++it) {
    records.push_back(Copy(it->second, parts));
  }
  return std::make_unique<CopyCursor>(std::move(records));
}

}  // namespace varve::storage
