#include "server/options.h"

#include <arpa/inet.h>

#include <CLI/CLI.hpp>
#include <cstdint>

#include "base/str_cat.h"
#include "server/version.h"

namespace varve::server {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr int kUsageError = 2;

// The command line's own units: whole MiB and seconds.
struct Units {
  size_t ingest_budget_mib;
  size_t read_budget_mib;
  size_t wire_memory_mib;
  size_t max_message_mib;
  double drain_seconds;
  std::string log_level = "info";
};

// Empty when `text` is an address; else what is wrong, as CLI11 wants it.
std::string IsIpAddress(const std::string& text) {
  in6_addr parsed;  // has room for either
  if (inet_pton(AF_INET, text.c_str(), &parsed) == 1) return "";
  if (inet_pton(AF_INET6, text.c_str(), &parsed) == 1) return "";
  return StrCat(text, " is not an IP address");
}

void AddAddresses(CLI::App* app, Options* options) {
  app->add_option("--data-dir", options->data_dir, "Where the records are kept")
      ->envname("VARVE_DATA_DIR")
      ->capture_default_str();
  app->add_option("--address", options->address, "IP address to listen on")
      ->envname("VARVE_ADDRESS")
      ->check(IsIpAddress, "IP ADDRESS")
      ->capture_default_str();
  app->add_option("--port", options->port, "Port for gRPC; 0: any free one")
      ->envname("VARVE_PORT")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app->add_option("--http-port", options->http_port,
                  "Port for /healthz and /readyz; 0: any free one (the default with --port 0)")
      ->envname("VARVE_HTTP_PORT")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app->add_option("--port-file", options->port_file,
                  R"(File that gets {"grpc": PORT, "http": PORT} once the server is ready)")
      ->envname("VARVE_PORT_FILE");
}

void AddLimits(CLI::App* app, Options* options, Units* units) {
  app->add_option("--search-threads", options->search_threads, "0: one per core")
      ->envname("VARVE_SEARCH_THREADS")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app->add_option("--index-threads", options->index_threads, "0: one per core")
      ->envname("VARVE_INDEX_THREADS")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app->add_option("--max-message-mib", units->max_message_mib,
                  "Largest message taken from or given to a client")
      ->envname("VARVE_MAX_MESSAGE_MIB")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app->add_option("--ingest-budget-mib", units->ingest_budget_mib,
                  "Memory for batches not yet committed, all clients together")
      ->envname("VARVE_INGEST_BUDGET_MIB")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app->add_option("--read-budget-mib", units->read_budget_mib,
                  "Memory for searches and their answers until taken, all clients together")
      ->envname("VARVE_READ_BUDGET_MIB")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app->add_option("--wire-memory-mib", units->wire_memory_mib,
                  "Memory for messages half received or half sent, all clients together")
      ->envname("VARVE_WIRE_MEMORY_MIB")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app->add_option(
         "--max-calls", options->max_calls,
         "Searches and other short calls (writes apart) that run or wait; more are refused")
      ->envname("VARVE_MAX_CALLS")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app->add_option("--drain-seconds", units->drain_seconds,
                  "Time that calls under way get to end when the server stops")
      ->envname("VARVE_DRAIN_SECONDS")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app->add_option("--log-level", units->log_level)
      ->envname("VARVE_LOG_LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
}

Units ToUnits(const Options& options) {
  return {.ingest_budget_mib = options.ingest_budget_bytes / kMiB,
          .read_budget_mib = options.read_budget_bytes / kMiB,
          .wire_memory_mib = options.wire_memory_bytes / kMiB,
          .max_message_mib = options.max_message_bytes / kMiB,
          .drain_seconds = absl::ToDoubleSeconds(options.drain)};
}

void FromUnits(const Units& units, Options* options) {
  options->ingest_budget_bytes = units.ingest_budget_mib * kMiB;
  options->read_budget_bytes = units.read_budget_mib * kMiB;
  options->wire_memory_bytes = units.wire_memory_mib * kMiB;
  options->max_message_bytes = units.max_message_mib * kMiB;
  options->drain = absl::Seconds(units.drain_seconds);
  options->log_level = *ParseLogLevel(units.log_level);
}

// A single message must fit into each budget that it passes through.
void CheckBudgets(const Units& units) {
  for (const auto& [name, mib] : {std::pair{"--ingest-budget-mib", units.ingest_budget_mib},
                                  std::pair{"--read-budget-mib", units.read_budget_mib},
                                  std::pair{"--wire-memory-mib", units.wire_memory_mib}}) {
    if (mib < units.max_message_mib) {
      throw CLI::ValidationError(name, StrCat("must be at least --max-message-mib (",
                                              units.max_message_mib, "), is ", mib));
    }
  }
}

}  // namespace

ParsedOptions ParseOptions(int argc, const char* const* argv) {
  Options options;
  Units units = ToUnits(options);
  CLI::App app("varved: the Varve vector database server", "varved");
  app.footer(
      "varved check --help: verify a data directory that no server has open\n"
      "varved health --help: ask the server of this machine whether it takes calls");
  app.set_version_flag("--version", StrCat("varved ", kVersion));
  app.set_config("--config", "", "File with options (TOML or INI): one name = value per line")
      ->envname("VARVE_CONFIG");
  AddAddresses(&app, &options);
  AddLimits(&app, &options, &units);
  try {
    app.parse(argc, argv);
    CheckBudgets(units);
  } catch (const CLI::ParseError& error) {
    return {.options = std::nullopt, .exit_code = app.exit(error) == 0 ? 0 : kUsageError};
  }
  // Tests and second servers ask for --port 0: they want neither port taken.
  if (options.port == 0 && app.count("--http-port") == 0) options.http_port = 0;
  FromUnits(units, &options);
  return {.options = std::move(options), .exit_code = 0};
}

}  // namespace varve::server
