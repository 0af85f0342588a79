#include "server/engine/segment_files.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::engine {
namespace {

constexpr std::string_view kSuffix = ".segment";
constexpr std::string_view kTemporarySuffix = ".tmp";
constexpr std::string_view kDamagedSuffix = ".damaged";

// A segment that was made without so many of its rows is worth having the store give back their space
// as well, which rewrites the other vectors.
constexpr uint64_t kDeadPercentReclaimed = 10;

std::string FileName(uint64_t segment_id) { return StrCat(segment_id, kSuffix); }

std::string ParentOf(const std::string& path) { return path.substr(0, path.find_last_of('/')); }

absl::Status Closed() { return absl::CancelledError("the namespace is being closed"); }

bool Contains(const std::vector<uint64_t>& ids, uint64_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// What the manifest says of a new segment. It stands for the rows of those that it replaces, `range`,
// those that died included.
storage::SegmentRecord Record(const index::SealedSegment& segment, storage::RowRange range) {
  if (range.first == storage::kNoRow) range = {segment.row(0), segment.row(segment.size() - 1)};
  const index::SegmentFileSummary summary = segment.file_summary();
  return {.id = segment.id(),
          .range = range,
          .rows = segment.size(),
          .file_bytes = summary.bytes,
          .file_crc32c = summary.crc32c};
}

bool Precedes(const storage::SegmentRecord& a, const storage::SegmentRecord& b) {
  return a.range.first < b.range.first;
}

// The encoder's sink that is a file.
class FileSink final : public index::ByteSink {
 public:
  explicit FileSink(storage::WritableFile* file) : file_(*file) {}
  absl::Status Append(std::string_view bytes) override { return file_.Append(bytes); }

 private:
  storage::WritableFile& file_;
};

}  // namespace

bool SegmentFiles::IsSegment(std::string_view name) { return name.ends_with(kSuffix); }

std::string SegmentFiles::Path(uint64_t segment_id) const {
  return StrCat(directory_, "/", FileName(segment_id));
}

std::string SegmentFiles::TemporaryPath(uint64_t segment_id) const {
  return StrCat(Path(segment_id), kTemporarySuffix);
}

absl::StatusOr<SegmentFiles::Found> SegmentFiles::Open(const index::VectorSpace& space) {
  VARVE_ASSIGN_OR_RETURN(const storage::Manifest manifest, ReadManifest());
  MutexLock lock(&mu_);
  Found found{.next_segment_id = manifest.next_segment_id};
  std::vector<uint64_t> damaged;
  uint64_t uncovered_from = storage::kNoRow + 1;
  for (const storage::SegmentRecord& record : manifest.segments) {
    auto segment = OpenStored(record, space);
    if (absl::IsDataLoss(segment.status()) || absl::IsNotFound(segment.status())) {
      damaged.push_back(record.id);
      continue;
    }
    VARVE_RETURN_IF_ERROR(segment.status());
    if (record.range.first > uncovered_from) {
      found.uncovered.push_back({uncovered_from, record.range.first - 1});
    }
    uncovered_from = record.range.last + 1;
    found.segments.push_back(*std::move(segment));
  }
  found.uncovered.push_back({uncovered_from, storage::kLastRow});
  if (!damaged.empty()) VARVE_RETURN_IF_ERROR(GiveUpLocked(damaged));
  VARVE_RETURN_IF_ERROR(RemoveOrphans());
  return found;
}

absl::StatusOr<storage::Manifest> SegmentFiles::ReadManifest() {
  MutexLock lock(&mu_);
  VARVE_ASSIGN_OR_RETURN(const std::string bytes, store_.ReadManifest(number_, field_));
  VARVE_ASSIGN_OR_RETURN(manifest_, storage::DecodeManifest(bytes));
  return manifest_;
}

absl::Status SegmentFiles::GiveUp(const std::vector<uint64_t>& ids) {
  MutexLock lock(&mu_);
  if (closed_) return Closed();
  return GiveUpLocked(ids);
}

absl::Status SegmentFiles::GiveUpLocked(const std::vector<uint64_t>& ids) {
  storage::Manifest kept{.next_segment_id = manifest_.next_segment_id};
  std::vector<storage::ForgottenMarks> forgotten;
  for (const storage::SegmentRecord& record : manifest_.segments) {
    if (Contains(ids, record.id)) {
      VARVE_RETURN_IF_ERROR(PutAside(record.id));
      forgotten.push_back({record.range});
    } else {
      kept.segments.push_back(record);
    }
  }
  VARVE_RETURN_IF_ERROR(store_.WriteManifest(number_, field_, EncodeManifest(kept), forgotten));
  manifest_ = std::move(kept);
  return absl::OkStatus();
}

absl::Status SegmentFiles::PutAside(uint64_t segment_id) {
  MutexLock lock(&removals_);
  const std::string path = Path(segment_id);
  const absl::Status status = files_.Rename(path, StrCat(path, kDamagedSuffix));
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::shared_ptr<const index::SealedSegment>> SegmentFiles::OpenStored(
    const storage::SegmentRecord& record, const index::VectorSpace& space) const {
  VARVE_ASSIGN_OR_RETURN(
      auto segment, OpenFile(record.id, space, std::make_shared<index::RowHistory>(record.rows)));
  const index::SegmentFileSummary summary = segment->file_summary();
  if (segment->size() != record.rows || summary.bytes != record.file_bytes ||
      summary.crc32c != record.file_crc32c) {
    return absl::DataLossError(StrCat("segment file ", Path(record.id), ": has ", segment->size(),
                                      " rows, ", summary.bytes, " bytes and checksum ",
                                      summary.crc32c, "; the manifest says ", record.rows, ", ",
                                      record.file_bytes, " and ", record.file_crc32c));
  }
  VARVE_RETURN_IF_ERROR(ReadHistory(record, *segment));
  return segment;
}

absl::Status SegmentFiles::ReadHistory(const storage::SegmentRecord& record,
                                       const index::SealedSegment& segment) const {
  // Calls `visit` with each of a row's ordinals. One that died before its segment was made again may have
  // none.
  const auto for_each_ordinal = [&](uint64_t row, auto visit) {
    for (uint32_t i = segment.LowerBound(row, segment.size());
         i < segment.size() && segment.row(i) == row; ++i) {
      visit(i);
    }
  };
  VARVE_ASSIGN_OR_RETURN(const auto dead, store_.ReadMarks(storage::RowMarkKind::kTombstone,
                                                           number_, field_, record.range));
  for (const storage::RowMark& mark : dead) {
    for_each_ordinal(mark.row,
                     [&](uint32_t i) { segment.tombstones()->MarkDead(i, mark.sequence); });
  }
  VARVE_ASSIGN_OR_RETURN(const auto changed, store_.ReadMarks(storage::RowMarkKind::kUpdate,
                                                              number_, field_, record.range));
  std::vector<uint64_t> rows;
  for (const storage::RowMark& mark : changed) rows.push_back(mark.row);
  VARVE_ASSIGN_OR_RETURN(const auto records, store_.ReadRows(number_, rows, {.metadata = true}));
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!records[i].has_value()) continue;  // it died after
    for_each_ordinal(rows[i], [&](uint32_t ordinal) {
      segment.history()->overlay.Set(ordinal, changed[i].sequence, records[i]->attributes, 0);
    });
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const index::SealedSegment>> SegmentFiles::OpenFile(
    uint64_t id, const index::VectorSpace& space,
    std::shared_ptr<index::RowHistory> history) const {
  const std::string path = Path(id);
  VARVE_ASSIGN_OR_RETURN(const auto mapped, files_.Map(path));
  VARVE_ASSIGN_OR_RETURN(const index::SegmentLayout layout,
                         index::ParseSegment(mapped->bytes(), path));
  if (layout.header.segment_id != id) {
    return absl::DataLossError(
        StrCat("segment file ", path, ": holds segment ", layout.header.segment_id));
  }
  return index::SealedSegment::Open(mapped->bytes(), path, mapped, space, std::move(history));
}

absl::StatusOr<std::vector<std::string>> SegmentFiles::FindUnnamed() const {
  std::set<std::string> named;
  for (const storage::SegmentRecord& record : manifest_.segments) named.insert(FileName(record.id));
  VARVE_ASSIGN_OR_RETURN(std::vector<std::string> names, files_.List(directory_));
  std::erase_if(names, [&](const std::string& name) { return named.contains(name); });
  return names;
}

absl::StatusOr<std::vector<std::string>> SegmentFiles::Unnamed() const {
  MutexLock lock(&mu_);
  return FindUnnamed();
}

absl::Status SegmentFiles::RemoveOrphans() {
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, FindUnnamed());
  MutexLock lock(&removals_);
  for (const std::string& name : names) {
    if (std::string_view(name).ends_with(kDamagedSuffix)) continue;
    VARVE_RETURN_IF_ERROR(files_.Remove(StrCat(directory_, "/", name)));
  }
  return absl::OkStatus();
}

absl::Status SegmentFiles::MakeDirectory() {
  const std::string parent = ParentOf(directory_);
  VARVE_RETURN_IF_ERROR(files_.CreateDirectory(parent));
  VARVE_RETURN_IF_ERROR(files_.CreateDirectory(directory_));
  VARVE_RETURN_IF_ERROR(files_.SyncDirectory(ParentOf(parent)));
  return files_.SyncDirectory(parent);
}

absl::StatusOr<std::shared_ptr<const index::SealedSegment>> SegmentFiles::Write(
    uint64_t id, const index::VectorSpace& space, std::shared_ptr<index::RowHistory> history,
    Writer write) {
  {
    MutexLock lock(&mu_);
    if (closed_) return Closed();
    ++writes_;
  }
  auto segment = WriteAndOpen(id, space, std::move(history), write);
  if (!segment.ok()) {
    files_.Remove(TemporaryPath(id)).IgnoreError();
    RemoveFile(id);
  }
  MutexLock lock(&mu_);
  --writes_;
  if (segment.ok()) pending_.insert(id);
  write_ended_.SignalAll();
  return segment;
}

absl::StatusOr<std::shared_ptr<const index::SealedSegment>> SegmentFiles::WriteAndOpen(
    uint64_t id, const index::VectorSpace& space, std::shared_ptr<index::RowHistory> history,
    Writer write) {
  VARVE_RETURN_IF_ERROR(MakeDirectory());
  VARVE_RETURN_IF_ERROR(WriteFile(id, write));
  return OpenFile(id, space, std::move(history));
}

absl::Status SegmentFiles::WriteFile(uint64_t id, Writer write) {
  VARVE_ASSIGN_OR_RETURN(const auto file, files_.Create(TemporaryPath(id)));
  FileSink sink(file.get());
  VARVE_RETURN_IF_ERROR(write(&sink).status());
  VARVE_RETURN_IF_ERROR(file->Sync());
  VARVE_RETURN_IF_ERROR(files_.Rename(TemporaryPath(id), Path(id)));
  return files_.SyncDirectory(directory_);
}

void SegmentFiles::RemoveFile(uint64_t segment_id) {
  MutexLock lock(&removals_);
  files_.Remove(Path(segment_id)).IgnoreError();  // an orphan, removed at the next opening
}

void SegmentFiles::Discard(uint64_t id) {
  MutexLock lock(&mu_);
  if (pending_.erase(id) > 0) RemoveFile(id);
}

absl::Status SegmentFiles::Install(const index::SegmentChange& change) {
  MutexLock lock(&mu_);
  if (closed_) return Closed();
  storage::Manifest changed = manifest_;
  storage::RowRange range;
  uint64_t rows_replaced = 0;
  std::erase_if(changed.segments, [&](const storage::SegmentRecord& record) {
    if (!Contains(change.replaced, record.id)) return false;
    range.first = range.first == storage::kNoRow ? record.range.first : range.first;
    range.last = record.range.last;
    rows_replaced += record.rows;
    return true;
  });
  std::vector<storage::ForgottenMarks> forgotten;
  if (!change.replaced.empty()) forgotten.push_back({range, change.sequence});
  if (change.made != nullptr) {
    const storage::SegmentRecord record = Record(*change.made, range);
    changed.next_segment_id = std::max(changed.next_segment_id, record.id + 1);
    changed.segments.insert(
        std::upper_bound(changed.segments.begin(), changed.segments.end(), record, Precedes),
        record);
  }
  VARVE_RETURN_IF_ERROR(store_.WriteManifest(number_, field_, EncodeManifest(changed), forgotten));
  manifest_ = std::move(changed);
  if (change.made != nullptr) pending_.erase(change.made->id());
  for (const uint64_t id : change.replaced) RemoveFile(id);
  const uint64_t rows_made = change.made == nullptr ? 0 : change.made->size();
  if ((rows_replaced - rows_made) * 100 > kDeadPercentReclaimed * rows_replaced) {
    store_.ReclaimRows(number_, range);
  }
  return absl::OkStatus();
}

void SegmentFiles::Close() {
  MutexLock lock(&mu_);
  closed_ = true;
  while (writes_ > 0) write_ended_.Wait(&mu_);
  for (const uint64_t id : std::exchange(pending_, {})) RemoveFile(id);
}

}  // namespace varve::engine
