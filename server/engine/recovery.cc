#include "server/engine/recovery.h"

#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/engine/segment_files.h"

namespace varve::engine {
namespace {

constexpr size_t kTailRowsPerRead = 1024;

// Stored records, some at a time, in the form the index takes them.
class RecordReader {
 public:
  RecordReader(std::unique_ptr<storage::RecordStore::Cursor> cursor, const FieldSchema& field)
      : cursor_(std::move(cursor)), vector_bytes_(field.dimension * SizeOf(field.element_type)) {}

  // The next rows, at most `rows_max`; none at the end. They stay until the next call.
  absl::StatusOr<index::NewRows> Next(size_t rows_max) {
    records_.clear(), rows_.clear(), labels_.clear(), vectors_.clear();
    storage::StoredRecord record;
    while (records_.size() < rows_max) {
      VARVE_ASSIGN_OR_RETURN(const bool more, cursor_->Next(&record));
      if (!more) break;
      if (record.vector.size() != vector_bytes_) {
        return absl::DataLossError(StrCat("row ", record.row, " has a vector of ",
                                          record.vector.size(), " bytes, wanted ", vector_bytes_));
      }
      records_.push_back(std::move(record));
    }
    for (const storage::StoredRecord& stored : records_) {
      rows_.push_back(stored.row);
      labels_.push_back(stored.id);
      vectors_.push_back(stored.vector);
    }
    return index::NewRows{.rows = rows_, .labels = labels_, .vectors = vectors_};
  }

 private:
  const std::unique_ptr<storage::RecordStore::Cursor> cursor_;
  const size_t vector_bytes_;
  std::vector<storage::StoredRecord> records_;
  std::vector<uint64_t> rows_;
  std::vector<std::string_view> labels_, vectors_;
};

}  // namespace

std::string SegmentDirectory(const NamespaceResources& resources, storage::NamespaceNumber number) {
  return StrCat(resources.segments_directory, "/", number);
}

absl::StatusOr<std::shared_ptr<index::SegmentSet>> RecoverSegmentSet(
    const storage::NamespaceEntry& entry, const FieldSchema& field,
    const NamespaceResources& resources) {
  const index::VectorSpace space(field.metric, field.dimension, field.element_type);
  auto files = std::make_unique<SegmentFiles>(resources.files, resources.store, entry.number,
                                              SegmentDirectory(resources, entry.number));
  VARVE_ASSIGN_OR_RETURN(SegmentFiles::Found found, files->Open(space));
  auto set = index::SegmentSet::Create(space, field.index, resources.index, std::move(files));
  const storage::CommitState& state = entry.state;
  set->Restore(state.sequence, state.next_row, std::move(found.segments), found.next_segment_id);

  const storage::RowRange tail = found.uncovered.back();
  found.uncovered.pop_back();
  for (const storage::RowRange& range : found.uncovered) {
    VARVE_ASSIGN_OR_RETURN(auto cursor, resources.store->ScanByRow(entry.number, range));
    RecordReader reader(std::move(cursor), field);
    while (true) {
      VARVE_ASSIGN_OR_RETURN(const index::NewRows rows,
                             reader.Next(field.index.segment_size_threshold));
      if (rows.rows.empty()) break;
      set->RestoreRows(rows);
    }
  }
  VARVE_ASSIGN_OR_RETURN(auto cursor, resources.store->ScanByRow(entry.number, tail));
  RecordReader reader(std::move(cursor), field);
  while (true) {
    VARVE_ASSIGN_OR_RETURN(const index::NewRows rows, reader.Next(kTailRowsPerRead));
    if (rows.rows.empty()) break;
    set->Commit(state.sequence, state.next_row, rows, {});
  }
  set->EndRestore();
  return set;
}

}  // namespace varve::engine
