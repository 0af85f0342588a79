#ifndef VARVE_SERVER_ENGINE_NAMESPACE_H_
#define VARVE_SERVER_ENGINE_NAMESPACE_H_

#include <atomic>
#include <cstdint>
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
#include "server/engine/batch.h"
#include "server/engine/records.h"
#include "server/engine/recovery.h"
#include "server/engine/schema.h"
#include "storage/record_store.h"

namespace varve::engine {

// Which batch of which producer a write is; see IngestService in the protocol.
struct ProducerBatch {
  std::string_view producer;  // empty: not remembered
  uint64_t number = 0;
};

struct SearchQuery {
  std::string_view field;
  TensorView queries;  // [queries, dimension], any dtype
  uint32_t k = 0;
  std::optional<uint32_t> ef_search;
  bool exact = false;
  uint64_t min_sequence = 0;
  bool include_vectors = false;
};

// Results of all queries, packed: those of query 0 first, nearest first.
struct SearchResult {
  uint64_t sequence = 0;
  std::vector<uint32_t> counts;  // per query
  std::vector<float> distances;
  RecordList records;  // ids, and vectors if asked for, of all results
};

struct NamespaceStats {
  uint64_t records = 0;
  uint64_t sequence = 0;
  uint64_t segments = 0;
  uint64_t dead_rows = 0;
  uint64_t unindexed_rows = 0;
  uint64_t index_memory_bytes = 0;
};

// The schema of a namespace as the store knows it. DataLoss when it does not parse.
absl::StatusOr<NamespaceSchema> SchemaOf(const storage::NamespaceEntry& entry);

// One namespace: joins its records and its index. Thread-safe; writes are applied one at a time,
// reads run beside them on a pinned view and see whole commits only.
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
  NamespaceSchema schema() const ABSL_LOCKS_EXCLUDED(mu_);

  // The producer's last committed batch; 0 when there is none.
  absl::StatusOr<uint64_t> ProducerPosition(std::string_view producer) const;

  // Commits a batch. On return it is searchable and survives a killed process;
  // RecordStore::SyncAsync makes it survive power loss. InvalidArgument names row and field;
  // FailedPrecondition: a gap in the producer's batch numbers.
  absl::StatusOr<WriteResult> Upsert(const RecordsView& records, OnError on_error,
                                     const ProducerBatch& producer_batch = {})
      ABSL_LOCKS_EXCLUDED(write_mu_);
  absl::StatusOr<DeleteResult> Delete(const IdsView& ids) ABSL_LOCKS_EXCLUDED(write_mu_);

  // Calls `ready` when fewer than max_unindexed_rows wait to be linked: at once, or later from an
  // index thread. A writer waits for it before each batch; that is what bounds the tail.
  void WhenRoom(absl::AnyInvocable<void()> ready);

  // The k nearest for every query. The queries of a batch run side by side on the search pool.
  // Unavailable when min_sequence is not reached yet: the caller decides how to wait.
  absl::StatusOr<SearchResult> Search(const SearchQuery& query, const CallControl& control) const;

  // Records by id, in the order asked for; ids that do not exist go to `missing`.
  absl::StatusOr<RecordList> Get(const IdsView& ids, bool include_vectors, IdList* missing) const;

  // A walk over all records in order of id. Not thread-safe; keeps the namespace alive.
  class Scanner {
   public:
    virtual ~Scanner() = default;
    // Up to `max_records` further records and at most about `max_bytes` of them (one at least); an
    // empty list at the end. `token` is where a new scan would go on.
    virtual absl::StatusOr<RecordList> Next(size_t max_records, size_t max_bytes,
                                            std::string* token) = 0;
  };
  // From after `token` (of an earlier scan; empty for the start). InvalidArgument: not a token.
  absl::StatusOr<std::unique_ptr<Scanner>> Scan(std::string_view token, bool include_vectors) const;

  // Live records, and the commit at which they were counted.
  uint64_t Count(uint64_t* sequence) const;
  // The last commit that reads see.
  uint64_t sequence() const;

  // InvalidArgument: an option out of range, or no such field.
  absl::Status UpdateIndexOptions(std::string_view field, const IndexOptionsUpdate& update);

  // Calls `done` when every row committed before is in the durable file of a sealed segment, or with
  // the error that writing it met: at once, or later from an index thread. NotFound when the namespace
  // is deleted meanwhile, Unavailable when it is closed.
  using Done = absl::AnyInvocable<void(absl::Status)>;
  void Flush(Done done);
  // Flushes, then merges and rebuilds until of the rows committed before as few segments are left as
  // their largest size allows, and no dead row. `done` as above.
  void Compact(Done done);
  // Whether nothing is left to be done in the background.
  bool Idle() const { return segments_->Idle(); }

  NamespaceStats Stats() const;
  absl::StatusOr<std::vector<index::SegmentInfo>> ListSegments(std::string_view field) const;
  // How far the index is with the rows numbered below `before_row`.
  index::IndexingProgress IndexingProgress(uint64_t before_row) const;
  // Number of the next row: every row committed so far is below it.
  uint64_t next_row() const;

  // Makes every later call fail with `why`, once and for all, and waits for a write that is under way.
  void Retire(absl::Status why) ABSL_LOCKS_EXCLUDED(write_mu_);
  // A file of the index is damaged, and put aside. Opened anew, the namespace is whole.
  bool damaged() const { return segments_->damaged(); }

 private:
  Namespace(const storage::NamespaceEntry& entry, NamespaceSchema schema,
            const NamespaceResources& resources, std::shared_ptr<index::SegmentSet> segments)
      : number_(entry.number),
        store_(resources.store),
        search_pool_(resources.search_pool),
        segments_(std::move(segments)),
        schema_(std::move(schema)),
        state_(entry.state) {}

  absl::Status CheckNotRetired() const;
  // The field named, and its options now.
  absl::StatusOr<FieldSchema> FindField(std::string_view name) const ABSL_LOCKS_EXCLUDED(mu_);
  // OK when the namespace holds ids of this type, or none yet.
  absl::Status CheckIdType(const IdsView& ids) const ABSL_LOCKS_EXCLUDED(mu_);

  absl::StatusOr<WriteResult> CommitBatch(const RecordsView& records,
                                          const std::vector<std::string_view>& keys,
                                          CheckedBatch batch, const ProducerBatch& producer_batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mu_);
  // Writes the commit to the store, then to the index.
  absl::Status Apply(const storage::Commit& commit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mu_);

  absl::StatusOr<std::vector<index::Neighbor>> SearchOne(const index::SegmentView& view,
                                                         const SearchQuery& query, size_t position,
                                                         const index::SearchParams& params,
                                                         const CallControl& control) const;
  // Searches every query on `view`. Nullopt when vectors were asked for and a record found was
  // replaced or deleted before its vector could be read: search again on a newer view.
  absl::StatusOr<std::optional<SearchResult>> SearchView(const index::SegmentView& view,
                                                         const SearchQuery& query,
                                                         const index::SearchParams& params,
                                                         const CallControl& control) const;

  const storage::NamespaceNumber number_;
  storage::RecordStore* const store_;
  ThreadPool* const search_pool_;
  const std::shared_ptr<index::SegmentSet> segments_;
  std::atomic<bool> retired_{false};
  absl::Status retired_because_;  // written once, before `retired_` says so

  mutable Mutex mu_;
  NamespaceSchema schema_ ABSL_GUARDED_BY(mu_);

  Mutex write_mu_ ABSL_ACQUIRED_BEFORE(mu_);  // held through a whole commit: it makes the order
  storage::CommitState state_ ABSL_GUARDED_BY(write_mu_);
};

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_NAMESPACE_H_
