#ifndef VARVE_INDEX_GRAPH_BUILDER_H_
#define VARVE_INDEX_GRAPH_BUILDER_H_

#include <cstdint>
#include <memory>

#include "absl/types/span.h"
#include "index/graph.h"
#include "index/row_source.h"
#include "index/vector.h"

namespace varve::index {

// Grows an HNSW graph over the rows of a segment, by hnswlib: its candidate search and its linking
// heuristic, driven by an insertion of our own. hnswlib's addPoint lets a node be reached before
// its lower levels are linked, races on its entry point and its random numbers, and forbids
// searching meanwhile. Here a node's candidates are found first, level by level downwards, and then
// linked from level 0 upwards, so that whoever can reach a node finds it whole; walks read a node's
// links under the same lock that linking takes.
//
// Thread-safe: any number of threads may insert (different nodes) and walk at once.
// This is the only user of hnswlib: its headers may be included in one translation unit only.
class GraphBuilder {
 public:
  // For up to `capacity` rows of `rows`, which must outlive the builder, their vectors where they
  // are when they are inserted.
  GraphBuilder(const RowSource* rows, uint32_t capacity, const VectorSpace& space, uint32_t m,
               uint32_t ef_construction);
  ~GraphBuilder();

  // Links the row at ordinal `node`, once. Its vector must be in place.
  void Insert(uint32_t node);

  // Makes node `renumbered[node]` out of `node` of a finished graph of the same rows under other
  // ordinals, links and all. Nodes that became kNoNode are left out: in their place comes, of the
  // nodes that they linked to themselves, the nearest (after the delete consolidation of
  // FreshDiskANN: Singh et al. 2021). Far cheaper than inserting. `level` is the node's, m the same.
  //
  // False when a node left out had none but such about it: the adopted one may stand at the edge of a
  // gap, with nobody to lead across.
  //
  // Different nodes may be adopted at once; nothing may be inserted before the last of them is.
  bool Adopt(const GraphView& graph, uint32_t node, int level,
             absl::Span<const uint32_t> renumbered);

  EntryPoint entry() const;

  // Copies the links of a node at a level it has to `buffer` (MaxLinks() of them fit).
  absl::Span<const uint32_t> CopyLinks(uint32_t node, int level, uint32_t* buffer) const;
  size_t MaxLinks() const;

  // The graph over nodes 0 ... nodes - 1, all inserted and none being inserted.
  GraphArrays Freeze(uint32_t nodes) const;

  size_t memory_bytes() const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_GRAPH_BUILDER_H_
