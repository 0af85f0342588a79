#include "server/engine/check.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/engine/engine.h"
#include "server/engine/segment_files.h"
#include "storage/data_directory.h"
#include "storage/manifest.h"
#include "storage/record_store.h"

namespace varve::engine {
namespace {

// Findings about the records of one namespace; more would say nothing new.
constexpr size_t kRecordFindingsMax = 20;

constexpr size_t kIdsPerLookup = 1000;

// Of a vector that was brought to length 1 by another machine's instructions the last bits differ.
constexpr float kRelativeError = 1e-5f;

bool SameVector(const float* a, const float* b, size_t dimension) {
  float largest = 0, difference = 0;
  for (size_t i = 0; i < dimension; ++i) {
    largest = std::max(largest, std::abs(a[i]));
    difference = std::max(difference, std::abs(a[i] - b[i]));
  }
  return difference <= kRelativeError * largest;
}

// The sealed segments of a namespace beside its records, both in order of row.
class SegmentAudit {
 public:
  SegmentAudit(const storage::Manifest& manifest, const SegmentFiles& files,
               const FieldSchema& field)
      : space_(field.metric, field.dimension, field.element_type) {
    for (const storage::SegmentRecord& record : manifest.segments) {
      entries_.push_back({.record = record});
      absl::Status status = Open(files, &entries_.back());
      if (!status.ok()) entries_.back().damage = StrCat(status.message());
    }
  }

  // The next live record.
  void Meet(const storage::StoredRecord& record) {
    while (current_ < entries_.size() && entries_[current_].record.range.last < record.row) {
      PassDeadRows(&entries_[current_++], storage::kLastRow);
    }
    if (current_ == entries_.size()) return;
    Entry& entry = entries_[current_];
    if (entry.record.range.first > record.row || !entry.damage.empty()) return;
    PassDeadRows(&entry, record.row);
    if (entry.damage.empty()) Compare(record, &entry);
  }

  // There is no further record.
  void End() {
    for (; current_ < entries_.size(); ++current_) {
      PassDeadRows(&entries_[current_], storage::kLastRow);
    }
  }

  // Something is wrong with what is known of `row`. False when it is in no segment's range.
  bool Blame(uint64_t row, std::string damage) {
    for (Entry& entry : entries_) {
      if (row < entry.record.range.first || row > entry.record.range.last) continue;
      if (entry.damage.empty()) entry.damage = std::move(damage);
      return true;
    }
    return false;
  }

  void Report(std::string_view name, CheckReport* report, std::vector<uint64_t>* damaged) const {
    for (const Entry& entry : entries_) {
      ++report->segments;
      report->segment_rows += entry.record.rows;
      if (entry.damage.empty()) continue;
      damaged->push_back(entry.record.id);
      report->index_damage.push_back(
          StrCat("namespace \"", name, "\", segment ", entry.record.id, ": ", entry.damage));
    }
  }

 private:
  struct Entry {
    storage::SegmentRecord record;
    std::shared_ptr<const index::SealedSegment> segment;
    uint32_t next = 0;   // the first of its rows that was not met yet
    std::string damage;  // the first that was found
  };

  absl::Status Open(const SegmentFiles& files, Entry* entry) const {
    VARVE_ASSIGN_OR_RETURN(entry->segment, files.OpenStored(entry->record, space_));
    return entry->segment->Verify();
  }

  // Rows up to `before` that no record was met for must be dead.
  static void PassDeadRows(Entry* entry, uint64_t before) {
    if (!entry->damage.empty()) return;
    const index::SealedSegment& segment = *entry->segment;
    for (uint32_t& i = entry->next; i < segment.size() && segment.row(i) < before; ++i) {
      if (segment.tombstones()->DiedAt(i) != 0) continue;
      entry->damage = StrCat("row ", segment.row(i), " has neither a record nor a tombstone");
      return;
    }
  }

  void Compare(const storage::StoredRecord& record, Entry* entry) {
    const index::SealedSegment& segment = *entry->segment;
    const uint32_t at = entry->next;
    if (at == segment.size() || segment.row(at) != record.row) {
      entry->damage = StrCat("row ", record.row, " is missing from it");
      return;
    }
    ++entry->next;
    if (segment.label(at) != record.id) {
      entry->damage = StrCat("row ", record.row, " has another id than its record");
    } else if (!SameVector(reader_.Read(segment.vector(at)),
                           space_.LoadQuery(space_.element_type(), record.vector.data()).get(),
                           space_.dimension())) {
      entry->damage = StrCat("row ", record.row, " has another vector than its record");
    }
  }

  const index::VectorSpace space_;
  index::RowReader reader_{space_};
  std::vector<Entry> entries_;
  size_t current_ = 0;
};

// One namespace: its records among themselves, then the index beside them.
class NamespaceCheck {
 public:
  NamespaceCheck(const storage::NamespaceEntry& entry, std::string directory,
                 storage::RecordStore* store, CheckReport* report)
      : entry_(entry),
        directory_(std::move(directory)),
        store_(*store),
        report_(*report),
        files_(storage::FileSystem::System(), store, entry.number, directory_) {}

  void Run() {
    ++report_.namespaces;
    const auto schema = SchemaOf(entry_);
    if (!schema.ok()) return RecordDamage(StrCat(schema.status().message()));
    const FieldSchema& field = schema->fields.front();
    auto manifest = files_.ReadManifest();
    if (!manifest.ok()) {
      manifest_damaged_ = true;
      IndexDamage(StrCat(manifest.status().message()));
      manifest = storage::Manifest();
    }
    SegmentAudit audit(*manifest, files_, field);
    CheckTombstones();
    if (absl::Status status = CheckRecords(field, &audit); !status.ok()) {
      return RecordDamage(StrCat(status.message()));
    }
    audit.Report(entry_.name, &report_, &damaged_segments_);
    FindLeftovers();
  }

  // Whether there is something to be made anew, and nothing that prevents it.
  bool NeedsRepair() const {
    return manifest_damaged_ || !damaged_segments_.empty() || !stale_tombstones_.empty();
  }

  // Gives up what is damaged of the index.
  absl::Status GiveUp() {
    if (manifest_damaged_) {
      const storage::ForgottenTombstones all{{storage::kNoRow + 1, storage::kLastRow}};
      return store_.WriteManifest(entry_.number, "", {all});
    }
    VARVE_RETURN_IF_ERROR(files_.GiveUp(damaged_segments_));
    VARVE_ASSIGN_OR_RETURN(const std::string manifest, store_.ReadManifest(entry_.number));
    return store_.WriteManifest(entry_.number, manifest, stale_tombstones_);
  }

 private:
  void RecordDamage(const std::string& what) {
    if (++record_findings_ > kRecordFindingsMax) return;
    report_.record_damage.push_back(StrCat("namespace \"", entry_.name, "\": ", what));
  }
  void IndexDamage(const std::string& what) {
    report_.index_damage.push_back(StrCat("namespace \"", entry_.name, "\": ", what));
  }

  void CheckTombstones() {
    auto tombstones =
        store_.ReadTombstones(entry_.number, {storage::kNoRow + 1, storage::kLastRow});
    if (!tombstones.ok()) return IndexDamage(StrCat(tombstones.status().message()));
    tombstones_ = *std::move(tombstones);
  }

  absl::Status CheckRecords(const FieldSchema& field, SegmentAudit* audit) {
    VARVE_ASSIGN_OR_RETURN(const auto cursor, store_.ScanByRow(entry_.number, {storage::kNoRow + 1,
                                                                               storage::kLastRow}));
    storage::StoredRecord record;
    uint64_t records = 0;
    while (true) {
      VARVE_ASSIGN_OR_RETURN(const bool more, cursor->Next(&record));
      if (!more) break;
      ++records;
      CheckRecord(record);
      if (record.vector.size() != field.dimension * SizeOf(field.element_type)) {
        RecordDamage(StrCat("row ", record.row, ": a vector of ", record.vector.size(),
                            " bytes, wanted ", field.dimension * SizeOf(field.element_type)));
        continue;
      }
      CheckAlive(record.row, audit);
      audit->Meet(record);
      ids_.push_back(std::move(record.id));
      rows_.push_back(record.row);
      if (ids_.size() == kIdsPerLookup) VARVE_RETURN_IF_ERROR(CheckIds());
    }
    audit->End();
    report_.records += records;
    VARVE_RETURN_IF_ERROR(CheckIds());
    return CountIds(records);
  }

  void CheckRecord(const storage::StoredRecord& record) {
    if (record.row >= entry_.state.next_row) {
      RecordDamage(StrCat("row ", record.row, " where the next is to be ", entry_.state.next_row));
    }
    if (record.sequence > entry_.state.sequence) {
      RecordDamage(StrCat("row ", record.row, " is of commit ", record.sequence,
                          " where the last was ", entry_.state.sequence));
    }
  }

  // A row with a record has no tombstone.
  void CheckAlive(uint64_t row, SegmentAudit* audit) {
    while (next_tombstone_ < tombstones_.size() && tombstones_[next_tombstone_].row < row) {
      ++next_tombstone_;
    }
    if (next_tombstone_ == tombstones_.size() || tombstones_[next_tombstone_].row != row) return;
    const std::string what = StrCat("row ", row, " has a record and a tombstone");
    if (audit->Blame(row, what)) return;
    stale_tombstones_.push_back({{row, row}});
    IndexDamage(what);
  }

  // Each row is the one that its id leads to.
  absl::Status CheckIds() {
    const std::vector<std::string_view> ids(ids_.begin(), ids_.end());
    std::vector<uint64_t> found;
    VARVE_RETURN_IF_ERROR(store_.FindRows(entry_.number, ids, &found));
    for (size_t i = 0; i < rows_.size(); ++i) {
      if (found[i] == rows_[i]) continue;
      RecordDamage(StrCat("row ", rows_[i], ": its id leads to row ", found[i]));
    }
    ids_.clear(), rows_.clear();
    return absl::OkStatus();
  }

  // Since each row is found by its id, there are no further ids if they are as many.
  absl::Status CountIds(uint64_t records) {
    VARVE_ASSIGN_OR_RETURN(const auto cursor,
                           store_.ScanById(entry_.number, "", /*include_vectors=*/false));
    storage::StoredRecord record;
    uint64_t ids = 0;
    for (;; ++ids) {
      VARVE_ASSIGN_OR_RETURN(const bool more, cursor->Next(&record));
      if (!more) break;
    }
    if (ids != records) RecordDamage(StrCat(ids, " ids, but ", records, " records"));
    return absl::OkStatus();
  }

  void FindLeftovers() {
    const auto names = files_.Unnamed();
    if (!names.ok()) return IndexDamage(StrCat(names.status().message()));
    for (const std::string& name : *names) {
      report_.leftovers.push_back(StrCat(directory_, "/", name));
    }
  }

  const storage::NamespaceEntry entry_;
  const std::string directory_;
  storage::RecordStore& store_;
  CheckReport& report_;
  SegmentFiles files_;

  std::vector<storage::Tombstone> tombstones_;
  size_t next_tombstone_ = 0;
  std::vector<std::string> ids_;  // with their rows: not looked up yet
  std::vector<uint64_t> rows_;
  size_t record_findings_ = 0;

  bool manifest_damaged_ = false;
  std::vector<uint64_t> damaged_segments_;
  std::vector<storage::ForgottenTombstones> stale_tombstones_;
};

void FindDirectoriesLeft(const std::string& segments, const std::set<std::string>& known,
                         CheckReport* report) {
  const auto names = storage::FileSystem::System()->List(segments);
  if (!names.ok()) {
    report->index_damage.emplace_back(names.status().message());
    return;
  }
  for (const std::string& name : *names) {
    if (!known.contains(name)) report->leftovers.push_back(StrCat(segments, "/", name));
  }
}

// Checks all namespaces. With `repaired`, gives up what is damaged and adds the names of those
// whose index is to be made anew.
absl::StatusOr<CheckReport> Check(const std::string& path, std::vector<std::string>* repaired) {
  VARVE_ASSIGN_OR_RETURN(const auto directory, storage::DataDirectory::OpenExisting(path));
  VARVE_ASSIGN_OR_RETURN(
      const auto store,
      storage::RecordStore::Open(directory->records_path(), storage::RecordStoreOptions()));
  VARVE_ASSIGN_OR_RETURN(const auto entries, store->ListNamespaces());
  CheckReport report;
  std::set<std::string> known;
  for (const storage::NamespaceEntry& entry : entries) {
    known.insert(StrCat(entry.number));
    NamespaceCheck check(entry, StrCat(directory->segments_path(), "/", entry.number), store.get(),
                         &report);
    check.Run();
    if (repaired == nullptr || !check.NeedsRepair()) continue;
    VARVE_RETURN_IF_ERROR(check.GiveUp());
    repaired->push_back(entry.name);
  }
  FindDirectoriesLeft(directory->segments_path(), known, &report);
  return report;
}

// Opens a namespace, which indexes what no segment stands for, and waits until that is in files.
absl::Status MakeAnew(const Engine& engine, const std::string& name) {
  VARVE_ASSIGN_OR_RETURN(const auto opened, engine.FindNamespace(name));
  std::promise<absl::Status> flushed;
  opened->Flush([&](absl::Status status) { flushed.set_value(std::move(status)); });
  return flushed.get_future().get();
}

}  // namespace

absl::StatusOr<CheckReport> CheckDataDirectory(const std::string& path) {
  return Check(path, /*repaired=*/nullptr);
}

absl::StatusOr<CheckReport> RepairDataDirectory(const std::string& path) {
  std::vector<std::string> repaired;
  VARVE_ASSIGN_OR_RETURN(CheckReport report, Check(path, &repaired));
  if (repaired.empty()) return report;
  VARVE_ASSIGN_OR_RETURN(const auto engine, Engine::Open({.data_dir = path}));
  absl::Status status;
  for (const std::string& name : repaired) status.Update(MakeAnew(*engine, name));
  VARVE_RETURN_IF_ERROR(status);
  return report;
}

}  // namespace varve::engine
