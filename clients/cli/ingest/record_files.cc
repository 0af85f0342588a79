#include "clients/cli/ingest/record_files.h"

#include <algorithm>

#include "base/status_macros.h"

namespace varve::cli {
namespace {

// An offset in a message.
constexpr size_t kOffsetBytes = 10;

client::FieldVectorsView ReadField(const FieldFile& file, const RowRange& records,
                                   RecordScratch::Field* scratch) {
  const RowRange rows = file.RowsOf(records);
  scratch->offsets.clear();
  if (!file.offsets.empty()) {
    for (uint64_t i = records.first; i <= records.first + records.count; ++i) {
      scratch->offsets.push_back(file.offsets[i] - rows.first);
    }
  }
  return {.field = file.field,
          .vectors = file.vectors.Rows(rows.first, rows.count, &scratch->bytes),
          .offsets = scratch->offsets};
}

}  // namespace

RowRange FieldFile::RowsOf(const RowRange& records) const {
  if (offsets.empty()) return records;
  const uint64_t begin = offsets[records.first];
  return {begin, offsets[records.first + records.count] - begin};
}

uint64_t RecordFiles::VectorBytes(const RowRange& rows) const {
  uint64_t bytes = 0;
  for (const FieldFile& file : fields) bytes += file.RowsOf(rows).count * file.vectors.row_bytes();
  return bytes;
}

RowSizes RecordFiles::MessageSizes() const {
  RowSizes sizes{.rows = rows(), .each = ids.longest_bytes()};
  for (const FieldFile& file : fields) {
    if (file.offsets.empty()) {
      sizes.each += file.vectors.row_bytes();
      continue;
    }
    sizes.each += kOffsetBytes;
    sizes.more.resize(sizes.rows);
    for (uint64_t i = 0; i < sizes.rows; ++i) {
      sizes.more[i] += file.RowsOf({i, 1}).count * file.vectors.row_bytes();
    }
  }
  if (metadata) {
    sizes.more.resize(sizes.rows);
    for (uint64_t i = 0; i < sizes.rows; ++i) sizes.more[i] += metadata->MessageBytes(i);
  }
  return sizes;
}

absl::StatusOr<client::RecordsView> RecordFiles::Read(const RowRange& rows,
                                                      RecordScratch* scratch) const {
  scratch->fields.resize(fields.size());
  scratch->views.clear();
  for (size_t i = 0; i < fields.size(); ++i) {
    scratch->views.push_back(ReadField(fields[i], rows, &scratch->fields[i]));
  }
  if (metadata) {
    VARVE_RETURN_IF_ERROR(metadata->Read(rows.first, rows.count, types, &scratch->metadata));
  }
  const client::FieldVectorsView& first = scratch->views.front();
  client::RecordsView view{.ids = ids.Slice(rows.first, rows.count, &scratch->ids),
                           .vectors = first.vectors,
                           .field = first.field,
                           .offsets = first.offsets,
                           .more_fields = absl::MakeConstSpan(scratch->views).subspan(1),
                           .metadata = scratch->metadata};
  if (expire_time) view.expire_times = absl::MakeConstSpan(&*expire_time, 1);
  return view;
}

}  // namespace varve::cli
