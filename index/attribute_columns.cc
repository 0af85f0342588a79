#include "index/attribute_columns.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/give_way.h"
#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::index {
namespace {

using metadata::Filter;
using metadata::ValueType;
using metadata::ValueView;

constexpr uint8_t kEmptyList = 0;
constexpr size_t kAlignment = 8;
constexpr size_t kTrailerBytes = 2 * sizeof(uint64_t);

struct ColumnHeader {
  uint32_t values;
  uint32_t postings;
  uint16_t path_bytes;
  uint8_t type;
  uint8_t zero[5];
};
static_assert(sizeof(ColumnHeader) == 16);

constexpr bool IsText(uint8_t type) { return type == static_cast<uint8_t>(ValueType::kString); }
constexpr bool IsReal(uint8_t type) { return type == static_cast<uint8_t>(ValueType::kDouble); }

template <typename T>
T Load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

template <typename T>
std::string_view AsBytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// A real's bits, so that they sort as the real does: a strict order whatever they are.
int64_t RealOrder(double real) {
  const auto bits = std::bit_cast<int64_t>(real);
  return bits < 0 ? bits ^ std::numeric_limits<int64_t>::max() : bits;
}

// The order of a column's values. Both are of its type.
bool Precedes(const ValueView& a, const ValueView& b) {
  if (a.type == ValueType::kString) return a.text < b.text;
  if (a.type == ValueType::kDouble) return RealOrder(a.real) < RealOrder(b.real);
  return a.integer < b.integer;
}

// What the values of one column are written from, in their order.
class ColumnWriter {
 public:
  ColumnWriter(std::string_view path, uint8_t type) : path_(path), type_(type) {
    if (IsText(type)) numbers_.push_back(0);
  }

  // Begins the next value.
  void BeginValue(const ValueView& value) {
    SortRows();
    if (IsText(type_)) {
      text_.append(value.text);
      numbers_.push_back(static_cast<int64_t>(text_.size()));
    } else {
      numbers_.push_back(IsReal(type_) ? std::bit_cast<int64_t>(value.real) : value.integer);
    }
    ends_.push_back(static_cast<uint32_t>(postings_.size()));
  }
  // A row that has the value begun last.
  void Add(uint32_t row) {
    postings_.push_back(row);
    ends_.back() = static_cast<uint32_t>(postings_.size());
  }

  bool empty() const { return postings_.empty(); }
  std::string Finish() {
    SortRows();
    const ColumnHeader header{.values = static_cast<uint32_t>(ends_.size()),
                              .postings = static_cast<uint32_t>(postings_.size()),
                              .path_bytes = static_cast<uint16_t>(path_.size()),
                              .type = type_,
                              .zero = {}};
    std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
    bytes.append(AsBytes(numbers_)).append(AsBytes(ends_)).append(AsBytes(postings_));
    bytes.append(path_).append(text_);
    bytes.resize((bytes.size() + kAlignment - 1) / kAlignment * kAlignment);
    return bytes;
  }

 private:
  // Those of the value begun last: so the same attributes are the same bytes, wherever they come from.
  void SortRows() {
    const size_t begin = ends_.size() < 2 ? 0 : ends_[ends_.size() - 2];
    const auto first = postings_.begin() + static_cast<ptrdiff_t>(begin);
    if (!std::is_sorted(first, postings_.end())) std::sort(first, postings_.end());
  }

  const std::string_view path_;
  const uint8_t type_;
  std::vector<int64_t> numbers_;
  std::vector<uint32_t> ends_, postings_;
  std::string text_;
};

// Puts columns one behind the other, then says where each is.
class BlockWriter {
 public:
  using Append = absl::FunctionRef<absl::Status(std::string_view)>;
  // `append` must outlive the object.
  explicit BlockWriter(Append append) : append_(append) {}

  absl::Status Add(ColumnWriter* column) {
    if (column->empty()) return absl::OkStatus();
    const std::string bytes = column->Finish();
    begins_.push_back(written_);
    written_ += bytes.size();
    return append_(bytes);
  }

  absl::Status Finish() {
    if (begins_.empty()) return absl::OkStatus();
    const uint64_t columns = begins_.size();
    begins_.push_back(written_);
    begins_.push_back(columns);
    return append_(AsBytes(begins_));
  }

 private:
  const Append append_;
  std::vector<uint64_t> begins_;
  uint64_t written_ = 0;
};

absl::Status Damaged(std::string_view name, std::string_view what) {
  return absl::DataLossError(StrCat(name, ": attributes: ", what));
}

// Where in a column's values those that satisfy a comparison are.
struct ValueRange {
  uint32_t begin = 0, end = 0;
};

// The first value for which `holds`, which holds for all behind it.
template <typename Holds>
uint32_t FirstValue(const AttributeColumn& column, Holds holds) {
  uint32_t low = 0, high = column.values();
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (holds(column.value(middle))) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

ValueRange FindPrefix(const AttributeColumn& column, std::string_view prefix) {
  if (!IsText(column.type())) return {};
  const auto order = [&](const ValueView& value) {
    return value.text.substr(0, prefix.size()).compare(prefix);
  };
  return {FirstValue(column, [&](const ValueView& value) { return order(value) >= 0; }),
          FirstValue(column, [&](const ValueView& value) { return order(value) > 0; })};
}

ValueRange FindValues(const AttributeColumn& column, Filter::Op op, const ValueView& given) {
  if (column.type() == kEmptyList || column.values() == 0) return {};
  if (op == Filter::Op::kPrefix) return FindPrefix(column, given.text);
  ValueView wanted = given;
  int64_t micros = 0;
  if (column.type() == static_cast<uint8_t>(ValueType::kTimestamp) &&
      given.type == ValueType::kString) {
    // Once, and not at every step.
    if (!metadata::ParseTimestamp(given.text, &micros)) return {};
    wanted = ValueView::Timestamp(micros);
  }
  int order = 0;
  if (!metadata::Compare(column.value(0), wanted, &order)) return {};
  const auto compare = [&](const ValueView& value) {
    metadata::Compare(value, wanted, &order);
    return order;
  };
  const auto not_less = [&](const ValueView& value) { return compare(value) >= 0; };
  const auto greater = [&](const ValueView& value) { return compare(value) > 0; };
  switch (op) {
    case Filter::Op::kLess:
      return {0, FirstValue(column, not_less)};
    case Filter::Op::kLessEqual:
      return {0, FirstValue(column, greater)};
    case Filter::Op::kGreater:
      return {FirstValue(column, greater), column.values()};
    case Filter::Op::kGreaterEqual:
      return {FirstValue(column, not_less), column.values()};
    default:
      return {FirstValue(column, not_less), FirstValue(column, greater)};
  }
}

}  // namespace

bool AttributeColumn::Parse(std::string_view bytes) {
  if (bytes.size() < sizeof(ColumnHeader)) return false;
  const auto header = Load<ColumnHeader>(bytes.data());
  type_ = header.type;
  values_ = header.values;
  if (type_ > static_cast<uint8_t>(ValueType::kString)) return false;
  const uint64_t numbers = uint64_t{values_} + (IsText(type_) ? 1 : 0);
  const uint64_t ends_at = sizeof(header) + numbers * sizeof(int64_t);
  const uint64_t postings_at = ends_at + uint64_t{values_} * sizeof(uint32_t);
  const uint64_t path_at = postings_at + uint64_t{header.postings} * sizeof(uint32_t);
  if (path_at + header.path_bytes > bytes.size()) return false;
  numbers_ = bytes.data() + sizeof(header);
  ends_ = reinterpret_cast<const uint32_t*>(bytes.data() + ends_at);
  postings_ = {reinterpret_cast<const uint32_t*>(bytes.data() + postings_at), header.postings};
  path_ = bytes.substr(path_at, header.path_bytes);
  text_ = bytes.substr(path_at + header.path_bytes);
  return true;
}

ValueView AttributeColumn::value(uint32_t i) const {
  ValueView value{.type = static_cast<ValueType>(type_)};
  const char* const at = numbers_ + size_t{i} * sizeof(int64_t);
  if (IsText(type_)) {
    const auto begin = Load<uint64_t>(at), end = Load<uint64_t>(at + sizeof(uint64_t));
    if (begin <= end && end <= text_.size()) value.text = text_.substr(begin, end - begin);
  } else if (IsReal(type_)) {
    value.real = Load<double>(at);
  } else {
    value.integer = Load<int64_t>(at);
  }
  return value;
}

bool AttributeColumn::TextIsWhole() const {
  if (!IsText(type_)) return true;
  uint64_t end = 0;
  for (uint32_t i = 0; i <= values_; ++i) {
    const auto begin = Load<uint64_t>(numbers_ + size_t{i} * sizeof(uint64_t));
    if (begin < end || begin > text_.size() || (i == 0 && begin != 0)) return false;
    end = begin;
  }
  return true;
}

absl::Span<const uint32_t> AttributeColumn::Postings(uint32_t begin, uint32_t end) const {
  if (begin >= end || end > values_) return {};
  const uint32_t from = begin == 0 ? 0 : ends_[begin - 1], to = ends_[end - 1];
  if (from > to || to > postings_.size()) return {};
  return postings_.subspan(from, to - from);
}

absl::StatusOr<AttributeColumns> AttributeColumns::Parse(std::string_view bytes, uint32_t rows,
                                                         std::string_view name) {
  AttributeColumns parsed;
  parsed.rows_ = rows;
  if (bytes.empty()) return parsed;
  if (bytes.size() < kTrailerBytes || bytes.size() % kAlignment != 0) {
    return Damaged(name, StrCat(bytes.size(), " bytes are no columns"));
  }
  const char* const trailer = bytes.data() + bytes.size() - kTrailerBytes;
  const auto directory = Load<uint64_t>(trailer);
  const auto columns = Load<uint64_t>(trailer + sizeof(uint64_t));
  const uint64_t room = bytes.size() - kTrailerBytes;
  if (directory > room || columns != (room - directory) / sizeof(uint64_t) ||
      directory % kAlignment != 0) {
    return Damaged(name, StrCat("a directory of ", columns, " columns at ", directory, " in ",
                                bytes.size(), " bytes"));
  }
  parsed.columns_.resize(columns);
  // The number behind the last column's begin is where the directory begins, and it ends.
  const char* const begins = bytes.data() + directory;
  for (uint64_t i = 0; i < columns; ++i) {
    const auto begin = Load<uint64_t>(begins + i * sizeof(uint64_t)),
               end = Load<uint64_t>(begins + (i + 1) * sizeof(uint64_t));
    if (begin % kAlignment != 0 || begin > end || end > directory ||
        !parsed.columns_[i].Parse(bytes.substr(begin, end - begin))) {
      return Damaged(name, StrCat("column ", i, " does not parse"));
    }
  }
  return parsed;
}

RowBitmap AttributeColumns::Select(const Filter& filter) const {
  RowBitmap selected(rows_);
  switch (filter.op) {
    case Filter::Op::kAnd:
      selected.SetAll();
      for (const Filter& child : filter.children) selected.And(Select(child));
      break;
    case Filter::Op::kOr:
      for (const Filter& child : filter.children) selected.Or(Select(child));
      break;
    case Filter::Op::kNot:
      selected = Select(filter.children[0]);
      selected.Flip();
      break;
    default:
      ForEachPiece(filter, [&](absl::Span<const uint32_t> postings) {
        for (const uint32_t row : postings) {
          if (row < rows_) selected.Set(row);
        }
      });
  }
  return selected;
}

double AttributeColumns::Estimate(const Filter& filter) const {
  if (rows_ == 0) return 0;
  const double rows = rows_;
  double estimate = 0;
  switch (filter.op) {
    case Filter::Op::kAnd:
      estimate = rows;
      for (const Filter& child : filter.children) estimate *= Estimate(child) / rows;
      break;
    case Filter::Op::kOr: {
      double none = 1;
      for (const Filter& child : filter.children) none *= 1 - Estimate(child) / rows;
      estimate = rows * (1 - none);
      break;
    }
    case Filter::Op::kNot:
      estimate = rows - Estimate(filter.children[0]);
      break;
    default:
      ForEachPiece(filter,
                   [&](absl::Span<const uint32_t> postings) { estimate += postings.size(); });
  }
  return std::clamp(estimate, 0.0, rows);
}

void AttributeColumns::ForEachPiece(
    const Filter& leaf, absl::FunctionRef<void(absl::Span<const uint32_t>)> visit) const {
  for (const AttributeColumn& column : columns_) {
    if (leaf.op == Filter::Op::kExists) {
      if (metadata::IsPathOrBelow(column.path(), leaf.path)) visit(column.Postings());
      continue;
    }
    if (column.path() != leaf.path) continue;
    for (const metadata::Value& wanted : leaf.values) {
      const ValueRange range = FindValues(column, leaf.op, wanted.view());
      visit(column.Postings(range.begin, range.end));
    }
  }
}

absl::Status AttributeColumns::Verify(std::string_view name) const {
  for (size_t i = 0; i < columns_.size(); ++i) {
    const AttributeColumn& column = columns_[i];
    const auto damaged = [&](std::string_view what) {
      return Damaged(name, StrCat("column \"", column.path(), "\": ", what));
    };
    if (i > 0 && std::pair(column.path(), column.type()) <=
                     std::pair(columns_[i - 1].path(), columns_[i - 1].type())) {
      return damaged("is out of order");
    }
    if (!column.TextIsWhole()) return damaged("its values do not divide its text");
    size_t postings = 0;
    for (uint32_t v = 0; v < column.values(); ++v) {
      if (v > 0 && !Precedes(column.value(v - 1), column.value(v))) {
        return damaged(StrCat("value ", v, " is out of order"));
      }
      const absl::Span<const uint32_t> rows = column.Postings(v, v + 1);
      postings += rows.size();
      for (const uint32_t row : rows) {
        if (row >= rows_) return damaged(StrCat("names row ", row, " of ", rows_));
      }
    }
    if (postings != column.Postings().size()) return damaged("has postings without a value");
    GiveWay();
  }
  return absl::OkStatus();
}

void AttributeColumnsBuilder::Add(uint32_t row, std::string_view encoded) {
  metadata::AttributeReader reader(encoded);
  metadata::AttributeView attribute;
  while (reader.Next(&attribute)) {
    const std::string_view path = attribute.path();
    if (attribute.size() == 0) entries_.push_back({path, kEmptyList, ValueView::Int64(0), row});
    attribute.ForEach([&](const ValueView& value) {
      entries_.push_back({path, static_cast<uint8_t>(value.type), value, row});
      return true;
    });
  }
}

std::string AttributeColumnsBuilder::Finish() {
  const auto same_column = [](const Entry& a, const Entry& b) {
    return a.type == b.type && a.path == b.path;
  };
  std::sort(entries_.begin(), entries_.end(), [&](const Entry& a, const Entry& b) {
    if (const int order = a.path.compare(b.path); order != 0) return order < 0;
    if (a.type != b.type) return a.type < b.type;
    if (Precedes(a.value, b.value)) return true;
    return !Precedes(b.value, a.value) && a.row < b.row;
  });
  std::string block;
  const auto append = [&](std::string_view bytes) {
    block.append(bytes);
    return absl::OkStatus();
  };
  BlockWriter writer(append);
  for (size_t i = 0; i < entries_.size();) {
    const Entry& first = entries_[i];
    ColumnWriter column(first.path, first.type);
    for (size_t begin = i; i < entries_.size() && same_column(first, entries_[i]); ++i) {
      const Entry& entry = entries_[i];
      const bool fresh = i == begin || Precedes(entries_[i - 1].value, entry.value);
      if (fresh) column.BeginValue(entry.value);
      // A list may have a value twice.
      if (fresh || entries_[i - 1].row != entry.row) column.Add(entry.row);
    }
    writer.Add(&column).IgnoreError();  // strings take all
  }
  writer.Finish().IgnoreError();
  entries_.clear();
  return block;
}

absl::Status MergeColumns(absl::Span<const ColumnsToMerge> inputs,
                          absl::FunctionRef<absl::Status(std::string_view)> append) {
  struct Source {
    const AttributeColumn* column;
    const ColumnsToMerge* input;
  };
  std::vector<Source> sources;
  for (const ColumnsToMerge& input : inputs) {
    for (const AttributeColumn& column : input.columns->columns()) {
      sources.push_back({&column, &input});
    }
  }
  const auto key = [](const Source& source) {
    return std::pair(source.column->path(), source.column->type());
  };
  std::stable_sort(sources.begin(), sources.end(),
                   [&](const Source& a, const Source& b) { return key(a) < key(b); });

  // A value of one of the columns that become one.
  struct Occurrence {
    ValueView value;
    const Source* source;
    uint32_t index;
  };
  BlockWriter writer(append);
  std::vector<Occurrence> occurrences;
  for (size_t i = 0; i < sources.size();) {
    const auto merged = key(sources[i]);
    occurrences.clear();
    for (; i < sources.size() && key(sources[i]) == merged; ++i) {
      for (uint32_t v = 0; v < sources[i].column->values(); ++v) {
        occurrences.push_back({sources[i].column->value(v), &sources[i], v});
      }
    }
    std::stable_sort(
        occurrences.begin(), occurrences.end(),
        [](const Occurrence& a, const Occurrence& b) { return Precedes(a.value, b.value); });
    ColumnWriter column(merged.first, merged.second);
    const ValueView* last = nullptr;
    for (const Occurrence& occurrence : occurrences) {
      const ColumnsToMerge& input = *occurrence.source->input;
      for (const uint32_t row :
           occurrence.source->column->Postings(occurrence.index, occurrence.index + 1)) {
        uint32_t becomes = input.first + row;
        if (!input.renumbered.empty()) {
          becomes = row < input.renumbered.size() ? input.renumbered[row] : kNoOrdinal;
        }
        if (becomes == kNoOrdinal) continue;
        // Only now: a value that nobody has any more is left out.
        if (last == nullptr || Precedes(*last, occurrence.value)) {
          column.BeginValue(occurrence.value);
          last = &occurrence.value;
        }
        column.Add(becomes);
      }
    }
    VARVE_RETURN_IF_ERROR(writer.Add(&column));
    GiveWay();
  }
  return writer.Finish();
}

}  // namespace varve::index
