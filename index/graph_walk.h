#ifndef VARVE_INDEX_GRAPH_WALK_H_
#define VARVE_INDEX_GRAPH_WALK_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/call_control.h"
#include "base/status_macros.h"
#include "index/graph.h"
#include "index/top_k.h"

namespace varve::index {

// A row of one segment and its raw distance from a query.
struct Candidate {
  float distance = 0;
  uint32_t ordinal = 0;

  friend bool operator<(const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.ordinal < b.ordinal;
  }
};

// Which nodes a walk has seen. Clearing is free but for every 2^32nd time. One thread.
class VisitedSet {
 public:
  void Clear(size_t nodes) {
    if (marks_.size() < nodes) marks_.resize(nodes, 0);
    if (++epoch_ == 0) {
      std::fill(marks_.begin(), marks_.end(), 0);
      epoch_ = 1;
    }
  }
  // False when the node was there already.
  bool Insert(uint32_t node) {
    if (marks_[node] == epoch_) return false;
    marks_[node] = epoch_;
    return true;
  }

 private:
  std::vector<uint32_t> marks_;
  uint32_t epoch_ = 0;
};

// A best-first walk through an HNSW graph (Malkov and Yashunin, algorithms 2 and 5), for graphs
// that stand still and graphs that grow alike:
//   links(node, level)  the node's links, valid until the next call. Those to nodes beyond the
//   graph are
//                       passed over: a damaged file must not lead a walk astray
//   distance(node)      raw distance of the query from a node
//   prefetch(node)      begins to fetch what distance(node) will read
//   accept(node)        whether a node may be a result. Others are walked through all the same, so
//   that
//                       dead rows cost time but no recall
template <typename Links, typename Distance, typename Prefetch, typename Accept>
class GraphWalk {
 public:
  GraphWalk(Links links, Distance distance, Prefetch prefetch, Accept accept)
      : links_(links), distance_(distance), prefetch_(prefetch), accept_(accept) {}

  // Offers the `ef` nearest accepted nodes of a graph of up to `nodes` nodes to `nearest`, which
  // keeps `ef`. Cancelled or DeadlineExceeded when `control` says so.
  absl::Status Run(EntryPoint entry, size_t nodes, const CallControl& control,
                   TopK<Candidate>* nearest) {
    thread_local VisitedSet visited;
    nodes_ = nodes;
    visited.Clear(nodes);
    const Candidate start = Descend(entry);
    visited.Insert(start.ordinal);
    frontier_.assign(1, start);
    if (accept_(start.ordinal)) nearest->Offer(start);
    for (size_t step = 1; !frontier_.empty(); ++step) {
      const Candidate next = PopFrontier();
      if (nearest->full() && nearest->worst() < next) break;
      if (step % kStepsPerCheck == 0) VARVE_RETURN_IF_ERROR(control.Check());
      Expand(next.ordinal, visited, nearest);
    }
    return absl::OkStatus();
  }

 private:
  static constexpr size_t kStepsPerCheck = 64;

  // Greedy steps down to level 0.
  Candidate Descend(EntryPoint entry) {
    Candidate nearest{distance_(entry.node), entry.node};
    for (int level = entry.level; level > 0; --level) {
      for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t link : links_(nearest.ordinal, level)) {
          if (link >= nodes_) continue;
          const Candidate candidate{distance_(link), link};
          if (candidate < nearest) {
            nearest = candidate;
            moved = true;
          }
        }
      }
    }
    return nearest;
  }

  void Expand(uint32_t node, VisitedSet& visited, TopK<Candidate>* nearest) {
    fresh_.clear();
    for (uint32_t link : links_(node, 0)) {
      if (link >= nodes_ || !visited.Insert(link)) continue;
      prefetch_(link);
      fresh_.push_back(link);
    }
    for (uint32_t link : fresh_) {
      const Candidate candidate{distance_(link), link};
      if (!nearest->Wants(candidate)) continue;
      frontier_.push_back(candidate);
      std::push_heap(frontier_.begin(), frontier_.end(), Farther);
      if (accept_(link)) nearest->Offer(candidate);
    }
  }

  Candidate PopFrontier() {
    std::pop_heap(frontier_.begin(), frontier_.end(), Farther);
    const Candidate nearest = frontier_.back();
    frontier_.pop_back();
    return nearest;
  }

  static bool Farther(const Candidate& a, const Candidate& b) { return b < a; }

  Links links_;
  Distance distance_;
  Prefetch prefetch_;
  Accept accept_;
  size_t nodes_ = 0;
  std::vector<Candidate> frontier_;  // a heap, nearest first
  std::vector<uint32_t> fresh_;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_GRAPH_WALK_H_
