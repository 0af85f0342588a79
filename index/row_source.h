#ifndef VARVE_INDEX_ROW_SOURCE_H_
#define VARVE_INDEX_ROW_SOURCE_H_

#include <cstdint>
#include <limits>
#include <string_view>

namespace varve::index {

// When a row is gone without being deleted, in microseconds since the Unix epoch: from then on.
inline constexpr int64_t kNeverExpires = std::numeric_limits<int64_t>::max();

// Rows by ordinal, wherever they lie: in a segment, in its file, in several that are being merged.
// Ordinals asked for are in range.
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual uint64_t row(uint32_t ordinal) const = 0;            // ascending with the ordinal
  virtual std::string_view label(uint32_t ordinal) const = 0;  // lives as long as the source
  virtual const char* vector(uint32_t ordinal) const = 0;      // as VectorSpace::LoadRow makes it
  virtual int64_t expires_at(uint32_t ordinal) const = 0;      // kNeverExpires when it does not
};

}  // namespace varve::index

#endif  // VARVE_INDEX_ROW_SOURCE_H_
