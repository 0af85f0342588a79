#ifndef VARVE_INDEX_ROW_HISTORY_H_
#define VARVE_INDEX_ROW_HISTORY_H_

#include <cstdint>

#include "index/attribute_overlay.h"
#include "index/tombstones.h"

namespace varve::index {

// What became of a segment's rows after they were written. Shared by the forms that a segment has in its
// life, so that nothing is lost between them.
struct RowHistory {
  explicit RowHistory(uint32_t rows) : tombstones(rows) {}

  Tombstones tombstones;
  AttributeOverlay overlay;
};

}  // namespace varve::index

#endif  // VARVE_INDEX_ROW_HISTORY_H_
