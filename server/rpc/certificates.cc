#include "server/rpc/certificates.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>

#include <cstdlib>
#include <utility>

#include "absl/time/clock.h"
#include "base/pem.h"
#include "base/read_file.h"
#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::server {
namespace {

constexpr size_t kPemBytesMax = size_t{1} << 20;

std::string ToText(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

// `flag` is the setting that the file comes from.
absl::StatusOr<PemFile> ReadPem(std::string_view flag, const std::string& path) {
  absl::StatusOr<std::string> text = ReadSmallFile(path, kPemBytesMax);
  if (text.ok()) return PemFile{.path = path, .text = *std::move(text)};
  return absl::Status(text.status().code(), StrCat(flag, ": ", text.status().message()));
}

absl::Status CheckDates(const PemFile& chain, const CertificateDates& dates) {
  const absl::Time now = absl::Now();
  if (now >= dates.expires) {
    return absl::InvalidArgumentError(
        StrCat(chain.path, ": the certificate expired at ", ToText(dates.expires)));
  }
  if (now >= dates.begins) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat(chain.path, ": the certificate is not valid before ", ToText(dates.begins)));
}

absl::StatusOr<Certificates::Pem> ReadAndCheck(const CertificateFiles& files) {
  VARVE_ASSIGN_OR_RETURN(PemFile chain, ReadPem("--tls-cert", files.chain));
  VARVE_ASSIGN_OR_RETURN(PemFile key, ReadPem("--tls-key", files.key));
  VARVE_ASSIGN_OR_RETURN(const CertificateDates dates, ReadCertificate(chain));
  VARVE_RETURN_IF_ERROR(CheckDates(chain, dates));
  VARVE_RETURN_IF_ERROR(CheckKeyPair(chain, key));
  Certificates::Pem pem{.chain = std::move(chain.text),
                        .key = std::move(key.text),
                        .client_ca = "",
                        .expires = dates.expires};
  if (files.client_ca.empty()) return pem;
  VARVE_ASSIGN_OR_RETURN(PemFile client_ca, ReadPem("--tls-client-ca", files.client_ca));
  VARVE_RETURN_IF_ERROR(ReadCertificate(client_ca).status());
  pem.client_ca = std::move(client_ca.text);
  return pem;
}

// gRPC's credentials that are told of new certificates exist in its C interface alone; this lends
// them to the C++ one. gRPC asks for certificates when the server starts and at each new connection.
class ReloadableCredentials final : public grpc::ServerCredentials {
 public:
  ReloadableCredentials(const Certificates* certificates, bool ask_clients)
      : certificates_(certificates),
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                ask_clients ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                            : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
                &ReloadableCredentials::Fetch, this))) {}
  ~ReloadableCredentials() override { grpc_server_credentials_release(credentials_); }

  // Keys are looked at by each call (CallAccess), whatever its connection is.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {
    std::abort();
  }

 private:
  // gRPC calls it under a lock of its own.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    auto* credentials = static_cast<ReloadableCredentials*>(self);
    const auto pem = credentials->certificates_->Newer(&credentials->seen_);
    if (pem == nullptr) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {.private_key = pem->key.c_str(),
                                             .cert_chain = pem->chain.c_str()};
    // gRPC wants authorities even where it asks no client for a certificate and so never uses them.
    const std::string& authorities = pem->client_ca.empty() ? pem->chain : pem->client_ca;
    *config = grpc_ssl_server_certificate_config_create(authorities.c_str(), &pair, 1);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  const Certificates* const certificates_;
  uint64_t seen_ = 0;
  grpc_server_credentials* const credentials_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Certificates>> Certificates::Open(CertificateFiles files) {
  std::unique_ptr<Certificates> certificates(new Certificates(std::move(files)));
  VARVE_RETURN_IF_ERROR(certificates->Reload());
  return certificates;
}

absl::Status Certificates::Reload() {
  VARVE_ASSIGN_OR_RETURN(Pem pem, ReadAndCheck(files_));
  MutexLock lock(&mu_);
  pem_ = std::make_shared<const Pem>(std::move(pem));
  ++number_;
  return absl::OkStatus();
}

std::shared_ptr<grpc::ServerCredentials> Certificates::NewCredentials() {
  return std::make_shared<ReloadableCredentials>(this, !files_.client_ca.empty());
}

absl::Time Certificates::expires() const {
  MutexLock lock(&mu_);
  return pem_->expires;
}

std::shared_ptr<const Certificates::Pem> Certificates::Newer(uint64_t* seen) const {
  MutexLock lock(&mu_);
  if (*seen == number_) return nullptr;
  *seen = number_;
  return pem_;
}

}  // namespace varve::server
