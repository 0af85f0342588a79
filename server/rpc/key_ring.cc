#include "server/rpc/key_ring.h"

#include <openssl/crypto.h>

#include <utility>

#include "base/status_macros.h"

namespace varve::server {

absl::StatusOr<std::unique_ptr<KeyRing>> KeyRing::Open(const std::string& path) {
  std::unique_ptr<KeyRing> ring(new KeyRing(path));
  VARVE_RETURN_IF_ERROR(ring->Reload());
  return ring;
}

absl::Status KeyRing::Reload() {
  VARVE_ASSIGN_OR_RETURN(Keys keys, ReadApiKeys(path_));
  MutexLock lock(&mu_);
  keys_ = std::make_shared<const Keys>(std::move(keys));
  return absl::OkStatus();
}

std::shared_ptr<const KeyRing::Keys> KeyRing::keys() const {
  MutexLock lock(&mu_);
  return keys_;
}

// Takes as long whichever key it is, and whether there is one.
std::shared_ptr<const ApiKey> KeyRing::Find(const KeyHash& hash) const {
  const std::shared_ptr<const Keys> keys = this->keys();
  const ApiKey* found = nullptr;
  for (const ApiKey& key : *keys) {
    if (CRYPTO_memcmp(key.hash.data(), hash.data(), hash.size()) == 0) found = &key;
  }
  return {keys, found};
}

size_t KeyRing::size() const { return keys()->size(); }

KeyRing::Counts KeyRing::CountAt(absl::Time now) const {
  Counts counts;
  for (const ApiKey& key : *keys()) ++(key.expires <= now ? counts.expired : counts.valid);
  return counts;
}

}  // namespace varve::server
