#ifndef VARVE_SERVER_RPC_SECURITY_H_
#define VARVE_SERVER_RPC_SECURITY_H_

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "server/options.h"
#include "server/rpc/certificates.h"
#include "server/rpc/file_watch.h"
#include "server/rpc/key_ring.h"

namespace varve::server {

// Security is the keys and the certificates of one server, as its options ask for them. Owned by the
// server, which it must outlive. Thread-safe.
class Security {
 public:
  // Errors name the file that cannot be read, or is wrong.
  static absl::StatusOr<std::unique_ptr<Security>> Open(const Options& options);

  // Reads all files again. What is wrong with some leaves the others; the log says what was done.
  void Reload() ABSL_LOCKS_EXCLUDED(mu_);
  // As Reload(), for files that have changed since they were last looked at.
  void ReloadChanged() ABSL_LOCKS_EXCLUDED(mu_);

  // When the server's certificate expires; nullopt: it has none.
  std::optional<absl::Time> certificate_expires() const;
  // Nullptr: calls need no key.
  const KeyRing* keys() const { return keys_.get(); }
  // Of the listening port.
  const std::shared_ptr<grpc::ServerCredentials>& credentials() const { return credentials_; }

 private:
  explicit Security(const Options& options);

  void ReloadKeys() const;
  void ReloadCertificates() const;
  void LogKeys() const;
  void LogCertificates() const;

  std::unique_ptr<KeyRing> keys_;
  std::unique_ptr<Certificates> certificates_;  // nullptr: no encryption
  std::shared_ptr<grpc::ServerCredentials> credentials_;
  Mutex mu_;
  FileWatch key_files_ ABSL_GUARDED_BY(mu_);
  FileWatch certificate_files_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_SECURITY_H_
