#ifndef VARVE_SERVER_OPTIONS_H_
#define VARVE_SERVER_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/log.h"

namespace varve::server {

// Every address and limit of the server. Made once, by ParseOptions; nothing changes it afterwards.
struct Options {
  std::string data_dir = "./varve-data";
  std::string address = "127.0.0.1";       // of gRPC
  int port = 7780;                         // gRPC; 0: the kernel picks
  std::string http_address = "127.0.0.1";  // of health and readiness
  int http_port = 7781;                    // health and readiness; 0: the kernel picks
  std::string port_file;  // where the ports are written when all is ready; empty: nowhere

  // Files of PEM; without the first two gRPC is not encrypted. With the third one clients must show
  // a certificate that one of these authorities has signed.
  std::string tls_cert;
  std::string tls_key;
  std::string tls_client_ca;
  std::string api_keys;         // file; empty: calls need no key
  bool allow_insecure = false;  // listen beyond loopback without certificate or keys

  int search_threads = 0;  // 0: one per core
  int index_threads = 0;   // 0: one per core

  // Memory of the whole process, mapped files apart: writes wait when it is nearly used up, and are
  // refused when that lasts. The other budgets are parts of it. 0: no limit.
  size_t memory_budget_bytes = 0;
  // Writes are refused while less is free on the data directory's disk.
  size_t disk_reserve_bytes = 0;
  // Writes are refused while the data directory, snapshots apart, takes more. 0: no limit.
  size_t max_data_bytes = 0;
  // Of all clients together; 0: no limit. So are the next ones, where they do not say otherwise.
  size_t max_ingest_bytes_per_second = 0;
  size_t max_streams = 10'000;  // of ingest, at a time
  uint32_t max_k = 10'000;
  uint32_t max_ef = 10'000;
  size_t max_namespaces = 100'000;
  size_t max_namespace_vectors = 0;
  size_t max_namespace_bytes = 0;

  // A message from a client larger than this is refused, and so is an answer that would be.
  size_t max_message_bytes = size_t{64} << 20;
  // Batches that are decoded and not yet committed, of all clients together.
  size_t ingest_budget_bytes = size_t{256} << 20;
  // Requests of searches and other reads, and their answers until they are sent, of all clients
  // together.
  size_t read_budget_bytes = size_t{512} << 20;
  // Bytes that gRPC holds for messages under way, of all clients together.
  size_t wire_memory_bytes = size_t{512} << 20;
  // Searches and other short calls, writes apart, that run or wait for a thread.
  size_t max_calls = 1024;

  absl::Duration slow_query = absl::Milliseconds(500);  // searches that take longer are logged
  absl::Duration drain = absl::Seconds(10);  // what calls under way get to end by themselves
  LogLevel log_level = LogLevel::kInfo;

  // All of it, as --print-config prints it: a line `name=value` for each setting that has a value.
  std::string toml;
};

// Settings that a running server takes over when it reloads (SIGHUP); reloader.cc applies them. What
// the files of keys and certificates hold is read again too, their names stay.
inline constexpr std::string_view kReloadableSettings[] = {"log-level",
                                                           "memory-budget-mib",
                                                           "disk-reserve-mib",
                                                           "max-data-mib",
                                                           "max-ingest-mib-per-second",
                                                           "max-k",
                                                           "max-ef",
                                                           "max-namespaces",
                                                           "max-namespace-vectors",
                                                           "max-namespace-mib"};

// The outcome of reading the command line: options to serve with, or the exit code to end with now
// (after --help, --version, --print-config or a usage error, which it has printed).
struct ParsedOptions {
  std::optional<Options> options;
  int exit_code = 0;
};

// Reads the command line, VARVE_* environment variables and --config, in that order of precedence.
// A usage error has exit code 2.
ParsedOptions ParseOptions(int argc, const char* const* argv);

// The same again, for a reload: prints nothing. InvalidArgument is what ParseOptions would print.
absl::StatusOr<Options> ReparseOptions(int argc, const char* const* argv);

// Names of the settings in which two texts of Options::toml differ, in order.
std::vector<std::string> ChangedSettings(std::string_view before, std::string_view after);

// Whether an IP address can be reached from this machine alone.
bool IsLoopback(const std::string& address);

// Variables VARVE_* of the environment that are no settings, neither of the server nor of its
// clients: misspelt, most likely.
std::vector<std::string> UnknownVariables(const char* const* environment);

}  // namespace varve::server

#endif  // VARVE_SERVER_OPTIONS_H_
