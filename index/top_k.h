#ifndef VARVE_INDEX_TOP_K_H_
#define VARVE_INDEX_TOP_K_H_

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

namespace varve::index {

// The k smallest of what is offered. T needs operator<; of equal values any may stay. Not
// thread-safe.
template <typename T>
class TopK {
 public:
  explicit TopK(size_t k) : k_(k) { heap_.reserve(std::min<size_t>(k, 1024)); }

  bool full() const { return heap_.size() >= k_; }
  size_t size() const { return heap_.size(); }
  // The largest that is kept. Not for an empty one.
  const T& worst() const { return heap_.front(); }

  // Whether offering `value` would change anything.
  bool Wants(const T& value) const { return !full() || value < worst(); }

  void Offer(T value) {
    if (!full()) {
      heap_.push_back(std::move(value));
      std::push_heap(heap_.begin(), heap_.end());
    } else if (k_ > 0 && value < heap_.front()) {
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.back() = std::move(value);
      std::push_heap(heap_.begin(), heap_.end());
    }
  }

  void Clear() { heap_.clear(); }

  // What was kept, smallest first. Leaves this empty.
  std::vector<T> TakeSorted() {
    std::sort_heap(heap_.begin(), heap_.end());
    return std::exchange(heap_, {});
  }

 private:
  const size_t k_;
  std::vector<T> heap_;  // largest at the front
};

}  // namespace varve::index

#endif  // VARVE_INDEX_TOP_K_H_
