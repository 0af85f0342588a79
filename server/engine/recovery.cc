#include "server/engine/recovery.h"

#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/engine/index_rows.h"
#include "server/engine/segment_files.h"

namespace varve::engine {
namespace {

constexpr size_t kTailRowsPerRead = 1024;

// Stored records of one field, some at a time, in the form the index takes them.
class RecordReader {
 public:
  RecordReader(const storage::RecordStore& store, storage::NamespaceNumber number,
               const NamespaceSchema& schema, storage::FieldNumber field)
      : store_(store),
        number_(number),
        field_(schema.fields[field]),
        only_field_(schema.fields.size() == 1),
        number_of_field_(field),
        rows_(field_) {}

  absl::Status Begin(storage::RowRange range) {
    VARVE_ASSIGN_OR_RETURN(
        cursor_,
        store_.ScanByRow(number_, range,
                         {.fields = absl::MakeConstSpan(&number_of_field_, 1), .metadata = true}));
    return absl::OkStatus();
  }

  // The next rows, about `rows_max`; none at the end. They stay until the next call.
  absl::StatusOr<index::NewRows> Next(size_t rows_max) {
    records_.clear(), rows_.Clear();
    size_t vectors = 0;
    while (vectors < rows_max) {
      storage::StoredRecord record;
      VARVE_ASSIGN_OR_RETURN(const bool more, cursor_->Next(&record));
      if (!more) break;
      VARVE_RETURN_IF_ERROR(Check(record));
      vectors += record.vectors[0].size() / IndexRows::VectorBytes(field_);
      records_.push_back(std::move(record));
    }
    for (const storage::StoredRecord& stored : records_) {
      rows_.Add(stored.row, stored.id, stored.vectors[0], stored.attributes, stored.expires_at);
    }
    return rows_.view();
  }

 private:
  absl::Status Check(const storage::StoredRecord& record) const {
    const size_t wanted = IndexRows::VectorBytes(field_), found = record.vectors[0].size();
    const bool whole = field_.multi_vector ? found % wanted == 0 : found == wanted;
    if ((whole && found > 0) || (found == 0 && !only_field_)) return absl::OkStatus();
    return absl::DataLossError(
        StrCat("row ", record.row, " has a vector of ", found, " bytes, wanted ", wanted));
  }

  const storage::RecordStore& store_;
  const storage::NamespaceNumber number_;
  const FieldSchema& field_;
  const bool only_field_;  // else records may do without it
  const storage::FieldNumber number_of_field_;
  std::unique_ptr<storage::RecordStore::Cursor> cursor_;
  std::vector<storage::StoredRecord> records_;
  IndexRows rows_;
};

}  // namespace

std::string SegmentDirectory(const std::string& segments_directory,
                             storage::NamespaceNumber number) {
  return StrCat(segments_directory, "/", number);
}

std::string FieldDirectory(const std::string& segment_directory, storage::FieldNumber field) {
  if (field == storage::kDefaultField) return segment_directory;
  return StrCat(segment_directory, "-", field);
}

std::vector<std::string> FieldDirectories(const storage::NamespaceEntry& entry,
                                          const std::string& segment_directory) {
  const auto schema = ParseSchema(entry.schema);
  const size_t fields = schema.ok() ? schema->fields.size() : kFieldsMax;
  std::vector<std::string> directories;
  for (size_t i = 0; i < fields; ++i) {
    directories.push_back(FieldDirectory(segment_directory, static_cast<storage::FieldNumber>(i)));
  }
  return directories;
}

absl::StatusOr<std::shared_ptr<index::SegmentSet>> RecoverSegmentSet(
    const storage::NamespaceEntry& entry, const NamespaceSchema& schema,
    storage::FieldNumber number, const NamespaceResources& resources) {
  const FieldSchema& field = schema.fields[number];
  const index::VectorSpace space(field.metric, field.dimension, field.element_type);
  auto files = std::make_unique<SegmentFiles>(
      resources.files, resources.store, resources.removals.get(), entry.number, number,
      FieldDirectory(SegmentDirectory(resources.segments_directory, entry.number), number));
  VARVE_ASSIGN_OR_RETURN(SegmentFiles::Found found, files->Open(space));
  auto set = index::SegmentSet::Create(space, field.index, resources.index, std::move(files));
  const storage::CommitState& state = entry.state;
  set->Restore(state.sequence, state.next_row, std::move(found.segments), found.next_segment_id);

  const storage::RowRange tail = found.uncovered.back();
  found.uncovered.pop_back();
  RecordReader reader(*resources.store, entry.number, schema, number);
  for (const storage::RowRange& range : found.uncovered) {
    VARVE_RETURN_IF_ERROR(reader.Begin(range));
    while (true) {
      VARVE_ASSIGN_OR_RETURN(const index::NewRows rows,
                             reader.Next(field.index.segment_size_threshold));
      if (rows.rows.empty()) break;
      set->RestoreRows(rows);
    }
  }
  VARVE_RETURN_IF_ERROR(reader.Begin(tail));
  while (true) {
    VARVE_ASSIGN_OR_RETURN(const index::NewRows rows, reader.Next(kTailRowsPerRead));
    if (rows.rows.empty()) break;
    set->Commit(state.sequence, state.next_row, rows, {});
  }
  set->EndRestore();
  return set;
}

}  // namespace varve::engine
