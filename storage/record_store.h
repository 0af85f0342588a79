#ifndef VARVE_STORAGE_RECORD_STORE_H_
#define VARVE_STORAGE_RECORD_STORE_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_control.h"

namespace varve::storage {

// A namespace's number: given out once, never reused. Prefix of every key of the namespace.
using NamespaceNumber = uint32_t;

// "No such row", where a row number is expected. Row numbers begin at 1.
inline constexpr uint64_t kNoRow = 0;

// A vector field's number in its namespace. The default field has 0.
using FieldNumber = uint16_t;
inline constexpr FieldNumber kDefaultField = 0;

// Of records that do not expire.
inline constexpr int64_t kNeverExpires = std::numeric_limits<int64_t>::max();

// Where a namespace stands after a commit. Written with the commit.
struct CommitState {
  uint64_t sequence = 0;  // number of the last commit; 0 before the first
  uint64_t next_row = 1;  // number the next row gets
  uint8_t id_type = 0;    // the engine's IdType; opaque here
};

// The vectors of one field: the bytes of each new row, empty where it has none.
struct FieldColumn {
  FieldNumber field = kDefaultField;
  absl::Span<const std::string_view> vectors;
};

// New metadata of a row that is there.
struct MetadataUpdate {
  uint64_t row = kNoRow;
  std::string_view attributes;  // the engine's bytes; opaque here
  int64_t expires_at = kNeverExpires;
};

// One commit: everything a batch changes in one namespace, applied in one atomic RocksDB write.
// All views point into the caller's memory and are read only during Write().
struct Commit {
  NamespaceNumber namespace_number = 0;
  // The state after this commit.
  CommitState state;
  // Rows first_row, first_row + 1, ... hold ids[0], ids[1], ...
  uint64_t first_row = 0;
  absl::Span<const std::string_view> ids;
  // Each as long as `ids`.
  absl::Span<const FieldColumn> fields;
  // As long as `ids`, or empty: no row has metadata; none expires.
  absl::Span<const std::string_view> attributes;
  absl::Span<const int64_t> expires_at;  // microseconds since the Unix epoch
  absl::Span<const MetadataUpdate> updates;
  // Ids that are deleted. None of them is in `ids`.
  absl::Span<const std::string_view> deleted_ids;
  // Rows that die: the old rows of replaced and deleted ids. Their records are removed, and in each field
  // a tombstone remembers each until no segment holds it any more.
  absl::Span<const uint64_t> dead_rows;
  // All fields of the namespace.
  absl::Span<const FieldNumber> namespace_fields;
  // The producer's position after this commit; not written when `producer` is empty.
  std::string_view producer;
  uint64_t producer_batch = 0;
};

// What the store knows of a namespace.
struct NamespaceEntry {
  NamespaceNumber number = 0;
  std::string name;
  std::string schema;  // the engine's bytes; opaque here
  CommitState state;
};

// One stored record.
struct StoredRecord {
  uint64_t row = kNoRow;
  uint64_t sequence = 0;  // the commit that wrote it
  std::string id;
  std::vector<std::string> vectors;  // of the fields asked for; empty where the record has none
  std::string attributes;            // this and the next when asked for
  int64_t expires_at = kNeverExpires;
};

// Which parts of a record are read besides.
struct RecordParts {
  absl::Span<const FieldNumber> fields;  // whose vectors; must outlive a cursor
  bool metadata = false;                 // attributes and expires_at
  // Reads of a list of records are ResourceExhausted when these parts come to more.
  size_t bytes_max = std::numeric_limits<size_t>::max();
};

// What happened to a row after it was written, and the last commit that did it: see RowMarkKind.
struct RowMark {
  uint64_t row = kNoRow;
  uint64_t sequence = 0;
};
enum class RowMarkKind {
  kTombstone,  // it died
  kUpdate,     // its metadata was changed
};

// Rows first ... last, both included.
struct RowRange {
  uint64_t first = kNoRow;
  uint64_t last = kNoRow;
};

// Marks that no segment needs any more: those in `range` made up to commit `sequence`.
struct ForgottenMarks {
  RowRange range;
  uint64_t sequence = ~uint64_t{0};
};

// Everything the store keeps of one namespace, as of one moment, in no order that matters. Not
// thread-safe; must not outlive the store.
class NamespaceImage {
 public:
  // One key, without the namespace's number, and its value. Valid until the next call of Next().
  struct Entry {
    size_t family = 0;  // the store's own number of the kind of data
    std::string_view key;
    std::string_view value;
  };

  virtual ~NamespaceImage() = default;
  // False at the end.
  virtual absl::StatusOr<bool> Next(Entry* entry) = 0;
};

// The last row number there can be.
inline constexpr uint64_t kLastRow = ~uint64_t{0} - 1;

// What the store may take. Writes wait when the disk does not keep up: memory is at most the cache,
// seven times the write buffer, and a few bytes a row for filters and indexes.
struct RecordStoreOptions {
  size_t block_cache_bytes = size_t{64} << 20;
  size_t write_buffer_bytes = size_t{64} << 20;  // of the vectors' column family; others take less
  int background_threads = 2;
};

// What the store holds and does at one moment. What the database does not tell is 0.
struct StoreStats {
  uint64_t memtable_bytes = 0;      // in memory: written and not yet in a table
  uint64_t block_cache_bytes = 0;   // in memory: parts of tables
  uint64_t table_reader_bytes = 0;  // in memory: filters and indexes of tables
  uint64_t log_bytes = 0;           // on disk: the write-ahead log
  uint64_t table_bytes = 0;         // on disk: live tables
  uint64_t blob_bytes = 0;          // on disk: live blob files, which hold the vectors
  uint64_t pending_compaction_bytes = 0;
  uint64_t running_flushes = 0;
  uint64_t running_compactions = 0;
  uint64_t background_errors = 0;   // since the store was opened
  uint64_t delayed_write_rate = 0;  // bytes per second that writers are slowed to; 0: they are not
  bool writes_stopped = false;      // until flushes or compactions have caught up
};

// RecordStore is the truth: every acknowledged record, in one RocksDB database with a column family
// per kind of data (see keys.h). The index is derived from it.
//
// Thread-safe. Writes to one namespace are ordered by the caller; different namespaces may write at
// once. Errors: Unavailable when the disk refuses (the message names the directory and RocksDB's
// word), ResourceExhausted when it is full, DataLoss when stored bytes do not decode.
class RecordStore {
 public:
  // Opens or creates the database in `directory`.
  static absl::StatusOr<std::unique_ptr<RecordStore>> Open(const std::string& directory,
                                                           const RecordStoreOptions& options);
  // Opens the database in `directory` without writing anything there. Reads, images and cursors only.
  // NotFound: there is none.
  static absl::StatusOr<std::unique_ptr<RecordStore>> OpenToRead(const std::string& directory,
                                                                 const RecordStoreOptions& options);
  virtual ~RecordStore() = default;

  // --- Namespaces. Durable (fsynced) when they return. ---

  // Registers a namespace and gives it its number. AlreadyExists.
  virtual absl::StatusOr<NamespaceNumber> CreateNamespace(std::string_view name,
                                                          std::string_view schema) = 0;
  // Replaces the schema of a namespace. NotFound: none of that name has that number.
  virtual absl::Status UpdateSchema(NamespaceNumber number, std::string_view name,
                                    std::string_view schema) = 0;
  // Removes a namespace and all its records. No write to it may run at the same time or come later;
  // reads find nothing, and a cursor made before still walks over what there was. NotFound as
  // above.
  virtual absl::Status DropNamespace(NamespaceNumber number, std::string_view name) = 0;
  // NotFound.
  virtual absl::StatusOr<NamespaceEntry> ReadNamespace(std::string_view name) const = 0;
  // All namespaces, in order of name.
  virtual absl::StatusOr<std::vector<NamespaceEntry>> ListNamespaces() const = 0;

  // --- Copies. ---

  // A copy of the whole store as of one moment, in `directory`, which must not exist; its parent must.
  // Shares the files that will not change any more (hard links), so it takes little time and space.
  // Survives power loss when it returns, but for the name of `directory`.
  virtual absl::Status Checkpoint(const std::string& directory) = 0;

  virtual absl::StatusOr<std::unique_ptr<NamespaceImage>> TakeImage(
      NamespaceNumber number) const = 0;
  // Gives out the number of a namespace that is to be copied from another store. It is nobody's until
  // FinishImport: what a crash leaves of it is removed when the store is opened.
  virtual absl::StatusOr<NamespaceNumber> BeginImport() = 0;
  // Writes an image under that number. Cancelled, DeadlineExceeded.
  virtual absl::Status Import(NamespaceNumber number, NamespaceImage* image,
                              const CallControl& control) = 0;
  // Makes it a namespace, durable with all that was imported. AlreadyExists.
  virtual absl::Status FinishImport(NamespaceNumber number, std::string_view name,
                                    std::string_view schema) = 0;
  // Removes what was imported, instead of FinishImport.
  virtual absl::Status AbandonImport(NamespaceNumber number) = 0;

  // --- Writing. ---

  // Applies a commit. When it returns OK the commit survives a killed process; Sync makes it
  // survive power loss. On an error nothing of it is visible. InvalidArgument: not as Commit says.
  virtual absl::Status Write(const Commit& commit) = 0;

  // Calls `done` once everything written before this call is on stable storage. Calls that come
  // while a sync runs share the next one (group commit). `done` runs on the store's sync thread: be
  // brief.
  virtual void SyncAsync(absl::AnyInvocable<void(absl::Status)> done) = 0;

  // Replaces the manifest of a namespace's field, and in the same write removes marks of that field.
  // Survives power loss, with everything written before. Calls for one field come one at a time.
  virtual absl::Status WriteManifest(NamespaceNumber number, FieldNumber field,
                                     std::string_view manifest,
                                     absl::Span<const ForgottenMarks> forgotten) = 0;

  // Writes what is in memory to tables: the next start has no log to replay. For a clean stop.
  virtual absl::Status Flush() = 0;

  // Whether an error of the disk has put an end to all writes until the store is opened anew, and the disk
  // works again. Tries it, then: not for every call.
  virtual bool NeedsReopening() = 0;

  // Gives the disk space of the dead rows in `range` back, in the background. Best effort: what
  // fails here, compaction does later.
  virtual void ReclaimRows(NamespaceNumber number, RowRange range) = 0;

  // Quick: reads no records.
  virtual StoreStats Stats() const = 0;

  // --- Reading. ---

  // The manifest last written; empty when there is none.
  virtual absl::StatusOr<std::string> ReadManifest(NamespaceNumber number,
                                                   FieldNumber field) const = 0;
  // The marks of one kind and field on rows in `range`, in order of row.
  virtual absl::StatusOr<std::vector<RowMark>> ReadMarks(RowMarkKind kind, NamespaceNumber number,
                                                         FieldNumber field,
                                                         RowRange range) const = 0;

  // The live row of each id, kNoRow where there is none. rows->size() == ids.size() afterwards.
  virtual absl::Status FindRows(NamespaceNumber number, absl::Span<const std::string_view> ids,
                                std::vector<uint64_t>* rows) const = 0;
  // The record of each id, nullopt where there is none; all as of one moment.
  virtual absl::StatusOr<std::vector<std::optional<StoredRecord>>> ReadRecords(
      NamespaceNumber number, absl::Span<const std::string_view> ids,
      const RecordParts& parts) const = 0;
  // The record of each row, nullopt where the row is dead; all as of one moment.
  virtual absl::StatusOr<std::vector<std::optional<StoredRecord>>> ReadRows(
      NamespaceNumber number, absl::Span<const uint64_t> rows, const RecordParts& parts) const = 0;
  // The producer's last committed batch, 0 when there is none.
  virtual absl::StatusOr<uint64_t> ProducerPosition(NamespaceNumber number,
                                                    std::string_view producer) const = 0;

  // A walk over a namespace's records as of the moment it was made. Not thread-safe; must not
  // outlive the store. While it lives, the disk space of what is deleted or dropped meanwhile is
  // not freed.
  class Cursor {
   public:
    virtual ~Cursor() = default;
    // Moves to the next record and fills `record` (reusing its strings); false at the end.
    virtual absl::StatusOr<bool> Next(StoredRecord* record) = 0;
  };
  // In order of id, from the first id greater than `after` (from the start when empty).
  virtual absl::StatusOr<std::unique_ptr<Cursor>> ScanById(NamespaceNumber number,
                                                           std::string_view after,
                                                           const RecordParts& parts) const = 0;
  // The records in `range` in order of row: what recovery reads.
  virtual absl::StatusOr<std::unique_ptr<Cursor>> ScanByRow(NamespaceNumber number, RowRange range,
                                                            const RecordParts& parts) const = 0;
};

}  // namespace varve::storage

#endif  // VARVE_STORAGE_RECORD_STORE_H_
