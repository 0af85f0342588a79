#include "server/rpc/call_access.h"

#include <grpcpp/server_context.h>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/str_cat.h"
#include "server/engine/engine.h"
#include "server/log.h"
#include "server/rpc/status_mapping.h"

namespace varve::server {
namespace {

constexpr char kHeader[] = "authorization";
constexpr char kScheme[] = "bearer ";
constexpr size_t kKeyBytesMax = 256;
constexpr size_t kPatternsShown = 10;

// The text of the key in a call's metadata. Errors never show what was found.
absl::StatusOr<absl::string_view> PresentedKey(const grpc::CallbackServerContext& rpc) {
  const auto [begin, end] = rpc.client_metadata().equal_range(kHeader);
  if (begin == end) {
    return absl::UnauthenticatedError(
        "this server asks for an API key: send the metadata authorization: Bearer KEY");
  }
  absl::string_view key(begin->second.data(), begin->second.size());
  if (std::next(begin) != end || !absl::StartsWithIgnoreCase(key, kScheme) ||
      key.size() > kKeyBytesMax) {
    return absl::UnauthenticatedError("the metadata authorization must be, once, Bearer KEY");
  }
  key.remove_prefix(sizeof(kScheme) - 1);
  return key;
}

std::string Patterns(const ApiKey& key) {
  const size_t shown = std::min(key.namespaces.size(), kPatternsShown);
  const std::string list =
      absl::StrJoin(key.namespaces.begin(), key.namespaces.begin() + shown, ", ");
  return shown == key.namespaces.size() ? list : StrCat(list, ", ...");
}

}  // namespace

CallAccess::CallAccess(const KeyRing* keys, std::string_view method,
                       const grpc::CallbackServerContext& rpc)
    : keys_(keys), method_(method), rule_(RuleOf(method)), rpc_(rpc), audited_(rule_.audited) {
  if (keys_ == nullptr) return;
  const absl::StatusOr<absl::string_view> key = PresentedKey(rpc);
  presented_ = key.status();
  if (key.ok()) hash_ = HashKey({key->data(), key->size()});
}

absl::Status CallAccess::Check() {
  if (keys_ == nullptr) return absl::OkStatus();
  if (!presented_.ok()) return presented_;
  std::shared_ptr<const ApiKey> found = keys_->Find(*hash_);
  if (found == nullptr) {
    return absl::UnauthenticatedError("the API key is not known to this server, or was removed");
  }
  key_ = std::move(found);
  if (absl::Now() >= key_->expires) {
    return absl::UnauthenticatedError(
        StrCat("API key ", key_->id, " expired at ",
               absl::FormatTime(absl::RFC3339_sec, key_->expires, absl::UTCTimeZone())));
  }
  if (key_->scope < rule_.scope) {
    const std::string_view wanted = ScopeName(rule_.scope);
    return WithMetadata(
        absl::PermissionDeniedError(StrCat(method_, " takes a key of scope ", wanted, ", API key ",
                                           key_->id, " has scope ", ScopeName(key_->scope))),
        "scope", wanted);
  }
  if (rule_.reach == Reach::kAll && !key_->CoversAll()) {
    return absl::PermissionDeniedError(StrCat(method_, " takes a key for all namespaces, API key ",
                                              key_->id, " is for the namespaces ",
                                              Patterns(*key_)));
  }
  // A stream's key may have got fewer namespaces meanwhile.
  if (!namespace_.empty() && !key_->Covers(namespace_)) return engine::NoSuchNamespace(namespace_);
  return absl::OkStatus();
}

bool CallAccess::Covers(std::string_view name) {
  Note(name);
  return keys_ == nullptr || key_->Covers(name);
}

bool CallAccess::CoversAll() const { return keys_ == nullptr || key_->CoversAll(); }

absl::Status CallAccess::CheckMayMake(std::string_view name) {
  if (Covers(name)) return absl::OkStatus();
  return absl::PermissionDeniedError(StrCat("API key ", key_->id, " is for the namespaces ",
                                            Patterns(*key_), ", \"", name, "\" is none of them"));
}

// Without a valid key a call is nobody's: those are among the calls that failed, so that a flood of
// them does not drown what was done.
void CallAccess::LogEnd(const absl::Status& status) const {
  if (!audited_ || absl::IsUnauthenticated(status)) return;
  const std::string outcome = absl::StatusCodeToString(status.code());
  const std::string peer = rpc_.peer();
  Log(LogLevel::kAudit, "call ended",
      {{"event", "audit"},
       {"key", key_ == nullptr ? std::string_view() : std::string_view(key_->id)},
       {"peer", peer},
       {"method", method_},
       {"namespace", namespace_},
       {"outcome", outcome}});
}

}  // namespace varve::server
