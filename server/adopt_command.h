#ifndef VARVE_SERVER_ADOPT_COMMAND_H_
#define VARVE_SERVER_ADOPT_COMMAND_H_

namespace varve::server {

// `varved adopt`: takes namespaces of another data directory, an index built without a server or a
// snapshot, into one that no server has open. argv[0] is "adopt". Exit code: 0 done, 1 it failed,
// 2 a usage error.
int RunAdopt(int argc, const char* const* argv);

}  // namespace varve::server

#endif  // VARVE_SERVER_ADOPT_COMMAND_H_
