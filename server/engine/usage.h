#ifndef VARVE_SERVER_ENGINE_USAGE_H_
#define VARVE_SERVER_ENGINE_USAGE_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/byte_rate.h"

namespace varve::engine {

// How many there are of something now, held to a limit that may change. Thread-safe; outlives its shares.
class Occupancy {
 public:
  // One of them, which leaves when it is destroyed. Empty after a move.
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept { *this = std::move(other); }
    Share& operator=(Share&& other) noexcept {
      std::swap(of_, other.of_);
      return *this;
    }
    ~Share() {
      if (of_ != nullptr) of_->count_.fetch_sub(1, std::memory_order_relaxed);
    }

   private:
    friend class Occupancy;
    explicit Share(Occupancy* of) : of_(of) {}

    Occupancy* of_ = nullptr;
  };

  // Nullopt where there are `limit` already.
  std::optional<Share> TryEnter(uint64_t limit) {
    Share share(this);
    if (count_.fetch_add(1, std::memory_order_relaxed) >= limit) return std::nullopt;
    return share;
  }

 private:
  std::atomic<uint64_t> count_{0};
};

// What calls take of a namespace now, of that which NamespaceLimits are of. Counted by whoever serves
// them. Thread-safe.
struct NamespaceUsage {
  Occupancy searches;
  Occupancy streams;
  ByteRate ingest;
};

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_USAGE_H_
