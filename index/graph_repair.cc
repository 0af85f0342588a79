#include "index/graph_repair.h"

#include "base/give_way.h"

namespace varve::index {
namespace {

constexpr uint32_t kNodesPerGivingWay = 1024;

// Which nodes can be reached; more can be told as links are added.
class Reach {
 public:
  explicit Reach(uint32_t nodes) : reached_(nodes, false) {}

  // Marks a node and all that its links lead to.
  void Mark(const GraphView& graph, uint32_t node) {
    if (node >= reached_.size() || reached_[node]) return;
    reached_[node] = true;
    std::vector<uint32_t> frontier = {node};
    for (uint32_t visited = 1; !frontier.empty(); ++visited) {
      if (visited % kNodesPerGivingWay == 0) GiveWay();
      const uint32_t from = frontier.back();
      frontier.pop_back();
      for (uint32_t link : graph.Links(from, 0)) {
        if (link >= reached_.size() || reached_[link]) continue;
        reached_[link] = true;
        frontier.push_back(link);
      }
    }
  }
  bool operator[](uint32_t node) const { return reached_[node]; }

 private:
  std::vector<bool> reached_;
};

// The nodes nearest to `node` among those that can be reached from the entry point, nearest first.
std::vector<Candidate> NearestReachable(CodeArray codes, const GraphView& graph, uint32_t node) {
  constexpr size_t kCandidates = 64;
  const CodeSpace::Query query = codes.space->Prepare(codes[node]);
  ViewLinks links(graph);
  CandidatePool pool(kCandidates);
  // On level 0 all the way: upper levels may lead to where level 0 does not. Nothing cancels it.
  const uint32_t entry = graph.entry().node;
  GraphWalk(&links, codes, query, graph.nodes())
      .Search(
          {codes.space->Distance(query, codes[entry]), entry}, 0, [](uint32_t) { return true; },
          CallControl(), &pool)
      .IgnoreError();
  std::vector<Candidate> nearest;
  pool.TakeAccepted(&nearest);
  return nearest;
}

// Links `node` from the nearest that has room for a link; false when it took the place of another.
bool LinkFromNearest(const std::vector<Candidate>& nearest, uint32_t node, GraphArrays* graph) {
  for (const Candidate& candidate : nearest) {
    if (graph->AddLink(candidate.ordinal, node)) return true;
  }
  graph->ReplaceLink(nearest.front().ordinal, node);
  return false;
}

}  // namespace

std::vector<uint32_t> UnreachableNodes(const GraphView& graph) {
  Reach reach(graph.nodes());
  reach.Mark(graph, graph.entry().node);
  std::vector<uint32_t> unreachable;
  for (uint32_t node = 0; node < graph.nodes(); ++node) {
    if (!reach[node]) unreachable.push_back(node);
  }
  return unreachable;
}

void ConnectUnreachable(CodeArray codes, GraphArrays* graph) {
  // A link that was replaced may have been another node's last: look again. Hardly ever happens
  // once, so it is not repeated for ever.
  constexpr int kRounds = 4;
  for (int round = 0; round < kRounds; ++round) {
    Reach reach(graph->view().nodes());
    reach.Mark(graph->view(), graph->view().entry().node);
    bool replaced = false;
    for (uint32_t node = 0; node < graph->view().nodes(); ++node) {
      if (reach[node]) continue;
      const auto nearest = NearestReachable(codes, graph->view(), node);
      if (!LinkFromNearest(nearest, node, graph)) replaced = true;
      reach.Mark(graph->view(), node);
    }
    if (!replaced) return;
  }
}

}  // namespace varve::index
