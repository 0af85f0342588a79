#include "index/segment_rows.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace varve::index {

SegmentRows::SegmentRows(size_t row_bytes, size_t capacity)
    : row_bytes_(row_bytes),
      capacity_(capacity),
      blocks_((capacity + kBlockRows - 1) / kBlockRows) {}

char* SegmentRows::Append(uint64_t row, std::string_view label, std::string_view attributes,
                          int64_t expires_at) {
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
  if (!attributes.empty() || expires_at != kNeverExpires) {
    Extras* extras = block->extras.load(std::memory_order_relaxed);
    if (extras == nullptr) {
      extras = new Extras;
      block->extras.store(extras, std::memory_order_release);
      memory_bytes_.fetch_add(sizeof(Extras), std::memory_order_relaxed);
    }
    extras->attributes[slot] = attributes;
    extras->expires_at[slot] = expires_at;
    if (expires_at != kNeverExpires) any_expires_.store(true, std::memory_order_relaxed);
  }
  ++size_;
  return block->vectors.get() + slot * row_bytes_;
}

void SegmentRows::CopyBytes(std::vector<std::string_view>* values) {
  size_t bytes = 0;
  for (std::string_view value : *values) bytes += value.size();
  if (bytes == 0) return;
  std::string_view last, last_copied;  // vectors of one record share what it has
  auto chunk = std::make_unique<char[]>(bytes);
  char* out = chunk.get();
  for (std::string_view& value : *values) {
    if (value.data() != last.data() || value.size() != last.size()) {
      std::memcpy(out, value.data(), value.size());
      last = value;
      last_copied = std::string_view(out, value.size());
      out += value.size();
    }
    value = last_copied;
  }
  chunks_.push_back(std::move(chunk));
  memory_bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

}  // namespace varve::index
