#ifndef VARVE_CLIENTS_CLI_VERBS_SCAN_TOKEN_H_
#define VARVE_CLIENTS_CLI_VERBS_SCAN_TOKEN_H_

#include <optional>
#include <string>
#include <string_view>

#include "clients/cpp/varve/records.h"

namespace varve::cli {

// Where a scan that was cut goes on: behind `after`, in the page that the server's token begins.
struct ScanToken {
  std::string server;               // empty: from the beginning
  std::optional<client::Id> after;  // the last record printed
};

// A word for it, of letters, digits, _ and -.
std::string ToText(const ScanToken& token);

// Nullopt when `word` is no such word.
std::optional<ScanToken> ParseScanToken(std::string_view word);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_VERBS_SCAN_TOKEN_H_
