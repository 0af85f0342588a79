#ifndef VARVE_INDEX_GRAPH_REPAIR_H_
#define VARVE_INDEX_GRAPH_REPAIR_H_

#include <cstdint>
#include <vector>

#include "index/graph.h"
#include "index/graph_walk.h"

namespace varve::index {

// Nodes that no path of level 0 leads to from the entry point, ascending. A walk never finds them.
std::vector<uint32_t> UnreachableNodes(const GraphView& graph);

// Gives every such node a link from a near one. HNSW's linking keeps the links of a node diverse by
// dropping some, now and then the last one that leads to another node; each insertion is right, and
// yet a few nodes in a hundred thousand end up where nobody comes. `codes` are the graph's.
void ConnectUnreachable(CodeArray codes, GraphArrays* graph);

}  // namespace varve::index

#endif  // VARVE_INDEX_GRAPH_REPAIR_H_
