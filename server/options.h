#ifndef VARVE_SERVER_OPTIONS_H_
#define VARVE_SERVER_OPTIONS_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "server/log.h"

namespace varve::server {

// Every address and limit of the server. Made once, by ParseOptions; nothing changes it afterwards.
struct Options {
  std::string data_dir = "./varve-data";
  std::string address = "127.0.0.1";  // of both listeners
  int port = 7780;                    // gRPC; 0: the kernel picks
  int http_port = 7781;               // health and readiness; 0: the kernel picks
  std::string port_file;  // where the ports are written when all is ready; empty: nowhere

  int search_threads = 0;  // 0: one per core
  int index_threads = 0;   // 0: one per core

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
};

// The outcome of reading the command line: options to serve with, or the exit code to end with now
// (after --help, --version or a usage error, which it has printed).
struct ParsedOptions {
  std::optional<Options> options;
  int exit_code = 0;
};

// Reads the command line, VARVE_* environment variables and --config, in that order of precedence.
// A usage error has exit code 2.
ParsedOptions ParseOptions(int argc, const char* const* argv);

}  // namespace varve::server

#endif  // VARVE_SERVER_OPTIONS_H_
