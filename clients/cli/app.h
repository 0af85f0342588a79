#ifndef VARVE_CLIENTS_CLI_APP_H_
#define VARVE_CLIENTS_CLI_APP_H_

#include "clients/cli/session.h"

namespace varve::cli {

// Runs the program: understands the command line, does what it says, and returns the exit code.
// 0: done. 1: failed, and one line on `err` says why; a filter that is wrong is shown below it. 2:
// the command line is wrong, likewise.
int Run(const SessionOptions& options);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_APP_H_
