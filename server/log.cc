#include "server/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace varve::server {
namespace {

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kAudit:
      return "audit";
  }
  return "unknown";
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kAudit:
      return spdlog::level::critical;
  }
  return spdlog::level::off;
}

thread_local absl::Span<const LogField> scope_fields;

spdlog::logger& Logger() {
  static spdlog::logger& logger = *[] {
    auto* made = new spdlog::logger("varved", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->set_level(spdlog::level::off);
    return made;
  }();
  return logger;
}

}  // namespace

std::optional<LogLevel> ParseLogLevel(std::string_view text) {
  for (LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    if (text == LevelName(level)) return level;
  }
  return std::nullopt;
}

LogScope::LogScope(absl::Span<const LogField> fields)
    : outer_(std::exchange(scope_fields, fields)) {}

LogScope::~LogScope() { scope_fields = outer_; }

void SetLogLevel(LogLevel level) { Logger().set_level(ToSpdlog(level)); }

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!Logger().should_log(ToSpdlog(level))) return;
  nlohmann::ordered_json line;
  line["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  line["level"] = LevelName(level);
  line["message"] = message;
  const auto add = [&line](const LogField& field) {
    std::visit([&](const auto& value) { line[std::string(field.key)] = value; }, field.value);
  };
  for (const LogField& field : fields) add(field);
  for (const LogField& field : scope_fields) add(field);
  // Names and paths come from outside: bytes that are not UTF-8 are replaced rather than thrown
  // upon.
  const auto replace = nlohmann::ordered_json::error_handler_t::replace;
  Logger().log(ToSpdlog(level), "{}", line.dump(-1, ' ', /*ensure_ascii=*/false, replace));
}

}  // namespace varve::server
