#include "server/engine/record_scanner.h"

#include <utility>

#include "absl/memory/memory.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/engine/batch.h"

namespace varve::engine {
namespace {

// Records that one step looks at for some that satisfy the filter.
constexpr size_t kRecordsPerStep = 8192;

// A scan token: the kind of id, then the last id of the scan so far.
constexpr char kNumberToken = 'n';
constexpr char kTextToken = 't';

std::string Token(IdType id_type, std::string_view id) {
  return StrCat(std::string_view(id_type == IdType::kText ? &kTextToken : &kNumberToken, 1), id);
}

// The id at which a token says to go on; empty for the start.
absl::StatusOr<std::string_view> TokenId(std::string_view token, IdType id_type) {
  if (token.empty()) return token;
  const std::string_view id = token.substr(1);
  const bool number = token[0] == kNumberToken && id_type == IdType::kNumber && id.size() == 8;
  const bool text = token[0] == kTextToken && id_type == IdType::kText && !id.empty() &&
                    id.size() <= kTextIdBytesMax;
  if (!number && !text) {
    return absl::InvalidArgumentError("token: not one that a scan of this namespace gave");
  }
  return id;
}

size_t Bytes(const storage::StoredRecord& record) {
  size_t bytes = record.id.size() + record.attributes.size();
  for (const std::string& vector : record.vectors) bytes += vector.size();
  return bytes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecordScanner>> RecordScanner::Create(
    const storage::RecordStore& store, storage::NamespaceNumber number, NamespaceSchema schema,
    ScanRequest request, std::string_view token, int64_t now) {
  VARVE_ASSIGN_OR_RETURN(const std::string_view after, TokenId(token, schema.id_type));
  auto scanner = absl::WrapUnique(new RecordScanner(std::move(schema), std::move(request), now));
  storage::RecordParts parts = scanner->assembler_.parts();
  parts.metadata = true;  // says what has expired, too
  VARVE_ASSIGN_OR_RETURN(scanner->cursor_, store.ScanById(number, after, parts));
  return scanner;
}

absl::StatusOr<RecordList> RecordScanner::Next(size_t max_records, size_t max_bytes,
                                               std::string* token, bool* done) {
  RecordList records;
  records.ids.type = schema_.id_type;
  *done = false;
  size_t bytes = 0;
  for (size_t looked_at = 0; looked_at < kRecordsPerStep; ++looked_at) {
    if (records.ids.size() == max_records || bytes >= max_bytes) break;
    VARVE_ASSIGN_OR_RETURN(const bool found, cursor_->Next(&record_));
    *done = !found;
    if (!found) break;
    *token = Token(schema_.id_type, record_.id);
    if (record_.expires_at <= now_) continue;
    if (request_.filter.has_value() && !metadata::Matches(*request_.filter, record_.attributes)) {
      continue;
    }
    VARVE_RETURN_IF_ERROR(AppendDecodedId(schema_.id_type, record_.id, &records.ids));
    VARVE_RETURN_IF_ERROR(assembler_.Append(record_, &records));
    bytes += Bytes(record_);
  }
  return records;
}

}  // namespace varve::engine
