#ifndef VARVE_SERVER_ENGINE_NAMESPACE_H_
#define VARVE_SERVER_ENGINE_NAMESPACE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call_control.h"
#include "base/mutex.h"
#include "base/thread_pool.h"
#include "index/segment_set.h"
#include "metadata/attributes.h"
#include "metadata/filter.h"
#include "server/engine/batch.h"
#include "server/engine/field_search.h"
#include "server/engine/record_scanner.h"
#include "server/engine/records.h"
#include "server/engine/recovery.h"
#include "server/engine/schema.h"
#include "server/engine/usage.h"
#include "storage/record_store.h"

namespace varve::engine {

// Which batch of which producer a write is; see IngestService in the protocol.
struct ProducerBatch {
  std::string_view producer;  // empty: not remembered
  uint64_t number = 0;
};

// The segments of a namespace, all fields together.
struct IndexStats {
  uint64_t segments = 0;
  uint64_t live_rows = 0;  // of each field, and of each vector where a record has several
  uint64_t dead_rows = 0;
  uint64_t unindexed_rows = 0;  // committed and not yet linked: searches scan them
  uint64_t memory_bytes = 0;
  uint64_t file_bytes = 0;  // of sealed segments, which are mapped

  IndexStats& operator+=(const IndexStats& other);
};

struct NamespaceStats {
  uint64_t records = 0;
  uint64_t sequence = 0;
  IndexStats index;
};

// The schema of a namespace as the store knows it. DataLoss when it does not parse.
absl::StatusOr<NamespaceSchema> SchemaOf(const storage::NamespaceEntry& entry);

// One namespace: joins its records and the index of each of its fields. Thread-safe; writes are applied
// one at a time, reads run beside them on a pinned view and see whole commits only.
//
// Every call on a namespace that has been deleted meanwhile is NotFound, and on one that is being opened
// anew Unavailable.
class Namespace {
 public:
  // Recovers the index: see RecoverSegmentSet.
  static absl::StatusOr<std::shared_ptr<Namespace>> Open(const storage::NamespaceEntry& entry,
                                                         const NamespaceResources& resources);

  // Leaves rows that wait to be linked: that must not hold up a server that stops.
  ~Namespace();

  storage::NamespaceNumber number() const { return number_; }
  // As it is now.
  std::shared_ptr<const NamespaceSchema> schema() const ABSL_LOCKS_EXCLUDED(mu_);

  // The producer's last committed batch; 0 when there is none.
  absl::StatusOr<uint64_t> ProducerPosition(std::string_view producer) const;

  // Commits a batch. On return it is searchable and survives a killed process;
  // RecordStore::SyncAsync makes it survive power loss. InvalidArgument names row and field;
  // FailedPrecondition: a gap in the producer's batch numbers.
  absl::StatusOr<WriteResult> Upsert(const RecordsView& records, OnError on_error,
                                     const ProducerBatch& producer_batch = {})
      ABSL_LOCKS_EXCLUDED(write_mu_);
  absl::StatusOr<DeleteResult> Delete(const IdsView& ids) ABSL_LOCKS_EXCLUDED(write_mu_);
  // Deletes what satisfies the filter among the records that there are when it begins, in commits of up
  // to kRecordsPerDeletion. Cancelled or DeadlineExceeded between two of them.
  absl::StatusOr<DeleteResult> DeleteMatching(const metadata::Filter& filter,
                                              const CallControl& control)
      ABSL_LOCKS_EXCLUDED(write_mu_);
  absl::StatusOr<DeletePreview> PreviewDelete(const metadata::Filter& filter, size_t sample) const;
  // Changes the metadata of records: patches[i] of ids[i], or the one patch of all. Vectors stay as they
  // are. InvalidArgument names the id's position.
  absl::StatusOr<UpdateResult> UpdateMetadata(const IdsView& ids,
                                              absl::Span<const metadata::MergePatch> patches)
      ABSL_LOCKS_EXCLUDED(write_mu_);
  // Deletes records that have expired, at most kRecordsPerDeletion; returns how many. They are not found
  // by then anyway: it is so that their space is reclaimed.
  absl::StatusOr<uint64_t> DeleteExpired() ABSL_LOCKS_EXCLUDED(write_mu_);

  // Calls `ready` when fewer than max_unindexed_rows of each field wait to be linked: at once, or later
  // from an index thread. A writer waits for it before each batch; that is what bounds the tail.
  void WhenRoom(absl::AnyInvocable<void()> ready);

  // The k nearest for every query. The queries of a batch run side by side on the search pool.
  // Unavailable when min_sequence is not reached yet: the caller decides how to wait.
  absl::StatusOr<SearchResult> Search(const SearchQuery& query, const CallControl& control) const;

  // Records by id, in the order asked for; ids that do not exist go to `missing`.
  absl::StatusOr<RecordList> Get(const IdsView& ids, const RecordMask& include,
                                 IdList* missing) const;

  // A walk over records in order of id, from after `token` (of an earlier scan; empty for the start). The
  // namespace must outlive it. InvalidArgument: not a token.
  absl::StatusOr<std::unique_ptr<RecordScanner>> Scan(std::string_view token,
                                                      ScanRequest request) const;

  // Records that are there, of those that satisfy the filter if there is one, and the commit at which
  // they were counted.
  uint64_t Count(const metadata::Filter* filter, uint64_t* sequence) const;
  // The last commit that reads see.
  uint64_t sequence() const;

  // Changes index options of a field, and limits. InvalidArgument: an option out of range, or no such field.
  absl::Status Update(std::string_view field, const IndexOptionsUpdate& index,
                      const NamespaceLimits& limits) ABSL_LOCKS_EXCLUDED(write_mu_);

  // Readers are counted, too.
  NamespaceUsage& usage() const { return usage_; }

  // Calls `done` when every row committed before is in the durable file of a sealed segment, or with
  // the error that writing it met: at once, or later from an index thread. NotFound when the namespace
  // is deleted meanwhile, Unavailable when it is closed.
  using Done = absl::AnyInvocable<void(absl::Status)>;
  void Flush(Done done);
  // Flushes, then merges and rebuilds until of the rows committed before as few segments are left as
  // their largest size allows, and no dead row. `done` as above.
  void Compact(Done done);
  // Whether nothing is left to be done in the background.
  bool Idle() const;

  NamespaceStats Stats() const;
  // Quick: looks at no record.
  IndexStats StatsOfIndex() const;
  absl::StatusOr<std::vector<index::SegmentInfo>> ListSegments(std::string_view field) const;
  // How far the index is with the rows numbered below `before_row`, all fields together.
  index::IndexingProgress IndexingProgress(uint64_t before_row) const;
  // Number of the next row: every row committed so far is below it.
  uint64_t next_row() const;

  // Makes every later call fail with `why`, once and for all, and waits for a write that is under way.
  void Retire(absl::Status why) ABSL_LOCKS_EXCLUDED(write_mu_);
  // A file of the index is damaged, and put aside. Opened anew, the namespace is whole.
  bool damaged() const;

  static constexpr size_t kRecordsPerDeletion = 100'000;

 private:
  using SegmentSets = std::vector<std::shared_ptr<index::SegmentSet>>;
  using Views = std::vector<std::shared_ptr<const index::SegmentView>>;
  // A field as a search finds it.
  struct Field {
    std::shared_ptr<const NamespaceSchema> of;
    storage::FieldNumber number = storage::kDefaultField;
    index::SegmentSet* segments = nullptr;

    const FieldSchema& schema() const { return of->fields[number]; }
  };
  // Records of some commits' deletion: what their rows and ids are.
  struct Doomed {
    std::vector<uint64_t> rows;     // ascending
    std::vector<std::string> keys;  // encoded ids
  };

  Namespace(const storage::NamespaceEntry& entry, NamespaceSchema schema,
            const NamespaceResources& resources, SegmentSets segments);

  absl::Status CheckNotRetired() const;
  int64_t NowMicros() const { return absl::ToUnixMicros(now_()); }
  // The field named, and its options now.
  absl::StatusOr<Field> FindField(std::string_view name) const ABSL_LOCKS_EXCLUDED(mu_);
  // OK when the namespace holds ids of this type, or none yet.
  absl::Status CheckIdType(const IdsView& ids) const ABSL_LOCKS_EXCLUDED(mu_);
  // All fields' views, as of one commit.
  Views PinAll() const;
  uint64_t CountMatching(const Views& views, const metadata::Filter* filter) const;
  // The first rows of all fields that satisfy a filter, up to `limit` and below `before_row`.
  Doomed FindMatching(const Views& views, const metadata::Filter& filter, uint64_t before_row,
                      size_t limit) const;

  // Deletes rows, by their ids; returns the sequence. Nothing to delete is no commit.
  absl::StatusOr<uint64_t> CommitDeletion(absl::Span<const std::string_view> keys,
                                          absl::Span<const uint64_t> rows)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mu_);
  // ResourceExhausted: with the commit, which replaces its dead rows, the namespace would hold more than
  // it may. What replaced rows had is counted as a vector in each field.
  absl::Status CheckLimits(const storage::Commit& commit) const;
  // Writes the commit to the store, then to the index.
  absl::Status Apply(const storage::Commit& commit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mu_);

  const storage::NamespaceNumber number_;
  storage::RecordStore* const store_;
  ThreadPool* const search_pool_;
  const std::shared_ptr<const EngineLimits> limits_;
  const std::function<absl::Time()> now_;
  const SegmentSets segments_;                       // by field number
  const std::vector<storage::FieldNumber> numbers_;  // of all fields
  std::atomic<bool> retired_{false};
  mutable NamespaceUsage usage_;
  absl::Status retired_because_;  // written once, before `retired_` says so

  mutable Mutex mu_;
  std::shared_ptr<const NamespaceSchema> schema_ ABSL_GUARDED_BY(mu_);

  Mutex write_mu_ ABSL_ACQUIRED_BEFORE(mu_);  // held through a whole commit: it makes the order
  storage::CommitState state_ ABSL_GUARDED_BY(write_mu_);
};

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_NAMESPACE_H_
