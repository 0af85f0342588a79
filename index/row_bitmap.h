#ifndef VARVE_INDEX_ROW_BITMAP_H_
#define VARVE_INDEX_ROW_BITMAP_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace varve::index {

// A set of a segment's rows: a bit for each. Walks ask it of rows all over the segment, and conditions are
// joined word by word (docs/decisions/0008). One thread, or any number that only read.
class RowBitmap {
 public:
  RowBitmap() = default;
  // Without any row.
  explicit RowBitmap(uint32_t rows) : rows_(rows), words_((size_t{rows} + 63) / 64) {}

  uint32_t rows() const { return rows_; }
  bool Test(uint32_t row) const { return (words_[row / 64] >> row % 64 & 1) != 0; }
  void Set(uint32_t row) { words_[row / 64] |= uint64_t{1} << row % 64; }
  void Clear(uint32_t row) { words_[row / 64] &= ~(uint64_t{1} << row % 64); }
  void SetAll() {
    std::fill(words_.begin(), words_.end(), ~uint64_t{0});
    DropTail();
  }
  void Flip() {
    for (uint64_t& word : words_) word = ~word;
    DropTail();
  }

  // With one of the same size.
  void And(const RowBitmap& other) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
  }
  void Or(const RowBitmap& other) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  }
  // Puts the rows of `part` from row `first` on, a multiple of 64. What does not fit is left out.
  void Place(uint32_t first, const RowBitmap& part) {
    const size_t at = first / 64;
    for (size_t i = 0; i < part.words_.size() && at + i < words_.size(); ++i) {
      words_[at + i] = part.words_[i];
    }
    DropTail();
  }

  uint32_t Count() const { return CountBelow(rows_); }
  // Rows 64 * i ..., a bit for each; words() of them.
  size_t words() const { return words_.size(); }
  uint64_t word(size_t i) const { return words_[i]; }
  // How many are below `row`.
  uint32_t CountBelow(uint32_t row) const {
    uint32_t count = 0;
    for (size_t i = 0; i < row / 64; ++i) count += std::popcount(words_[i]);
    if (row % 64 != 0) count += std::popcount(words_[row / 64] & ((uint64_t{1} << row % 64) - 1));
    return count;
  }

  // The first row from `row` on; rows() when there is none.
  uint32_t Next(uint32_t row) const {
    if (row >= rows_) return rows_;
    size_t i = row / 64;
    uint64_t word = words_[i] & ~uint64_t{0} << row % 64;
    while (word == 0) {
      if (++i == words_.size()) return rows_;
      word = words_[i];
    }
    return static_cast<uint32_t>(i * 64 + std::countr_zero(word));
  }

 private:
  void DropTail() {
    if (rows_ % 64 != 0) words_.back() &= (uint64_t{1} << rows_ % 64) - 1;
  }

  uint32_t rows_ = 0;
  std::vector<uint64_t> words_;  // zero from rows_ on
};

}  // namespace varve::index

#endif  // VARVE_INDEX_ROW_BITMAP_H_
