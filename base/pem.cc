#include "base/pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve {
namespace {

template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;

// Also forgets what libcrypto remembers of its errors for this thread: gRPC would take it for its own.
absl::Status Wrong(const PemFile& file, std::string_view what) {
  ERR_clear_error();
  return absl::InvalidArgumentError(StrCat(file.path, " ", what));
}

Bio Reader(const PemFile& file) {
  return Bio(BIO_new_mem_buf(file.text.data(), static_cast<int>(file.text.size())));
}

absl::StatusOr<Certificate> FirstCertificate(const PemFile& file) {
  Certificate first(PEM_read_bio_X509(Reader(file).get(), nullptr, nullptr, nullptr));
  if (first == nullptr) return Wrong(file, "holds no certificate in PEM");
  return first;
}

absl::Time ToTime(const ASN1_TIME* time) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTimeT(timegm(&parts));
}

// To ask for a password would be to wait at a terminal.
int NoPassword(char*, int, int, void*) { return 0; }

}  // namespace

absl::StatusOr<CertificateDates> ReadCertificate(const PemFile& file) {
  VARVE_ASSIGN_OR_RETURN(const Certificate certificate, FirstCertificate(file));
  return CertificateDates{.begins = ToTime(X509_get0_notBefore(certificate.get())),
                          .expires = ToTime(X509_get0_notAfter(certificate.get()))};
}

absl::Status CheckKeyPair(const PemFile& certificate, const PemFile& key) {
  VARVE_ASSIGN_OR_RETURN(const Certificate first, FirstCertificate(certificate));
  const PrivateKey parsed(PEM_read_bio_PrivateKey(Reader(key).get(), nullptr, NoPassword, nullptr));
  if (parsed == nullptr) return Wrong(key, "holds no private key in PEM without a password");
  if (X509_check_private_key(first.get(), parsed.get()) == 1) return absl::OkStatus();
  return Wrong(key, StrCat("is not the private key of the certificate in ", certificate.path));
}

}  // namespace varve
