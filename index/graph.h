#ifndef VARVE_INDEX_GRAPH_H_
#define VARVE_INDEX_GRAPH_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"

namespace varve::index {

inline constexpr uint32_t kNoNode = std::numeric_limits<uint32_t>::max();

// Where a walk begins.
struct EntryPoint {
  uint32_t node = kNoNode;  // kNoNode: the graph is empty
  int level = -1;
};

// A finished HNSW graph in flat arrays (Malkov and Yashunin, "Efficient and robust approximate
// nearest neighbor search using Hierarchical Navigable Small World graphs", 2016). Nodes are
// ordinals of a segment. Immutable once built; any thread may read it.
class Graph {
 public:
  // Links per node: at most `m` in the upper levels, 2 * m at level 0.
  Graph(uint32_t nodes, uint32_t m)
      : m_(m), base_(size_t{nodes} * (2 * m + 1)), upper_offsets_(nodes, kNoNode) {}

  // Building: links of each node, level 0 first, then level 1 and up without gaps. One thread.
  void AddLevel(uint32_t node, int level, absl::Span<const uint32_t> links);
  void set_entry(EntryPoint entry) { entry_ = entry; }

  EntryPoint entry() const { return entry_; }

  // The links of a node at a level that it has.
  absl::Span<const uint32_t> Links(uint32_t node, int level) const {
    const uint32_t* list = level == 0
                               ? &base_[size_t{node} * (2 * m_ + 1)]
                               : &upper_[(size_t{upper_offsets_[node]} + (level - 1)) * (m_ + 1)];
    return {list + 1, list[0]};
  }

  size_t memory_bytes() const {
    return (base_.size() + upper_offsets_.size() + upper_.size()) * sizeof(uint32_t);
  }

 private:
  const uint32_t m_;
  EntryPoint entry_;
  // A list is its length, then room for as many links as the level allows.
  std::vector<uint32_t> base_;
  // Of each node, the index of its first list in upper_, in lists; kNoNode: it has level 0 only.
  std::vector<uint32_t> upper_offsets_;
  std::vector<uint32_t> upper_;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_GRAPH_H_
