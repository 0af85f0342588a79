#include "server/rpc/certificates.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdlib>
#include <ctime>
#include <utility>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/rpc/files.h"

namespace varve::server {
namespace {

constexpr size_t kPemBytesMax = size_t{1} << 20;

template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using X509Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;

absl::Status Wrong(const std::string& path, std::string_view what) {
  ERR_clear_error();
  return absl::InvalidArgumentError(StrCat(path, ": ", what));
}

Bio Reader(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

absl::Time ToTime(const ASN1_TIME* time) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTimeT(timegm(&parts));
}

std::string ToText(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

absl::StatusOr<X509Certificate> FirstCertificate(const std::string& path, const std::string& pem) {
  X509Certificate first(PEM_read_bio_X509(Reader(pem).get(), nullptr, nullptr, nullptr));
  if (first == nullptr) return Wrong(path, "holds no certificate in PEM");
  return first;
}

absl::Status CheckDates(const std::string& path, const X509& certificate) {
  const absl::Time begins = ToTime(X509_get0_notBefore(&certificate));
  const absl::Time expires = ToTime(X509_get0_notAfter(&certificate));
  const absl::Time now = absl::Now();
  if (now >= expires) return Wrong(path, StrCat("the certificate expired at ", ToText(expires)));
  if (now < begins)
    return Wrong(path, StrCat("the certificate is not valid before ", ToText(begins)));
  return absl::OkStatus();
}

// Asking for a password would be asking on the terminal: a key that has one is none for a server.
int NoPassword(char*, int, int, void*) { return 0; }

absl::Status CheckKey(const CertificateFiles& files, const std::string& pem,
                      const X509& certificate) {
  const PrivateKey key(PEM_read_bio_PrivateKey(Reader(pem).get(), nullptr, NoPassword, nullptr));
  if (key == nullptr) return Wrong(files.key, "holds no private key in PEM without a password");
  if (X509_check_private_key(&certificate, key.get()) == 1) return absl::OkStatus();
  return Wrong(files.key, StrCat("is not the private key of the certificate in ", files.chain));
}

absl::StatusOr<Certificates::Pem> ReadAndCheck(const CertificateFiles& files) {
  Certificates::Pem pem;
  VARVE_ASSIGN_OR_RETURN(pem.chain, ReadSmallFile(files.chain, kPemBytesMax));
  VARVE_ASSIGN_OR_RETURN(pem.key, ReadSmallFile(files.key, kPemBytesMax));
  VARVE_ASSIGN_OR_RETURN(const X509Certificate certificate,
                         FirstCertificate(files.chain, pem.chain));
  VARVE_RETURN_IF_ERROR(CheckDates(files.chain, *certificate));
  VARVE_RETURN_IF_ERROR(CheckKey(files, pem.key, *certificate));
  pem.expires = ToTime(X509_get0_notAfter(certificate.get()));
  if (files.client_ca.empty()) return pem;
  VARVE_ASSIGN_OR_RETURN(pem.client_ca, ReadSmallFile(files.client_ca, kPemBytesMax));
  VARVE_RETURN_IF_ERROR(FirstCertificate(files.client_ca, pem.client_ca).status());
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
