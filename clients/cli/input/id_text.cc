#include "clients/cli/input/id_text.h"

#include <charconv>
#include <system_error>

#include "base/str_cat.h"

namespace varve::cli {
namespace {

// Bytes of the well-formed UTF-8 character that `text` begins with (Unicode, table 3-7); 0: none.
size_t CharacterBytes(std::string_view text) {
  const auto byte = [text](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const auto in = [&byte](size_t i, int low, int high) {
    return byte(i) >= low && byte(i) <= high;
  };
  const auto tail = [&in](size_t i) { return in(i, 0x80, 0xbf); };
  if (in(0, 0x00, 0x7f)) return 1;
  if (in(0, 0xc2, 0xdf)) return tail(1) ? 2 : 0;
  if (in(0, 0xe0, 0xef)) {
    const bool shortest = byte(0) != 0xe0 || in(1, 0xa0, 0xbf);
    const bool no_surrogate = byte(0) != 0xed || in(1, 0x80, 0x9f);
    return tail(1) && tail(2) && shortest && no_surrogate ? 3 : 0;
  }
  if (in(0, 0xf0, 0xf4)) {
    const bool shortest = byte(0) != 0xf0 || in(1, 0x90, 0xbf);
    const bool in_range = byte(0) != 0xf4 || in(1, 0x80, 0x8f);
    return tail(1) && tail(2) && tail(3) && shortest && in_range ? 4 : 0;
  }
  return 0;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace

std::optional<uint64_t> ParseNumberId(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

absl::Status CheckTextId(std::string_view text) {
  if (text.empty() || text.size() > kTextIdBytesMax) {
    return absl::InvalidArgumentError(
        StrCat("has ", text.size(), " bytes, wanted 1 to ", kTextIdBytesMax));
  }
  if (!IsUtf8(text)) return absl::InvalidArgumentError("is not UTF-8");
  return absl::OkStatus();
}

}  // namespace varve::cli
