#ifndef VARVE_SERVER_ENGINE_RECOVERY_H_
#define VARVE_SERVER_ENGINE_RECOVERY_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/thread_pool.h"
#include "index/segment_set.h"
#include "server/engine/limits.h"
#include "server/engine/schema.h"
#include "storage/file_system.h"
#include "storage/record_store.h"

namespace varve::engine {

// What namespaces live on. All of it must outlive them.
struct NamespaceResources {
  storage::RecordStore* store = nullptr;
  storage::FileSystem* files = nullptr;
  // Held while segment files are removed, and by whoever links those that there are.
  std::shared_ptr<Mutex> removals = std::make_shared<Mutex>();
  std::shared_ptr<const EngineLimits> limits = std::make_shared<EngineLimits>();
  std::string segments_directory;  // each namespace has one of its number in there
  index::IndexResources index;
  ThreadPool* search_pool = nullptr;
  std::function<absl::Time()> now = absl::Now;
};

// Where the sealed segments of a namespace lie, and those of one of its fields: the default field's are in
// the namespace's directory itself.
std::string SegmentDirectory(const std::string& segments_directory,
                             storage::NamespaceNumber number);
std::string FieldDirectory(const std::string& segment_directory, storage::FieldNumber field);
// Those of all fields; of a namespace whose schema cannot be read, as if it had as many as there may be.
std::vector<std::string> FieldDirectories(const storage::NamespaceEntry& entry,
                                          const std::string& segment_directory);

// Brings the index of one field up to its store: maps the sealed segments that the manifest names,
// then reads the rows that none of them stands for: the unsealed tail, and those of files that were
// lost. When it returns, every stored row can be found; what it read is linked into graphs later,
// on the index pool. So it takes as long as the tail, not the namespace, is large.
absl::StatusOr<std::shared_ptr<index::SegmentSet>> RecoverSegmentSet(
    const storage::NamespaceEntry& entry, const NamespaceSchema& schema, storage::FieldNumber field,
    const NamespaceResources& resources);

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_RECOVERY_H_
