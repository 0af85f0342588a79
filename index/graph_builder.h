#ifndef VARVE_INDEX_GRAPH_BUILDER_H_
#define VARVE_INDEX_GRAPH_BUILDER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "base/mutex.h"
#include "base/page_array.h"
#include "hwy/aligned_allocator.h"
#include "index/candidate_pool.h"
#include "index/code_space.h"
#include "index/graph.h"
#include "index/graph_walk.h"
#include "index/row_source.h"
#include "index/vector.h"

namespace varve::index {

// Grows an HNSW graph over the rows of a segment, on their codes (Malkov and Yashunin, algorithms 1 and
// 4): a node's candidates are found first, level by level downwards, and then linked from level 0
// upwards, so that whoever can reach a node finds it whole. Lists of links are read without a lock:
// a reader beside a writer may see some links of before and some of after, all of them to nodes that are
// there, which is all that a walk asks of them.
//
// Thread-safe: any number of threads may insert (different nodes) and walk at once.
class GraphBuilder {
 public:
  // For up to `capacity` rows of `rows`, which must outlive the builder, their vectors where they are
  // when they are inserted. The first `sample` are there already: the codes' center is theirs.
  GraphBuilder(const RowSource* rows, uint32_t capacity, uint32_t sample, const VectorSpace& space,
               const IndexOptions& options);

  // Links the row at ordinal `node`, once. Its vector must be in place.
  void Insert(uint32_t node);

  // Makes node `renumbered[node]` out of `node` of a finished graph of the same rows under other
  // ordinals, links and all. Nodes that became kNoNode are left out: in their place comes, of the
  // nodes that they linked to themselves, the nearest (after the delete consolidation of
  // FreshDiskANN: Singh et al. 2021). Far cheaper than inserting. `level` is the node's, m the same.
  // The codes of all that are adopted are there: see Encode.
  //
  // False when a node left out had none but such about it: the adopted one may stand at the edge of a
  // gap, with nobody to lead across.
  //
  // Different nodes may be adopted at once; nothing may be inserted before the last of them is.
  bool Adopt(const GraphView& graph, uint32_t node, int level,
             absl::Span<const uint32_t> renumbered);
  // Makes the code of a node that will be adopted.
  void Encode(uint32_t node);

  EntryPoint entry() const ABSL_LOCKS_EXCLUDED(entry_mu_);

  // Reads links as GraphWalk wants it. One thread each.
  class Links {
   public:
    explicit Links(const GraphBuilder* builder) : builder_(*builder), buffer_(2 * builder->m_) {}
    absl::Span<const uint32_t> Of(uint32_t node, int level) {
      return builder_.CopyLinks(node, level, buffer_.data());
    }
    void Prefetch(uint32_t node) const;

   private:
    const GraphBuilder& builder_;
    std::vector<uint32_t> buffer_;
  };

  CodeArray codes() const { return {&code_space_, codes_.data()}; }
  const CodeSpace& code_space() const { return code_space_; }

  // The graph over nodes 0 ... nodes - 1, all inserted and none being inserted.
  GraphArrays Freeze(uint32_t nodes) const;

  // Memory that so many nodes take.
  size_t memory_bytes(uint32_t nodes) const;

 private:
  using Link = std::atomic<uint32_t>;

  static constexpr size_t kLocks = 1024;

  // A list is its number of links, then room for as many as its level allows.
  size_t Room(int level) const { return level == 0 ? 2 * m_ : m_; }
  Link* List(uint32_t node, int level) const {
    return level == 0 ? base_.data() + size_t{node} * (1 + 2 * m_)
                      : upper_.data()[node] + size_t(level - 1) * (1 + m_);
  }
  absl::Span<const uint32_t> CopyLinks(uint32_t node, int level, uint32_t* buffer) const;
  void SetLinks(uint32_t node, int level, absl::Span<const uint32_t> links);

  void PrepareNode(uint32_t node, int level);
  char* Code(uint32_t node) { return codes_.data() + node * code_space_.code_bytes(); }

  // Keeps of candidates to link `node` with, nearest first, up to `most` that lead in different directions
  // (algorithm 4).
  void SelectDiverse(uint32_t node, std::vector<Candidate>* candidates, size_t most) const;
  // Drops candidates of the same code as the node, but for those that came right before and after it. They
  // all lead to the same place: links to these few make a chain through all of them, and leave room for
  // links that lead out of it.
  void ThinCopies(uint32_t node, std::vector<Candidate>* candidates) const;
  // Links `node` with candidates, nearest first, both ways.
  void Connect(uint32_t node, int level, std::vector<Candidate>* candidates);
  void AddLink(uint32_t from, uint32_t to, int level);

  bool SurvivingLinks(const GraphView& graph, uint32_t node, int level,
                      absl::Span<const uint32_t> renumbered, std::vector<uint32_t>* out) const;

  const RowSource* const rows_;
  const VectorSpace space_;
  const uint32_t capacity_;
  const uint32_t m_;
  const uint32_t ef_construction_;
  const hwy::AlignedFreeUniquePtr<float[]> center_;
  const CodeSpace code_space_;
  PageArray<char> codes_;
  PageArray<Link> base_;
  // The lists of levels 1, 2 ... of a node; null: it has none. Set before the node is linked.
  PageArray<Link*> upper_;
  PageArray<uint8_t> levels_;
  // A list is changed under the lock of its node, which it shares with others.
  mutable std::array<Mutex, kLocks> locks_;
  mutable Mutex upper_mu_;
  std::vector<std::unique_ptr<Link[]>> upper_lists_ ABSL_GUARDED_BY(upper_mu_);
  mutable Mutex entry_mu_;
  EntryPoint entry_ ABSL_GUARDED_BY(entry_mu_);
};

}  // namespace varve::index

#endif  // VARVE_INDEX_GRAPH_BUILDER_H_
