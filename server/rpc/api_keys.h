#ifndef VARVE_SERVER_RPC_API_KEYS_H_
#define VARVE_SERVER_RPC_API_KEYS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace varve::server {

// What a key may do; each includes those before it.
enum class Scope : uint8_t { kRead, kWrite, kAdmin };

std::string_view ScopeName(Scope scope);

// Parts of an entry as text. InvalidArgument says what is wanted.
absl::StatusOr<Scope> ParseScope(std::string_view text);        // "read", "write" or "admin"
absl::StatusOr<absl::Time> ParseExpiry(std::string_view text);  // RFC 3339
absl::Status CheckNamespacePattern(std::string_view pattern);

// SHA-256 of a key's text. A key is 256 random bits: there is nothing to guess, so that the slow and
// salted hashes which passwords need would only cost time on every call.
using KeyHash = std::array<uint8_t, 32>;

KeyHash HashKey(std::string_view key);

// One entry of the file of keys. The key itself is nowhere but with its owner.
struct ApiKey {
  std::string id;  // for logs and for people
  KeyHash hash = {};
  Scope scope = Scope::kRead;
  std::vector<std::string> namespaces;  // names, or beginnings of names followed by `*`
  absl::Time expires = absl::InfiniteFuture();

  bool Covers(std::string_view name) const;
  bool CoversAll() const;  // every namespace there may ever be
};

// The file's format is in docs/operations.md.
inline constexpr size_t kKeyFileBytesMax = size_t{1} << 20;
inline constexpr size_t kKeysMax = 1000;

// InvalidArgument names the entry that is wrong, by its number and id.
absl::StatusOr<std::vector<ApiKey>> ParseApiKeys(std::string_view json);
std::string FormatApiKeys(const std::vector<ApiKey>& keys);
std::string FormatApiKey(const ApiKey& key);  // one entry

// Reads and parses a file of keys; errors name it. NotFound, InvalidArgument.
absl::StatusOr<std::vector<ApiKey>> ReadApiKeys(const std::string& path);

// A key nobody has seen: "varve_" and 256 random bits in 43 characters.
std::string MakeKey();

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_API_KEYS_H_
