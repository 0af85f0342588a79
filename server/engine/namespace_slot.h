#ifndef VARVE_SERVER_ENGINE_NAMESPACE_SLOT_H_
#define VARVE_SERVER_ENGINE_NAMESPACE_SLOT_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "server/engine/namespace.h"
#include "server/engine/recovery.h"
#include "server/engine/schema.h"

namespace varve::engine {

// The place of one namespace in the engine: it is opened by the first who needs it, and closed when
// nobody has for a while; one of whose files turned out to be damaged is opened anew. One that cannot be
// opened is an error to those who ask for it, never to
// others, and is tried again by the next.
//
// Thread-safe. Who asks while it is being opened waits for that.
class NamespaceSlot {
 public:
  // `resources` must outlive the slot.
  NamespaceSlot(std::string name, const NamespaceResources& resources)
      : name_(std::move(name)), resources_(resources) {}

  // NotFound: it was deleted meanwhile. Else the errors of Namespace::Open.
  absl::StatusOr<std::shared_ptr<Namespace>> Get() ABSL_LOCKS_EXCLUDED(mu_);

  // Its schema, without opening it.
  absl::StatusOr<NamespaceSchema> Schema() const ABSL_LOCKS_EXCLUDED(mu_);

  // Deletes records that have expired, if it is open, so that their space is reclaimed. What fails is
  // tried again the next time.
  void DeleteExpired() ABSL_LOCKS_EXCLUDED(mu_);

  // Lets go of the namespace if nobody holds it, nothing is left to be done in it, and nobody asked
  // for it since `used_before`.
  void CloseIfIdle(absl::Time used_before) ABSL_LOCKS_EXCLUDED(mu_);

  // Begins to seal what its active segments hold in memory, if it is open and that is worth it.
  void ReleaseMemory() ABSL_LOCKS_EXCLUDED(mu_);

  // It is deleted: nobody gets it any more, and a write that is under way has ended.
  void Delete() ABSL_LOCKS_EXCLUDED(mu_);

  // What its index holds, if it is open. Neither opens it, nor waits while it is being opened, nor counts
  // as its use.
  std::optional<IndexStats> StatsIfOpen() const ABSL_LOCKS_EXCLUDED(look_mu_);
  bool is_open() const ABSL_LOCKS_EXCLUDED(look_mu_) {
    MutexLock lock(&look_mu_);
    return open_ != nullptr;
  }

  const std::string& name() const { return name_; }

 private:
  absl::Status Deleted() const;
  // Exchanges opened_; returns what it was.
  std::shared_ptr<Namespace> Exchange(std::shared_ptr<Namespace> opened)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) ABSL_LOCKS_EXCLUDED(look_mu_);

  const std::string name_;
  const NamespaceResources& resources_;
  mutable Mutex mu_ ABSL_ACQUIRED_BEFORE(look_mu_);  // held while the namespace is opened
  std::shared_ptr<Namespace> opened_ ABSL_GUARDED_BY(mu_);
  absl::Time last_used_ ABSL_GUARDED_BY(mu_);
  bool deleted_ ABSL_GUARDED_BY(mu_) = false;
  // opened_ for those who only look, who would otherwise wait for who opens it, or be taken for users.
  mutable Mutex look_mu_;
  Namespace* open_ ABSL_GUARDED_BY(look_mu_) = nullptr;
};

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_NAMESPACE_SLOT_H_
