#ifndef VARVE_SERVER_RPC_SERVER_H_
#define VARVE_SERVER_RPC_SERVER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/engine/engine.h"
#include "server/options.h"

namespace varve::server {

class Security;
class WriteGate;
struct Admission;
struct ServerMetrics;

// The gRPC side of varved: the services, health and reflection on one port, and the threads that do
// their work. Thread-safe.
class Server {
 public:
  // Listens and serves, with the keys and certificates of `security`. `engine` outlives the server.
  // Unavailable: the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Options& options,
                                                       std::unique_ptr<Security> security,
                                                       engine::Engine* engine);
  // Drains first, if nobody has.
  virtual ~Server() = default;

  // What its calls have done, and what they hold.
  virtual const ServerMetrics& metrics() const = 0;
  virtual const Admission& admission() const = 0;
  virtual const WriteGate& gate() const = 0;
  virtual const Security& security() const = 0;

  // The port listened on.
  virtual int port() const = 0;
  // Whether calls are taken: from Start() until Drain().
  virtual bool serving() const = 0;

  // Reads the files of keys and certificates again: all of them, or those that have changed. Calls go
  // on, save streams whose key is gone. What is wrong stays as it was, and is logged.
  virtual void ReloadSecurity() = 0;
  virtual void ReloadChangedSecurity() = 0;

  // Takes over the limits that a running server can: see kReloadableSettings.
  virtual void ApplyLimits(const Options& options) = 0;

  // Stops. Health says NOT_SERVING and new calls are refused at once; streams commit and
  // acknowledge what they have read, then end with UNAVAILABLE; other calls complete. What is left
  // after options.drain is cancelled. Returns when nothing runs any more; true when nothing was
  // cancelled.
  virtual bool Drain() = 0;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_SERVER_H_
