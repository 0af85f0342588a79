#ifndef VARVE_SERVER_CHECK_COMMAND_H_
#define VARVE_SERVER_CHECK_COMMAND_H_

namespace varve::server {

// `varved check`: verifies a data directory that no server has open, and with --repair makes anew what
// can be. `argv[0]` is the word "check". Prints what it found; returns the exit code: 0 all is right
// (by now), 1 damage is left, 2 a usage error, or the directory could not be read.
int RunCheck(int argc, const char* const* argv);

}  // namespace varve::server

#endif  // VARVE_SERVER_CHECK_COMMAND_H_
