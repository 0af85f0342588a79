#include "index/graph.h"

#include "base/str_cat.h"

namespace varve::index {

void GraphArrays::AddLevel(uint32_t node, int level, absl::Span<const uint32_t> links) {
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

bool GraphArrays::AddLink(uint32_t from, uint32_t to) {
  uint32_t* list = &base_[size_t{from} * (2 * m_ + 1)];
  if (list[0] == 2 * m_) return false;
  list[++list[0]] = to;
  return true;
}

void GraphArrays::ReplaceLink(uint32_t from, uint32_t to) {
  uint32_t* list = &base_[size_t{from} * (2 * m_ + 1)];
  list[list[0]] = to;
}

std::vector<uint8_t> GraphView::Levels() const {
  std::vector<uint8_t> levels(nodes(), 0);
  uint32_t end = static_cast<uint32_t>(upper_.size() / (m_ + 1));
  for (uint32_t node = nodes(); node-- > 0;) {
    if (upper_offsets_[node] == kNoNode) continue;
    levels[node] = static_cast<uint8_t>(std::min(end - upper_offsets_[node], kGraphLevelMax));
    end = upper_offsets_[node];
  }
  return levels;
}

absl::Status GraphView::Verify() const {
  const auto check = [this](absl::Span<const uint32_t> lists, uint32_t room,
                            std::string_view level) -> absl::Status {
    for (size_t begin = 0; begin < lists.size(); begin += room + 1) {
      const uint32_t length = lists[begin];
      if (length > room) {
        return absl::DataLossError(
            StrCat("a node at ", level, " has ", length, " links, the most is ", room));
      }
      for (uint32_t link : lists.subspan(begin + 1, length)) {
        if (link >= nodes() || (room == m_ && upper_offsets_[link] == kNoNode)) {
          return absl::DataLossError(
              StrCat("a node at ", level, " links to ", link, ", which is not there"));
        }
      }
    }
    return absl::OkStatus();
  };
  if (absl::Status status = check(base_, 2 * m_, "level 0"); !status.ok()) return status;
  if (absl::Status status = check(upper_, m_, "an upper level"); !status.ok()) return status;
  const size_t lists = upper_.size() / (m_ + 1);
  size_t begin = 0;  // where the next node's lists may be
  for (uint32_t node = 0; node < nodes(); ++node) {
    const uint32_t offset = upper_offsets_[node];
    if (offset == kNoNode) continue;
    if (offset < begin || offset >= lists) {
      return absl::DataLossError(StrCat("node ", node, " has its upper links at ", offset,
                                        ", wanted at ", begin, " to ", lists, " lists"));
    }
    begin = size_t{offset} + 1;
  }
  return absl::OkStatus();
}

}  // namespace varve::index
