#include "server/rpc/security.h"

#include <grpcpp/security/server_credentials.h>

#include <string>

#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/log.h"

namespace varve::server {
namespace {

void LogFailure(std::string_view what, const absl::Status& status) {
  const std::string error(status.message());
  Log(LogLevel::kError, what, {{"error", error}});
}

}  // namespace

Security::Security(const Options& options)
    : key_files_({options.api_keys}),
      certificate_files_({options.tls_cert, options.tls_key, options.tls_client_ca}) {}

absl::StatusOr<std::unique_ptr<Security>> Security::Open(const Options& options) {
  std::unique_ptr<Security> security(new Security(options));
  if (!options.api_keys.empty()) {
    VARVE_ASSIGN_OR_RETURN(security->keys_, KeyRing::Open(options.api_keys));
    security->LogKeys();
  }
  if (options.tls_cert.empty()) {
    security->credentials_ = grpc::InsecureServerCredentials();
    return security;
  }
  VARVE_ASSIGN_OR_RETURN(
      security->certificates_,
      Certificates::Open(
          {.chain = options.tls_cert, .key = options.tls_key, .client_ca = options.tls_client_ca}));
  security->credentials_ = security->certificates_->NewCredentials();
  security->LogCertificates();
  return security;
}

void Security::Reload() {
  MutexLock lock(&mu_);
  key_files_.Changed();
  certificate_files_.Changed();
  if (keys_ != nullptr) ReloadKeys();
  if (certificates_ != nullptr) ReloadCertificates();
}

void Security::ReloadChanged() {
  MutexLock lock(&mu_);
  if (key_files_.Changed()) ReloadKeys();
  if (certificate_files_.Changed()) ReloadCertificates();
}

std::optional<absl::Time> Security::certificate_expires() const {
  if (certificates_ == nullptr) return std::nullopt;
  return certificates_->expires();
}

void Security::ReloadKeys() const {
  if (absl::Status status = keys_->Reload(); !status.ok()) {
    return LogFailure("API keys stay as they were", status);
  }
  LogKeys();
}

void Security::ReloadCertificates() const {
  if (absl::Status status = certificates_->Reload(); !status.ok()) {
    return LogFailure("certificates stay as they were", status);
  }
  LogCertificates();
}

void Security::LogKeys() const { Log(LogLevel::kInfo, "API keys read", {{"keys", keys_->size()}}); }

void Security::LogCertificates() const {
  const std::string expires =
      absl::FormatTime(absl::RFC3339_sec, certificates_->expires(), absl::UTCTimeZone());
  Log(LogLevel::kInfo, "certificates read", {{"expires", expires}});
}

}  // namespace varve::server
