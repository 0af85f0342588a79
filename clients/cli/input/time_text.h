#ifndef VARVE_CLIENTS_CLI_INPUT_TIME_TEXT_H_
#define VARVE_CLIENTS_CLI_INPUT_TIME_TEXT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace varve::cli {

// A time as RFC 3339 writes it: "2026-09-01T09:00:00Z", "2026-09-01T11:00:00.5+02:00".
// InvalidArgument says what was found.
absl::StatusOr<absl::Time> ParseTimeText(std::string_view text);

// The same back, in UTC.
std::string TimeText(absl::Time time);

// A span of time longer than zero: "90m", "36h", "1h30m", or "7d". InvalidArgument says what was
// found.
absl::StatusOr<absl::Duration> ParseSpanText(std::string_view text);

// A time, or "+" and a span of it from `now`. InvalidArgument says what was found.
absl::StatusOr<absl::Time> ParseWhenText(std::string_view text, absl::Time now);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_TIME_TEXT_H_
