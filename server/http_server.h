#ifndef VARVE_SERVER_HTTP_SERVER_H_
#define VARVE_SERVER_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace varve::server {

// The plain HTTP side, for probes of whoever runs the server:
//   GET /healthz   200 while the process lives
//   GET /readyz    200 while it takes calls, 503 while it starts or drains
//   GET /metrics   what it counts, in Prometheus' text form
// Serves on a few threads of its own until destroyed. Thread-safe.
class HttpServer {
 public:
  // What answers are made of; asked on any thread.
  struct Sources {
    std::function<bool()> ready;
    std::function<std::string()> metrics;
  };

  // Listens at once; port 0: the kernel picks. Unavailable: the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address, int port,
                                                           Sources sources);
  virtual ~HttpServer() = default;

  virtual int port() const = 0;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_HTTP_SERVER_H_
