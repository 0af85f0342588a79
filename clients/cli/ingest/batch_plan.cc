#include "clients/cli/ingest/batch_plan.h"

#include <numeric>

namespace varve::cli {
namespace {

constexpr uint64_t kUsualBatchBytes = uint64_t{1} << 20;

}  // namespace

uint64_t RowSizes::Total() const { return std::accumulate(more.begin(), more.end(), rows * each); }

uint64_t LargestBatchBytes(const RowSizes& sizes, uint64_t batch_rows) {
  uint64_t largest = 0;
  for (uint64_t first = 0; first < sizes.more.size();) {
    const uint64_t end = first + std::min<uint64_t>(batch_rows, sizes.more.size() - first);
    uint64_t bytes = 0;
    for (; first < end; ++first) bytes += sizes.more[first];
    largest = std::max(largest, bytes);
  }
  return kBatchOverheadBytes + batch_rows * sizes.each + largest;
}

uint64_t FittingBatchRows(const RowSizes& sizes, uint64_t wanted) {
  constexpr uint64_t kRoom = kBatchBytesMax - kBatchOverheadBytes;
  uint64_t batch_rows = std::max<uint64_t>(1, std::min(wanted, kRoom / sizes.each));
  while (batch_rows > 1 && LargestBatchBytes(sizes, batch_rows) > kBatchBytesMax) batch_rows /= 2;
  return batch_rows;
}

uint64_t DefaultBatchRows(const RowSizes& sizes) {
  const uint64_t average = sizes.rows == 0 ? sizes.each : sizes.Total() / sizes.rows;
  return FittingBatchRows(sizes, std::max<uint64_t>(1, kUsualBatchBytes / average));
}

}  // namespace varve::cli
