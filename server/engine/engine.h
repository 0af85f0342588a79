#ifndef VARVE_SERVER_ENGINE_ENGINE_H_
#define VARVE_SERVER_ENGINE_ENGINE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call_control.h"
#include "base/mutex.h"
#include "base/thread_pool.h"
#include "server/engine/limits.h"
#include "server/engine/namespace.h"
#include "server/engine/namespace_slot.h"
#include "server/engine/recovery.h"
#include "server/engine/schema.h"
#include "server/engine/snapshots.h"
#include "storage/data_directory.h"
#include "storage/record_store.h"

namespace varve::engine {

struct EngineOptions {
  std::string data_dir;
  bool must_exist = false;  // NotFound instead of making the directory
  // Of the whole process: the store takes a share of it. 0: as if there were much.
  uint64_t memory_bytes = 0;
  int search_threads = 0;  // 0: one per core
  int index_threads = 0;   // 0: one per core
  // A namespace that nobody used for so long is closed; its next use opens it again.
  absl::Duration close_idle_after = absl::Minutes(10);
  // How often expired records are deleted, and idle namespaces looked for.
  absl::Duration sweep_every = absl::Seconds(10);
  std::function<absl::Time()> now = absl::Now;  // what records expire by
};

struct EngineStats {
  uint64_t namespaces = 0;
  uint64_t open_namespaces = 0;
  uint64_t disk_bytes = 0;       // of the data directory
  uint64_t disk_free_bytes = 0;  // of the file system that it is on, for this process
  uint64_t disk_size_bytes = 0;
};

// A namespace that is open.
struct OpenNamespace {
  std::string name;
  IndexStats index;
};

// What every call says of a namespace that does not exist.
absl::Status NoSuchNamespace(std::string_view name);

// Engine owns the namespaces of one data directory: all that the wire may call. Thread-safe.
class Engine {
 public:
  // Locks and opens the data directory. When it returns, every record that was ever acknowledged can
  // be read and searched. Namespaces are opened when they are first used, so this takes as long with
  // ten thousand as with one.
  static absl::StatusOr<std::unique_ptr<Engine>> Open(const EngineOptions& options);
  // Waits for writes under way, syncs, closes. No call may be running or come later.
  ~Engine();

  // Fills in defaults, checks, and makes the namespace, durably. Returns the schema as made.
  // InvalidArgument, AlreadyExists.
  absl::StatusOr<NamespaceSchema> CreateNamespace(NamespaceSchema schema);
  // Opens the namespace if it is not open: may take as long as reading its unsealed tail does.
  // NotFound names the namespace; DataLoss: what is stored of it cannot be read.
  absl::StatusOr<std::shared_ptr<Namespace>> FindNamespace(std::string_view name) const;
  // Up to `limit` schemas in order of name, from the first name greater than `after`; of names that
  // are `wanted`, which is brief, where it is given.
  std::vector<NamespaceSchema> ListNamespaces(
      std::string_view after, size_t limit,
      const std::function<bool(std::string_view)>& wanted = nullptr) const;
  absl::Status DeleteNamespace(std::string_view name);

  // Calls `done` once all writes that returned before this call are on stable storage. Calls that
  // come close together share one fsync. `done` must be brief: it runs on the sync thread.
  void SyncAsync(absl::AnyInvocable<void(absl::Status)> done);

  // --- Copies. See Snapshots. ---

  // Of all namespaces, or of one, as of one moment between the call and the return: every commit up to
  // it is in the snapshot, and none after it. Writes and searches go on. That of one namespace takes as
  // long as copying its records.
  // InvalidArgument, AlreadyExists, NotFound (the namespace), Cancelled, DeadlineExceeded.
  absl::StatusOr<SnapshotInfo> CreateSnapshot(const std::string& name,
                                              const std::string& only_namespace,
                                              const CallControl& control);
  Snapshots& snapshots() { return snapshots_; }
  const Snapshots& snapshots() const { return snapshots_; }

  // Makes a namespace of this engine out of one in another data directory, or a snapshot, that nobody
  // writes to: its records are copied, its segments' files linked (or copied), nothing is built. On
  // return it is durable; before, nothing of it is to be seen. Returns the schema under its new name.
  // NotFound: the directory, or the namespace in it; AlreadyExists; InvalidArgument: `as` is no name.
  absl::StatusOr<NamespaceSchema> AdoptNamespace(const std::string& data_dir,
                                                 const std::string& name, const std::string& as,
                                                 const CallControl& control);

  EngineStats Stats() const;
  // What the data directory takes, snapshots apart: looks at every file.
  uint64_t DataBytes() const;
  // Those that are open, in order of name; opens none.
  std::vector<OpenNamespace> OpenNamespaces() const ABSL_LOCKS_EXCLUDED(mu_);
  const index::CompactionGate& compactions() const { return compaction_gate_; }
  storage::StoreStats StoreStats() const { return store_->Stats(); }

  EngineLimits& limits() { return *limits_; }

  // Seals what active segments hold in memory, and closes namespaces that nobody uses. Begins it only; for
  // when memory is short.
  void ReleaseMemory();
  // Whether the disk had an error after which nothing can be written until the engine is opened anew, and
  // works again. Tries it: not for every call.
  bool NeedsReopening() { return store_->NeedsReopening(); }
  // Of the disk that the data directory is on. Unavailable.
  absl::StatusOr<std::filesystem::space_info> DiskSpace() const;

 private:
  Engine(const EngineOptions& options, std::unique_ptr<storage::DataDirectory> directory,
         std::unique_ptr<storage::RecordStore> store);

  absl::Status FindNamespaces();
  // That a namespace of this name can be made. AlreadyExists; ResourceExhausted: there are too many.
  absl::Status CheckMayMake(std::string_view name) const ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<SnapshotInfo::Part>> WriteSnapshot(const std::string& path);
  absl::StatusOr<std::vector<SnapshotInfo::Part>> WriteSnapshotOf(
      const storage::NamespaceEntry& entry, const std::string& path, const CallControl& control);
  std::vector<std::shared_ptr<NamespaceSlot>> Slots() const ABSL_LOCKS_EXCLUDED(mu_);
  // Deletes expired records and closes idle namespaces now and then.
  void Sweep() ABSL_LOCKS_EXCLUDED(mu_);
  void RemoveSegments(const storage::NamespaceEntry& entry, storage::NamespaceNumber number);
  // Removes what a crash left of the segments of namespaces that are gone.
  absl::Status RemoveOrphanDirectories(const std::vector<storage::NamespaceEntry>& entries) const;

  // Destroyed from the last to the first: namespaces before the pools that work for them, and those
  // before the store.
  const std::unique_ptr<storage::DataDirectory> directory_;
  const std::unique_ptr<storage::RecordStore> store_;
  Snapshots snapshots_;
  index::CompactionGate compaction_gate_;
  ThreadPool index_pool_;
  ThreadPool search_pool_;
  const std::shared_ptr<EngineLimits> limits_ = std::make_shared<EngineLimits>();
  const NamespaceResources resources_;
  const absl::Duration close_idle_after_;
  const absl::Duration sweep_every_;

  Mutex ddl_mu_ ABSL_ACQUIRED_BEFORE(mu_);  // one namespace is made or deleted at a time
  mutable Mutex mu_;
  std::map<std::string, std::shared_ptr<NamespaceSlot>, std::less<>> namespaces_
      ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  CondVar stop_sweeping_;
  std::thread sweeper_;
};

// The names of the namespaces in a data directory that nobody writes to, in order. NotFound.
absl::StatusOr<std::vector<std::string>> NamespacesIn(const std::string& data_dir);

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_ENGINE_H_
