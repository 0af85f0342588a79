#ifndef VARVE_INDEX_TOMBSTONES_H_
#define VARVE_INDEX_TOMBSTONES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace varve::index {

// When each row of a segment died, as a commit number: readers of that commit and later ones do not
// see the row, readers of earlier ones still do. A row dies once. Shared by the forms that a
// segment has in its life, so that a death is never lost between them.
//
// One writer marks; any number of threads ask beside it, without a lock. What a reader must see was
// marked before its view was published.
class Tombstones {
 public:
  // All alive. Memory is touched where rows die, not before.
  explicit Tombstones(uint32_t rows)
      : died_at_(static_cast<std::atomic<uint64_t>*>(std::calloc(rows, sizeof(uint64_t)))) {
    if (died_at_ == nullptr) throw std::bad_alloc();
  }

  void MarkDead(uint32_t ordinal, uint64_t sequence) {
    died_at_.get()[ordinal].store(sequence, std::memory_order_relaxed);
    dead_.fetch_add(1, std::memory_order_relaxed);
  }

  bool LiveAt(uint32_t ordinal, uint64_t sequence) const {
    const uint64_t died_at = died_at_.get()[ordinal].load(std::memory_order_relaxed);
    return died_at == 0 || died_at > sequence;
  }
  // 0: the row is alive.
  uint64_t DiedAt(uint32_t ordinal) const {
    return died_at_.get()[ordinal].load(std::memory_order_relaxed);
  }
  // Rows marked so far.
  uint32_t dead() const { return dead_.load(std::memory_order_relaxed); }

 private:
  struct Free {
    void operator()(std::atomic<uint64_t>* p) const { std::free(p); }
  };
  const std::unique_ptr<std::atomic<uint64_t>, Free> died_at_;
  std::atomic<uint32_t> dead_{0};
};

}  // namespace varve::index

#endif  // VARVE_INDEX_TOMBSTONES_H_
