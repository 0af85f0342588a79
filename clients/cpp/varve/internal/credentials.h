#ifndef VARVE_CLIENTS_CPP_VARVE_INTERNAL_CREDENTIALS_H_
#define VARVE_CLIENTS_CPP_VARVE_INTERNAL_CREDENTIALS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "clients/cpp/varve/client.h"

namespace grpc {
class ChannelCredentials;
}

namespace varve::client::internal {

// How the connection is made, and what every call says for itself.
struct Credentials {
  std::shared_ptr<grpc::ChannelCredentials> channel;
  std::string authorization;  // of the metadata of that name; empty: none
};

// InvalidArgument: a file cannot be read, is not PEM, or the two of a pair are not
// one; the API key has characters that none has. No
// error shows the key.
absl::StatusOr<Credentials> MakeCredentials(const ClientOptions& options);

}  // namespace varve::client::internal

#endif  // VARVE_CLIENTS_CPP_VARVE_INTERNAL_CREDENTIALS_H_
