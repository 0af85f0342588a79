#include "clients/cli/progress.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"

namespace varve::cli {
namespace {

constexpr absl::Duration kTerminalInterval = absl::Milliseconds(200);
constexpr absl::Duration kPlainInterval = absl::Seconds(5);
// ANSI: back to the beginning of the line, and clear it.
constexpr std::string_view kClearLine = "\r\x1b[K";

}  // namespace

std::string FormatProgress(const Progress& progress, absl::Duration elapsed) {
  std::string text = StrCat(Thousands(progress.done), " of ", Thousands(progress.total), " rows");
  if (progress.total > 0) {
    absl::StrAppendFormat(&text, " (%d%%)",
                          static_cast<int>(100.0 * static_cast<double>(progress.done) /
                                           static_cast<double>(progress.total)));
  }
  const double seconds = absl::ToDoubleSeconds(elapsed);
  const uint64_t done_now = progress.done - progress.before;
  if (done_now == 0 || seconds <= 0) return text;
  const double rate = static_cast<double>(done_now) / seconds;
  text += StrCat(", ", Thousands(std::llround(rate)), " rows/s");
  if (progress.bytes > 0) {
    text += StrCat(", ", Megabytes(static_cast<double>(progress.bytes) / seconds), "/s");
  }
  if (progress.done < progress.total) {
    const double left = static_cast<double>(progress.total - progress.done) / rate;
    text += StrCat(", ", About(absl::Seconds(left)), " left");
  }
  return text;
}

ProgressDisplay::ProgressDisplay(std::ostream* stream, bool is_terminal,
                                 std::function<std::string()> line)
    : stream_(*stream),
      is_terminal_(is_terminal),
      line_(std::move(line)),
      thread_([this] { Run(); }) {}

ProgressDisplay::~ProgressDisplay() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    stop_.SignalAll();
  }
  thread_.join();
  if (is_terminal_) stream_ << kClearLine << std::flush;
}

void ProgressDisplay::Print(std::string_view message) {
  MutexLock lock(&mu_);
  stream_ << (is_terminal_ ? kClearLine : "") << message << std::endl;
}

void ProgressDisplay::Run() {
  const absl::Duration interval = is_terminal_ ? kTerminalInterval : kPlainInterval;
  MutexLock lock(&mu_);
  for (;;) {
    const auto next = absl::ToChronoTime(absl::Now() + interval);
    while (!stopping_ && stop_.WaitUntil(&mu_, next)) {
    }
    if (stopping_) return;
    if (is_terminal_) {
      stream_ << kClearLine << line_() << std::flush;
    } else {
      stream_ << line_() << std::endl;
    }
  }
}

}  // namespace varve::cli
