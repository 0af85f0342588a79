#ifndef VARVE_SERVER_LOCAL_SERVER_H_
#define VARVE_SERVER_LOCAL_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace varve::server {

// A server inside the process of who opens it, for programs that work on a data directory without varved. It
// listens on the loopback interface, at a port that the kernel picks, until it is destroyed.
// Thread-safe.
class LocalServer {
 public:
  // Opens the data directory, and makes it if it is not there. Unavailable: another process has it.
  // DataLoss, InvalidArgument: as varved says at its start.
  static absl::StatusOr<std::unique_ptr<LocalServer>> Open(const std::string& data_dir);
  virtual ~LocalServer() = default;

  // "127.0.0.1:port"
  virtual std::string target() const = 0;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_LOCAL_SERVER_H_
