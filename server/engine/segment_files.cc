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

std::string FileName(uint64_t segment_id) { return StrCat(segment_id, kSuffix); }

std::string ParentOf(const std::string& path) { return path.substr(0, path.find_last_of('/')); }

// Whether so much of a segment is dead that it is better made anew from the live rows.
bool MostlyDead(const index::Segment& segment) {
  constexpr uint64_t kDeadPercentMax = 20;
  return uint64_t{segment.tombstones()->dead()} * 100 > kDeadPercentMax * segment.size();
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

std::string SegmentFiles::Path(uint64_t segment_id) const {
  return StrCat(directory_, "/", FileName(segment_id));
}

absl::StatusOr<SegmentFiles::Found> SegmentFiles::Open(const index::VectorSpace& space) {
  MutexLock lock(&mu_);
  VARVE_ASSIGN_OR_RETURN(const std::string bytes, store_.ReadManifest(number_));
  VARVE_ASSIGN_OR_RETURN(manifest_, storage::DecodeManifest(bytes));
  Found found{.next_segment_id = manifest_.next_segment_id};
  storage::Manifest kept{.next_segment_id = manifest_.next_segment_id};
  std::vector<storage::RowRange> given_up;
  uint64_t uncovered_from = storage::kNoRow + 1;
  for (const storage::SegmentRecord& record : manifest_.segments) {
    auto segment = OpenStored(record, space);
    if (absl::IsDataLoss(segment.status()) || absl::IsNotFound(segment.status())) {
      VARVE_RETURN_IF_ERROR(PutAside(record.id));
      given_up.push_back(record.range);
      continue;
    }
    VARVE_RETURN_IF_ERROR(segment.status());
    if (MostlyDead(**segment)) {
      given_up.push_back(record.range);
      continue;
    }
    if (record.range.first > uncovered_from) {
      found.uncovered.push_back({uncovered_from, record.range.first - 1});
    }
    uncovered_from = record.range.last + 1;
    found.segments.push_back(*std::move(segment));
    kept.segments.push_back(record);
  }
  found.uncovered.push_back({uncovered_from, storage::kLastRow});
  if (!given_up.empty()) {
    // Nobody writes to a namespace that is being opened, so its tombstones are all there to be forgotten.
    VARVE_RETURN_IF_ERROR(store_.WriteManifest(number_, EncodeManifest(kept), given_up, {}));
    manifest_ = std::move(kept);
  }
  VARVE_RETURN_IF_ERROR(RemoveOrphans());
  return found;
}

absl::Status SegmentFiles::PutAside(uint64_t segment_id) {
  const std::string path = Path(segment_id);
  const absl::Status status = files_.Rename(path, StrCat(path, kDamagedSuffix));
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::shared_ptr<const index::SealedSegment>> SegmentFiles::OpenStored(
    const storage::SegmentRecord& record, const index::VectorSpace& space) const {
  auto tombstones = std::make_shared<index::Tombstones>(record.rows);
  VARVE_ASSIGN_OR_RETURN(auto segment, OpenFile(record, space, tombstones));
  VARVE_ASSIGN_OR_RETURN(const auto dead, store_.ReadTombstones(number_, record.range));
  for (const storage::Tombstone& tombstone : dead) {
    const uint32_t ordinal = segment->LowerBound(tombstone.row, segment->size());
    // A row that died before its segment was made again may not be in it.
    if (ordinal < segment->size() && segment->row(ordinal) == tombstone.row) {
      tombstones->MarkDead(ordinal, tombstone.sequence);
    }
  }
  return segment;
}

absl::StatusOr<std::shared_ptr<const index::SealedSegment>> SegmentFiles::OpenFile(
    const storage::SegmentRecord& record, const index::VectorSpace& space,
    std::shared_ptr<index::Tombstones> tombstones) const {
  const std::string path = Path(record.id);
  VARVE_ASSIGN_OR_RETURN(const auto mapped, files_.Map(path));
  VARVE_ASSIGN_OR_RETURN(const index::SegmentLayout layout,
                         index::ParseSegment(mapped->bytes(), path));
  if (layout.header.segment_id != record.id || layout.header.rows != record.rows ||
      layout.footer.file_bytes != record.file_bytes ||
      layout.footer.file_crc32c != record.file_crc32c) {
    return absl::DataLossError(
        StrCat("segment file ", path, ": holds segment ", layout.header.segment_id, " with ",
               layout.header.rows, " rows, ", layout.footer.file_bytes, " bytes and checksum ",
               layout.footer.file_crc32c, "; the manifest says ", record.id, ", ", record.rows,
               ", ", record.file_bytes, " and ", record.file_crc32c));
  }
  return index::SealedSegment::Open(mapped->bytes(), path, mapped, space, std::move(tombstones));
}

absl::Status SegmentFiles::RemoveOrphans() {
  std::set<std::string> named;
  for (const storage::SegmentRecord& record : manifest_.segments) named.insert(FileName(record.id));
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(directory_));
  for (const std::string& name : names) {
    const bool damaged = std::string_view(name).ends_with(kDamagedSuffix);
    if (damaged || named.contains(name)) continue;
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

absl::StatusOr<std::shared_ptr<const index::SealedSegment>> SegmentFiles::Seal(
    const index::ActiveSegment& segment) {
  const uint64_t id = segment.id();
  const std::string temporary = StrCat(Path(id), kTemporarySuffix);
  VARVE_RETURN_IF_ERROR(MakeDirectory());
  VARVE_ASSIGN_OR_RETURN(const auto file, files_.Create(temporary));
  FileSink sink(file.get());
  VARVE_ASSIGN_OR_RETURN(const index::SegmentFileSummary summary, segment.WriteTo(&sink));
  VARVE_RETURN_IF_ERROR(file->Sync());
  VARVE_RETURN_IF_ERROR(files_.Rename(temporary, Path(id)));
  VARVE_RETURN_IF_ERROR(files_.SyncDirectory(directory_));

  const storage::SegmentRecord record{.id = id,
                                      .range = {segment.row(0), segment.row(segment.size() - 1)},
                                      .rows = segment.size(),
                                      .file_bytes = summary.bytes,
                                      .file_crc32c = summary.crc32c};
  VARVE_ASSIGN_OR_RETURN(auto sealed, OpenFile(record, segment.space(), segment.tombstones()));

  MutexLock lock(&mu_);
  storage::Manifest changed = manifest_;
  changed.next_segment_id = std::max(changed.next_segment_id, id + 1);
  const auto after = std::find_if(
      changed.segments.begin(), changed.segments.end(),
      [&](const storage::SegmentRecord& other) { return other.range.first > record.range.first; });
  changed.segments.insert(after, record);
  VARVE_RETURN_IF_ERROR(store_.WriteManifest(number_, EncodeManifest(changed), {}, {}));
  manifest_ = std::move(changed);
  return sealed;
}

}  // namespace varve::engine
