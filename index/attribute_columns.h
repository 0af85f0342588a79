#ifndef VARVE_INDEX_ATTRIBUTE_COLUMNS_H_
#define VARVE_INDEX_ATTRIBUTE_COLUMNS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/row_bitmap.h"
#include "metadata/attributes.h"
#include "metadata/filter.h"

// The attributes of a segment's rows turned round: for each path and type of value a column, with the
// values that occur, in order, and of each the rows that have it, one value's behind the other's. So the
// rows of a range of values, as of a single one, are a piece of one array.
//
// A block of columns is bytes, the same in memory as in the segment file (docs/segment-format.md):
//
//   columns, each at a multiple of 8:
//      0  u32 values, u32 postings, u16 bytes of the path, u8 type, u8[5] zero
//     16  the values: i64 or f64 [values]; of text u64[values + 1], where each begins in the text
//         u32[values]: where the postings of each end
//         u32[postings]: rows
//         the path; the text
//   directory, at a multiple of 8: u64[columns], where each column begins; the last ends here
//   u64: where the directory begins; u64: columns
//
// They are in order of path, then type: a ValueType, or 0 for the rows whose list is empty, which have one
// value, i64 0. No columns are no bytes.
namespace varve::index {

inline constexpr uint32_t kNoOrdinal = ~uint32_t{0};

// One column. What bytes that were damaged may say is caught where it is used: it may be wrong, but leads
// nowhere.
class AttributeColumn {
 public:
  // False when the bytes are no column.
  bool Parse(std::string_view bytes);

  std::string_view path() const { return path_; }
  uint8_t type() const { return type_; }
  uint32_t values() const { return values_; }
  metadata::ValueView value(uint32_t i) const;
  // Whether each value of text lies within the text.
  bool TextIsWhole() const;
  // The rows of the values [begin, end).
  absl::Span<const uint32_t> Postings(uint32_t begin, uint32_t end) const;
  absl::Span<const uint32_t> Postings() const { return postings_; }

 private:
  std::string_view path_;
  uint8_t type_ = 0;
  uint32_t values_ = 0;
  const char* numbers_ = nullptr;  // or where texts begin
  const uint32_t* ends_ = nullptr;
  absl::Span<const uint32_t> postings_;
  std::string_view text_;
};

// A block of columns over `rows` rows, in memory that somebody else owns, aligned to 8. Immutable;
// thread-safe.
class AttributeColumns {
 public:
  AttributeColumns() = default;
  // DataLoss, naming `name`, when the bytes are no block of columns.
  static absl::StatusOr<AttributeColumns> Parse(std::string_view bytes, uint32_t rows,
                                                std::string_view name);

  uint32_t rows() const { return rows_; }
  absl::Span<const AttributeColumn> columns() const { return columns_; }

  // The rows that satisfy a filter (see metadata::Matches).
  RowBitmap Select(const metadata::Filter& filter) const;
  // About how many rows do, out of how often each value occurs, as if the conditions had nothing to do
  // with each other. Quick.
  double Estimate(const metadata::Filter& filter) const;

  // Reads everything. DataLoss as above.
  absl::Status Verify(std::string_view name) const;

 private:
  void SelectLeaf(const metadata::Filter& leaf, RowBitmap* rows) const;
  // Calls `visit` with each piece of postings that satisfies a leaf. A row may be in several.
  void ForEachPiece(const metadata::Filter& leaf,
                    absl::FunctionRef<void(absl::Span<const uint32_t>)> visit) const;

  uint32_t rows_ = 0;
  std::vector<AttributeColumn> columns_;
};

// Makes a block out of rows' encoded attributes. One thread.
class AttributeColumnsBuilder {
 public:
  // Rows in any order. `encoded` must live until Finish.
  void Add(uint32_t row, std::string_view encoded);
  std::string Finish();

 private:
  struct Entry {
    std::string_view path;
    uint8_t type;
    metadata::ValueView value;
    uint32_t row;
  };
  std::vector<Entry> entries_;
};

// A block that goes into a larger one.
struct ColumnsToMerge {
  const AttributeColumns* columns = nullptr;
  // The row that each becomes, kNoOrdinal for those left out; when empty, `first` and those behind it.
  absl::Span<const uint32_t> renumbered;
  uint32_t first = 0;
};

// Makes one block out of several, column by column: it takes no more memory than the largest. Errors are
// those of `append`.
absl::Status MergeColumns(absl::Span<const ColumnsToMerge> inputs,
                          absl::FunctionRef<absl::Status(std::string_view)> append);

}  // namespace varve::index

#endif  // VARVE_INDEX_ATTRIBUTE_COLUMNS_H_
