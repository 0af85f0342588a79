#ifndef VARVE_CLIENTS_CPP_VARVE_CLIENT_H_
#define VARVE_CLIENTS_CPP_VARVE_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "clients/cpp/varve/metadata.h"
#include "clients/cpp/varve/namespace.h"
#include "clients/cpp/varve/records.h"
#include "clients/cpp/varve/scanner.h"
#include "clients/cpp/varve/tensor.h"

namespace varve::client {

// What is called with the outcome of an asynchronous call: once, on a thread of gRPC's, or in the call
// itself if the client refuses what it was given. It must be brief, and neither make a call that waits nor
// end the client.
template <typename Result>
using Done = std::function<void(absl::StatusOr<Result>)>;

namespace internal {
class Channel;
}  // namespace internal

// How the connection is encrypted. Files are in PEM, and are read when a client connects.
struct TlsOptions {
  std::string ca_file;  // authorities, one of which signed the server's certificate; empty: the
                        // system's
  // The client's own certificate and its key, for servers that ask for one; both or none.
  std::string cert_file;
  std::string key_file;
};

struct ClientOptions {
  // Time a call may take, unless the call says otherwise. Streams (ingest, scan, watch) have none.
  absl::Duration timeout = absl::Seconds(60);
  // Larger answers fail with ResourceExhausted.
  size_t max_receive_bytes = size_t{64} << 20;
  // Not encrypted unless set.
  std::optional<TlsOptions> tls;
  // Sent with every call, for servers that ask for one. Without `tls` everybody on the way to the
  // server can read it.
  std::string api_key;
};

// What one call may say for itself.
struct CallOptions {
  std::optional<absl::Duration> timeout;  // instead of ClientOptions::timeout
};

struct WriteOptions {
  Durability durability = Durability::kApplied;
  OnError on_error = OnError::kFailBatch;
};

struct UpsertResult {
  uint64_t sequence = 0;  // the commit; a search with this min_sequence sees it
  uint64_t records_written = 0;
  std::vector<uint32_t> superseded_rows;  // passed over: the same id comes again later in the batch
  std::vector<RowError> row_errors;       // with OnError::kSkip
};

struct DeleteResult {
  uint64_t sequence = 0;  // the (last) commit; 0 when no ids were given
  uint64_t records_deleted = 0;
};

// What a deletion by filter would delete.
struct DeletePreview {
  uint64_t records = 0;
  Ids sample;  // up to ten of them
  uint64_t sequence = 0;
};

struct UpdateMetadataResult {
  uint64_t sequence = 0;  // the (last) commit; 0 when no ids were given
  uint64_t records_updated = 0;
  Ids missing;  // ids that do not exist
};

// Results that differ from each other (maximal marginal relevance): each is the one, of more
// candidates, with the smallest (1 - weight) * distance to the query - weight * distance to the
// nearest result before it.
struct Diversity {
  float weight = 0.5f;      // 0 (nearness alone) to 1 (difference alone)
  uint32_t candidates = 0;  // nearest records to choose among, up to 10,000; 0: 4 k
};

// What is marked with * is for Search and SearchLike alone: SearchBatch is refused with
// InvalidArgument.
struct SearchOptions {
  uint32_t k = 10;                    // results per query, 1 to 10,000
  std::optional<uint32_t> ef_search;  // effort; the field's default if not set
  bool exact = false;                 // compare with every record instead of walking graphs
  uint64_t min_sequence = 0;          // the search waits until it sees this commit
  bool include_vectors = false;       // *
  std::string field;                  // the vector field to search; empty: the default one
  // Only records are found that satisfy it, after google.aip.dev/160:
  // `category = "boot" AND price < 10 AND NOT sold`. Empty: all. InvalidArgument names the column.
  std::string filter;
  bool include_metadata = false;            // *
  std::vector<std::string> metadata_paths;  // of it only these attributes and objects; none: all
  bool explain = false;                     // tell how the (first) search went
  uint32_t offset = 0;                      // leave out the first so many; offset + k <= 10,000
  std::optional<float> max_distance;        // leave out what is farther away
  // * Find the best of each group: k groups, nearest first. The group is the value of this
  // attribute.
  std::string group_by;
  uint32_t group_size = 1;             // records for each group, 1 to 100
  std::optional<Diversity> diversity;  // *
};

// Records to go by instead of a query, in someone else's memory: the mean of their vectors, moved
// away from that of the negative ones. They are not among the results.
struct ExamplesView {
  IdsView positive;  // at least one
  IdsView negative;
};

// One record found.
struct Hit {
  Id id;
  float distance = 0;  // in the metric's own terms; smaller is nearer
  Tensor vector;       // of the default field, [1, dimension] or [vectors, dimension], if asked for
  std::vector<FieldVectors> fields;  // likewise of other fields
  Metadata metadata;                 // if asked for
  Value group;                       // with group_by
};

// How a segment is searched.
enum class SearchPlan {
  kUnknown,       // the server is newer
  kScan,          // every record that satisfies the filter is compared: exact
  kFilteredWalk,  // the graph is walked from match to match, through the records between
  kWalk,          // the graph is walked, and records that do not satisfy the filter left out
};

// "scan", "filtered walk", "walk" or "unknown".
std::string_view SearchPlanName(SearchPlan plan);

// How the search of one segment went.
struct SegmentExplanation {
  uint64_t segment_id = 0;
  uint64_t rows = 0;
  SearchPlan plan = SearchPlan::kUnknown;
  bool gave_up = false;  // a walk was begun that became dearer than a scan, which was done instead
  double estimated_selectivity = 1;  // share of the rows expected to satisfy the filter
  double selectivity = 1;            // share that does
  uint64_t distances = 0;            // worked out between the query and rows or their codes
  uint64_t hops = 0;                 // nodes of the graph whose links were followed
  uint64_t dead_rows = 0;            // met
  uint64_t rescored_rows = 0;        // compared again by their full vectors
  absl::Duration time;
};

struct Explanation {
  std::vector<SegmentExplanation> segments;
  absl::Duration filter_time;  // it took to find out which records satisfy the filter
};

struct SearchResult {
  std::vector<Hit> hits;  // nearest first; fewer than k when there are fewer records
  uint64_t sequence = 0;  // the commit the search saw
  std::optional<Explanation> explanation;  // if asked for
};

// Results of all queries, packed: those of query 0 first, nearest first.
struct SearchBatchResult {
  std::vector<uint32_t> counts;  // results of each query
  Ids ids;
  std::vector<float> distances;
  uint64_t sequence = 0;                   // the oldest commit that a part of the batch saw
  std::optional<Explanation> explanation;  // of the first query, if asked for
};

struct GetOptions {
  bool include_vectors = false;
  bool include_metadata = false;
  std::vector<std::string> metadata_paths;  // of it only these attributes and objects; none: all
};

struct GetResult {
  Records records;  // those found, in the order asked for
  Ids missing;      // ids that do not exist
};

struct CountOptions {
  uint64_t min_sequence = 0;  // the count waits until it sees this commit
  std::string filter;         // as SearchOptions::filter
};

struct CountResult {
  uint64_t count = 0;
  uint64_t sequence = 0;  // the commit the count saw
};

enum class SegmentState { kActive, kSealing, kSealed, kCompacting };

struct Segment {
  uint64_t id = 0;     // unique within the field, never used again
  uint32_t level = 0;  // size class, about four times the rows each
  SegmentState state = SegmentState::kActive;
  uint64_t rows = 0;  // live and dead
  uint64_t live_rows = 0;
  uint64_t dead_rows = 0;
  uint64_t indexed_rows = 0;  // found by a graph walk; the rest is scanned exactly
  uint64_t memory_bytes = 0;  // without the mapped file
  uint64_t file_bytes = 0;    // 0 while it has no file
};

struct IndexingProgress {
  uint64_t indexed_rows = 0;
  uint64_t total_rows = 0;  // committed before the call
  double rows_per_second = 0;
  std::optional<absl::Duration> remaining;
};

// A copy of namespaces as of one moment, kept by the server.
struct Snapshot {
  struct Part {
    std::string name_space;
    uint64_t sequence = 0;  // the last commit that is in it
  };

  std::string name;
  absl::Time create_time = absl::InfinitePast();
  std::string only_namespace;    // it was made of; empty: of all
  std::vector<Part> namespaces;  // in order of name
  uint64_t bytes = 0;            // of its files, those that it shares with the data included
};

// What reading all of a snapshot found.
struct SnapshotReport {
  // A line for each thing that is wrong. Records are lost; an index is made anew when it is restored.
  std::vector<std::string> record_damage;
  std::vector<std::string> index_damage;
  uint64_t namespaces = 0;
  uint64_t records = 0;
  uint64_t segments = 0;

  bool clean() const { return record_damage.empty() && index_damage.empty(); }
};

// The namespace that a snapshot was restored to.
struct RestoredNamespace {
  std::string name;
  uint64_t sequence = 0;  // its last commit
};

struct NamespaceStats {
  uint64_t records = 0;
  uint64_t sequence = 0;
  uint64_t segments = 0;
  uint64_t dead_rows = 0;
  uint64_t unindexed_rows = 0;
  uint64_t index_memory_bytes = 0;
};

struct ServerStats {
  std::string version;
  absl::Duration uptime;
  uint64_t namespaces = 0;
  uint64_t resident_bytes = 0;
  uint64_t disk_bytes = 0;
  std::optional<NamespaceStats> of_namespace;  // if a namespace was named
};

// Client speaks to one Varve server. It owns the connection, which is made by the first call and
// made again by later ones when it broke. Thread-safe; share one per server.
//
// Errors carry the server's code and message. Of their own, all calls return Unavailable (the
// server cannot be reached), DeadlineExceeded, Cancelled (after CancelAll) and InvalidArgument (a
// tensor whose bytes do not fit its shape). No call is retried behind the caller's back, save that
// a Scanner resumes.
class Client {
 public:
  // `target` is "host:port". InvalidArgument when it is not, or when a file of `options` cannot be
  // read.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(std::string_view target,
                                                         const ClientOptions& options = {});
  // No call may be under way.
  // Waits for the outcomes of asynchronous calls: CancelAll() ends them at once.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // --- Namespaces ---

  // Returns it as made, with every default filled in. AlreadyExists.
  absl::StatusOr<Namespace> CreateNamespace(const Namespace& spec, const CallOptions& call = {});
  // NotFound.
  absl::StatusOr<Namespace> GetNamespace(std::string_view name, const CallOptions& call = {});
  // All of them, in order of name.
  absl::StatusOr<std::vector<Namespace>> ListNamespaces(const CallOptions& call = {});
  // Changes those index options of a field that have a value. An empty field is the default one.
  absl::StatusOr<Namespace> UpdateNamespace(std::string_view name, const IndexOptions& index,
                                            std::string_view field = "",
                                            const CallOptions& call = {});
  // Changes those limits that have a value; 0 takes one away.
  absl::StatusOr<Namespace> UpdateLimits(std::string_view name, const NamespaceLimits& limits,
                                         const CallOptions& call = {});
  absl::Status DeleteNamespace(std::string_view name, const CallOptions& call = {});

  // --- Writing. For many batches use IngestWriter. ---

  // Writes one batch, atomically. Safe to repeat.
  absl::StatusOr<UpsertResult> Upsert(std::string_view name_space, const RecordsView& records,
                                      const WriteOptions& options = {},
                                      const CallOptions& call = {});
  // Returns when the request is copied. For many records IngestWriter is quicker, which tells of each
  // batch by a callback too.
  void UpsertAsync(std::string_view name_space, const RecordsView& records, Done<UpsertResult> done,
                   const WriteOptions& options = {}, const CallOptions& call = {});
  // Deletes records; ids that do not exist are passed over. Long lists go in several commits.
  absl::StatusOr<DeleteResult> Delete(std::string_view name_space, const IdsView& ids,
                                      Durability durability = Durability::kApplied,
                                      const CallOptions& call = {});
  // Deletes the records that satisfy a filter when it begins, in commits of up to 100,000; begun
  // again after an error it goes on. InvalidArgument: the filter is wrong, or empty.
  absl::StatusOr<DeleteResult> DeleteMatching(std::string_view name_space, std::string_view filter,
                                              Durability durability = Durability::kApplied,
                                              const CallOptions& call = {});
  // What that would delete; deletes nothing.
  absl::StatusOr<DeletePreview> PreviewDelete(std::string_view name_space, std::string_view filter,
                                              const CallOptions& call = {});
  // Changes records' metadata by merge patches (RFC 7386), one for each id or one for all: an
  // attribute that is named takes the value given, null removes it, and the others stay; objects
  // are merged, lists replaced. Long lists go in several commits.
  absl::StatusOr<UpdateMetadataResult> UpdateMetadata(std::string_view name_space,
                                                      const IdsView& ids,
                                                      absl::Span<const Metadata> patches,
                                                      Durability durability = Durability::kApplied,
                                                      const CallOptions& call = {});

  // --- Reading ---

  // `query` has one row; for a field of several vectors, one or more.
  absl::StatusOr<SearchResult> Search(std::string_view name_space, const TensorView& query,
                                      const SearchOptions& options = {},
                                      const CallOptions& call = {});
  // Returns when the query is copied: many searches may be under way at a time, without a thread for each.
  void SearchAsync(std::string_view name_space, const TensorView& query, Done<SearchResult> done,
                   const SearchOptions& options = {}, const CallOptions& call = {});
  // Searches by records that exist. NotFound: one of them does not. Not for fields of several
  // vectors.
  absl::StatusOr<SearchResult> SearchLike(std::string_view name_space, const ExamplesView& examples,
                                          const SearchOptions& options = {},
                                          const CallOptions& call = {});
  // Searches for every row of `queries`, in as many calls, some of them side by side, as the limits
  // on messages ask for. The timeout is that of each of these. Not for fields of several vectors.
  absl::StatusOr<SearchBatchResult> SearchBatch(std::string_view name_space,
                                                const TensorView& queries,
                                                const SearchOptions& options = {},
                                                const CallOptions& call = {});
  // Any number of ids; many are asked for in several calls.
  absl::StatusOr<GetResult> Get(std::string_view name_space, const IdsView& ids,
                                const GetOptions& options = {}, const CallOptions& call = {});
  // All records, or those that satisfy a filter, in order of id. Nothing is sent before the
  // scanner's first Next().
  Scanner Scan(std::string_view name_space, const ScanOptions& options = {});
  absl::StatusOr<CountResult> Count(std::string_view name_space, const CountOptions& options = {},
                                    const CallOptions& call = {});

  // --- Looking inside ---

  // The segments of one field, oldest first. An empty field is the default one.
  absl::StatusOr<std::vector<Segment>> ListSegments(std::string_view name_space,
                                                    std::string_view field = "",
                                                    const CallOptions& call = {});
  // Seals what the active segments hold; returns when every row committed before is in the durable
  // file of a sealed segment. Waits without a timeout unless `call` has one.
  absl::Status Flush(std::string_view name_space, const CallOptions& call = {});
  // Flushes, then merges and rebuilds segments until as few as can be are left, and no dead row.
  // Does not wait for that unless `wait`, and then as Flush. What was begun goes on when waiting
  // ends.
  absl::Status Compact(std::string_view name_space, bool wait, const CallOptions& call = {});
  // Calls `report`, on this thread, as indexing goes on; returns when every row that was committed
  // before the call is indexed.
  absl::Status WatchIndexing(std::string_view name_space,
                             const std::function<void(const IndexingProgress&)>& report);
  // Figures of the server, and of a namespace unless its name is empty.
  absl::StatusOr<ServerStats> Stats(std::string_view name_space = "", const CallOptions& call = {});

  // --- Snapshots: copies that the server keeps. Without a timeout unless `call` has one. ---

  // Of all namespaces, or of one. An empty name is the time's. AlreadyExists.
  absl::StatusOr<Snapshot> CreateSnapshot(std::string_view name = "",
                                          std::string_view name_space = "",
                                          const CallOptions& call = {});
  // The oldest first.
  absl::StatusOr<std::vector<Snapshot>> ListSnapshots(const CallOptions& call = {});
  absl::StatusOr<SnapshotReport> VerifySnapshot(std::string_view name,
                                                const CallOptions& call = {});
  // Makes a namespace out of one in a snapshot, under its own name unless `as` is another. The
  // namespace may be left out if there is only one. NotFound, AlreadyExists.
  absl::StatusOr<RestoredNamespace> RestoreSnapshot(std::string_view name,
                                                    std::string_view name_space = "",
                                                    std::string_view as = "",
                                                    const CallOptions& call = {});
  absl::Status DeleteSnapshot(std::string_view name, const CallOptions& call = {});

  // Ends every call that is under way, and every later one, with Cancelled; also those of scanners
  // and ingest writers. For a program that wants to stop.
  void CancelAll();

  // For IngestWriter.
  const std::shared_ptr<internal::Channel>& channel() const { return channel_; }

 private:
  explicit Client(std::shared_ptr<internal::Channel> channel);

  const std::shared_ptr<internal::Channel> channel_;
};

}  // namespace varve::client

#endif  // VARVE_CLIENTS_CPP_VARVE_CLIENT_H_
