#ifndef VARVE_INDEX_ATTRIBUTE_OVERLAY_H_
#define VARVE_INDEX_ATTRIBUTE_OVERLAY_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "base/mutex.h"

namespace varve::index {

// The metadata of a segment's rows that was changed after they were written: it counts instead of what the
// segment's columns say. Each change has the number of its commit, and readers of earlier ones see
// what was there before. Like tombstones it is shared by the forms that a segment has in its life;
// a compaction works it into the columns. Thread-safe.
class AttributeOverlay {
 public:
  // From commit `sequence` on the row has the metadata `encoded`. Nobody reads as of a commit before
  // `oldest_read` any more: what only they saw is dropped. A change that is there already is passed over.
  void Set(uint32_t ordinal, uint64_t sequence, std::string_view encoded, uint64_t oldest_read)
      ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    std::vector<Version>& versions = rows_[ordinal];
    if (!versions.empty() && versions.back().sequence >= sequence) return;
    size_t unseen = 0;
    while (unseen + 1 < versions.size() && versions[unseen + 1].sequence <= oldest_read) ++unseen;
    versions.erase(versions.begin(), versions.begin() + static_cast<ptrdiff_t>(unseen));
    versions.push_back({sequence, std::string(encoded)});
    changed_rows_.store(static_cast<uint32_t>(rows_.size()), std::memory_order_release);
  }

  // Rows that were changed.
  uint32_t changed_rows() const { return changed_rows_.load(std::memory_order_acquire); }

  // Calls `visit` with each row changed by commit `sequence` and its metadata as of it, in order.
  // `visit` must not use the overlay.
  void ForEach(uint64_t sequence,
               absl::FunctionRef<void(uint32_t ordinal, std::string_view encoded)> visit) const
      ABSL_LOCKS_EXCLUDED(mu_) {
    if (changed_rows() == 0) return;
    MutexLock lock(&mu_);
    for (const auto& [ordinal, versions] : rows_) {
      const Version* seen = nullptr;
      for (const Version& version : versions) {
        if (version.sequence <= sequence) seen = &version;
      }
      if (seen != nullptr) visit(ordinal, seen->encoded);
    }
  }

  // Calls `visit` with each change made after commit `sequence`, those of a row in their order.
  void ForEachSince(
      uint64_t sequence,
      absl::FunctionRef<void(uint32_t ordinal, uint64_t changed_at, std::string_view encoded)>
          visit) const ABSL_LOCKS_EXCLUDED(mu_) {
    if (changed_rows() == 0) return;
    MutexLock lock(&mu_);
    for (const auto& [ordinal, versions] : rows_) {
      for (const Version& version : versions) {
        if (version.sequence > sequence) visit(ordinal, version.sequence, version.encoded);
      }
    }
  }

 private:
  struct Version {
    uint64_t sequence = 0;
    std::string encoded;
  };

  mutable Mutex mu_;
  std::map<uint32_t, std::vector<Version>> rows_ ABSL_GUARDED_BY(mu_);
  std::atomic<uint32_t> changed_rows_{0};
};

}  // namespace varve::index

#endif  // VARVE_INDEX_ATTRIBUTE_OVERLAY_H_
