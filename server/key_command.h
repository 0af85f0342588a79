#ifndef VARVE_SERVER_KEY_COMMAND_H_
#define VARVE_SERVER_KEY_COMMAND_H_

namespace varve::server {

// `varved key`: makes an API key and prints it; adds its entry to a file of keys, or prints that
// too. Returns the exit code: 0 done, 1 failed, 2 usage error.
int RunKey(int argc, const char* const* argv);

}  // namespace varve::server

#endif  // VARVE_SERVER_KEY_COMMAND_H_
