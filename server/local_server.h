#ifndef VARVE_SERVER_LOCAL_SERVER_H_
#define VARVE_SERVER_LOCAL_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace varve::server {

struct LocalServerOptions {
  std::string data_dir;
  bool must_exist = false;  // NotFound instead of making the directory
  int index_threads = 0;    // 0: one per core
};

// A server inside the process of who opens it, for programs that work on a data directory without varved. It
// listens on the loopback interface, at a port that the kernel picks, until it is destroyed.
// Thread-safe.
class LocalServer {
 public:
  // FailedPrecondition: another process has the directory, or it is something else. NotFound: see the
  // options. Otherwise as varved says at its start.
  static absl::StatusOr<std::unique_ptr<LocalServer>> Open(const LocalServerOptions& options);
  virtual ~LocalServer() = default;

  // "127.0.0.1:port"
  virtual std::string target() const = 0;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_LOCAL_SERVER_H_
