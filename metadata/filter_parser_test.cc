#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metadata/filter.h"

namespace varve::metadata {
namespace {

using ::testing::HasSubstr;

// A value with its type, doubles to the bit.
std::string Show(const Value& value) {
  const ValueView view = value.view();
  char buffer[64];
  switch (view.type) {
    case ValueType::kDouble:
      std::snprintf(buffer, sizeof(buffer), "double %.17g", view.real);
      return buffer;
    case ValueType::kString:
      return StrCat("'", view.text, "'");
    case ValueType::kBool:
      return view.integer != 0 ? "true" : "false";
    case ValueType::kInt64:
      return StrCat(view.integer);
    case ValueType::kTimestamp:
      return StrCat("timestamp ", view.integer);
  }
  return "";
}

// The whole tree, node by node: two that are shown alike are equal.
std::string Show(const Filter& filter) {
  constexpr std::string_view kNames[] = {"and", "or", "not", "in",     "<",
                                         "<=",  ">",  ">=",  "prefix", "exists"};
  std::string text = StrCat(kNames[static_cast<size_t>(filter.op)], "(", filter.path);
  std::string_view comma = filter.path.empty() ? "" : ", ";
  for (const Filter& child : filter.children) {
    text += StrCat(std::exchange(comma, ", "), Show(child));
  }
  for (const Value& value : filter.values) {
    text += StrCat(std::exchange(comma, ", "), Show(value));
  }
  return text + ")";
}

// What the text means, or what is wrong with it.
std::string Parsed(std::string_view text) {
  const auto filter = ParseFilter(text);
  if (!filter.ok()) return std::string(filter.status().message());
  EXPECT_TRUE(ValidateFilter(*filter).ok()) << ValidateFilter(*filter) << "\n" << text;
  return Show(*filter);
}

std::string Repeated(std::string_view text, size_t times) {
  std::string repeated;
  for (size_t i = 0; i < times; ++i) repeated += text;
  return repeated;
}

struct Case {
  std::string_view text;
  std::string_view wanted;
};

void ExpectEach(const std::vector<Case>& cases) {
  for (const Case& each : cases) EXPECT_EQ(Parsed(each.text), each.wanted) << each.text;
}

TEST(FilterParserTest, EveryOperatorHasItsNode) {
  ExpectEach({
      {"a = 1", "in(a, 1)"},
      {"a != 1", "not(in(a, 1))"},
      {"a < 1", "<(a, 1)"},
      {"a <= 1", "<=(a, 1)"},
      {"a > 1", ">(a, 1)"},
      {"a >= 1", ">=(a, 1)"},
      {"a:1", "in(a, 1)"},
      {"a:*", "exists(a)"},
      {"a : *", "exists(a)"},
      {"a", "in(a, true)"},
      {"a IN (1, 'x', true)", "in(a, 1, 'x', true)"},
      {"a IN(1)", "in(a, 1)"},
      {"a IN ( )", "in(a)"},
      {"a<1", "<(a, 1)"},
      {"a>=-1", ">=(a, -1)"},
      {"\ta\r\n=\n1 ", "in(a, 1)"},
  });
}

TEST(FilterParserTest, NothingIsEveryRecord) {
  ExpectEach({{"", "and()"}, {" \n", "and()"}, {"()", "and()"}, {"( )", "and()"}});
  ExpectEach({{"NOT ()", "not(and())"}, {"a OR ()", "or(in(a, true), and())"}});
}

TEST(FilterParserTest, OrBindsTighterThanAnd) {
  ExpectEach({
      {"a AND b OR c", "and(in(a, true), or(in(b, true), in(c, true)))"},
      {"a OR b AND c", "and(or(in(a, true), in(b, true)), in(c, true))"},
      {"(a AND b) OR c", "or(and(in(a, true), in(b, true)), in(c, true))"},
      {"a b OR c", "and(in(a, true), or(in(b, true), in(c, true)))"},
  });
}

TEST(FilterParserTest, NotBindsTighterThanOr) {
  ExpectEach({
      {"NOT a OR b", "or(not(in(a, true)), in(b, true))"},
      {"-a OR b", "or(not(in(a, true)), in(b, true))"},
      {"NOT (a OR b)", "not(or(in(a, true), in(b, true)))"},
      {"-(a b)", "not(and(in(a, true), in(b, true)))"},
      {"NOT a = 1", "not(in(a, 1))"},
      {"-a != 1", "not(not(in(a, 1)))"},
      {"NOT NOT a", "not(not(in(a, true)))"},
      {"--a", "not(not(in(a, true)))"},
      {"NOT -a", "not(not(in(a, true)))"},
      {"-NOT a", "not(not(in(a, true)))"},
      {"NOT(a)", "not(in(a, true))"},
      {"-\"a\"", "not(in(a, true))"},
  });
}

TEST(FilterParserTest, TermsOneBehindTheOtherAreJoinedByAnd) {
  ExpectEach({
      {"a b", "and(in(a, true), in(b, true))"},
      {"a = 1 b = 2", "and(in(a, 1), in(b, 2))"},
      {"a -b", "and(in(a, true), not(in(b, true)))"},
      {"a = 1 -b", "and(in(a, 1), not(in(b, true)))"},
      {"a NOT b", "and(in(a, true), not(in(b, true)))"},
      {"(a)(b) c", "and(in(a, true), in(b, true), in(c, true))"},
      {"(a)-b", "and(in(a, true), not(in(b, true)))"},
  });
}

TEST(FilterParserTest, ChainsAreOneNodeAndBracketsKeepTheirs) {
  ExpectEach({
      {"a AND b c AND d", "and(in(a, true), in(b, true), in(c, true), in(d, true))"},
      {"a OR b OR c", "or(in(a, true), in(b, true), in(c, true))"},
      {"((a))", "in(a, true)"},
      {"a AND (b AND c)", "and(in(a, true), and(in(b, true), in(c, true)))"},
      {"(a OR b) OR c", "or(or(in(a, true), in(b, true)), in(c, true))"},
  });
}

TEST(FilterParserTest, PathsAreNamesWithDots) {
  ExpectEach({
      {"a.b.c", "in(a.b.c, true)"},
      {"a-b = 1", "in(a-b, 1)"},
      {"a/b@c$d_e", "in(a/b@c$d_e, true)"},
      {"2011.5 = 1", "in(2011.5, 1)"},
      {"größe.靴 = 1", "in(größe.靴, 1)"},
      {"\"odd name\".x = 1", "in(odd name.x, 1)"},
      {"'it\\'s' = 1", "in(it's, 1)"},
      {"\"AND\" = 1", "in(AND, 1)"},
      {"a.\"OR\" = 1", "in(a.OR, 1)"},
      {"\"-x\" = 1", "in(-x, 1)"},
      {"\"a.b\" = 1", "in(a.b, 1)"},
      {"\"\\*\" = 1", "in(*, 1)"},
      {"AND_ INN and NOTE", "and(in(AND_, true), in(INN, true), in(and, true), in(NOTE, true))"},
      {"true = false", "in(true, false)"},
  });
}

TEST(FilterParserTest, NumbersKeepTheirType) {
  ExpectEach({
      {"a = 0", "in(a, 0)"},
      {"a = 007", "in(a, 7)"},
      {"a = 9223372036854775807", "in(a, 9223372036854775807)"},
      {"a = -9223372036854775808", "in(a, -9223372036854775808)"},
      {"a = 9223372036854775808", "in(a, double 9.2233720368547758e+18)"},
      {"a = 1.5", "in(a, double 1.5)"},
      {"a = 3.0", "in(a, double 3)"},
      {"a = 1e3", "in(a, double 1000)"},
      {"a = 1E+3", "in(a, double 1000)"},
      {"a = -2.5e-3", "in(a, double -0.0025000000000000001)"},
      {"a = .5", "in(a, double 0.5)"},
      {"a = -.5", "in(a, double -0.5)"},
      {"a = -0.0", "in(a, double -0)"},
      {"a IN (1,-2,3.5)", "in(a, 1, -2, double 3.5)"},
      {"(a=1)", "in(a, 1)"},
  });
}

TEST(FilterParserTest, WordsAreTextAndMayBeginLikeNumbers) {
  ExpectEach({
      {"a = boot", "in(a, 'boot')"},
      {"a = größe", "in(a, 'größe')"},
      {"a = x.y/z", "in(a, 'x.y/z')"},
      {"a = 2011-05-01", "in(a, '2011-05-01')"},
      {"a = 1.2.3", "in(a, '1.2.3')"},
      {"a = 1e", "in(a, '1e')"},
      {"a = 0x10", "in(a, '0x10')"},
      {"a = inf", "in(a, 'inf')"},
      {"a = nan", "in(a, 'nan')"},
      {"a = .x", "in(a, '.x')"},
      {"a = true", "in(a, true)"},
      {"a = false", "in(a, false)"},
      {"a = TRUE", "in(a, 'TRUE')"},
      {"a = 'true'", "in(a, 'true')"},
      {"a = '5'", "in(a, '5')"},
      {"a = 'AND'", "in(a, 'AND')"},
  });
}

TEST(FilterParserTest, QuotedTextHasEscapes) {
  ExpectEach({
      {"a = \"\"", "in(a, '')"},
      {"a = \"it's\"", "in(a, 'it's')"},
      {"a = 'say \"x\"'", "in(a, 'say \"x\"')"},
      {R"(a = "\"\'\\\*\n\t\r")", "in(a, '\"'\\*\n\t\r')"},
      {R"(a = "\u0041\u00fc\u20AC\ud83d\uDE00")", "in(a, 'Aü€😀')"},
      {"a = \"two\nlines\"", "in(a, 'two\nlines')"},
      {"a = '靴 😀'", "in(a, '靴 😀')"},
  });
  EXPECT_EQ(ParseFilter(R"(a = "\u0000")")->values[0].view().text, std::string_view("\0", 1));
}

TEST(FilterParserTest, AStarAtTheEndIsAPrefix) {
  ExpectEach({
      {"a = \"Nike*\"", "prefix(a, 'Nike')"},
      {"a:'Nike*'", "prefix(a, 'Nike')"},
      {"a != \"Nike*\"", "not(prefix(a, 'Nike'))"},
      {"a = Nike*", "prefix(a, 'Nike')"},
      {"a:Nike*", "prefix(a, 'Nike')"},
      {"a = 5*", "prefix(a, '5')"},
      {"a = true* b", "and(prefix(a, 'true'), in(b, true))"},
      {"a = AND*", "prefix(a, 'AND')"},
      {"a = \"*\"", "prefix(a, '')"},
      {R"(a = "Nike\*")", "in(a, 'Nike*')"},
      {R"(a = "5\*5*")", "prefix(a, '5*5')"},
      {R"(a < "x\*")", "<(a, 'x*')"},
      {R"(a IN ("x\*"))", "in(a, 'x*')"},
  });
}

TEST(FilterParserTest, ErrorsPointAtTheColumn) {
  ExpectEach({
      // Conditions.
      {"AND", "filter, column 1: a condition must come first, found AND"},
      {"  OR a", "filter, column 3: a condition must come first, found OR"},
      {"= 5", "filter, column 1: a condition must come first, found ="},
      {")", "filter, column 1: a condition must come first, found )"},
      {"\x01", "filter, column 1: a condition must come first, found U+0001"},
      {"a AND", "filter, column 6: a condition must follow AND, found the end"},
      {"a AND OR b", "filter, column 7: a condition must follow AND, found OR"},
      {"a OR ", "filter, column 6: a condition must follow OR, found the end"},
      {"a NOT IN (1)", "filter, column 7: a condition must follow NOT, found IN"},
      {"- a", "filter, column 2: a condition must follow -, found a space"},
      {"-", "filter, column 2: a condition must follow -, found the end"},
      {"(", "filter, column 2: a condition must follow (, found the end"},
      {"(AND a)", "filter, column 2: a condition must follow (, found AND"},
      {"(a", "filter, column 3: AND, OR or ) must follow a condition, found the end"},
      {"a)", "filter, column 2: AND, OR or the end must follow a condition, found )"},
      {"a && b", "filter, column 3: AND, OR or the end must follow a condition, found &"},
      {"(a) IN (1)", "filter, column 5: AND, OR or the end must follow a condition, found IN"},
      {"a = 1 = 2", "filter, column 7: AND, OR or the end must follow a condition, found ="},
      {"a(b)", "filter, column 2: a space or AND must follow a condition, found ("},
      {"a = 'it's", "filter, column 9: a space or AND must follow a condition, found s"},
      {"a = 1\"b\"", "filter, column 6: a space or AND must follow a condition, found a text"},
      // Paths.
      {"a. b", "filter, column 3: a name must follow ., found a space"},
      {"a.-b", "filter, column 3: a name must follow ., found -b"},
      {"a.AND", "filter, column 3: a name must follow ., found AND"},
      {"\"a*\" = 1",
       "filter, column 3: a * is not supported with a name; write \\* for the character"},
      // Values.
      {"price < AND", "filter, column 9: a value must follow <, found AND"},
      {"a =", "filter, column 4: a value must follow =, found the end"},
      {"a == 1", "filter, column 4: a value must follow =, found ="},
      {"a <> 1", "filter, column 4: a value must follow <, found >"},
      {"a =<= 1", "filter, column 4: a value must follow =, found <="},
      {"a = (1)", "filter, column 5: a value must follow =, found ("},
      {"a = -x", "filter, column 5: a value must follow =, found -x"},
      {"a >= *", "filter, column 6: a value must follow >=, found *"},
      {"a = 1e999", "filter, column 5: a number must fit in a double, found 1e999"},
      {"at = 2026-11-21T10:00:00Z", "filter, column 19: a text with : in it must be in quotes"},
      {"a = \"x", "filter, column 7: \" must follow the text of column 5, found the end"},
      {"a IN 1", "filter, column 6: a ( must follow IN, found 1"},
      {"a IN (", "filter, column 7: a value must follow (, found the end"},
      {"a IN (1,)", "filter, column 9: a value must follow a comma, found )"},
      {"a IN (1 2)", "filter, column 9: a comma or ) must follow a value, found 2"},
      // Stars.
      {"a = *",
       "filter, column 5: a value must follow =, found *; whether an attribute exists is path:*"},
      {"a != *",
       "filter, column 6: a value must follow !=, found *; whether an attribute exists is path:*"},
      {"a:*b",
       "filter, column 3: only a * at the end of a text is supported; write \\* for the character"},
      {"a = b*c",
       "filter, column 6: only a * at the end of a text is supported; write \\* for the character"},
      {"a = \"b*c\"",
       "filter, column 7: only a * at the end of a text is supported; write \\* for the character"},
      {"a = \"b**\"",
       "filter, column 7: only a * at the end of a text is supported; write \\* for the character"},
      {"a < \"b*\"", "filter, column 7: a * is not supported with <; write \\* for the character"},
      {"a >= b*", "filter, column 7: a * is not supported with >=; write \\* for the character"},
      {"a IN (x, b*)",
       "filter, column 11: a * is not supported with IN; write \\* for the character"},
      // Escapes.
      {R"(a = "\x")", "filter, column 7: one of \" ' \\ * n t r u must follow \\, found x"},
      {"a = \"\\", "filter, column 7: a character must follow \\, found the end"},
      {R"(a = "\u12g4")", "filter, column 8: four hexadecimal digits must follow \\u, found 12g4"},
      {R"(a = "\u-123")", "filter, column 8: four hexadecimal digits must follow \\u, found -123"},
      {R"(a = "\ud800")",
       "filter, column 6: a \\u surrogate must be one of a pair, found it alone"},
      {R"(a = "\ud800\u0041")",
       "filter, column 6: a \\u surrogate must be one of a pair, found it alone"},
      {R"(a = "\udc00\ud800")",
       "filter, column 6: a \\u surrogate must be one of a pair, found it alone"},
  });
}

TEST(FilterParserTest, ColumnsCountCharacters) {
  ExpectEach({
      {"größe = '靴😀' AND", "filter, column 17: a condition must follow AND, found the end"},
      {"größe <\n AND", "filter, column 10: a value must follow <, found AND"},
      {"ü = \xff", "filter, column 5: the text must be UTF-8, found byte 0xff"},
      {"a = '\xed\xa0\x80'", "filter, column 6: the text must be UTF-8, found byte 0xed"},
      {"a = '\xc0\x80'", "filter, column 6: the text must be UTF-8, found byte 0xc0"},
      {"a = \xe2\x82", "filter, column 5: the text must be UTF-8, found byte 0xe2"},
  });
}

TEST(FilterParserTest, WhatWasFoundIsCutBetweenCharacters) {
  EXPECT_EQ(Parsed("a < -" + Repeated("é", 100)),
            StrCat("filter, column 5: a value must follow <, found -", Repeated("é", 16), "..."));
}

TEST(FilterParserTest, APathThatNoAttributeCanHaveIsAnError) {
  EXPECT_THAT(Parsed("a AND \"\" = 1"), HasSubstr("filter, column 7: "));
  EXPECT_THAT(Parsed("a AND b.'' = 1"), HasSubstr("filter, column 7: "));
  EXPECT_THAT(Parsed("a AND 'b.' = 1"), HasSubstr("filter, column 7: "));
  EXPECT_THAT(Parsed(Repeated("a", 257)), HasSubstr("filter, column 1: "));
  EXPECT_THAT(Parsed(Repeated("a", 256)), HasSubstr("in("));
}

TEST(FilterParserTest, AsManyConditionsAsAreAllowed) {
  // One node is the AND.
  EXPECT_THAT(Parsed(Repeated("a ", kFilterNodesMax - 1)), HasSubstr("and("));
  EXPECT_EQ(Parsed(Repeated("a ", kFilterNodesMax)),
            "filter, column 1: a filter may have 4096 conditions, found more");
  EXPECT_EQ(Parsed(Repeated("a ", kFilterNodesMax + 1)),
            "filter, column 8193: a filter may have 4096 conditions, found more");
  EXPECT_EQ(Parsed(Repeated("a!=1 ", kFilterNodesMax / 2 + 1)),
            "filter, column 10241: a filter may have 4096 conditions, found more");
}

TEST(FilterParserTest, AsManyValuesAsAreAllowed) {
  const std::string list = Repeated("1,", kFilterValuesMax - 1) + "1";
  EXPECT_THAT(Parsed(StrCat("a IN (", list, ")")), HasSubstr("in(a"));
  EXPECT_EQ(Parsed(StrCat("a IN (", list, ",1)")),
            "filter, column 1: a filter may have 65536 values, found more");
  EXPECT_THAT(Parsed(StrCat("a IN (", list, ") b")), HasSubstr("a filter may have 65536 values"));
}

TEST(FilterParserTest, AsDeepAsIsAllowed) {
  EXPECT_EQ(Parsed(Repeated("(", 64) + "a" + Repeated(")", 64)), "in(a, true)");
  EXPECT_EQ(Parsed(Repeated("(", 65) + "a" + Repeated(")", 65)),
            "filter, column 66: brackets and NOT may be nested 64 deep, found more");
  EXPECT_THAT(Parsed(Repeated("-", 64) + "a"), HasSubstr("not("));
  EXPECT_EQ(Parsed(Repeated("-", 65) + "a"),
            "filter, column 66: brackets and NOT may be nested 64 deep, found more");
  EXPECT_THAT(Parsed(Repeated("(", 100'000)), HasSubstr("nested 64 deep"));
  EXPECT_THAT(Parsed(Repeated("NOT ", 100'000)), HasSubstr("nested 64 deep"));
  // Each bracket opens two levels: an AND and in it an OR.
  const auto levels = [](size_t n) {
    return Repeated("(a OR b AND ", n) + "c" + Repeated(" OR d)", n);
  };
  EXPECT_THAT(Parsed(levels(32)), HasSubstr("and("));
  EXPECT_THAT(Parsed(levels(33)), HasSubstr("a filter may have 64 conditions in one another"));
}

TEST(FilterParserTest, TextIsBounded) {
  std::string text(kFilterTextBytesMax, ' ');
  EXPECT_EQ(Parsed(text), "and()");
  text += ' ';
  EXPECT_EQ(Parsed(text), "filter: the text must be at most 1048576 bytes, is 1048577");
}

TEST(FilterParserTest, WrittenWithTheBracketsItNeeds) {
  const std::vector<Case> cases = {
      {"", "()"},
      {"a", "a = true"},
      {"a:x", "a = \"x\""},
      {"a != x*", "NOT a = \"x*\""},
      {"a:* b IN () c IN (1)", "a:* AND b IN () AND c = 1"},
      {"a<1 b<=2.0 c>3 d>=-.5", "a < 1 AND b <= 2.0 AND c > 3 AND d >= -0.5"},
      {"a b OR -(c d)", "a = true AND (b = true OR NOT (c = true AND d = true))"},
      {"NOT NOT ()", "NOT NOT ()"},
      {"'odd name'.x.'IN'.'-y'.größe", "\"odd name\".x.\"IN\".\"-y\".größe = true"},
      {R"(a = '\*\'"\\\n\u0001\u007f')", R"(a = "\*'\"\\\n\u0001\u007f")"},
      {"a IN (1e300, 5e-324, -0.0, 1e16)", "a IN (1e+300, 5e-324, -0.0, 1e+16)"},
  };
  for (const Case& each : cases) {
    const auto filter = ParseFilter(each.text);
    ASSERT_TRUE(filter.ok()) << filter.status();
    EXPECT_EQ(ToString(*filter), each.wanted);
    EXPECT_EQ(Parsed(each.wanted), Show(*filter));
  }
}

TEST(FilterParserTest, WhatNoTextSaysIsWrittenAsWhatMeansTheSame) {
  const Filter leaf = Filter::Exists("a");
  EXPECT_EQ(ToString(Filter::Or({})), "NOT ()");
  EXPECT_EQ(ToString(Filter::And({leaf})), "a:*");
  EXPECT_EQ(ToString(Filter::Not(Filter::Or({leaf}))), "NOT a:*");
  EXPECT_EQ(ToString(Filter::In("at", {Value(ValueView::Timestamp(0))})),
            "at = \"1970-01-01T00:00:00+00:00\"");
}

// Any filter that a text can say.
class RandomFilter {
 public:
  explicit RandomFilter(uint32_t seed) : random_(seed) {}

  Filter Make(size_t levels) {
    if (levels == 0 || OneIn(4)) return Leaf();
    if (OneIn(3)) return Filter::Not(Make(levels - 1));
    std::vector<Filter> children;
    size_t count = Below(4);
    if (count == 1) count = 2;
    for (size_t i = 0; i < count; ++i) children.push_back(Make(levels - 1));
    if (count == 0 || OneIn(2)) return Filter::And(std::move(children));
    return Filter::Or(std::move(children));
  }

 private:
  static constexpr std::string_view kPieces[] = {
      "a", "Z",  "5", "-",   "/",  ".x",  "*",  "\"",   "'", "\\", " ", "\n", "\x01",
      "ü", "靴", "😀", "AND", "OR", "NOT", "IN", "true", "(", ")",  ",", ":",  "=",
  };

  size_t Below(size_t n) { return random_() % n; }
  bool OneIn(size_t n) { return Below(n) == 0; }

  std::string Text() {
    std::string text;
    for (size_t i = Below(5); i > 0; --i) text += kPieces[Below(std::size(kPieces))];
    return text;
  }

  std::string Path() {
    std::string path = OneIn(2) ? "a" : std::string(kPieces[Below(std::size(kPieces))]);
    if (path[0] == '.') path = "x";
    return path + Text();
  }

  Value AnyValue() {
    switch (Below(6)) {
      case 0:
        return Value(ValueView::Bool(OneIn(2)));
      case 1:
        return Value(ValueView::Int64(static_cast<int64_t>(random_())));
      case 2:
        return Value(ValueView::Int64(OneIn(2) ? std::numeric_limits<int64_t>::min() : 0));
      case 3:
        return Value(ValueView::Double(static_cast<double>(Below(100)) / 4 - 10));
      case 4: {
        const uint64_t bits = random_();
        double real = 0;
        std::memcpy(&real, &bits, sizeof(real));
        return Value(ValueView::Double(std::isfinite(real) ? real : -0.0));
      }
      default:
        return Value(ValueView::String(Text()));
    }
  }

  Filter Leaf() {
    constexpr Filter::Op kOrders[] = {Filter::Op::kLess, Filter::Op::kLessEqual,
                                      Filter::Op::kGreater, Filter::Op::kGreaterEqual};
    switch (Below(4)) {
      case 0:
        return Filter::Exists(Path());
      case 1:
        return Filter::Compare(Filter::Op::kPrefix, Path(), ValueView::String(Text()));
      case 2:
        return Filter::Compare(kOrders[Below(4)], Path(), AnyValue().view());
      default: {
        std::vector<Value> values;
        for (size_t i = Below(4); i > 0; --i) values.push_back(AnyValue());
        return Filter::In(Path(), std::move(values));
      }
    }
  }

  std::mt19937_64 random_;
};

TEST(FilterParserTest, AnyFilterComesBackFromItsText) {
  for (uint32_t seed = 0; seed < 1000; ++seed) {
    const Filter filter = RandomFilter(seed).Make(/*levels=*/seed % 6);
    const std::string text = ToString(filter);
    ASSERT_EQ(Parsed(text), Show(filter)) << "seed " << seed << ": " << text;
    ASSERT_EQ(ToString(*ParseFilter(text)), text) << "seed " << seed;
  }
}

TEST(FilterParserTest, TheDeepestFilterComesBackFromItsText) {
  Filter filter = Filter::And({});
  for (size_t level = 0; level < kFilterDepthMax; ++level) {
    filter = level % 3 == 0   ? Filter::Not(std::move(filter))
             : level % 3 == 1 ? Filter::Or({std::move(filter), Filter::Exists("a")})
                              : Filter::And({Filter::Exists("b"), std::move(filter)});
  }
  ASSERT_TRUE(ValidateFilter(filter).ok());
  EXPECT_EQ(Parsed(ToString(filter)), Show(filter));
}

}  // namespace
}  // namespace varve::metadata
