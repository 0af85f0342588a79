#include "index/segment_rows.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace varve::index {

SegmentRows::SegmentRows(size_t dimension, size_t capacity)
    : padded_dimension_(PaddedDimension(dimension)),
      capacity_(capacity),
      blocks_((capacity + kBlockRows - 1) / kBlockRows) {}

float* SegmentRows::Append(uint64_t row, std::string_view label) {
  assert(size_ < capacity_);
  std::unique_ptr<Block>& block = blocks_[size_ / kBlockRows];
  if (block == nullptr) {
    const size_t floats = kBlockRows * padded_dimension_;
    block = std::make_unique<Block>();
    block->vectors = hwy::AllocateAligned<float>(floats);
    memory_bytes_.fetch_add(sizeof(Block) + floats * sizeof(float), std::memory_order_relaxed);
  }
  const size_t slot = size_ % kBlockRows;
  block->rows[slot] = row;
  block->labels[slot] = label;
  ++size_;
  float* vector = block->vectors.get() + slot * padded_dimension_;
  std::fill_n(vector, padded_dimension_, 0.0f);
  return vector;
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
