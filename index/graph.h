#ifndef VARVE_INDEX_GRAPH_H_
#define VARVE_INDEX_GRAPH_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace varve::index {

// More levels than a graph of 2^32 nodes comes to; a damaged file may say anything.
inline constexpr uint32_t kGraphLevelMax = 64;

inline constexpr uint32_t kNoNode = std::numeric_limits<uint32_t>::max();

// Where a walk begins.
struct EntryPoint {
  uint32_t node = kNoNode;  // kNoNode: the graph is empty
  int level = -1;
};

// A finished HNSW graph in flat arrays that somebody else owns (Malkov and Yashunin, "Efficient and
// robust approximate nearest neighbor search using Hierarchical Navigable Small World graphs",
// 2016). Nodes are ordinals of a segment. A list of links is their number, then room for as many as
// the level allows: 2 * m at level 0, m above. Immutable; any thread may read it.
//
// The arrays may come from a damaged file: reading links stays within them whatever they hold.
class GraphView {
 public:
  GraphView() = default;
  // `base` holds one list for each node, `upper` the lists of levels 1, 2 ... of a node one behind
  // the other, `upper_offsets` the index of each node's first one, in lists (kNoNode: level 0
  // only).
  GraphView(uint32_t m, EntryPoint entry, absl::Span<const uint32_t> base,
            absl::Span<const uint32_t> upper_offsets, absl::Span<const uint32_t> upper)
      : m_(m), entry_(entry), base_(base), upper_offsets_(upper_offsets), upper_(upper) {}

  EntryPoint entry() const { return entry_; }
  uint32_t m() const { return m_; }
  uint32_t nodes() const { return static_cast<uint32_t>(upper_offsets_.size()); }

  // The links of a node; empty at a level that it does not have. In a damaged graph a link may be
  // to a node that does not exist.
  absl::Span<const uint32_t> Links(uint32_t node, int level) const {
    return level == 0 ? List(base_, node, 2 * m_)
                      : List(upper_, uint64_t{upper_offsets_[node]} + (level - 1), m_);
  }

  // Begins to fetch the links of a node of level 0.
  void Prefetch(uint32_t node) const {
    constexpr size_t kLinksPerLine = 16;
    const uint32_t* const list = base_.data() + size_t{node} * (2 * m_ + 1);
    for (size_t i = 0; i <= 2 * m_; i += kLinksPerLine) __builtin_prefetch(list + i);
  }

  // The level of every node: how many lists it has in the upper levels. Of a graph that verifies.
  std::vector<uint8_t> Levels() const;

  // DataLoss unless every list has a length it can have, links to nodes that exist, and every node
  // above level 0 has lists of its own, in order of node.
  absl::Status Verify() const;

 private:
  static absl::Span<const uint32_t> List(absl::Span<const uint32_t> lists, uint64_t index,
                                         uint32_t room) {
    const uint64_t begin = index * (room + 1);
    if (begin >= lists.size()) return {};
    return lists.subspan(begin + 1, std::min(lists[begin], room));
  }

  uint32_t m_ = 0;
  EntryPoint entry_;
  absl::Span<const uint32_t> base_;
  absl::Span<const uint32_t> upper_offsets_;
  absl::Span<const uint32_t> upper_;
};

// The arrays of a graph, being filled. One thread.
class GraphArrays {
 public:
  GraphArrays(uint32_t nodes, uint32_t m)
      : m_(m), base_(size_t{nodes} * (2 * m + 1)), upper_offsets_(nodes, kNoNode) {}

  // Links of a node, level 0 first, then level 1 and up without gaps; nodes in their order.
  void AddLevel(uint32_t node, int level, absl::Span<const uint32_t> links);
  void set_entry(EntryPoint entry) { entry_ = entry; }

  // Links from a node at level 0; false, and nothing is done, when its list is full.
  bool AddLink(uint32_t from, uint32_t to);
  // The same in the place of the last link of a full list.
  void ReplaceLink(uint32_t from, uint32_t to);

  GraphView view() const { return {m_, entry_, base_, upper_offsets_, upper_}; }
  absl::Span<const uint32_t> base() const { return base_; }
  absl::Span<const uint32_t> upper_offsets() const { return upper_offsets_; }
  absl::Span<const uint32_t> upper() const { return upper_; }

 private:
  const uint32_t m_;
  EntryPoint entry_;
  std::vector<uint32_t> base_;
  std::vector<uint32_t> upper_offsets_;
  std::vector<uint32_t> upper_;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_GRAPH_H_
