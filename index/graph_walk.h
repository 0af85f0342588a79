#ifndef VARVE_INDEX_GRAPH_WALK_H_
#define VARVE_INDEX_GRAPH_WALK_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/call_control.h"
#include "base/status_macros.h"
#include "index/candidate_pool.h"
#include "index/code_space.h"
#include "index/graph.h"

namespace varve::index {

// Which nodes a walk has seen: a byte for each. Clearing is free but for every 255th time. One thread.
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
    const bool fresh = marks_[node] != epoch_;
    marks_[node] = epoch_;
    return fresh;
  }

 private:
  std::vector<uint8_t> marks_;
  uint8_t epoch_ = 0;
};

// The codes of a graph's nodes, one behind the other, in memory that somebody else owns.
struct CodeArray {
  const CodeSpace* space = nullptr;
  const char* bytes = nullptr;

  const char* operator[](uint32_t node) const { return bytes + node * space->code_bytes(); }
};

// What a walk took.
struct WalkCost {
  uint64_t hops = 0;       // nodes whose links were followed
  uint64_t distances = 0;  // worked out between the query and a code
};

// How a walk reads a graph that stands still.
class ViewLinks {
 public:
  explicit ViewLinks(const GraphView& graph) : graph_(graph) {}
  absl::Span<const uint32_t> Of(uint32_t node, int level) { return graph_.Links(node, level); }
  void Prefetch(uint32_t node) const { graph_.Prefetch(node); }

 private:
  const GraphView& graph_;
};

// Walks through an HNSW graph (Malkov and Yashunin, algorithms 2 and 5), one that stands still or one
// that grows. Links has
//   Of(node, level)     the node's links, valid until the next call. Those to nodes beyond the graph
//                       are passed over: a damaged file must not lead a walk astray
//   Prefetch(node)      begins to fetch its links of level 0
// One thread.
template <typename Links>
class GraphWalk {
 public:
  // Of a graph of up to `nodes` nodes.
  GraphWalk(Links* links, CodeArray codes, const CodeSpace::Query& query, uint32_t nodes)
      : links_(links), codes_(codes), query_(query), nodes_(nodes) {}

  // Where greedy steps from the entry point end, through all levels above `level`.
  Candidate Descend(EntryPoint entry, int level) {
    scratch_.visited.Clear(nodes_);
    Candidate nearest{codes_.space->Distance(query_, codes_[entry.node]), entry.node};
    for (int l = entry.level; l > level; --l) {
      while (Improve(l, &nearest)) {
      }
    }
    return nearest;
  }

  // Of what was walked so far.
  const WalkCost& cost() const { return cost_; }
  // Searches end early, and say so, when they have cost more than working out so many distances of codes
  // that lie side by side: a hop, which goes to memory all over the place, costs several.
  void set_cost_max(uint64_t distances) { cost_max_ = distances; }
  bool gave_up() const { return kHopCost * cost_.hops + cost_.distances > cost_max_; }
  // Whether a search for what is accepted also ends early when nothing near the query is: what it would
  // find from afar is not as sure.
  void set_stays_near(bool stays_near) { stays_near_ = stays_near; }

  // A best-first walk through one level that fills `pool` with the nearest nodes. `accept(node)` says
  // whether one may be a result. Others are walked through all the same, so that dead rows cost time
  // but no recall. Cancelled or DeadlineExceeded when `control` says so.
  template <typename Accept>
  absl::Status Search(const Candidate& from, int level, Accept accept, const CallControl& control,
                      CandidatePool* pool) {
    VisitedSet& visited = scratch_.visited;
    visited.Clear(nodes_);
    visited.Insert(from.ordinal);
    pool->Insert(from, accept(from.ordinal));
    const auto fresh = [&](uint32_t link) { return visited.Insert(link); };
    Batch& batch = scratch_.batch;
    uint32_t node;
    for (size_t step = 1; pool->TakeNext(&node) && !gave_up(); ++step) {
      if (step % kStepsPerCheck == 0) VARVE_RETURN_IF_ERROR(control.Check());
      batch.size = 0;
      size_t taken = 0;
      do {
        Gather(links_->Of(node, level), fresh, &batch);
        ++cost_.hops;
      } while (++taken < kTakenAtOnce && pool->TakeNext(&node));
      Insert(accept, pool);
    }
    return absl::OkStatus();
  }

  // The same through level 0, for a filter that few nodes satisfy: what the walk keeps and compares is
  // nodes that do, and it goes on through one that does not to that one's neighbours, without comparing
  // it (after ACORN: Patel et al. 2024). It begins at `from` and at `seeds`, nodes that satisfy the
  // filter. Where no neighbour of either kind does, the others are compared and walked through, so that
  // the walk crosses what lies between; but not for ever: where nothing near the query satisfies the
  // filter, the way from the seeds is the shorter one.
  template <typename Accept>
  absl::Status SearchAccepted(const Candidate& from, absl::Span<const uint32_t> seeds,
                              Accept accept, const CallControl& control, CandidatePool* pool) {
    VisitedSet& visited = scratch_.visited;
    visited.Clear(nodes_);
    visited.Insert(from.ordinal);
    pool->Insert(from, accept(from.ordinal));
    const auto fresh = [&](uint32_t link) { return visited.Insert(link); };
    const auto wanted = [&](uint32_t link) { return accept(link) && visited.Insert(link); };
    Batch& batch = scratch_.batch;
    batch.size = 0;
    Gather(seeds, fresh, &batch);
    Insert(accept, pool);
    size_t crossings = 0;
    uint32_t node;
    for (size_t step = 1; pool->TakeNext(&node) && !gave_up(); ++step) {
      if (step % kStepsPerCheck == 0) VARVE_RETURN_IF_ERROR(control.Check());
      batch.size = 0;
      const absl::Span<const uint32_t> between = GatherAccepted(node, accept, wanted, &batch);
      if (batch.size == 0 && ++crossings <= kCrossingsMax) {
        Gather(
            between, [](uint32_t) { return true; }, &batch);
      } else if (batch.size == 0 && stays_near_) {
        cost_max_ = 0;
      }
      Insert(accept, pool);
    }
    return absl::OkStatus();
  }

 private:
  static constexpr size_t kStepsPerCheck = 64;
  static constexpr uint64_t kHopCost = 4;
  // Nodes with nothing that satisfies the filter about them that a walk goes through.
  static constexpr size_t kCrossingsMax = 16;
  // How many candidates a step goes on from: what their neighbours take from memory is fetched side by
  // side.
  static constexpr size_t kTakenAtOnce = 2;
  // Neighbours whose distances are to be worked out.
  struct Batch {
    size_t size = 0;
    std::vector<uint32_t> nodes;
    std::vector<const char*> codes;
    std::vector<float> distances;
  };
  // What a thread keeps between its walks.
  struct Scratch {
    VisitedSet visited;
    Batch batch;
    std::vector<uint32_t> between;
  };

  // Adds neighbours of a node that are accepted to `batch`, and where these are few neighbours of those
  // that are not, which it returns: all that were not seen before. Valid until the next call.
  template <typename Accept, typename Wanted>
  absl::Span<const uint32_t> GatherAccepted(uint32_t node, Accept accept, Wanted wanted,
                                            Batch* batch) {
    std::vector<uint32_t>& between = scratch_.between;
    between.clear();
    const absl::Span<const uint32_t> links = links_->Of(node, 0);
    for (const uint32_t link : links) {
      if (link < nodes_ && !accept(link) && scratch_.visited.Insert(link)) {
        links_->Prefetch(link);
        between.push_back(link);
      }
    }
    const size_t enough = links.size() * 3 / 4;
    Gather(links, wanted, batch);
    ++cost_.hops;
    for (size_t i = 0; i < between.size() && batch->size < enough; ++i) {
      Gather(links_->Of(between[i], 0), wanted, batch);
      ++cost_.hops;
    }
    return between;
  }

  // Compares the batch, and puts those that the pool wants into it.
  template <typename Accept>
  void Insert(Accept accept, CandidatePool* pool) {
    Batch& batch = scratch_.batch;
    const float* const distances = Distances(&batch);
    for (size_t i = 0; i < batch.size; ++i) {
      if (!pool->Wants(distances[i])) continue;
      const uint32_t link = batch.nodes[i];
      links_->Prefetch(link);  // most that come into the pool are taken from it
      pool->Insert({distances[i], link}, accept(link));
    }
  }

  bool Improve(int level, Candidate* nearest) {
    Batch* const batch = &scratch_.batch;
    batch->size = 0;
    Gather(
        links_->Of(nearest->ordinal, level),
        [this](uint32_t link) { return scratch_.visited.Insert(link); }, batch);
    const float* const distances = Distances(batch);
    bool improved = false;
    for (size_t i = 0; i < batch->size; ++i) {
      if (distances[i] < nearest->distance) {
        *nearest = {distances[i], batch->nodes[i]};
        improved = true;
      }
    }
    return improved;
  }

  // Adds those of the links that `wanted` says are to `batch`.
  template <typename Wanted>
  void Gather(absl::Span<const uint32_t> links, Wanted wanted, Batch* batch) {
    const size_t most = batch->size + links.size();
    if (batch->nodes.size() < most) {
      batch->nodes.resize(most);
      batch->codes.resize(most);
      batch->distances.resize(most);
    }
    const uint32_t nodes = nodes_;
    const char* const bytes = codes_.bytes;
    const size_t code_bytes = codes_.space->code_bytes();
    uint32_t* const fresh = batch->nodes.data();
    const char** const codes = batch->codes.data();
    size_t count = batch->size;
    for (uint32_t link : links) {
      if (link >= nodes) continue;
      fresh[count] = link;
      codes[count] = bytes + link * code_bytes;
      count += wanted(link) ? 1 : 0;
    }
    batch->size = count;
  }

  const float* Distances(Batch* batch) {
    cost_.distances += batch->size;
    codes_.space->Distances(query_, batch->codes.data(), batch->size, batch->distances.data());
    return batch->distances.data();
  }

  static Scratch& ThreadScratch() {
    static thread_local Scratch scratch;
    return scratch;
  }

  Links* const links_;
  const CodeArray codes_;
  const CodeSpace::Query query_;
  const uint32_t nodes_;
  uint64_t cost_max_ = std::numeric_limits<uint64_t>::max();
  bool stays_near_ = false;
  WalkCost cost_;
  Scratch& scratch_ = ThreadScratch();
};

}  // namespace varve::index

#endif  // VARVE_INDEX_GRAPH_WALK_H_
