#include "clients/cli/verbs/scan_token.h"

#include <variant>

#include "absl/strings/escaping.h"
#include "clients/cli/input/id_text.h"

namespace varve::cli {
namespace {

// What the id is, then the length of the server's token, a colon, the token, the id.
constexpr char kNone = '-', kNumber = 'n', kText = 't';

}  // namespace

std::string ToText(const ScanToken& token) {
  std::string id;
  char kind = kNone;
  if (token.after) {
    const uint64_t* const number = std::get_if<uint64_t>(&*token.after);
    kind = number != nullptr ? kNumber : kText;
    id = number != nullptr ? std::to_string(*number) : std::get<std::string>(*token.after);
  }
  const std::string plain = kind + std::to_string(token.server.size()) + ":" + token.server + id;
  return absl::WebSafeBase64Escape(plain);
}

std::optional<ScanToken> ParseScanToken(std::string_view word) {
  std::string plain;
  if (!absl::WebSafeBase64Unescape(absl::string_view(word.data(), word.size()), &plain)) {
    return std::nullopt;
  }
  const size_t colon = plain.find(':');
  if (colon == plain.npos) return std::nullopt;
  const std::optional<uint64_t> length = ParseNumberId(plain.substr(1, colon - 1));
  if (!length || *length > plain.size() - colon - 1) return std::nullopt;
  ScanToken token{.server = plain.substr(colon + 1, *length), .after = std::nullopt};
  const std::string id = plain.substr(colon + 1 + *length);
  if (plain.front() == kText) {
    token.after = id;
  } else if (plain.front() == kNumber) {
    token.after = ParseNumberId(id);
    if (!token.after) return std::nullopt;
  } else if (plain.front() != kNone || !id.empty()) {
    return std::nullopt;
  }
  return token;
}

}  // namespace varve::cli
