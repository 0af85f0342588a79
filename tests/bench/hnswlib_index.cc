#include "tests/bench/hnswlib_index.h"

#include "hnswlib/hnswlib.h"

namespace varve::bench {

struct HnswlibIndex::Impl {
  Impl(bool l2, size_t dimension, size_t rows, size_t m, size_t ef_construction)
      : space(l2 ? static_cast<hnswlib::SpaceInterface<float>*>(new hnswlib::L2Space(dimension))
                 : new hnswlib::InnerProductSpace(dimension)),
        graph(space.get(), rows, m, ef_construction) {}

  std::unique_ptr<hnswlib::SpaceInterface<float>> space;
  hnswlib::HierarchicalNSW<float> graph;
};

HnswlibIndex::HnswlibIndex(bool l2, size_t dimension, size_t rows, size_t m, size_t ef_construction)
    : impl_(std::make_unique<Impl>(l2, dimension, rows, m, ef_construction)) {}

HnswlibIndex::~HnswlibIndex() = default;

void HnswlibIndex::Add(const float* vector, size_t row) { impl_->graph.addPoint(vector, row); }

std::vector<uint32_t> HnswlibIndex::Search(const float* query, size_t k) const {
  auto found = impl_->graph.searchKnn(query, k);
  std::vector<uint32_t> rows(found.size());
  for (size_t i = rows.size(); i-- > 0; found.pop()) {
    rows[i] = static_cast<uint32_t>(found.top().second);
  }
  return rows;
}

void HnswlibIndex::set_ef(size_t ef) { impl_->graph.setEf(ef); }

}  // namespace varve::bench
