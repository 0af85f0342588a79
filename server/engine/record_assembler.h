#ifndef VARVE_SERVER_ENGINE_RECORD_ASSEMBLER_H_
#define VARVE_SERVER_ENGINE_RECORD_ASSEMBLER_H_

#include <vector>

#include "absl/status/status.h"
#include "server/engine/records.h"
#include "server/engine/schema.h"
#include "storage/record_store.h"

namespace varve::engine {

// Puts stored records together as callers asked for them. One thread.
class RecordAssembler {
 public:
  // Both must outlive the object.
  RecordAssembler(const NamespaceSchema& schema, const RecordMask& include);

  // What is to be read of each record. Valid as long as the object.
  storage::RecordParts parts() const {
    return {.fields = fields_, .metadata = include_.metadata, .bytes_max = include_.bytes_max};
  }

  // Adds the parts asked for of one record to `records`, which has those of the records before; the id is
  // the caller's to add. DataLoss: a stored vector has another size.
  absl::Status Append(const storage::StoredRecord& record, RecordList* records) const;

 private:
  const NamespaceSchema& schema_;
  const RecordMask& include_;
  std::vector<storage::FieldNumber> fields_;
};

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_RECORD_ASSEMBLER_H_
