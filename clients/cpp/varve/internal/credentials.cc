#include "clients/cpp/varve/internal/credentials.h"

#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "base/pem.h"
#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::client::internal {
namespace {

constexpr size_t kPemBytesMax = size_t{4} << 20;  // the system's authorities are some 200 KiB

absl::StatusOr<PemFile> ReadPem(const std::string& path) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "re"), close);
  std::string pem(kPemBytesMax, '\0');
  if (file != nullptr) pem.resize(std::fread(pem.data(), 1, pem.size(), file.get()));
  if (file == nullptr || std::ferror(file.get())) {
    return absl::InvalidArgumentError(StrCat("cannot read ", path, ": ", std::strerror(errno)));
  }
  return PemFile{.path = path, .text = std::move(pem)};
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeTls(const TlsOptions& tls) {
  if (tls.cert_file.empty() != tls.key_file.empty()) {
    return absl::InvalidArgumentError("a client's certificate and its key must be given together");
  }
  grpc::SslCredentialsOptions options;
  if (!tls.ca_file.empty()) {
    VARVE_ASSIGN_OR_RETURN(PemFile authorities, ReadPem(tls.ca_file));
    VARVE_RETURN_IF_ERROR(ReadCertificate(authorities).status());
    options.pem_root_certs = std::move(authorities.text);
  }
  if (!tls.cert_file.empty()) {
    VARVE_ASSIGN_OR_RETURN(PemFile chain, ReadPem(tls.cert_file));
    VARVE_ASSIGN_OR_RETURN(PemFile key, ReadPem(tls.key_file));
    VARVE_RETURN_IF_ERROR(CheckKeyPair(chain, key));
    options.pem_cert_chain = std::move(chain.text);
    options.pem_private_key = std::move(key.text);
  }
  return grpc::SslCredentials(options);
}

}  // namespace

absl::StatusOr<Credentials> MakeCredentials(const ClientOptions& options) {
  Credentials credentials{.channel = grpc::InsecureChannelCredentials()};
  if (options.tls.has_value()) {
    VARVE_ASSIGN_OR_RETURN(credentials.channel, MakeTls(*options.tls));
  }
  if (options.api_key.empty()) return credentials;
  if (!std::all_of(options.api_key.begin(), options.api_key.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError(
        "an API key has no spaces, line ends or characters beyond ASCII");
  }
  credentials.authorization = "Bearer " + options.api_key;
  return credentials;
}

}  // namespace varve::client::internal
