#ifndef VARVE_STORAGE_MANIFEST_H_
#define VARVE_STORAGE_MANIFEST_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/record_store.h"

namespace varve::storage {

// One sealed segment, as the manifest knows it.
struct SegmentRecord {
  uint64_t id = 0;    // names its file; never reused in its namespace
  RowRange range;     // it stands for these rows: each lives in it, or is dead
  uint32_t rows = 0;  // in the file, live and dead
  uint64_t file_bytes = 0;
  uint32_t file_crc32c = 0;
};

// The list of a namespace's sealed segments: what is in it is the index, what is not is an orphan.
// Rows in none of the ranges are the unsealed tail. Ranges are disjoint and ascend.
//
// Stored in the record store, so that it changes in one write with the tombstones it speaks of:
//   u8 version (1), u64 next segment id, u32 segments, then for each
//   u64 id, u64 first row, u64 last row, u32 rows, u64 file bytes, u32 file crc32c
// Numbers are big-endian. A change raises the version.
struct Manifest {
  uint64_t next_segment_id = 1;
  std::vector<SegmentRecord> segments;
};

std::string EncodeManifest(const Manifest& manifest);
// Of an empty string: an empty manifest. DataLoss names the part, what was wanted and what was
// found.
absl::StatusOr<Manifest> DecodeManifest(std::string_view bytes);

}  // namespace varve::storage

#endif  // VARVE_STORAGE_MANIFEST_H_
