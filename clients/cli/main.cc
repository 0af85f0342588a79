// The varve command line.

#include <stdlib.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "clients/cli/app.h"
#include "clients/cli/interrupt.h"
#include "server/local_server.h"

namespace {

// --data-dir: the one place where the clients know of the server's inside.
absl::StatusOr<varve::cli::LocalServer> OpenLocal(const varve::cli::LocalOptions& options) {
  VARVE_ASSIGN_OR_RETURN(
      auto server, varve::server::LocalServer::Open({.data_dir = options.data_dir,
                                                     .must_exist = !options.make,
                                                     .index_threads = options.index_threads}));
  return varve::cli::LocalServer{.target = server->target(), .alive = std::move(server)};
}

}  // namespace

int main(int argc, char** argv) {
  // What goes wrong is told in one line by the program itself; gRPC would add its own.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  varve::cli::Interrupt interrupt;
  return varve::cli::Run({.command_line = {argv, argv + argc},
                          .out = &std::cout,
                          .err = &std::cerr,
                          .err_is_terminal = isatty(STDERR_FILENO) == 1,
                          .interrupt = &interrupt,
                          .open_local = OpenLocal});
}
