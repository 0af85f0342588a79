#ifndef VARVE_SERVER_ENGINE_RECORD_SCANNER_H_
#define VARVE_SERVER_ENGINE_RECORD_SCANNER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "metadata/filter.h"
#include "server/engine/record_assembler.h"
#include "server/engine/records.h"
#include "server/engine/schema.h"
#include "storage/record_store.h"

namespace varve::engine {

// What a scan is of.
struct ScanRequest {
  RecordMask include;
  std::optional<metadata::Filter> filter;
};

// A walk over a namespace's records in order of id, as they were when it was made. One thread.
class RecordScanner {
 public:
  // From after `token` on; the start when empty. `now`: records that expired by then are passed over.
  // `store` must outlive the object. InvalidArgument: not a token.
  static absl::StatusOr<std::unique_ptr<RecordScanner>> Create(const storage::RecordStore& store,
                                                               storage::NamespaceNumber number,
                                                               NamespaceSchema schema,
                                                               ScanRequest request,
                                                               std::string_view token, int64_t now);

  // Up to `max_records` further records and at most about `max_bytes` of them (one at least). It looks at
  // a bounded number of records, so that with a filter there may be none though `done` is false.
  // `token` is where a new scan would go on.
  absl::StatusOr<RecordList> Next(size_t max_records, size_t max_bytes, std::string* token,
                                  bool* done);

 private:
  RecordScanner(NamespaceSchema schema, ScanRequest request, int64_t now)
      : schema_(std::move(schema)),
        request_(std::move(request)),
        now_(now),
        assembler_(schema_, request_.include) {}

  const NamespaceSchema schema_;
  const ScanRequest request_;
  const int64_t now_;
  const RecordAssembler assembler_;
  std::unique_ptr<storage::RecordStore::Cursor> cursor_;
  storage::StoredRecord record_;
};

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_RECORD_SCANNER_H_
