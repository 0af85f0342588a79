#ifndef VARVE_SERVER_RPC_KEY_RING_H_
#define VARVE_SERVER_RPC_KEY_RING_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "server/rpc/api_keys.h"

namespace varve::server {

// KeyRing is the keys that the server takes at present: what its file said when it was last read.
// Thread-safe.
class KeyRing {
 public:
  // Errors as ReadApiKeys.
  static absl::StatusOr<std::unique_ptr<KeyRing>> Open(const std::string& path);

  // Reads the file again. After an error the keys are what they were.
  absl::Status Reload() ABSL_LOCKS_EXCLUDED(mu_);

  // The entry of a key; nullptr: there is none. An expired one is found too.
  std::shared_ptr<const ApiKey> Find(const KeyHash& hash) const ABSL_LOCKS_EXCLUDED(mu_);
  size_t size() const ABSL_LOCKS_EXCLUDED(mu_);
  struct Counts {
    size_t valid = 0;
    size_t expired = 0;  // in the file still
  };
  Counts CountAt(absl::Time now) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Keys = std::vector<ApiKey>;

  explicit KeyRing(std::string path) : path_(std::move(path)) {}
  std::shared_ptr<const Keys> keys() const ABSL_LOCKS_EXCLUDED(mu_);

  const std::string path_;
  mutable Mutex mu_;
  std::shared_ptr<const Keys> keys_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_KEY_RING_H_
