#include "server/engine/check.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "index/attribute_columns.h"
#include "metadata/attributes.h"
#include "server/engine/engine.h"
#include "server/engine/index_rows.h"
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

// The sealed segments of a field beside its records, both in order of row.
class SegmentAudit {
 public:
  SegmentAudit(const storage::Manifest& manifest, const SegmentFiles& files,
               const FieldSchema& field)
      : space_(field.metric, field.dimension, field.element_type),
        vector_bytes_(IndexRows::VectorBytes(field)) {
    for (const storage::SegmentRecord& record : manifest.segments) {
      entries_.push_back({.record = record});
      absl::Status status = Open(files, &entries_.back());
      if (!status.ok()) entries_.back().damage = StrCat(status.message());
    }
  }

  // The next live record, whose vectors are of the right length.
  void Meet(const storage::StoredRecord& record) {
    while (current_ < entries_.size() && entries_[current_].record.range.last < record.row) {
      Finish(&entries_[current_++]);
    }
    if (current_ == entries_.size()) return;
    Entry& entry = entries_[current_];
    if (entry.record.range.first > record.row || !entry.damage.empty()) return;
    PassDeadRows(&entry, record.row);
    if (entry.damage.empty()) Compare(record, &entry);
  }

  // There is no further record.
  void End() {
    for (; current_ < entries_.size(); ++current_) Finish(&entries_[current_]);
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
    uint32_t next = 0;           // the first of its rows that was not met yet
    std::string damage;          // the first that was found
    std::set<uint32_t> changed;  // rows whose metadata was, after they were written
    // Rows whose metadata the columns should have, and that of their records.
    std::vector<uint32_t> in_columns;
    std::deque<std::string> attributes;
  };

  // All its records were met.
  void Finish(Entry* entry) const {
    PassDeadRows(entry, storage::kLastRow);
    if (entry->damage.empty()) CompareAttributes(entry);
    entry->in_columns.clear(), entry->attributes.clear();
  }

  // The columns, but for rows that are dead or were changed since, are what the records' metadata makes.
  static void CompareAttributes(Entry* entry) {
    const index::SealedSegment& segment = *entry->segment;
    index::AttributeColumnsBuilder builder;
    std::vector<uint32_t> kept(segment.size(), index::kNoOrdinal);
    for (size_t i = 0; i < entry->in_columns.size(); ++i) {
      kept[entry->in_columns[i]] = entry->in_columns[i];
      builder.Add(entry->in_columns[i], entry->attributes[i]);
    }
    std::string found;
    const index::ColumnsToMerge columns{
        .columns = &segment.columns(), .renumbered = kept, .first = 0};
    index::MergeColumns(absl::MakeConstSpan(&columns, 1), [&](std::string_view bytes) {
      found.append(bytes);
      return absl::OkStatus();
    }).IgnoreError();
    if (found != builder.Finish()) entry->damage = "its attributes are not those of its records";
  }

  absl::Status Open(const SegmentFiles& files, Entry* entry) const {
    VARVE_ASSIGN_OR_RETURN(entry->segment, files.OpenStored(entry->record, space_));
    entry->segment->history()->overlay.ForEach(
        storage::kLastRow, [&](uint32_t i, std::string_view) { entry->changed.insert(i); });
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
    const std::string_view vectors = record.vectors[0];
    for (size_t at = 0; at < vectors.size() && entry->damage.empty(); at += vector_bytes_) {
      CompareVector(record, vectors.data() + at, entry);
    }
    if (!entry->damage.empty() || vectors.empty()) return;
    const uint32_t end = entry->next;
    const auto begin = static_cast<uint32_t>(end - vectors.size() / vector_bytes_);
    if (entry->segment->expires_at(begin) != record.expires_at) {
      entry->damage = StrCat("row ", record.row, " expires at another time than its record");
    }
    for (uint32_t i = begin; i < end && !entry->changed.contains(begin); ++i) {
      entry->in_columns.push_back(i);
      entry->attributes.push_back(record.attributes);
    }
  }

  void CompareVector(const storage::StoredRecord& record, const char* vector, Entry* entry) {
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
                           space_.LoadQuery(space_.element_type(), vector).get(),
                           space_.dimension())) {
      entry->damage = StrCat("row ", record.row, " has another vector than its record");
    }
  }

  const index::VectorSpace space_;
  const size_t vector_bytes_;
  index::RowReader reader_{space_};
  std::vector<Entry> entries_;
  size_t current_ = 0;
};

// What is found out about a namespace.
class Findings {
 public:
  Findings(std::string name, CheckReport* report) : name_(std::move(name)), report_(*report) {}

  void RecordDamage(const std::string& what) {
    if (++record_findings_ > kRecordFindingsMax) return;
    report_.record_damage.push_back(StrCat("namespace \"", name_, "\": ", what));
  }
  void IndexDamage(const std::string& what) {
    report_.index_damage.push_back(StrCat("namespace \"", name_, "\": ", what));
  }
  CheckReport& report() { return report_; }
  const std::string& name() const { return name_; }

 private:
  const std::string name_;
  CheckReport& report_;
  size_t record_findings_ = 0;
};

// The index of one field beside the records.
class FieldCheck {
 public:
  FieldCheck(const storage::NamespaceEntry& entry, const NamespaceSchema& schema,
             storage::FieldNumber number, std::string directory, storage::RecordStore* store,
             Findings* findings)
      : entry_(entry),
        field_(schema.fields[number]),
        number_(number),
        may_be_missing_(schema.fields.size() > 1),
        directory_(std::move(directory)),
        store_(*store),
        findings_(*findings),
        files_(storage::FileSystem::System(), store, &removals_, entry.number, number, directory_) {
    auto manifest = files_.ReadManifest();
    if (!manifest.ok()) {
      manifest_damaged_ = true;
      findings_.IndexDamage(StrCat(manifest.status().message()));
      manifest = storage::Manifest();
    }
    audit_.emplace(*manifest, files_, field_);
    ReadTombstones();
  }

  // The next record, with its vectors of this field in vectors[0].
  void Meet(const storage::StoredRecord& record) {
    CheckAlive(record.row);
    const size_t wanted = IndexRows::VectorBytes(field_), found = record.vectors[0].size();
    const bool whole = field_.multi_vector ? found % wanted == 0 : found == wanted;
    if (found == 0 && may_be_missing_) return;
    if (found == 0 || !whole) {
      return findings_.RecordDamage(
          StrCat("row ", record.row, ": a vector of ", found, " bytes, wanted ", wanted));
    }
    audit_->Meet(record);
  }

  // There is no further record.
  void End() {
    audit_->End();
    audit_->Report(findings_.name(), &findings_.report(), &damaged_segments_);
    const auto names = files_.Unnamed();
    if (!names.ok()) return findings_.IndexDamage(StrCat(names.status().message()));
    for (const std::string& name : *names) {
      findings_.report().leftovers.push_back(StrCat(directory_, "/", name));
    }
  }

  // Whether there is something to be made anew, and nothing that prevents it.
  bool NeedsRepair() const {
    return manifest_damaged_ || !damaged_segments_.empty() || !stale_tombstones_.empty();
  }

  // Gives up what is damaged of the index.
  absl::Status GiveUp() {
    if (manifest_damaged_) {
      const storage::ForgottenMarks all{{storage::kNoRow + 1, storage::kLastRow}};
      return store_.WriteManifest(entry_.number, number_, "", {all});
    }
    VARVE_RETURN_IF_ERROR(files_.GiveUp(damaged_segments_));
    VARVE_ASSIGN_OR_RETURN(const std::string manifest, store_.ReadManifest(entry_.number, number_));
    return store_.WriteManifest(entry_.number, number_, manifest, stale_tombstones_);
  }

  storage::FieldNumber number() const { return number_; }

 private:
  void ReadTombstones() {
    auto tombstones = store_.ReadMarks(storage::RowMarkKind::kTombstone, entry_.number, number_,
                                       {storage::kNoRow + 1, storage::kLastRow});
    if (!tombstones.ok()) return findings_.IndexDamage(StrCat(tombstones.status().message()));
    tombstones_ = *std::move(tombstones);
  }

  // A row with a record has no tombstone.
  void CheckAlive(uint64_t row) {
    while (next_tombstone_ < tombstones_.size() && tombstones_[next_tombstone_].row < row) {
      ++next_tombstone_;
    }
    if (next_tombstone_ == tombstones_.size() || tombstones_[next_tombstone_].row != row) return;
    const std::string what = StrCat("row ", row, " has a record and a tombstone");
    if (audit_->Blame(row, what)) return;
    stale_tombstones_.push_back({{row, row}});
    findings_.IndexDamage(what);
  }

  const storage::NamespaceEntry& entry_;
  const FieldSchema field_;
  const storage::FieldNumber number_;
  const bool may_be_missing_;
  const std::string directory_;
  storage::RecordStore& store_;
  Findings& findings_;
  Mutex removals_;  // nobody else is there
  SegmentFiles files_;
  std::optional<SegmentAudit> audit_;
  std::vector<storage::RowMark> tombstones_;
  size_t next_tombstone_ = 0;
  bool manifest_damaged_ = false;
  std::vector<uint64_t> damaged_segments_;
  std::vector<storage::ForgottenMarks> stale_tombstones_;
};

// One namespace: its records among themselves, and the index of each field beside them.
class NamespaceCheck {
 public:
  // What is found once `control` has ended it means nothing.
  NamespaceCheck(const storage::NamespaceEntry& entry, std::string directory,
                 storage::RecordStore* store, const CallControl* control, CheckReport* report)
      : entry_(entry),
        control_(*control),
        directory_(std::move(directory)),
        store_(*store),
        findings_(entry.name, report) {}

  void Run() {
    ++findings_.report().namespaces;
    const auto schema = SchemaOf(entry_);
    if (!schema.ok()) return findings_.RecordDamage(StrCat(schema.status().message()));
    for (size_t i = 0; i < schema->fields.size(); ++i) {
      const auto number = static_cast<storage::FieldNumber>(i);
      fields_.push_back(std::make_unique<FieldCheck>(
          entry_, *schema, number, FieldDirectory(directory_, number), &store_, &findings_));
    }
    if (absl::Status status = CheckRecords(); !status.ok()) {
      return findings_.RecordDamage(StrCat(status.message()));
    }
    for (const auto& field : fields_) field->End();
  }

  bool NeedsRepair() const {
    return std::any_of(fields_.begin(), fields_.end(),
                       [](const auto& field) { return field->NeedsRepair(); });
  }

  absl::Status GiveUp() {
    for (const auto& field : fields_) {
      if (field->NeedsRepair()) VARVE_RETURN_IF_ERROR(field->GiveUp());
    }
    return absl::OkStatus();
  }

 private:
  // Reads the records once for each field, so that only one field's vectors are at hand at a time; what
  // is not about a field is checked with the first.
  absl::Status CheckRecords() {
    for (const auto& field : fields_) {
      const storage::FieldNumber number = field->number();
      VARVE_ASSIGN_OR_RETURN(
          const auto cursor,
          store_.ScanByRow(entry_.number, {storage::kNoRow + 1, storage::kLastRow},
                           {.fields = absl::MakeConstSpan(&number, 1), .metadata = true}));
      storage::StoredRecord record;
      while (true) {
        VARVE_RETURN_IF_ERROR(control_.Check());
        VARVE_ASSIGN_OR_RETURN(const bool more, cursor->Next(&record));
        if (!more) break;
        if (field == fields_.front()) VARVE_RETURN_IF_ERROR(CheckRecord(record));
        field->Meet(record);
      }
    }
    findings_.report().records += records_;
    VARVE_RETURN_IF_ERROR(CheckIds());
    return CountIds();
  }

  absl::Status CheckRecord(const storage::StoredRecord& record) {
    ++records_;
    if (record.row >= entry_.state.next_row) {
      findings_.RecordDamage(
          StrCat("row ", record.row, " where the next is to be ", entry_.state.next_row));
    }
    if (record.sequence > entry_.state.sequence) {
      findings_.RecordDamage(StrCat("row ", record.row, " is of commit ", record.sequence,
                                    " where the last was ", entry_.state.sequence));
    }
    if (const auto decoded = metadata::DecodeAttributes(record.attributes); !decoded.ok()) {
      findings_.RecordDamage(StrCat("row ", record.row, ": ", decoded.status().message()));
    }
    ids_.push_back(record.id);
    rows_.push_back(record.row);
    return ids_.size() == kIdsPerLookup ? CheckIds() : absl::OkStatus();
  }

  // Each row is the one that its id leads to.
  absl::Status CheckIds() {
    const std::vector<std::string_view> ids(ids_.begin(), ids_.end());
    std::vector<uint64_t> found;
    VARVE_RETURN_IF_ERROR(store_.FindRows(entry_.number, ids, &found));
    for (size_t i = 0; i < rows_.size(); ++i) {
      if (found[i] == rows_[i]) continue;
      findings_.RecordDamage(StrCat("row ", rows_[i], ": its id leads to row ", found[i]));
    }
    ids_.clear(), rows_.clear();
    return absl::OkStatus();
  }

  // Since each row is found by its id, there are no further ids if they are as many.
  absl::Status CountIds() {
    VARVE_ASSIGN_OR_RETURN(const auto cursor, store_.ScanById(entry_.number, "", {}));
    storage::StoredRecord record;
    uint64_t ids = 0;
    for (;; ++ids) {
      VARVE_ASSIGN_OR_RETURN(const bool more, cursor->Next(&record));
      if (!more) break;
    }
    if (ids != records_) findings_.RecordDamage(StrCat(ids, " ids, but ", records_, " records"));
    return absl::OkStatus();
  }

  const storage::NamespaceEntry entry_;
  const CallControl& control_;
  const std::string directory_;
  storage::RecordStore& store_;
  Findings findings_;
  std::vector<std::unique_ptr<FieldCheck>> fields_;
  uint64_t records_ = 0;
  std::vector<std::string> ids_;  // with their rows: not looked up yet
  std::vector<uint64_t> rows_;
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
absl::StatusOr<CheckReport> Check(const storage::DataDirectory& directory,
                                  storage::RecordStore* store, const CallControl& control,
                                  std::vector<std::string>* repaired) {
  VARVE_ASSIGN_OR_RETURN(const auto entries, store->ListNamespaces());
  CheckReport report;
  std::set<std::string> known;
  for (const storage::NamespaceEntry& entry : entries) {
    for (const std::string& name : FieldDirectories(entry, StrCat(entry.number))) {
      known.insert(name);
    }
    NamespaceCheck check(entry, SegmentDirectory(directory.segments_path(), entry.number), store,
                         &control, &report);
    check.Run();
    VARVE_RETURN_IF_ERROR(control.Check());
    if (repaired == nullptr || !check.NeedsRepair()) continue;
    VARVE_RETURN_IF_ERROR(check.GiveUp());
    repaired->push_back(entry.name);
  }
  FindDirectoriesLeft(directory.segments_path(), known, &report);
  return report;
}

absl::StatusOr<CheckReport> OpenAndCheck(const std::string& path,
                                         std::vector<std::string>* repaired) {
  VARVE_ASSIGN_OR_RETURN(const auto directory, storage::DataDirectory::OpenExisting(path));
  VARVE_ASSIGN_OR_RETURN(const auto store,
                         storage::RecordStore::Open(directory->records_path(), {}));
  return Check(*directory, store.get(), CallControl(), repaired);
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
  return OpenAndCheck(path, /*repaired=*/nullptr);
}

absl::StatusOr<CheckReport> CheckSnapshot(const std::string& path, const CallControl& control) {
  VARVE_ASSIGN_OR_RETURN(const auto directory, storage::DataDirectory::OpenToRead(path));
  VARVE_ASSIGN_OR_RETURN(const auto store,
                         storage::RecordStore::OpenToRead(directory->records_path(), {}));
  return Check(*directory, store.get(), control, /*repaired=*/nullptr);
}

absl::StatusOr<CheckReport> RepairDataDirectory(const std::string& path) {
  std::vector<std::string> repaired;
  VARVE_ASSIGN_OR_RETURN(CheckReport report, OpenAndCheck(path, &repaired));
  if (repaired.empty()) return report;
  VARVE_ASSIGN_OR_RETURN(const auto engine, Engine::Open({.data_dir = path}));
  absl::Status status;
  for (const std::string& name : repaired) status.Update(MakeAnew(*engine, name));
  VARVE_RETURN_IF_ERROR(status);
  return report;
}

}  // namespace varve::engine
