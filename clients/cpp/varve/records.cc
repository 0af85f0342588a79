#include "clients/cpp/varve/records.h"

namespace varve::client {

size_t Size(const Ids& ids) {
  return std::visit([](const auto& list) { return list.size(); }, ids);
}

size_t Size(const IdsView& ids) {
  return std::visit([](const auto& list) { return list.size(); }, ids);
}

IdsView View(const Ids& ids) {
  return std::visit([](const auto& list) { return IdsView(absl::MakeConstSpan(list)); }, ids);
}

Id At(const Ids& ids, size_t i) {
  return std::visit([i](const auto& list) { return Id(list[i]); }, ids);
}

IdsView Slice(const IdsView& ids, size_t first, size_t count) {
  return std::visit([=](const auto& list) { return IdsView(list.subspan(first, count)); }, ids);
}

}  // namespace varve::client
