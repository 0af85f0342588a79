#include "clients/cli/input/time_text.h"

#include <charconv>
#include <cstdint>
#include <system_error>

#include "base/str_cat.h"

namespace varve::cli {
namespace {

constexpr std::string_view kWantedTime = "wanted a time such as 2026-09-01T09:00:00Z";
constexpr std::string_view kWantedSpan = "wanted a span of time such as 90m, 36h or 7d";
// As far as a protocol Duration goes.
constexpr int64_t kDaysMax = 3'652'500;

absl::Status Bad(std::string_view text, std::string_view wanted) {
  return absl::InvalidArgumentError(StrCat("is '", text.substr(0, 80), "', ", wanted));
}

// "7d"; zero when `text` is nothing like that.
absl::Duration ParseDays(std::string_view text) {
  if (!text.ends_with('d')) return absl::ZeroDuration();
  int64_t days = 0;
  const char* const end = text.data() + text.size() - 1;
  const auto [stop, error] = std::from_chars(text.data(), end, days);
  const bool fits = error == std::errc() && stop == end && days >= 0 && days <= kDaysMax;
  return fits ? absl::Hours(24) * days : absl::ZeroDuration();
}

}  // namespace

absl::StatusOr<absl::Time> ParseTimeText(std::string_view text) {
  absl::Time time;
  std::string why;
  const bool parsed = absl::ParseTime(absl::RFC3339_full, {text.data(), text.size()}, &time, &why);
  const bool finite = time != absl::InfiniteFuture() && time != absl::InfinitePast();
  if (!parsed || !finite) return Bad(text, kWantedTime);
  return time;
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%E4Y-%m-%dT%H:%M:%E*SZ", time, absl::UTCTimeZone());
}

absl::StatusOr<absl::Duration> ParseSpanText(std::string_view text) {
  absl::Duration span = ParseDays(text);
  if (span == absl::ZeroDuration() &&
      !absl::ParseDuration(absl::string_view(text.data(), text.size()), &span)) {
    return Bad(text, kWantedSpan);
  }
  if (span <= absl::ZeroDuration() || span > absl::Hours(24) * kDaysMax) {
    return Bad(text, StrCat(kWantedSpan, ", longer than zero"));
  }
  return span;
}

absl::StatusOr<absl::Time> ParseWhenText(std::string_view text, absl::Time now) {
  if (!text.starts_with('+')) {
    const absl::StatusOr<absl::Time> time = ParseTimeText(text);
    return time.ok() ? time : Bad(text, StrCat(kWantedTime, ", or +SPAN such as +36h"));
  }
  const absl::StatusOr<absl::Duration> span = ParseSpanText(text.substr(1));
  if (!span.ok()) return Bad(text, "wanted + and a span of time such as +90m, +36h or +7d");
  return now + *span;
}

}  // namespace varve::cli
