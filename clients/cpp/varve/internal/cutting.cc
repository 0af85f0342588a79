#include "clients/cpp/varve/internal/cutting.h"

#include <algorithm>
#include <type_traits>

namespace varve::client::internal {
namespace {

// What is left of a message after its envelope: names, options, lengths.
constexpr size_t kPayloadBytesMax = kMessageBytesMax - (size_t{64} << 10);
// Tag and length of a text id, or of a query's count.
constexpr size_t kItemOverheadBytes = 6;
// The kind of ids is not known beforehand: room for the longest.
constexpr size_t kHitBytesMax = kTextIdBytesMax + kItemOverheadBytes + sizeof(float);

}  // namespace

size_t QueriesPerCall(size_t query_bytes, uint32_t k) {
  const size_t results = std::max<size_t>(k, 1);
  const size_t that_fit_there = kPayloadBytesMax / std::max<size_t>(query_bytes, 1);
  const size_t that_fit_back = kPayloadBytesMax / (results * kHitBytesMax + kItemOverheadBytes);
  const size_t allowed = kSearchResultsMax / results;
  return std::max<size_t>(1, std::min({that_fit_there, that_fit_back, allowed}));
}

size_t IdsPerCall(const IdsView& ids, size_t first, size_t most) {
  return std::visit(
      [&](const auto& list) {
        const size_t end = first + std::min(most, list.size() - first);
        size_t bytes = 0;
        size_t i = first;
        for (; i < end; ++i) {
          if constexpr (std::is_same_v<std::decay_t<decltype(list[i])>, uint64_t>) {
            bytes += sizeof(uint64_t);
          } else {
            bytes += list[i].size() + kItemOverheadBytes;
          }
          if (bytes > kPayloadBytesMax && i > first) break;
        }
        return i - first;
      },
      ids);
}

}  // namespace varve::client::internal
