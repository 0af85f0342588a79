#ifndef VARVE_INDEX_SEGMENT_STORAGE_H_
#define VARVE_INDEX_SEGMENT_STORAGE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/row_history.h"
#include "index/segment.h"
#include "index/segment_format.h"
#include "index/vector.h"

namespace varve::index {

// A change of what the sealed segments of a set are.
struct SegmentChange {
  const SealedSegment* made = nullptr;  // null: nothing takes the place of those replaced
  std::vector<uint64_t> replaced;       // ids
  // Rows that died up to here are not in `made`: their tombstones have nothing left to speak of.
  uint64_t sequence = 0;
};

// Where sealed segments are kept. Calls take as long as writing a file does. Thread-safe.
class SegmentStorage {
 public:
  using Writer = absl::FunctionRef<absl::StatusOr<SegmentFileSummary>(ByteSink*)>;

  virtual ~SegmentStorage() = default;

  // Makes the file of a segment, durably, and opens it. It counts from Install on; until then a crash
  // leaves nothing of it. When this fails nothing is left either.
  virtual absl::StatusOr<std::shared_ptr<const SealedSegment>> Write(
      uint64_t id, const VectorSpace& space, std::shared_ptr<RowHistory> history, Writer write) = 0;

  // Changes what a set is restored from, at once and durably, and removes the files of those
  // replaced: who still reads one goes on reading. On an error nothing has changed.
  virtual absl::Status Install(const SegmentChange& change) = 0;

  // Removes a file that was written and will not be installed.
  virtual void Discard(uint64_t id) = 0;

  // Segments turned out to be damaged: a set that is restored does without them, and gets their rows
  // from the records. Their files are put aside; who reads one goes on reading.
  virtual absl::Status GiveUp(const std::vector<uint64_t>& ids) = 0;

  // Waits for calls under way. From then on nothing is changed any more: somebody else may restore a set
  // from the same place. Later calls are Cancelled, and what was written and not installed is gone.
  virtual void Close() = 0;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_SEGMENT_STORAGE_H_
