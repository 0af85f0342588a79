#include "server/reloader.h"

#include <algorithm>
#include <iterator>

#include "absl/status/statusor.h"
#include "server/log.h"

namespace varve::server {
namespace {

// Applies all of kReloadableSettings.
void Apply(const Options& options, Server* server) {
  SetLogLevel(options.log_level);
  server->ApplyLimits(options);
}

bool TakesRestart(const std::string& setting) {
  return std::find(std::begin(kReloadableSettings), std::end(kReloadableSettings), setting) ==
         std::end(kReloadableSettings);
}

}  // namespace

void Reloader::Reload(Server* server) const {
  ReloadSettings(server);
  server->ReloadSecurity();
}

void Reloader::ReloadSettings(Server* server) const {
  const absl::StatusOr<Options> options = ReparseOptions(argc_, argv_);
  if (!options.ok()) {
    const std::string error(options.status().message());
    Log(LogLevel::kError, "settings stay as they were", {{"error", error}});
    return;
  }
  for (const std::string& setting : ChangedSettings(running_toml_, options->toml)) {
    if (!TakesRestart(setting)) continue;
    Log(LogLevel::kWarning, "a setting has changed that takes a restart", {{"setting", setting}});
  }
  Apply(*options, server);
  Log(LogLevel::kInfo, "settings read again");
}

}  // namespace varve::server
