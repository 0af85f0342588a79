#ifndef VARVE_CLIENTS_CLI_INGEST_BATCH_PLAN_H_
#define VARVE_CLIENTS_CLI_INGEST_BATCH_PLAN_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace varve::cli {

// How a batch is laid out in bytes, at most: gRPC's own limit on a message.
inline constexpr size_t kBatchBytesMax = size_t{4} << 20;

struct RowRange {
  uint64_t first = 0;
  uint64_t count = 0;
};

// Which rows of the input go in which batch of which stream: batch by batch, the streams take
// turns. The same numbers give the same plan, which is what lets a later run go on where this one
// ended.
struct BatchPlan {
  uint64_t rows = 0;
  uint64_t batch_rows = 1;
  uint32_t streams = 1;

  // Batches of stream 0 ... streams - 1.
  uint64_t BatchesOf(uint32_t stream) const {
    const uint64_t batches = (rows + batch_rows - 1) / batch_rows;
    return (batches + streams - 1 - stream) / streams;
  }

  // Rows of a stream's batch `number`, which counts from 1.
  RowRange Rows(uint32_t stream, uint64_t number) const {
    const uint64_t first = ((number - 1) * streams + stream) * batch_rows;
    return {first, std::min(batch_rows, rows - first)};
  }

  // Rows in a stream's batches 1 ... number.
  uint64_t RowsUpTo(uint32_t stream, uint64_t number) const {
    if (number == 0) return 0;
    return (number - 1) * batch_rows + Rows(stream, number).count;
  }
};

// Bytes of a message that rows take, at most.
struct RowSizes {
  uint64_t rows = 0;
  uint64_t each = 1;           // every row
  std::vector<uint64_t> more;  // besides, row by row; empty: nothing

  // Of all rows.
  uint64_t Total() const;
};

// What a batch takes besides its rows.
inline constexpr size_t kBatchOverheadBytes = 1'024;

// Bytes of the largest batch, when rows are cut into batches of `batch_rows`.
uint64_t LargestBatchBytes(const RowSizes& sizes, uint64_t batch_rows);

// The most rows a batch, up to `wanted` and at least 1, that keep all batches within
// kBatchBytesMax; a row that is larger than that goes alone. Where rows differ in size, fewer than
// the most may be told.
uint64_t FittingBatchRows(const RowSizes& sizes, uint64_t wanted);

// Rows in a batch of about 1 MiB.
uint64_t DefaultBatchRows(const RowSizes& sizes);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INGEST_BATCH_PLAN_H_
