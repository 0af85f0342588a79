#include "clients/cli/format.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <system_error>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "base/str_cat.h"

namespace varve::cli {
namespace {

bool LooksLikeANumber(std::string_view cell) {
  return !cell.empty() && std::all_of(cell.begin(), cell.end(), [](char c) {
    return std::isdigit(static_cast<unsigned char>(c)) != 0 || c == ',' || c == '.' || c == '-';
  });
}

}  // namespace

std::string Thousands(uint64_t number) {
  std::string digits = StrCat(number);
  for (size_t i = digits.size(); i > 3;) {
    i -= 3;
    digits.insert(i, ",");
  }
  return digits;
}

std::string Megabytes(double bytes) { return absl::StrFormat("%.1f MB", bytes / 1e6); }

std::string Took(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  if (seconds < 60) return absl::StrFormat("%.2fs", seconds);
  const auto whole = static_cast<int64_t>(seconds);
  if (whole < 3'600) return absl::StrFormat("%dm%02ds", whole / 60, whole % 60);
  return absl::StrFormat("%dh%02dm", whole / 3'600, whole / 60 % 60);
}

std::string About(absl::Duration duration) {
  return absl::FormatDuration(absl::Ceil(duration, absl::Seconds(1)));
}

std::string IdText(const client::Id& id) {
  if (const uint64_t* const number = std::get_if<uint64_t>(&id)) return StrCat(*number);
  return absl::Utf8SafeCEscape(std::get<std::string>(id));
}

std::string FilterFault(std::string_view filter, std::string_view message) {
  constexpr std::string_view kMark = "filter, column ";
  const size_t mark = message.find(kMark);
  if (mark == message.npos || filter.empty()) return "";
  const char* const digits = message.data() + mark + kMark.size();
  size_t column = 0;
  const auto [stop, error] = std::from_chars(digits, message.data() + message.size(), column);
  if (error != std::errc() || column == 0 || column > filter.size() + 1) return "";
  std::string line(filter);
  for (char& c : line) c = absl::ascii_iscntrl(static_cast<unsigned char>(c)) ? ' ' : c;
  return StrCat("  ", line, "\n  ", std::string(column - 1, ' '), "^\n");
}

std::string Milliseconds(absl::Duration duration) {
  return absl::StrFormat("%.3f", absl::ToDoubleMilliseconds(duration));
}

std::string Percent(double share) { return absl::StrFormat("%.2f", share * 100); }

std::string ShellWord(std::string_view word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_-./:=@%+,").find(c) != std::string_view::npos;
  });
  if (plain) return std::string(word);
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

void Table::DropEmpty(size_t first) {
  for (size_t column = lines_.front().size(); column-- > first;) {
    const bool empty = std::all_of(lines_.begin() + 1, lines_.end(),
                                   [&](const auto& line) { return line[column].empty(); });
    if (!empty) continue;
    for (auto& line : lines_) line.erase(line.begin() + static_cast<ptrdiff_t>(column));
  }
}

std::string Table::Text() const {
  std::vector<size_t> widths;
  for (const auto& line : lines_) {
    widths.resize(std::max(widths.size(), line.size()));
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const auto& line : lines_) {
    std::string row;
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string padding(widths[i] - line[i].size(), ' ');
      row += i == 0 ? "" : "  ";
      row += LooksLikeANumber(line[i]) ? padding + line[i] : line[i] + padding;
    }
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + "\n";
  }
  return text;
}

}  // namespace varve::cli
