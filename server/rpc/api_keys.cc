#include "server/rpc/api_keys.h"

#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/rpc/files.h"

namespace varve::server {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kIdBytesMax = 64;
constexpr size_t kNamespacesMax = 1000;
constexpr size_t kKeyBytes = 32;
constexpr char kKeyPrefix[] = "varve_";

constexpr Scope kScopes[] = {Scope::kRead, Scope::kWrite, Scope::kAdmin};

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

absl::Status Wrong(std::string_view what) {
  return absl::InvalidArgumentError(absl::string_view(what.data(), what.size()));
}

// Every member is known, and those without a default are there; so later steps only look at values.
absl::Status CheckMembers(const Json& entry) {
  static const std::set<std::string_view> known = {"id", "sha256", "scope", "namespaces",
                                                   "expires"};
  if (!entry.is_object()) return Wrong("must be an object");
  for (const auto& [name, value] : entry.items()) {
    if (!known.contains(name)) return Wrong(StrCat("unknown member \"", name, "\""));
  }
  for (const std::string_view name : known) {
    if (name != "expires" && !entry.contains(name)) {
      return Wrong(StrCat("\"", name, "\" is missing"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Text(const Json& entry, const char* name) {
  const Json& value = entry.at(name);
  if (!value.is_string()) return Wrong(StrCat("\"", name, "\" must be text"));
  return value.get<std::string>();
}

absl::StatusOr<std::string> ParseId(const Json& entry) {
  VARVE_ASSIGN_OR_RETURN(std::string id, Text(entry, "id"));
  const bool printable = std::all_of(id.begin(), id.end(), absl::ascii_isgraph);
  if (id.empty() || id.size() > kIdBytesMax || !printable) {
    return Wrong(StrCat("\"id\" must be 1 to ", kIdBytesMax,
                        " characters of ASCII without spaces, is \"", id.substr(0, kIdBytesMax),
                        "\""));
  }
  return id;
}

// The value is in no error: who puts the key itself here by mistake must not find it in a log.
absl::StatusOr<KeyHash> ParseHash(const Json& entry) {
  VARVE_ASSIGN_OR_RETURN(const std::string hex, Text(entry, "sha256"));
  KeyHash hash;
  if (hex.size() != 2 * hash.size() || !std::all_of(hex.begin(), hex.end(), absl::ascii_isxdigit)) {
    return Wrong(StrCat("\"sha256\" must be ", 2 * hash.size(), " hexadecimal digits, has ",
                        hex.size(), " characters"));
  }
  const std::string bytes = absl::HexStringToBytes(hex);
  std::copy(bytes.begin(), bytes.end(), hash.begin());
  return hash;
}

absl::StatusOr<Scope> ParseScopeMember(const Json& entry) {
  VARVE_ASSIGN_OR_RETURN(const std::string text, Text(entry, "scope"));
  VARVE_ASSIGN_OR_RETURN(const Scope scope, ParseScope(text));
  return scope;
}

absl::StatusOr<std::vector<std::string>> ParseNamespaces(const Json& entry) {
  const Json& list = entry.at("namespaces");
  if (!list.is_array() || list.empty() || list.size() > kNamespacesMax) {
    return Wrong(
        StrCat("\"namespaces\" must be a list of 1 to ", kNamespacesMax, " names or patterns"));
  }
  std::vector<std::string> patterns;
  for (const Json& value : list) {
    if (!value.is_string()) return Wrong("\"namespaces\" must hold text");
    patterns.push_back(value.get<std::string>());
    VARVE_RETURN_IF_ERROR(CheckNamespacePattern(patterns.back()));
  }
  return patterns;
}

absl::StatusOr<absl::Time> ParseExpires(const Json& entry) {
  if (!entry.contains("expires")) return absl::InfiniteFuture();
  VARVE_ASSIGN_OR_RETURN(const std::string text, Text(entry, "expires"));
  return ParseExpiry(text);
}

absl::StatusOr<ApiKey> ParseEntry(const Json& entry) {
  VARVE_RETURN_IF_ERROR(CheckMembers(entry));
  ApiKey key;
  VARVE_ASSIGN_OR_RETURN(key.id, ParseId(entry));
  VARVE_ASSIGN_OR_RETURN(key.hash, ParseHash(entry));
  VARVE_ASSIGN_OR_RETURN(key.scope, ParseScopeMember(entry));
  VARVE_ASSIGN_OR_RETURN(key.namespaces, ParseNamespaces(entry));
  VARVE_ASSIGN_OR_RETURN(key.expires, ParseExpires(entry));
  return key;
}

// "entry 3 (ingest-2026)", or without the id where there is none to be read.
std::string NameOf(size_t number, const Json& entry) {
  const std::string name = StrCat("entry ", number);
  if (!entry.is_object() || !entry.contains("id") || !entry.at("id").is_string()) return name;
  return StrCat(name, " (", entry.at("id").get<std::string>().substr(0, kIdBytesMax), ")");
}

}  // namespace

std::string_view ScopeName(Scope scope) {
  switch (scope) {
    case Scope::kRead:
      return "read";
    case Scope::kWrite:
      return "write";
    case Scope::kAdmin:
      return "admin";
  }
  return "unknown";
}

absl::StatusOr<Scope> ParseScope(std::string_view text) {
  for (const Scope scope : kScopes) {
    if (text == ScopeName(scope)) return scope;
  }
  return Wrong(
      StrCat("scope must be read, write or admin, is \"", text.substr(0, kIdBytesMax), "\""));
}

absl::StatusOr<absl::Time> ParseExpiry(std::string_view text) {
  absl::Time expires;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, View(text), &expires, &error)) {
    return Wrong(StrCat("expires must be a time such as 2027-01-31T00:00:00Z, is \"",
                        text.substr(0, kIdBytesMax), "\""));
  }
  return expires;
}

absl::Status CheckNamespacePattern(std::string_view pattern) {
  const bool star_within = pattern.substr(0, pattern.size() - 1).find('*') != pattern.npos;
  if (!pattern.empty() && !star_within) return absl::OkStatus();
  return Wrong(
      StrCat("a namespace must be a name, or the beginning of names with a * behind, is \"",
             pattern.substr(0, kIdBytesMax), "\""));
}

KeyHash HashKey(std::string_view key) {
  KeyHash hash;
  SHA256(reinterpret_cast<const uint8_t*>(key.data()), key.size(), hash.data());
  return hash;
}

bool ApiKey::Covers(std::string_view name) const {
  return std::any_of(namespaces.begin(), namespaces.end(), [&](const std::string& pattern) {
    absl::string_view beginning = pattern;
    if (!absl::ConsumeSuffix(&beginning, "*")) return name == pattern;
    return absl::StartsWith(View(name), beginning);
  });
}

bool ApiKey::CoversAll() const {
  return std::find(namespaces.begin(), namespaces.end(), "*") != namespaces.end();
}

absl::StatusOr<std::vector<ApiKey>> ParseApiKeys(std::string_view json) {
  const Json document = Json::parse(json, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return Wrong("is not JSON");
  if (!document.is_object() || document.size() != 1 || !document.contains("keys") ||
      !document.at("keys").is_array()) {
    return Wrong("must be {\"keys\": [...]}");
  }
  if (document.at("keys").size() > kKeysMax) {
    return Wrong(
        StrCat("must hold at most ", kKeysMax, " keys, holds ", document.at("keys").size()));
  }
  std::vector<ApiKey> keys;
  std::set<std::string> ids;
  std::set<KeyHash> hashes;
  for (const Json& entry : document.at("keys")) {
    const std::string name = NameOf(keys.size() + 1, entry);
    absl::StatusOr<ApiKey> key = ParseEntry(entry);
    if (!key.ok()) return Wrong(StrCat(name, ": ", key.status().message()));
    if (!ids.insert(key->id).second) return Wrong(StrCat(name, ": the id is there twice"));
    if (!hashes.insert(key->hash).second) return Wrong(StrCat(name, ": the key is there twice"));
    keys.push_back(*std::move(key));
  }
  return keys;
}

std::string FormatApiKeys(const std::vector<ApiKey>& keys) {
  Json list = Json::array();
  for (const ApiKey& key : keys) list.push_back(Json::parse(FormatApiKey(key)));
  return Json{{"keys", list}}.dump(2) + "\n";
}

std::string FormatApiKey(const ApiKey& key) {
  const absl::string_view hash(reinterpret_cast<const char*>(key.hash.data()), key.hash.size());
  Json entry = {{"id", key.id},
                {"sha256", absl::BytesToHexString(hash)},
                {"scope", ScopeName(key.scope)},
                {"namespaces", key.namespaces}};
  if (key.expires != absl::InfiniteFuture()) {
    entry["expires"] = absl::FormatTime(absl::RFC3339_sec, key.expires, absl::UTCTimeZone());
  }
  return entry.dump(2);
}

absl::StatusOr<std::vector<ApiKey>> ReadApiKeys(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(path, kKeyFileBytesMax));
  absl::StatusOr<std::vector<ApiKey>> keys = ParseApiKeys(text);
  if (keys.ok()) return keys;
  return Wrong(StrCat("file of API keys ", path, ": ", keys.status().message()));
}

std::string MakeKey() {
  std::string bytes(kKeyBytes, '\0');
  if (RAND_bytes(reinterpret_cast<uint8_t*>(bytes.data()), kKeyBytes) != 1) std::abort();
  return kKeyPrefix + absl::WebSafeBase64Escape(bytes);
}

}  // namespace varve::server
