#include "server/options.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <istream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
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
  size_t memory_budget_mib;
  size_t disk_reserve_mib;
  size_t max_data_mib = 0;
  size_t max_ingest_mib_per_second = 0;
  size_t max_namespace_mib = 0;
  double drain_seconds;
  uint64_t slow_query_ms;
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
  app->add_option("--http-address", options->http_address,
                  "IP address to listen on for HTTP [--address]")
      ->envname("VARVE_HTTP_ADDRESS")
      ->check(IsIpAddress, "IP ADDRESS");
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

void AddSecurity(CLI::App* app, Options* options) {
  CLI::Option* cert =
      app->add_option("--tls-cert", options->tls_cert,
                      "File (PEM) with the server's certificate, then those it was signed by")
          ->envname("VARVE_TLS_CERT");
  CLI::Option* key = app->add_option("--tls-key", options->tls_key,
                                     "File (PEM) with the certificate's private key")
                         ->envname("VARVE_TLS_KEY")
                         ->needs(cert);
  cert->needs(key);
  app->add_option(
         "--tls-client-ca", options->tls_client_ca,
         "File (PEM) of authorities: clients must have a certificate that one of them signed")
      ->envname("VARVE_TLS_CLIENT_CA")
      ->needs(cert);
  app->add_option("--api-keys", options->api_keys,
                  "File (JSON) of API keys, made by varved key: every call must carry one")
      ->envname("VARVE_API_KEYS");
  app->add_flag("--allow-insecure", options->allow_insecure,
                "Listen beyond this machine though there is no certificate, or no key is asked for")
      ->envname("VARVE_ALLOW_INSECURE");
}

// Limits of what writes may take, of all clients together or of a namespace.
void AddCapacity(CLI::App* app, Options* options, Units* units) {
  const auto add = [app](const char* name, const char* variable, auto* value, auto least, auto most,
                         const char* help) {
    app->add_option(name, *value, help)
        ->envname(variable)
        ->check(CLI::Range(least, most))
        ->capture_default_str();
  };
  constexpr size_t kAny = size_t{1} << 40;
  add("--memory-budget-mib", "VARVE_MEMORY_BUDGET_MIB", &units->memory_budget_mib, size_t{0}, kAny,
      "Memory of the whole process, mapped files apart; beyond it writes wait, then are refused "
      "(3/4 of what the machine or its control group has). 0: no limit");
  add("--disk-reserve-mib", "VARVE_DISK_RESERVE_MIB", &units->disk_reserve_mib, size_t{0}, kAny,
      "Writes are refused, and deletions are not, while less is free on the disk");
  add("--max-data-mib", "VARVE_MAX_DATA_MIB", &units->max_data_mib, size_t{0}, kAny,
      "Writes are refused, and deletions are not, while the data directory, snapshots apart, takes "
      "more. 0: no limit");
  add("--max-ingest-mib-per-second", "VARVE_MAX_INGEST_MIB_PER_SECOND",
      &units->max_ingest_mib_per_second, size_t{0}, kAny,
      "Writes wait when more arrives, all clients together. 0: no limit");
  add("--max-streams", "VARVE_MAX_STREAMS", &options->max_streams, size_t{1}, kAny,
      "Ingest streams at a time; more are refused");
  add("--max-k", "VARVE_MAX_K", &options->max_k, 1u, 10'000u, "Results that a search may ask for");
  add("--max-ef", "VARVE_MAX_EF", &options->max_ef, 1u, 10'000u,
      "Effort (ef_search) that a search may ask for");
  add("--max-namespaces", "VARVE_MAX_NAMESPACES", &options->max_namespaces, size_t{0}, kAny,
      "Namespaces that there may be. 0: no limit");
  add("--max-namespace-vectors", "VARVE_MAX_NAMESPACE_VECTORS", &options->max_namespace_vectors,
      size_t{0}, kAny, "Vectors that a namespace may hold. 0: no limit");
  add("--max-namespace-mib", "VARVE_MAX_NAMESPACE_MIB", &units->max_namespace_mib, size_t{0}, kAny,
      "MiB of vectors that a namespace may hold. 0: no limit");
}

// What the process can have: the machine's memory, or its control group's limit if that is less.
uint64_t MachineMemoryBytes() {
  const auto pages = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES));
  uint64_t bytes = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    uint64_t limit = 0;
    if (std::ifstream file(path); file >> limit) bytes = std::min(bytes, limit);
  }
  return bytes;
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
  app->add_option("--slow-query-ms", units->slow_query_ms,
                  "Searches that take longer are logged; 0: none")
      ->envname("VARVE_SLOW_QUERY_MS")
      ->check(CLI::Range(0, 3'600'000))
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
          .memory_budget_mib = MachineMemoryBytes() / 4 * 3 / kMiB,
          .disk_reserve_mib = 512,
          .drain_seconds = absl::ToDoubleSeconds(options.drain),
          .slow_query_ms = static_cast<uint64_t>(absl::ToInt64Milliseconds(options.slow_query))};
}

void FromUnits(const Units& units, Options* options) {
  options->ingest_budget_bytes = units.ingest_budget_mib * kMiB;
  options->read_budget_bytes = units.read_budget_mib * kMiB;
  options->wire_memory_bytes = units.wire_memory_mib * kMiB;
  options->max_message_bytes = units.max_message_mib * kMiB;
  options->memory_budget_bytes = units.memory_budget_mib * kMiB;
  options->disk_reserve_bytes = units.disk_reserve_mib * kMiB;
  options->max_data_bytes = units.max_data_mib * kMiB;
  options->max_ingest_bytes_per_second = units.max_ingest_mib_per_second * kMiB;
  options->max_namespace_bytes = units.max_namespace_mib * kMiB;
  options->drain = absl::Seconds(units.drain_seconds);
  options->slow_query =
      units.slow_query_ms == 0 ? absl::InfiniteDuration() : absl::Milliseconds(units.slow_query_ms);
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

// Whoever reaches the port from elsewhere must show a key, and nobody on the way may read it.
void CheckExposure(const Options& options) {
  if (options.allow_insecure || IsLoopback(options.address)) return;
  if (!options.tls_cert.empty() && !options.api_keys.empty()) return;
  throw CLI::ValidationError(
      "--address", StrCat(options.address,
                          " can be reached from other machines: that needs --tls-cert and "
                          "--tls-key, and --api-keys; or --allow-insecure"));
}

// The command line, and what it is read into.
class CommandLine {
 public:
  CommandLine();

  // Throws CLI::ParseError: an error, or what was asked for instead of options.
  Options Parse(int argc, const char* const* argv);

  CLI::App& app() { return app_; }
  bool print_config() const { return print_config_; }

 private:
  void DeriveDefaults();

  CLI::App app_{"varved: the Varve vector database server", "varved"};
  Options options_;
  Units units_ = ToUnits(options_);
  bool print_config_ = false;
};

// The file of --config. CLI11 reads it; here each setting is checked as if it were given alone on
// the command line, so that the error can name the file; and what the environment overrides is left
// out, because CLI11 would let the file win.
class ConfigFile final : public CLI::ConfigTOML {
 public:
  explicit ConfigFile(CLI::App* app) : app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::istringstream text(ReadAll(input));
    std::vector<CLI::ConfigItem> items = CLI::ConfigTOML::from_config(text);
    std::set<std::string> seen;
    for (const CLI::ConfigItem& item : items) {
      if (!item.parents.empty())
        Fail(StrCat("[", item.parents.front(), "]"), "settings have no sections");
      if (!seen.insert(item.name).second) Fail(item.name, "is there twice");
      Check(item);
    }
    std::erase_if(items, [this](const CLI::ConfigItem& item) {
      return IsSetInEnvironment(*app_->get_option("--" + item.name));
    });
    return items;
  }

 private:
  static bool IsSetInEnvironment(const CLI::Option& option) {
    const char* value = std::getenv(option.get_envname().c_str());
    return value != nullptr && *value != '\0';
  }

  // The text of the file. To CLI11 a # begins a comment even between quotes.
  std::string ReadAll(std::istream& input) const {
    std::string text;
    for (std::string line; std::getline(input, line); text += line + "\n") {
      const size_t opening = line.find_first_of("\"'");
      const size_t hash = line.find('#');
      if (opening == line.npos || hash == line.npos || hash < opening) continue;
      const size_t closing = line.find(line[opening], opening + 1);
      if (hash < closing) Fail(line.substr(opening), "a value cannot hold a #");
    }
    return text;
  }

  void Check(const CLI::ConfigItem& item) const {
    CommandLine alone;
    const CLI::Option* option = alone.app().get_option_no_throw("--" + item.name);
    if (option == nullptr || !option->get_configurable()) {
      Fail(item.name, "there is no such setting (see varved --help)");
    }
    if (item.inputs.size() != 1) Fail(item.name, "must have one value");
    for (CLI::Option* other : alone.app().get_options({})) {
      other->envname("");
      // A setting may stand in the file, and what it needs on the command line.
      const std::set<CLI::Option*> needed = other->get_needs();
      for (CLI::Option* one : needed) other->remove_needs(one);
    }
    try {
      alone.app().parse(
          std::vector<std::string>{StrCat("--", item.name, "=", item.inputs.front())});
    } catch (const CLI::ParseError& error) {
      throw CLI::ConfigError(StrCat(File(), ": ", error.what()));
    }
  }

  [[noreturn]] void Fail(std::string_view name, std::string_view what) const {
    throw CLI::ConfigError(StrCat(File(), ": ", name, ": ", what));
  }
  std::string File() const { return app_->get_config_ptr()->as<std::string>(); }

  CLI::App* const app_;
};

CommandLine::CommandLine() {
  app_.footer(
      "varved check --help: verify a data directory that no server has open\n"
      "varved adopt --help: take namespaces of another data directory into one\n"
      "varved key --help: make an API key\n"
      "varved health --help: ask the server of this machine whether it takes calls");
  app_.set_version_flag("--version", StrCat("varved ", kVersion));
  app_.set_config("--config", "", "File with settings (TOML): one name = value per line")
      ->envname("VARVE_CONFIG")
      ->configurable(false);
  app_.config_formatter(std::make_shared<ConfigFile>(&app_));
  app_.add_flag("--print-config", print_config_,
                "Print the settings in effect, as a file for --config, and end")
      ->configurable(false);
  AddAddresses(&app_, &options_);
  AddSecurity(&app_, &options_);
  AddCapacity(&app_, &options_, &units_);
  AddLimits(&app_, &options_, &units_);
}

// What has no value is left out: a file cannot say so.
std::string ToToml(const CLI::App& app) {
  std::string toml;
  const std::string all = app.config_to_str(/*default_also=*/true);
  for (const absl::string_view line : absl::StrSplit(all, '\n', absl::SkipEmpty())) {
    if (!absl::EndsWith(line, "=\"\"")) toml += StrCat(line, "\n");
  }
  return toml;
}

// The words of a command line as CLI11 wants them: without the program's name, the last one first.
// It would not read the file that the environment names.
std::vector<std::string> Words(int argc, const char* const* argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  const bool has_config = std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return word == "--config" || absl::StartsWith(word, "--config=");
  });
  const char* config = std::getenv("VARVE_CONFIG");
  if (!has_config && config != nullptr && *config != '\0') {
    words.push_back(StrCat("--config=", config));
  }
  std::reverse(words.begin(), words.end());
  return words;
}

Options CommandLine::Parse(int argc, const char* const* argv) {
  app_.parse(Words(argc, argv));
  DeriveDefaults();
  CheckBudgets(units_);
  CheckExposure(options_);
  FromUnits(units_, &options_);
  options_.toml = ToToml(app_);
  return std::move(options_);
}

// Defaults that depend on other settings are given as if they had been asked for: they are then in
// what --print-config prints.
void CommandLine::DeriveDefaults() {
  const auto give = [this](const char* name, const std::string& value) {
    CLI::Option* option = app_.get_option(name);
    if (option->count() > 0) return;
    option->add_result(value);
    option->run_callback();
  };
  // Tests and second servers ask for --port 0: they want neither port taken.
  if (options_.port == 0) give("--http-port", "0");
  give("--http-address", options_.address);
  if (units_.memory_budget_mib == 0) return;
  // Parts of the whole: what is on its way is never the larger part of it.
  const auto part = [&](const char* name, size_t usual, size_t parts) {
    const size_t message = units_.max_message_mib;
    give(name,
         StrCat(std::clamp(units_.memory_budget_mib / parts, message, std::max(usual, message))));
  };
  give("--max-message-mib",
       StrCat(std::clamp<size_t>(units_.memory_budget_mib / 32, 4, units_.max_message_mib)));
  part("--ingest-budget-mib", units_.ingest_budget_mib, 16);
  part("--read-budget-mib", units_.read_budget_mib, 8);
  part("--wire-memory-mib", units_.wire_memory_mib, 8);
}

std::map<std::string, std::string> Settings(std::string_view toml) {
  std::map<std::string, std::string> settings;
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(toml.data(), toml.size()), '\n', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> setting =
        absl::StrSplit(line, absl::MaxSplits('=', 1));
    settings.insert(setting);
  }
  return settings;
}

// Variables of the client, and of those who test and build.
constexpr std::string_view kOtherVariables[] = {"VARVE_SERVER", "VARVE_TLS", "VARVE_TLS_CA",
                                                "VARVE_API_KEY", "VARVE_BIN"};

}  // namespace

ParsedOptions ParseOptions(int argc, const char* const* argv) {
  CommandLine line;
  try {
    Options options = line.Parse(argc, argv);
    if (!line.print_config()) return {.options = std::move(options), .exit_code = 0};
    std::fputs(options.toml.c_str(), stdout);
    return {.options = std::nullopt, .exit_code = 0};
  } catch (const CLI::ParseError& error) {
    return {.options = std::nullopt, .exit_code = line.app().exit(error) == 0 ? 0 : kUsageError};
  }
}

absl::StatusOr<Options> ReparseOptions(int argc, const char* const* argv) {
  try {
    return CommandLine().Parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
}

std::vector<std::string> ChangedSettings(std::string_view before, std::string_view after) {
  const std::map<std::string, std::string> old = Settings(before);
  const std::map<std::string, std::string> now = Settings(after);
  std::set<std::string> changed;
  for (const auto& [name, value] : now) {
    if (const auto found = old.find(name); found == old.end() || found->second != value) {
      changed.insert(name);
    }
  }
  for (const auto& [name, value] : old) {
    if (!now.contains(name)) changed.insert(name);
  }
  return {changed.begin(), changed.end()};
}

bool IsLoopback(const std::string& address) {
  in_addr v4;
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6;
  if (inet_pton(AF_INET6, address.c_str(), &v6) != 1) return false;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return v6.s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&v6);
}

std::vector<std::string> UnknownVariables(const char* const* environment) {
  CommandLine line;
  std::set<std::string_view> known(std::begin(kOtherVariables), std::end(kOtherVariables));
  const std::vector<CLI::Option*> options = line.app().get_options({});
  std::vector<std::string> names;
  for (const CLI::Option* option : options) names.push_back(option->get_envname());
  known.insert(names.begin(), names.end());
  std::vector<std::string> unknown;
  for (; *environment != nullptr; ++environment) {
    const std::string name(*environment, std::string_view(*environment).find('='));
    if (absl::StartsWith(name, "VARVE_") && !known.contains(name)) unknown.push_back(name);
  }
  return unknown;
}

}  // namespace varve::server
