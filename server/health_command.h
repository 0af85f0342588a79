#ifndef VARVE_SERVER_HEALTH_COMMAND_H_
#define VARVE_SERVER_HEALTH_COMMAND_H_

namespace varve::server {

// `varved health`: asks the server of this machine whether it takes calls, over HTTP, at the address
// and port that varved would serve on with the same options, environment and file. `argv[0]` is the
// word "health". Prints one line; returns the exit code: 0 it does, 1 it does not or does not answer,
// 2 a usage error.
int RunHealth(int argc, const char* const* argv);

}  // namespace varve::server

#endif  // VARVE_SERVER_HEALTH_COMMAND_H_
