#include "index/graph_builder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "hnswlib/hnswlib.h"

namespace varve::index {
namespace {

using Hnsw = hnswlib::HierarchicalNSW<float>;
using Candidate = std::pair<float, hnswlib::tableint>;
using Candidates = std::priority_queue<Candidate, std::vector<Candidate>, Hnsw::CompareByFirst>;

// hnswlib's idea of a vector is a pointer to one of the segment's: nothing is stored twice.
class PointerSpace : public hnswlib::SpaceInterface<float> {
 public:
  PointerSpace(VectorFunction distance, size_t padded_dimension)
      : distance_(distance), padded_dimension_(padded_dimension) {}

  size_t get_data_size() override { return sizeof(const float*); }
  hnswlib::DISTFUNC<float> get_dist_func() override { return &Distance; }
  void* get_dist_func_param() override { return this; }

  float RawDistance(const float* a, const float* b) const {
    return distance_(a, b, padded_dimension_);
  }

 private:
  static float Distance(const void* a, const void* b, const void* space) {
    const auto* self = static_cast<const PointerSpace*>(space);
    return self->distance_(Load(a), Load(b), self->padded_dimension_);
  }
  static const float* Load(const void* slot) {
    const float* vector;
    std::memcpy(&vector, slot, sizeof(vector));
    return vector;
  }

  const VectorFunction distance_;
  const size_t padded_dimension_;
};

// The level of a node, drawn from the distribution the paper gives: exp(-level * ln(m)). A function
// of the ordinal alone, so that it needs no shared random state (splitmix64: Steele, Lea, Flood
// 2014).
int LevelOf(uint32_t node, uint32_t m) {
  uint64_t x = (uint64_t{node} + 1) * 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  x ^= x >> 31;
  const double uniform = (static_cast<double>(x >> 11) + 0.5) * 0x1p-53;  // in (0, 1)
  return static_cast<int>(-std::log(uniform) / std::log(m));
}

// The nearest of a queue whose top is the farthest. The standard keeps the container protected.
hnswlib::tableint Nearest(const Candidates& candidates) {
  struct Open : Candidates {
    static const container_type& Container(const Candidates& queue) { return queue.*&Open::c; }
  };
  const auto& all = Open::Container(candidates);
  return std::min_element(all.begin(), all.end())->second;
}

}  // namespace

struct GraphBuilder::Impl {
  Impl(const RowSource* rows, uint32_t capacity, const VectorSpace& vectors, uint32_t m,
       uint32_t ef_construction)
      : rows(rows),
        m(m),
        space(vectors.kernel(), vectors.padded_dimension()),
        hnsw(&space, capacity, m, ef_construction) {
    // hnswlib prefetches what the link after a list's last one points to. Between the lists of a node
    // is room for it: else it would be the next list's count, which another thread may be writing.
    hnsw.size_links_per_element_ += sizeof(hnswlib::tableint);
  }
  // hnswlib frees the upper links of as many nodes as it counted; we count for it.
  ~Impl() { hnsw.cur_element_count = hnsw.max_elements_; }

  // Makes the node's slot: no links yet, and where its vector is.
  const void* PrepareSlot(uint32_t node, int level) {
    const float* vector = rows->vector(node);
    std::memset(hnsw.get_linklist0(node), 0, hnsw.size_links_level0_);
    std::memcpy(hnsw.getDataByInternalId(node), &vector, sizeof(vector));
    if (level > 0) {
      hnsw.linkLists_[node] = static_cast<char*>(std::calloc(level, hnsw.size_links_per_element_));
      if (hnsw.linkLists_[node] == nullptr) throw std::bad_alloc();
    }
    hnsw.element_levels_[node] = level;
    return hnsw.getDataByInternalId(node);
  }

  // The node nearest to `data` that greedy steps reach from `from`, on levels above `level`.
  uint32_t Descend(const void* data, EntryPoint from, int level) {
    uint32_t nearest = from.node;
    float best = Distance(data, nearest);
    std::vector<uint32_t> links(m);
    for (int l = from.level; l > level; --l) {
      for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t link : CopyLinks(nearest, l, links.data())) {
          const float distance = Distance(data, link);
          if (distance < best) {
            best = distance;
            nearest = link;
            moved = true;
          }
        }
      }
    }
    return nearest;
  }

  // The links that an adopted node takes along. False when a dropped one has no living neighbour.
  bool SurvivingLinks(const GraphView& graph, uint32_t node, int level,
                      absl::Span<const uint32_t> renumbered, std::vector<uint32_t>* out) const {
    std::vector<uint32_t>& links = *out;
    links.clear();
    bool all_have_heirs = true;
    for (uint32_t link : graph.Links(node, level)) {
      if (renumbered[link] != kNoNode) links.push_back(renumbered[link]);
    }
    const float* const vector = rows->vector(renumbered[node]);
    for (uint32_t dropped : graph.Links(node, level)) {
      if (renumbered[dropped] != kNoNode) continue;
      Candidate nearest{std::numeric_limits<float>::max(), kNoNode};
      bool has_heirs = false;
      for (uint32_t link : graph.Links(dropped, level)) {
        const uint32_t heir = renumbered[link];
        if (heir == kNoNode || link == node) continue;
        has_heirs = true;
        if (std::find(links.begin(), links.end(), heir) != links.end()) continue;
        nearest = std::min(nearest, {space.RawDistance(vector, rows->vector(heir)), heir});
      }
      if (nearest.second != kNoNode) links.push_back(nearest.second);
      all_have_heirs &= has_heirs;
    }
    return all_have_heirs;
  }

  void SetLinks(uint32_t node, int level, absl::Span<const uint32_t> links) {
    hnswlib::linklistsizeint* list = hnsw.get_linklist_at_level(node, level);
    hnsw.setListCount(list, static_cast<uint16_t>(links.size()));
    std::copy(links.begin(), links.end(), list + 1);
  }

  // Whom a node of this level may be linked to, by level.
  std::vector<Candidates> FindCandidates(const void* data, EntryPoint from, int level) {
    uint32_t nearest = Descend(data, from, level);
    std::vector<Candidates> found(std::min(level, from.level) + 1);
    for (int l = static_cast<int>(found.size()) - 1; l >= 0; --l) {
      found[l] = hnsw.searchBaseLayer(nearest, data, l);
      nearest = Nearest(found[l]);
    }
    return found;
  }

  float Distance(const void* data, uint32_t node) {
    return hnsw.fstdistfunc_(data, hnsw.getDataByInternalId(node), &space);
  }

  absl::Span<const uint32_t> CopyLinks(uint32_t node, int level, uint32_t* buffer) {
    const std::lock_guard<std::mutex> lock(hnsw.link_list_locks_[node]);
    const hnswlib::linklistsizeint* list = hnsw.get_linklist_at_level(node, level);
    const size_t count = hnsw.getListCount(const_cast<hnswlib::linklistsizeint*>(list));
    std::memcpy(buffer, list + 1, count * sizeof(uint32_t));
    return {buffer, count};
  }

  const RowSource* const rows;
  const uint32_t m;
  PointerSpace space;
  Hnsw hnsw;
  mutable Mutex entry_mu;
  EntryPoint entry ABSL_GUARDED_BY(entry_mu);
};

GraphBuilder::GraphBuilder(const RowSource* rows, uint32_t capacity, const VectorSpace& space,
                           uint32_t m, uint32_t ef_construction)
    : impl_(std::make_unique<Impl>(rows, capacity, space, m, ef_construction)) {}

GraphBuilder::~GraphBuilder() = default;

void GraphBuilder::Insert(uint32_t node) {
  Impl& impl = *impl_;
  const int level = LevelOf(node, impl.m);
  const void* data = impl.PrepareSlot(node, level);
  EntryPoint from;
  {
    MutexLock lock(&impl.entry_mu);
    from = impl.entry;
    if (from.node == kNoNode) {
      impl.entry = {node, level};
      return;
    }
  }
  std::vector<Candidates> found = impl.FindCandidates(data, from, level);
  for (size_t l = 0; l < found.size(); ++l) {
    impl.hnsw.mutuallyConnectNewElement(data, node, found[l], static_cast<int>(l), false);
  }
  MutexLock lock(&impl.entry_mu);
  if (level > impl.entry.level) impl.entry = {node, level};
}

bool GraphBuilder::Adopt(const GraphView& graph, uint32_t node, int level,
                         absl::Span<const uint32_t> renumbered) {
  Impl& impl = *impl_;
  const uint32_t adopted = renumbered[node];
  if (adopted == kNoNode) return true;
  impl.PrepareSlot(adopted, level);
  std::vector<uint32_t> links;
  for (int l = level; l > 0; --l) {
    impl.SurvivingLinks(graph, node, l, renumbered, &links);
    impl.SetLinks(adopted, l, links);
  }
  const bool whole = impl.SurvivingLinks(graph, node, 0, renumbered, &links);
  impl.SetLinks(adopted, 0, links);
  MutexLock lock(&impl.entry_mu);
  if (impl.entry.node == kNoNode || level > impl.entry.level) impl.entry = {adopted, level};
  return whole;
}

EntryPoint GraphBuilder::entry() const {
  MutexLock lock(&impl_->entry_mu);
  return impl_->entry;
}

absl::Span<const uint32_t> GraphBuilder::CopyLinks(uint32_t node, int level,
                                                   uint32_t* buffer) const {
  return impl_->CopyLinks(node, level, buffer);
}

size_t GraphBuilder::MaxLinks() const { return impl_->hnsw.maxM0_; }

GraphArrays GraphBuilder::Freeze(uint32_t nodes) const {
  GraphArrays graph(nodes, impl_->m);
  std::vector<uint32_t> buffer(MaxLinks());
  for (uint32_t node = 0; node < nodes; ++node) {
    for (int level = 0; level <= impl_->hnsw.element_levels_[node]; ++level) {
      graph.AddLevel(node, level, CopyLinks(node, level, buffer.data()));
    }
  }
  graph.set_entry(entry());
  return graph;
}

size_t GraphBuilder::memory_bytes() const {
  const Hnsw& hnsw = impl_->hnsw;
  return hnsw.max_elements_ *
         (hnsw.size_data_per_element_ + sizeof(std::mutex) + sizeof(int) + sizeof(char*));
}

}  // namespace varve::index
