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
      : died_at_(Allocate(rows)), any_died_((Allocate((rows + 63) / 64))) {}

  void MarkDead(uint32_t ordinal, uint64_t sequence) {
    died_at_.get()[ordinal].store(sequence, std::memory_order_relaxed);
    any_died_.get()[ordinal / 64].fetch_or(uint64_t{1} << ordinal % 64, std::memory_order_release);
    dead_.fetch_add(1, std::memory_order_relaxed);
  }

  bool LiveAt(uint32_t ordinal, uint64_t sequence) const {
    const uint64_t word = any_died_.get()[ordinal / 64].load(std::memory_order_acquire);
    if ((word >> ordinal % 64 & 1) == 0) return true;
    return died_at_.get()[ordinal].load(std::memory_order_relaxed) > sequence;
  }
  // A bit for each of the rows 64 * word ... that died, whenever that was.
  uint64_t AnyDied(uint32_t word) const {
    return any_died_.get()[word].load(std::memory_order_acquire);
  }
  // 0: the row is alive.
  uint64_t DiedAt(uint32_t ordinal) const {
    return died_at_.get()[ordinal].load(std::memory_order_relaxed);
  }
  // Rows marked so far.
  uint32_t dead() const { return dead_.load(std::memory_order_relaxed); }

 private:
  using Word = std::atomic<uint64_t>;
  struct Free {
    void operator()(Word* p) const { std::free(p); }
  };
  using Words = std::unique_ptr<Word, Free>;

  static Words Allocate(size_t words) {
    Words memory(static_cast<Word*>(std::calloc(words, sizeof(Word))));
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }

  const Words died_at_;
  // A bit for each row that died: a walk asks of rows all over the segment, and most of them live.
  const Words any_died_;
  std::atomic<uint32_t> dead_{0};
};

}  // namespace varve::index

#endif  // VARVE_INDEX_TOMBSTONES_H_
