#include "index/graph.h"

#include <algorithm>

namespace varve::index {

void Graph::AddLevel(uint32_t node, int level, absl::Span<const uint32_t> links) {
  uint32_t* list = nullptr;
  if (level == 0) {
    list = &base_[size_t{node} * (2 * m_ + 1)];
  } else {
    const size_t lists = upper_.size() / (m_ + 1);
    if (level == 1) upper_offsets_[node] = static_cast<uint32_t>(lists);
    upper_.resize(upper_.size() + m_ + 1);
    list = &upper_[lists * (m_ + 1)];
  }
  list[0] = static_cast<uint32_t>(links.size());
  std::copy(links.begin(), links.end(), list + 1);
}

}  // namespace varve::index
