#include "clients/cpp/varve/internal/credentials.h"

#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::client::internal {
namespace {

constexpr size_t kPemBytesMax = size_t{4} << 20;  // the system's authorities are some 200 KiB

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "re"), close);
  std::string pem(kPemBytesMax, '\0');
  if (file != nullptr) pem.resize(std::fread(pem.data(), 1, pem.size(), file.get()));
  if (file == nullptr || std::ferror(file.get())) {
    return absl::InvalidArgumentError(StrCat("cannot read ", path, ": ", std::strerror(errno)));
  }
  if (absl::StrContains(pem, "-----BEGIN ")) return pem;
  return absl::InvalidArgumentError(StrCat(path, " holds nothing in PEM"));
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeTls(const TlsOptions& tls) {
  if (tls.cert_file.empty() != tls.key_file.empty()) {
    return absl::InvalidArgumentError("a client's certificate and its key must be given together");
  }
  grpc::SslCredentialsOptions options;
  if (!tls.ca_file.empty()) {
    VARVE_ASSIGN_OR_RETURN(options.pem_root_certs, ReadPem(tls.ca_file));
  }
  if (!tls.cert_file.empty()) {
    VARVE_ASSIGN_OR_RETURN(options.pem_cert_chain, ReadPem(tls.cert_file));
    VARVE_ASSIGN_OR_RETURN(options.pem_private_key, ReadPem(tls.key_file));
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
