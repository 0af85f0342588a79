#ifndef VARVE_SERVER_RELOADER_H_
#define VARVE_SERVER_RELOADER_H_

#include <string>

#include "server/options.h"
#include "server/rpc/server.h"

namespace varve::server {

// Reloader does what SIGHUP asks for: it reads the settings again and applies those that a running
// server can take over, then the files of keys and certificates. Used by one thread.
class Reloader {
 public:
  // The command line must outlive it. `running` is what the server was started with.
  Reloader(int argc, const char* const* argv, const Options& running)
      : argc_(argc), argv_(argv), running_toml_(running.toml) {}

  // What is wrong stays as it was, and the log says so. It also names the settings that have changed
  // and take a restart.
  void Reload(Server* server) const;

 private:
  void ReloadSettings(Server* server) const;

  const int argc_;
  const char* const* const argv_;
  const std::string running_toml_;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RELOADER_H_
