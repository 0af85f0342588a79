#include "index/attribute_columns.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/row_bitmap.h"
#include "metadata/attributes.h"
#include "metadata/filter.h"

namespace varve::index {
namespace {

using metadata::AttributeMap;
using metadata::Filter;
using metadata::Value;
using metadata::ValueView;
using ::testing::HasSubstr;
using Op = Filter::Op;
using namespace std::string_literals;

// A copy of bytes in memory of exactly that size, aligned, for AddressSanitizer.
class Block {
 public:
  Block(std::string_view bytes, uint32_t rows)
      : bytes_(new char[bytes.size()]), size_(bytes.size()) {
    std::memcpy(bytes_.get(), bytes.data(), size_);
    parsed_ = AttributeColumns::Parse({bytes_.get(), size_}, rows, "x.seg");
  }
  size_t size() const { return size_; }
  absl::Status status() const { return parsed_.status(); }
  const AttributeColumns& columns() const { return parsed_.value(); }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_;
  absl::StatusOr<AttributeColumns> parsed_;
};

// Rows' encoded attributes, by row.
using Records = std::vector<std::string>;

std::string Build(const Records& records) {
  // Rows may come in any order.
  AttributeColumnsBuilder builder;
  for (size_t i = 1; i < records.size(); i += 2) builder.Add(i, records[i]);
  for (size_t i = 0; i < records.size(); i += 2) builder.Add(i, records[i]);
  return builder.Finish();
}
Block MakeBlock(const Records& records) { return Block(Build(records), records.size()); }

std::vector<uint32_t> Rows(const RowBitmap& rows) {
  std::vector<uint32_t> set;
  for (uint32_t i = rows.Next(0); i < rows.rows(); i = rows.Next(i + 1)) set.push_back(i);
  return set;
}
std::vector<uint32_t> RowsThatMatch(const Filter& filter, const Records& records) {
  std::vector<uint32_t> rows;
  for (uint32_t i = 0; i < records.size(); ++i) {
    if (metadata::Matches(filter, records[i])) rows.push_back(i);
  }
  return rows;
}

constexpr std::string_view kSecond = "1970-01-01T01:00:01+01:00";

// Makes records and filters out of few paths and values, so that they meet.
class Random {
 public:
  explicit Random(uint32_t seed) : random_(seed) {}

  uint32_t Below(uint32_t end) { return random_() % end; }
  template <typename T>
  const T& Any(const std::vector<T>& of) {
    return of[Below(of.size())];
  }
  std::mt19937* engine() { return &random_; }

  ValueView AnyValue() {
    constexpr int64_t k2To53 = int64_t{1} << 53;
    using Limits = std::numeric_limits<int64_t>;
    switch (Below(5)) {
      case 0:
        return ValueView::Bool(Below(2) == 0);
      case 1:
        return ValueView::Int64(
            Any<int64_t>({-1, 0, 1, k2To53, k2To53 + 1, Limits::min(), Limits::max()}));
      case 2:
        return ValueView::Double(
            Any<double>({-0.0, 0.0, 0.5, 1, -1.5, 0x1p53, -0x1p63, 0x1p63, -1e300}));
      case 3:
        return ValueView::Timestamp(Any<int64_t>({-1, 0, 1'000'000}));
      default:
        return ValueView::String(Any<std::string_view>({"", "a", "ab", "b", "\xc3\xa9", kSecond}));
    }
  }

  std::string Record(bool lists) {
    AttributeMap attributes;
    for (const char* path : {"a", "b", "c-d", "o-", "o.a", "o.b", "o.p.a", "o.p.b"}) {
      if (Below(3) == 0) continue;
      metadata::Attribute& attribute = attributes[path];
      attribute.is_list = lists && Below(2) == 0;
      const size_t values = attribute.is_list ? Below(4) : 1;
      for (size_t i = 0; i < values; ++i) attribute.values.emplace_back(AnyValue());
    }
    if (Below(4) == 0) {
      // What is an object in one record is a value in another.
      std::erase_if(attributes, [](const auto& entry) { return entry.first.starts_with("o."); });
      attributes["o"].values.emplace_back(AnyValue());
    }
    return metadata::EncodeAttributes(attributes).value();
  }
  Records AnyRecords(size_t count, bool lists = true) {
    Records records;
    for (size_t i = 0; i < count; ++i) records.push_back(Record(lists));
    return records;
  }

  Filter Leaf() {
    const auto path = Any<std::string>(
        {"a", "b", "c-d", "o", "o-", "o.a", "o.a.b", "o.p", "o.p.a", "o.p.b", "zz"});
    const auto op = static_cast<Op>(static_cast<uint32_t>(Op::kIn) + Below(7));
    if (op == Op::kExists) return Filter::Exists(path);
    if (op == Op::kPrefix) {
      const auto prefix = Any<std::string_view>({"", "a", "1970", "\xc3"});
      return Filter::Compare(op, path, ValueView::String(prefix));
    }
    if (op != Op::kIn) return Filter::Compare(op, path, AnyValue());
    std::vector<Value> values;
    for (size_t i = Below(4); i > 0; --i) values.emplace_back(AnyValue());
    return Filter::In(path, std::move(values));
  }
  Filter AnyFilter(int depth = 3) {
    const uint32_t kind = depth == 0 ? 3 : Below(4);
    if (kind == 3) return Leaf();
    if (kind == 2) return Filter::Not(AnyFilter(depth - 1));
    std::vector<Filter> children;
    for (size_t i = Below(4); i > 0; --i) children.push_back(AnyFilter(depth - 1));
    return kind == 0 ? Filter::And(std::move(children)) : Filter::Or(std::move(children));
  }

 private:
  std::mt19937 random_;
};

TEST(AttributeColumnsTest, TheRowsSelectedAreThoseWhoseRecordsMatch) {
  Random random(1);
  int some = 0;
  for (const size_t rows : {1, 63, 64, 65, 200, 200, 200}) {
    const Records records = random.AnyRecords(rows);
    const Block block = MakeBlock(records);
    EXPECT_EQ(block.columns().Verify("x.seg"), absl::OkStatus());
    for (int i = 0; i < 200; ++i) {
      const Filter filter = i % 2 == 0 ? random.Leaf() : random.AnyFilter();
      const std::vector<uint32_t> wanted = RowsThatMatch(filter, records);
      EXPECT_EQ(Rows(block.columns().Select(filter)), wanted) << ToString(filter);
      some += !wanted.empty() && wanted.size() < rows;
    }
  }
  EXPECT_GT(some, 400) << "nearly all filters match all or nothing";
}

TEST(AttributeColumnsTest, ConditionsAreEstimatedAsIfTheyHadNothingToDoWithEachOther) {
  Random random(1);
  const double rows = 150;
  const Block block = MakeBlock(random.AnyRecords(rows));
  const auto estimate = [&](const Filter& filter) { return block.columns().Estimate(filter); };
  for (int i = 0; i < 300; ++i) {
    const Filter a = random.AnyFilter(), b = random.AnyFilter();
    SCOPED_TRACE(ToString(a) + " and " + ToString(b));
    const double of_a = estimate(a), both = of_a * estimate(b) / rows;
    EXPECT_TRUE(of_a >= 0 && of_a <= rows) << of_a;
    EXPECT_NEAR(estimate(Filter::And({a, b})), both, 1e-9);
    EXPECT_NEAR(estimate(Filter::Or({a, b})), of_a + estimate(b) - both, 1e-9);
    EXPECT_NEAR(estimate(Filter::Not(a)), rows - of_a, 1e-9);
  }
  EXPECT_EQ(estimate(Filter::And({})), rows);
  EXPECT_EQ(estimate(Filter::Or({})), 0);
}

TEST(AttributeColumnsTest, TheEstimateOfOneComparisonOfScalarsIsExact) {
  Random random(1);
  const Records records = random.AnyRecords(150, /*lists=*/false);
  const Block block = MakeBlock(records);
  for (int i = 0; i < 300; ++i) {
    Filter filter = random.Leaf();
    if (filter.values.size() > 1) filter.values.resize(1, filter.values[0]);
    // A record has several attributes in an object.
    if (filter.op == Op::kExists && filter.path.starts_with("o")) filter.path = "a";
    EXPECT_EQ(block.columns().Estimate(filter), RowsThatMatch(filter, records).size())
        << ToString(filter);
  }
}

TEST(AttributeColumnsTest, ABlockOfNoAttributesIsNoBytes) {
  EXPECT_EQ(Build({"", "", ""}), "");
  for (const uint32_t rows : {0, 3}) {
    const Block none("", rows);
    EXPECT_EQ(Rows(none.columns().Select(Filter::Exists("a"))).size(), 0u);
    EXPECT_EQ(Rows(none.columns().Select(Filter::Not(Filter::Exists("a")))).size(), rows);
    EXPECT_EQ(none.columns().Estimate(Filter::Not(Filter::Exists("a"))), rows);
  }
}

// Merges the blocks of `parts`, whose rows become `numbers`.
void ExpectMerges(const std::vector<Records>& parts,
                  const std::vector<std::vector<uint32_t>>& numbers, Random* random) {
  std::vector<Block> blocks;
  for (const Records& part : parts) blocks.push_back(MakeBlock(part));
  std::vector<ColumnsToMerge> inputs;
  Records records;
  for (size_t i = 0; i < parts.size(); ++i) {
    // What stays in order needs no numbers.
    const uint32_t first = numbers[i].empty() ? 0 : numbers[i][0];
    bool in_order = true;
    for (size_t row = 0; row < parts[i].size(); ++row) {
      const uint32_t becomes = numbers[i][row];
      in_order &= becomes == first + row;
      if (becomes == kNoOrdinal) continue;
      records.resize(std::max<size_t>(records.size(), becomes + 1));
      records[becomes] = parts[i][row];
    }
    inputs.push_back({.columns = &blocks[i].columns(), .renumbered = numbers[i], .first = 77});
    if (in_order) inputs[i] = {.columns = &blocks[i].columns(), .renumbered = {}, .first = first};
  }
  std::string bytes;
  const auto append = [&](std::string_view more) {
    bytes.append(more);
    return absl::OkStatus();
  };
  ASSERT_TRUE(MergeColumns(inputs, append).ok());
  const Block merged(bytes, records.size()), made = MakeBlock(records);
  EXPECT_EQ(merged.columns().Verify("x.seg"), absl::OkStatus());
  EXPECT_EQ(merged.size(), made.size()) << "keeps what no row has";
  for (int i = 0; i < 50; ++i) {
    const Filter filter = random->AnyFilter();
    const AttributeColumns &found = merged.columns(), &wanted = made.columns();
    EXPECT_EQ(Rows(found.Select(filter)), Rows(wanted.Select(filter))) << ToString(filter);
    EXPECT_EQ(found.Estimate(filter), wanted.Estimate(filter)) << ToString(filter);
  }
}

TEST(AttributeColumnsTest, MergedBlocksAreAsIfMadeOfTheRowsThatRemain) {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    std::vector<Records> parts;
    std::vector<std::vector<uint32_t>> numbers;
    uint32_t rows = 0;
    for (size_t i = 0; i < seed % 5; ++i) {
      parts.push_back(random.AnyRecords(random.Below(60)));
      std::vector<uint32_t>& own = numbers.emplace_back(parts.back().size());
      std::iota(own.begin(), own.end(), rows);
      rows += own.size();
      if (random.Below(2) == 0) continue;
      std::shuffle(own.begin(), own.end(), *random.engine());
      const uint32_t dropped = random.Below(5);
      for (uint32_t& number : own) {
        if (random.Below(4) < dropped) number = kNoOrdinal;
      }
    }
    // Now and then rows of two blocks lie between each other.
    if (parts.size() >= 2 && seed % 2 == 0) {
      const size_t both = std::min(numbers[0].size(), numbers[1].size());
      for (size_t i = 0; i < both; i += 2) std::swap(numbers[0][i], numbers[1][i]);
    }
    ExpectMerges(parts, numbers, &random);
  }
}

TEST(AttributeColumnsTest, AMergeEndsWithTheErrorOfWhatItAppendsTo) {
  const Block block = MakeBlock(Random(1).AnyRecords(10));
  const std::vector<ColumnsToMerge> inputs = {{.columns = &block.columns(), .renumbered = {}}};
  const size_t calls = block.columns().columns().size() + 1;  // each column, and the directory
  for (size_t fails = 0; fails < calls; ++fails) {
    size_t made = 0;
    const auto append = [&](std::string_view) {
      return made++ == fails ? absl::ResourceExhaustedError("full") : absl::OkStatus();
    };
    EXPECT_EQ(MergeColumns(inputs, append), absl::ResourceExhaustedError("full"));
    EXPECT_EQ(made, fails + 1) << "goes on after an error";
  }
}

// Three rows: of "a" the first two have 7; "e" of the last is an empty list; of "t" the last two
// have "x" and "yz".
constexpr size_t kA = 0, kE = 40, kT = 80, kDirectory = 144;
std::string Golden() {
  return "\1\0\0\0\2\0\0\0\1\0\2\0\0\0\0\0"s          // values, postings, path's bytes, type
         "\7\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0"s  // the value, its end, postings
         "a\0\0\0"s                                   // the path
         "\1\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0"s          // "e"
         "\0\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0"s          // as above
         "e\0\0\0\0\0\0\0"s                           //
         "\2\0\0\0\2\0\0\0\1\0\5\0\0\0\0\0"s          // "t"
         "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0"s      // where texts begin, and the end
         "\1\0\0\0\2\0\0\0\1\0\0\0\2\0\0\0"s                      // ends, postings
         "txyz\0\0\0\0"s                                          // the path, the texts
         "\0\0\0\0\0\0\0\0\x28\0\0\0\0\0\0\0\x50\0\0\0\0\0\0\0"s  // where columns begin
         "\x90\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0"s;  // where they do not any more, and 3
}

TEST(AttributeColumnsTest, ABlockHasTheBytesWrittenHere) {
  const auto encode = [](const AttributeMap& attributes) {
    return metadata::EncodeAttributes(attributes).value();
  };
  const metadata::Attribute seven{.is_list = false, .values = {Value(ValueView::Int64(7))}};
  const metadata::Attribute x{.is_list = true, .values = {2, Value(ValueView::String("x"))}};
  const metadata::Attribute yz{.is_list = false, .values = {Value(ValueView::String("yz"))}};
  EXPECT_EQ(Build({encode({{"a", seven}}), encode({{"a", seven}, {"t", x}}),
                   encode({{"e", {.is_list = true, .values = {}}}, {"t", yz}})}),
            Golden());
}

TEST(AttributeColumnsTest, DamageIsFoundWhenABlockIsParsedOrVerified) {
  struct Case {
    std::string name;
    size_t at;
    uint8_t byte;
    std::string error;
  };
  const std::vector<Case> cases = {
      {"type", kA + 10, 6, "column 0 does not parse"},
      {"too many values", kA, 5, "column 0 does not parse"},
      {"too many postings", kE + 4, 9, "column 1 does not parse"},
      {"a path that is too long", kA + 9, 1, "column 0 does not parse"},
      {"a column that is not aligned", kDirectory + 8, 44, "column 1 does not parse"},
      {"a column that begins behind its end", kDirectory + 8, 88, "column 1 does not parse"},
      {"a column that is too short", kDirectory + 8, 72, "column 1 does not parse"},
      {"a column beyond the directory", kDirectory + 16, 152, "column 1 does not parse"},
      {"a directory that is not aligned", kDirectory + 24, 0x91, "a directory of 3 columns at 145"},
      {"a directory beyond the end", kDirectory + 25, 1, "a directory of 3 columns at 400"},
      {"how many columns", kDirectory + 32, 2, "a directory of 2 columns at 144 in 184 bytes"},
      {"paths out of order", kA + 36, 'f', "column \"e\": is out of order"},
      {"the same path twice", kA + 36, 'e', "column \"e\": is out of order"},
      {"values out of order", kT + 57, 'z', "column \"t\": value 1 is out of order"},
      {"a row there is not", kA + 28, 3, "column \"a\": names row 3 of 3"},
      {"postings that nobody has", kA + 24, 1, "column \"a\": has postings without a value"},
      {"postings beyond the end", kA + 24, 3, "column \"a\": has postings without a value"},
      {"postings that end before they begin", kT + 44, 0, "has postings without a value"},
  };
  ASSERT_TRUE(Block(Golden(), 3).columns().Verify("x.seg").ok());
  for (const Case& c : cases) {
    std::string bytes = Golden();
    bytes[c.at] = static_cast<char>(c.byte);
    const Block block(bytes, 3);
    const absl::Status status =
        block.status().ok() ? block.columns().Verify("x.seg") : block.status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << c.name;
    EXPECT_THAT(status.ToString(), HasSubstr("x.seg: attributes: ")) << c.name;
    EXPECT_THAT(status.ToString(), HasSubstr(c.error)) << c.name;
  }
}

// Whatever the bytes say, nothing leads out of them.
void Use(const Block& block, Random* random) {
  if (!block.status().ok()) {
    EXPECT_EQ(block.status().code(), absl::StatusCode::kDataLoss);
    return;
  }
  const AttributeColumns& columns = block.columns();
  for (int i = 0; i < 4; ++i) {
    const Filter filter = random->Leaf();
    for (const uint32_t row : Rows(columns.Select(filter))) ASSERT_LT(row, columns.rows());
    const double estimate = columns.Estimate(filter);
    EXPECT_TRUE(estimate >= 0 && estimate <= columns.rows()) << estimate;
  }
  columns.Verify("x.seg").IgnoreError();
  const std::vector<uint32_t> numbers = {2, kNoOrdinal, 1};
  const std::vector<ColumnsToMerge> inputs = {{.columns = &columns, .renumbered = {}, .first = 3},
                                              {.columns = &columns, .renumbered = numbers}};
  EXPECT_TRUE(MergeColumns(inputs, [](std::string_view) { return absl::OkStatus(); }).ok());
}

TEST(AttributeColumnsTest, NoDamageDoesHarm) {
  Random random(1);
  const Records records = random.AnyRecords(20);
  const std::string whole = Build(records);
  for (size_t size = 1; size < whole.size(); ++size) {
    const Block block(whole.substr(0, size), records.size());
    EXPECT_EQ(block.status().code(), absl::StatusCode::kDataLoss) << size;
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const uint8_t byte : {0, 1, 127, 128, 255, static_cast<int>(random.Below(256))}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(byte);
      Use(Block(bytes, records.size()), &random);
    }
  }
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = whole;
    for (size_t changes = 1 + random.Below(8); changes > 0; --changes) {
      bytes[random.Below(bytes.size())] = static_cast<char>(random.Below(256));
    }
    Use(Block(bytes, random.Below(30)), &random);
  }
}

TEST(RowBitmapTest, ItIsASetOfRows) {
  std::mt19937 random(1);
  for (const uint32_t rows : {0, 1, 2, 63, 64, 65, 127, 128, 129, 200}) {
    SCOPED_TRACE(rows);
    RowBitmap bitmap(rows), none(rows), all(rows);
    std::set<uint32_t> set;
    for (uint32_t i = 0; i < rows; ++i) {
      const uint32_t set_row = random() % rows, clear_row = random() % rows;
      bitmap.Set(set_row);
      set.insert(set_row);
      if (i % 2 == 0) bitmap.Clear(clear_row);
      if (i % 2 == 0) set.erase(clear_row);
    }
    RowBitmap flipped = bitmap;
    flipped.Flip();
    for (uint32_t row = 0; row < rows; ++row) {
      EXPECT_EQ(bitmap.Test(row), set.contains(row)) << row;
      EXPECT_EQ(flipped.Test(row), !set.contains(row)) << row;
    }
    for (uint32_t row = 0; row <= rows; ++row) {
      const auto next = set.lower_bound(row);
      EXPECT_EQ(bitmap.Next(row), next == set.end() ? rows : *next) << row;
      EXPECT_EQ(bitmap.CountBelow(row), std::distance(set.begin(), next)) << row;
    }
    EXPECT_EQ(bitmap.Next(rows + 1), rows);
    EXPECT_EQ(bitmap.Count(), set.size());
    EXPECT_EQ(flipped.Count(), rows - set.size()) << "counts rows behind the end";
    all.SetAll();
    EXPECT_EQ(all.Count(), rows);
    all.And(bitmap);
    EXPECT_EQ(Rows(all), Rows(bitmap));
    all.Or(flipped);
    EXPECT_EQ(all.Count(), rows);
    EXPECT_EQ(none.Count(), 0u);
  }
}

TEST(RowBitmapTest, PartsArePlacedOneBehindTheOtherAndWhatDoesNotFitIsLeftOut) {
  for (const uint32_t rows : {0, 1, 63, 64, 65, 127, 128, 129, 200, 256}) {
    for (const uint32_t part_rows : {0, 1, 63, 64, 65, 128, 129}) {
      SCOPED_TRACE(testing::Message() << part_rows << " rows each into " << rows);
      RowBitmap bitmap(rows), larger(512);
      std::vector<uint32_t> wanted;
      for (uint32_t first = 0; first < 320; first += std::max(1u, (part_rows + 63) / 64) * 64) {
        RowBitmap part(part_rows);
        for (uint32_t row = 0; row < part_rows; ++row) {
          if (row % 3 == first / 64 % 2) part.Set(row);
          if (row % 3 != first / 64 % 2 && first + row < rows) wanted.push_back(first + row);
        }
        part.Flip();  // which sets no row behind its end
        bitmap.Place(first, part);
      }
      EXPECT_EQ(Rows(bitmap), wanted);
      larger.Place(0, bitmap);
      EXPECT_EQ(Rows(larger), wanted) << "has rows behind the end";
      bitmap.SetAll();
      larger.Place(0, bitmap);
      EXPECT_EQ(larger.Count(), rows);
    }
  }
}

}  // namespace
}  // namespace varve::index
