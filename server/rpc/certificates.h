#ifndef VARVE_SERVER_RPC_CERTIFICATES_H_
#define VARVE_SERVER_RPC_CERTIFICATES_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace grpc {
class ServerCredentials;
}

namespace varve::server {

// Where a server's certificates are, in PEM.
struct CertificateFiles {
  std::string chain;      // the server's certificate, then those it was signed by
  std::string key;        // its private key, not encrypted
  std::string client_ca;  // authorities that sign clients' certificates; empty: clients need none
};

// Certificates is what the server shows to its clients, and what it takes from them. When it has
// been reloaded, connections that are made from then on are made with the new certificates; those
// that are open stay. Thread-safe.
class Certificates {
 public:
  // InvalidArgument, with the file's name: not PEM; the key is of another certificate; the
  // certificate has expired or is not valid yet. NotFound and so on: a file cannot be read.
  static absl::StatusOr<std::unique_ptr<Certificates>> Open(CertificateFiles files);

  // Reads the files again. After an error all is as it was.
  absl::Status Reload() ABSL_LOCKS_EXCLUDED(mu_);

  // For gRPC's listening port. This object must outlive the server that has them.
  std::shared_ptr<grpc::ServerCredentials> NewCredentials();

  // When the server's certificate expires.
  absl::Time expires() const ABSL_LOCKS_EXCLUDED(mu_);

  // The files' contents, which have been checked.
  struct Pem {
    std::string chain;
    std::string key;
    std::string client_ca;
    absl::Time expires;
  };
  // What there is to be shown if it is another than `*seen`, which is set to its number; else
  // nullptr.
  std::shared_ptr<const Pem> Newer(uint64_t* seen) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  explicit Certificates(CertificateFiles files) : files_(std::move(files)) {}

  const CertificateFiles files_;
  mutable Mutex mu_;
  std::shared_ptr<const Pem> pem_ ABSL_GUARDED_BY(mu_);
  uint64_t number_ ABSL_GUARDED_BY(mu_) = 0;  // of pem_
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_CERTIFICATES_H_
