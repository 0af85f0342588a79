#include "metadata/filter.h"

#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metadata/attributes.h"

namespace varve::metadata {
namespace {

using ::testing::HasSubstr;
using Op = Filter::Op;

constexpr int64_t k2To53 = int64_t{1} << 53;

ValueView B(bool value) { return ValueView::Bool(value); }
ValueView I(int64_t value) { return ValueView::Int64(value); }
ValueView D(double value) { return ValueView::Double(value); }
ValueView T(int64_t micros) { return ValueView::Timestamp(micros); }
ValueView S(std::string_view value) { return ValueView::String(value); }

Filter Less(std::string path, const ValueView& value) {
  return Filter::Compare(Op::kLess, std::move(path), value);
}
Filter AtMost(std::string path, const ValueView& value) {
  return Filter::Compare(Op::kLessEqual, std::move(path), value);
}
Filter Greater(std::string path, const ValueView& value) {
  return Filter::Compare(Op::kGreater, std::move(path), value);
}
Filter AtLeast(std::string path, const ValueView& value) {
  return Filter::Compare(Op::kGreaterEqual, std::move(path), value);
}
Filter Prefix(std::string path, std::string_view prefix) {
  return Filter::Compare(Op::kPrefix, std::move(path), S(prefix));
}
Filter Exists(std::string path) { return Filter::Exists(std::move(path)); }
Filter In(std::string path, const std::vector<ValueView>& values) {
  return Filter::In(std::move(path), {values.begin(), values.end()});
}
Filter Is(std::string path, const ValueView& value) { return In(std::move(path), {value}); }
Filter Yes() { return Filter::And({}); }
Filter No() { return Filter::Or({}); }

// Names that lie around the objects in the order of paths are there to lead astray.
std::string Record() {
  const auto one = [](const ValueView& value) {
    return Attribute{.is_list = false, .values = {Value(value)}};
  };
  const auto list = [](const std::vector<ValueView>& values) {
    return Attribute{.is_list = true, .values = {values.begin(), values.end()}};
  };
  return EncodeAttributes({{"at", one(T(1'000'000))},
                           {"big", one(I(k2To53 + 1))},
                           {"flag", one(B(true))},
                           {"half", one(D(0.5))},
                           {"mixed", list({I(7), S("seven"), D(7.5), T(0)})},
                           {"n", one(I(5))},
                           {"name", one(S("boot"))},
                           {"none", list({})},
                           {"size-x", one(I(1))},
                           {"size.eu", one(I(44))},
                           {"size.us.men", list({I(10), I(12)})},
                           {"sizes", one(I(1))},
                           {"tags", list({S("new"), S("sale")})},
                           {"zero", one(D(-0.0))}})
      .value();
}

struct Case {
  Filter filter;
  bool matches;
};

// Each filter, and its negation.
void ExpectMatches(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    ASSERT_TRUE(ValidateFilter(c.filter).ok()) << ToString(c.filter);
    EXPECT_EQ(Matches(c.filter, Record()), c.matches) << ToString(c.filter);
    EXPECT_EQ(Matches(Filter::Not(c.filter), Record()), !c.matches) << ToString(c.filter);
  }
}

TEST(FilterTest, AScalarIsComparedWithTheValue) {
  ExpectMatches({
      {Is("n", I(5)), true},
      {Is("n", I(4)), false},
      {In("n", {}), false},
      {In("n", {I(4), I(5)}), true},
      {Less("n", I(6)), true},
      {Less("n", I(5)), false},
      {AtMost("n", I(5)), true},
      {AtMost("n", I(4)), false},
      {Greater("n", I(4)), true},
      {Greater("n", I(5)), false},
      {AtLeast("n", I(5)), true},
      {AtLeast("n", I(6)), false},
      {Is("flag", B(true)), true},
      {Is("flag", B(false)), false},
      {Greater("flag", B(false)), true},
      {Is("name", S("boot")), true},
      {Is("name", S("boo")), false},
      {Less("name", S("bop")), true},
      {AtLeast("name", S("boot!")), false},
      {Is("at", T(1'000'000)), true},
      {Less("at", T(1'000'000)), false},
  });
}

TEST(FilterTest, ValuesOfOtherTypesCompareWhereTheyMeanTheSame) {
  ExpectMatches({
      {Is("n", D(5)), true},
      {Less("n", D(5.5)), true},
      {Less("half", I(1)), true},
      {Is("half", I(0)), false},
      {Is("zero", D(0.0)), true},
      {Is("zero", I(0)), true},
      {Less("zero", D(0.0)), false},
      {Is("big", D(0x1p53)), false},
      {Greater("big", D(0x1p53)), true},
      {Is("at", S("1970-01-01T00:00:01Z")), true},
      {Less("at", S("1970-01-01T01:00:02+01:00")), true},
      {Is("at", S("soon")), false},
      {Less("at", S("soon")), false},
      {AtLeast("at", S("soon")), false},
      {Is("at", I(1'000'000)), false},
      {Is("n", S("5")), false},
      {Is("flag", I(1)), false},
      {AtLeast("name", I(0)), false},
      {In("n", {S("5"), B(true), D(5)}), true},
  });
}

TEST(FilterTest, AListSatisfiesWhatAnyOfItsElementsDoes) {
  ExpectMatches({
      {Is("tags", S("new")), true},
      {Is("tags", S("sale")), true},
      {Is("tags", S("old")), false},
      {In("tags", {S("old"), S("sale")}), true},
      {Prefix("tags", "sa"), true},
      {Is("mixed", I(7)), true},
      {Is("mixed", D(7)), true},
      {Greater("mixed", I(7)), true},
      {Greater("mixed", D(7.5)), false},
      {Less("mixed", S("six")), true},
      {Is("mixed", S("1970-01-01T00:00:00Z")), true},
      {Is("mixed", B(true)), false},
      // One element for each, and none for both.
      {Filter::And({Less("size.us.men", I(11)), Greater("size.us.men", I(11))}), true},
      {Is("size.us.men", I(11)), false},
  });
}

TEST(FilterTest, NothingComparesWithWhatIsNotThere) {
  std::vector<Case> cases;
  for (const std::string path : {"a", "nam", "none", "size", "size.us", "size.eu.x", "zz"}) {
    cases.push_back({AtLeast(path, I(0)), false});
    cases.push_back({Less(path, I(0)), false});
    cases.push_back({Is(path, S("")), false});
    cases.push_back({Prefix(path, ""), false});
  }
  ExpectMatches(cases);
}

TEST(FilterTest, APrefixIsOfTextByBytes) {
  ExpectMatches({
      {Prefix("name", ""), true},
      {Prefix("name", "bo"), true},
      {Prefix("name", "boot"), true},
      {Prefix("name", "boots"), false},
      {Prefix("name", "oot"), false},
      {Prefix("name", "Bo"), false},
      {Prefix("n", ""), false},
      {Prefix("at", "1970"), false},
  });
}

TEST(FilterTest, AnAttributeExistsAndTheObjectsThatItIsInDoToo) {
  ExpectMatches({
      {Exists("n"), true},
      {Exists("none"), true},
      {Exists("size"), true},
      {Exists("size.us"), true},
      {Exists("size.us.men"), true},
      {Exists("siz"), false},
      {Exists("size.u"), false},
      {Exists("size.us.men.x"), false},
      {Exists("zz"), false},
  });
  EXPECT_FALSE(Matches(Exists("n"), ""));
  const std::string between = EncodeAttributes({{"a-", {.is_list = true, .values = {}}},
                                                {"a0", {.is_list = true, .values = {}}}})
                                  .value();
  EXPECT_FALSE(Matches(Exists("a"), between));
}

TEST(FilterTest, ConditionsAreJoined) {
  ExpectMatches({
      {Filter::And({}), true},
      {Filter::Or({}), false},
      {Filter::And({Yes()}), true},
      {Filter::Or({No()}), false},
      {Filter::And({Yes(), No()}), false},
      {Filter::And({Yes(), Yes()}), true},
      {Filter::And({No(), Yes()}), false},
      {Filter::Or({Yes(), No()}), true},
      {Filter::Or({No(), Yes()}), true},
      {Filter::Or({No(), No()}), false},
      {Filter::Not(Filter::Not(Is("n", I(5)))), true},
      {Filter::And({Is("n", I(5)), Filter::Or({Is("n", I(4)), Exists("tags")})}), true},
  });
  EXPECT_TRUE(Matches(Filter::Not(Is("n", I(5))), ""));
  EXPECT_TRUE(Matches(Yes(), ""));
  EXPECT_TRUE(Matches(Filter(), "")) << "as made without anything";
}

TEST(FilterTest, OfDamagedAttributesThoseBeforeTheDamageAreSeen) {
  const std::string record = Record();
  const std::string cut = record.substr(0, record.find("name") + 6);
  EXPECT_TRUE(Matches(Is("n", I(5)), cut));
  EXPECT_FALSE(Matches(Is("name", S("boot")), cut));
  EXPECT_FALSE(Matches(Exists("name"), cut));
  EXPECT_FALSE(Matches(Exists("tags"), cut));
}

TEST(FilterTest, AComparisonHoldsOfTheOrdersThatItNames) {
  const std::vector<std::pair<Op, std::string>> cases = {
      {Op::kIn, "="},
      {Op::kLess, "<"},
      {Op::kLessEqual, "<="},
      {Op::kGreater, ">"},
      {Op::kGreaterEqual, ">="},
      {Op::kAnd, ""},
      {Op::kOr, ""},
      {Op::kNot, ""},
      {Op::kPrefix, ""},
      {Op::kExists, ""},
  };
  for (const auto& [op, holds] : cases) {
    for (const int order : {-128, -1, 0, 1, 128}) {
      const char sign = order < 0 ? '<' : order > 0 ? '>' : '=';
      EXPECT_EQ(Satisfies(op, order), holds.find(sign) != holds.npos) << holds << order;
    }
  }
}

TEST(FilterTest, APathIsBelowAnObjectOnlyBehindADot) {
  EXPECT_TRUE(IsPathOrBelow("a", "a"));
  EXPECT_TRUE(IsPathOrBelow("a.b", "a"));
  EXPECT_TRUE(IsPathOrBelow("a.b.c", "a.b"));
  EXPECT_FALSE(IsPathOrBelow("a", "a.b"));
  EXPECT_FALSE(IsPathOrBelow("ab", "a"));
  EXPECT_FALSE(IsPathOrBelow("b.a", "a"));
  EXPECT_FALSE(IsPathOrBelow("a-.b", "a"));
}

// A filter inside as many others, of all ops in turn.
Filter Nested(size_t depth, Filter filter) {
  for (size_t i = 0; i < depth; ++i) {
    std::vector<Filter> children;
    children.push_back(std::move(filter));
    filter = {.op = i % 3 == 0   ? Op::kNot
                    : i % 3 == 1 ? Op::kAnd
                                 : Op::kOr,
              .children = std::move(children)};
  }
  return filter;
}

TEST(FilterTest, AnOpWithoutWhatItNeedsOrWithMoreIsRefused) {
  Filter no_child{.op = Op::kNot};
  Filter two_children{.op = Op::kNot, .children = {Yes(), Yes()}};
  Filter no_value{.op = Op::kLess, .path = "a"};
  Filter leaf_with_child = Is("a", I(1));
  leaf_with_child.children.push_back(Yes());
  Filter exists_with_value = Exists("a");
  exists_with_value.values.emplace_back(I(1));
  Filter two_prefixes = Prefix("a", "x");
  two_prefixes.values.emplace_back(S("y"));
  const std::string of_a = "filter: the condition on \"a\" ";
  const std::vector<std::pair<Filter, std::string>> cases = {
      {no_child, "filter: NOT must have one condition, has 0"},
      {two_children, "filter: NOT must have one condition, has 2"},
      {no_value, of_a + "must have one value, has 0"},
      {leaf_with_child, of_a + "must have no conditions below it"},
      {exists_with_value, of_a + "asks whether it exists and has a value"},
      {two_prefixes, of_a + "must have one text as its prefix"},
      {{.op = Op::kPrefix, .path = "a"}, of_a + "must have one text as its prefix"},
      {Filter::Compare(Op::kPrefix, "a", I(1)), of_a + "must have one text as its prefix"},
      {In("a", {I(1), D(std::numeric_limits<double>::infinity())}), of_a + "must have a finite"},
      {Less("a", D(std::numeric_limits<double>::quiet_NaN())), of_a + "must have a finite number"},
      {Is("a", S("caf\xc3")), of_a + "must have UTF-8 text"},
      {Prefix("a", "\xc3"), of_a + "must have UTF-8 text"},
      {Exists(""), "attribute \"\": a path must be names"},
      {Is("a..b", I(1)), "attribute \"a..b\": a path must be names"},
      {Exists(std::string(257, 'a')), "a path must be at most 256 bytes, is 257"},
      {Exists("\xff"), "a path must be UTF-8"},
  };
  for (const auto& [filter, error] : cases) {
    for (const Filter& within : {filter, Nested(5, filter), Filter::Or({Yes(), filter, Yes()})}) {
      const absl::Status status = ValidateFilter(within);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << error;
      EXPECT_THAT(status.ToString(), HasSubstr(error));
    }
  }
  for (const Op op : {Op::kLess, Op::kLessEqual, Op::kGreater, Op::kGreaterEqual}) {
    Filter two_values = Filter::Compare(op, "a", I(1));
    EXPECT_TRUE(ValidateFilter(two_values).ok());
    two_values.values.emplace_back(I(2));
    EXPECT_THAT(ValidateFilter(two_values).ToString(), HasSubstr("must have one value, has 2"));
  }
  EXPECT_TRUE(ValidateFilter(In("a", {})).ok());
}

TEST(FilterTest, AFilterMayBeAsLargeAsTheLimitsAndNoLarger) {
  const auto error = [](const Filter& filter) { return ValidateFilter(filter).ToString(); };
  EXPECT_EQ(error(Nested(kFilterDepthMax, Exists("a"))), "OK");
  EXPECT_THAT(error(Nested(kFilterDepthMax + 1, Exists("a"))), HasSubstr("nested 64 deep"));

  Filter nodes;
  nodes.children.resize(kFilterNodesMax - 1);
  EXPECT_EQ(error(nodes), "OK");
  nodes.children[7].children.emplace_back();
  EXPECT_THAT(error(nodes), HasSubstr("may have 4096 conditions and 65536 values"));

  const std::vector<Value> half(kFilterValuesMax / 2, Value(I(1)));
  Filter values = Filter::And({Filter::In("a", half), Filter::In("b", half)});
  EXPECT_EQ(error(values), "OK");
  values.children.push_back(Is("c", I(1)));
  EXPECT_THAT(error(values), HasSubstr("may have 4096 conditions and 65536 values"));
}

}  // namespace
}  // namespace varve::metadata
