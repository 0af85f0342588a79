#ifndef VARVE_SERVER_LOG_H_
#define VARVE_SERVER_LOG_H_

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <variant>

#include "absl/types/span.h"

namespace varve::server {

// Audit lines are written whatever the level.
enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError, kAudit };

// "debug", "info", "warning" or "error"; nullopt for any other text.
std::optional<LogLevel> ParseLogLevel(std::string_view text);

// One named value of a log line. Holds views: for use within the call of Log() only.
struct LogField {
  LogField(std::string_view key, std::string_view value) : key(key), value(value) {}
  LogField(std::string_view key, const char* value) : key(key), value(std::string_view(value)) {}
  LogField(std::string_view key, bool value) : key(key), value(value) {}
  LogField(std::string_view key, double value) : key(key), value(value) {}
  template <std::integral T>
  LogField(std::string_view key, T value) : key(key), value(static_cast<int64_t>(value)) {}

  std::string_view key;
  std::variant<std::string_view, bool, int64_t, double> value;
};

// Adds fields to every line that the thread logs while the object lives; of several the innermost counts.
// Whatever the fields view must live as long.
class LogScope {
 public:
  explicit LogScope(absl::Span<const LogField> fields);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

 private:
  const absl::Span<const LogField> outer_;
};

// Lines below `level` are dropped. At the start all is dropped, so that tests are quiet.
void SetLogLevel(LogLevel level);

// Writes one line to stderr: a JSON object with "time", "level", "message", the fields and
// those of the thread's LogScope, in that order. Whatever the fields hold, it stays one line and valid JSON. Thread-safe.
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace varve::server

#endif  // VARVE_SERVER_LOG_H_
