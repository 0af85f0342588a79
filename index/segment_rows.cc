#include "index/segment_rows.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace varve::index {

SegmentRows::SegmentRows(size_t row_bytes, size_t capacity)
    : row_bytes_(row_bytes),
      capacity_(capacity),
      blocks_((capacity + kBlockRows - 1) / kBlockRows) {}

char* SegmentRows::Append(uint64_t row, std::string_view label) {
  assert(size_ < capacity_);
  std::unique_ptr<Block>& block = blocks_[size_ / kBlockRows];
  if (block == nullptr) {
    block = std::make_unique<Block>();
    block->vectors = hwy::AllocateAligned<char>(kBlockRows * row_bytes_);
    memory_bytes_.fetch_add(sizeof(Block) + kBlockRows * row_bytes_, std::memory_order_relaxed);
  }
  const size_t slot = size_ % kBlockRows;
  block->rows[slot] = row;
  block->labels[slot] = label;
  ++size_;
  return block->vectors.get() + slot * row_bytes_;
}

void SegmentRows::CopyLabels(std::vector<std::string_view>* labels) {
  size_t bytes = 0;
  for (std::string_view label : *labels) bytes += label.size();
  auto chunk = std::make_unique<char[]>(bytes);
  char* out = chunk.get();
  for (std::string_view& label : *labels) {
    std::memcpy(out, label.data(), label.size());
    label = std::string_view(out, label.size());
    out += label.size();
  }
  label_chunks_.push_back(std::move(chunk));
  memory_bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

}  // namespace varve::index
