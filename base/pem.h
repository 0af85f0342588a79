#ifndef VARVE_BASE_PEM_H_
#define VARVE_BASE_PEM_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace varve {

// Certificates and keys as text (PEM), looked at before a connection is trusted to them: what is wrong
// is then an error that names the file, and not a connection that fails. All functions are
// thread-safe; InvalidArgument is their only error, and never shows what is in a key.
struct PemFile {
  std::string path;  // for errors
  std::string text;
};

struct CertificateDates {
  absl::Time begins;
  absl::Time expires;
};

// Of the first certificate in the file.
absl::StatusOr<CertificateDates> ReadCertificate(const PemFile& file);

// OK when `key` is the private key, without a password, of the first certificate in `certificate`.
absl::Status CheckKeyPair(const PemFile& certificate, const PemFile& key);

}  // namespace varve

#endif  // VARVE_BASE_PEM_H_
