#include "metadata/attributes.h"

#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metadata/value.h"

namespace varve::metadata {
namespace {

using ::testing::HasSubstr;
using namespace std::string_literals;

constexpr int64_t kIntMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kIntMax = std::numeric_limits<int64_t>::max();
constexpr int64_t k2To53 = int64_t{1} << 53;
constexpr int64_t kYear1 = -62'135'596'800'000'000;
constexpr int64_t kYear1000 = -30'610'224'000'000'000;
constexpr int64_t kYear9999End = 253'402'300'799'999'999;

ValueView B(bool value) { return ValueView::Bool(value); }
ValueView I(int64_t value) { return ValueView::Int64(value); }
ValueView D(double value) { return ValueView::Double(value); }
ValueView T(int64_t micros) { return ValueView::Timestamp(micros); }
ValueView S(std::string_view value) { return ValueView::String(value); }

Attribute One(const ValueView& value) { return {.is_list = false, .values = {Value(value)}}; }
Attribute List(const std::vector<ValueView>& values) {
  return {.is_list = true, .values = {values.begin(), values.end()}};
}

// Tells all that differ apart: an int64 from a double, and a list of one from a scalar.
std::string Show(const ValueView& value) {
  return std::string(ValueTypeName(value.type)) + " " + ToString(value);
}
std::string Show(const AttributeMap& attributes) {
  std::string text;
  for (const auto& [path, attribute] : attributes) {
    text += path + (attribute.is_list ? " = list" : " =");
    for (const Value& value : attribute.values) text += " " + Show(value.view());
    text += "\n";
  }
  return text;
}

std::string Encoded(const AttributeMap& attributes) {
  const auto encoded = EncodeAttributes(attributes);
  return encoded.ok() ? *encoded : encoded.status().ToString();
}
std::string Decoded(std::string_view encoded) {
  const auto attributes = DecodeAttributes(encoded);
  return attributes.ok() ? Show(*attributes) : attributes.status().ToString();
}
std::string Patched(std::string_view encoded, const MergePatch& patch) {
  const auto patched = ApplyPatch(encoded, patch);
  return patched.ok() ? Decoded(*patched) : patched.status().ToString();
}

// One of each type, and lists.
AttributeMap EachKind() {
  return {{"bool", One(B(true))},
          {"double", One(D(-0.0))},
          {"int", One(I(kIntMin))},
          {"list.empty", List({})},
          {"list.mixed", List({S("a"), I(1), D(1), B(false), T(-1), S(""), S("a")})},
          {"list.one", List({I(1)})},
          {"text", One(S("k\xc3\xa9\0y"s))},
          {"time", One(T(kYear9999End))}};
}

TEST(ValueTest, NumbersCompareExactlyWhateverTheirTypes) {
  struct Case {
    ValueView a, b;
    int order;
  };
  constexpr double kBelow2To63 = 0x1p63 - 1024;
  const std::vector<Case> cases = {
      {I(1), I(2), -1},
      {D(0.5), D(0.25), 1},
      {D(-0.0), D(0.0), 0},
      {I(0), D(-0.0), 0},
      {I(0), D(-0.5), 1},
      {I(-1), D(-0.5), -1},
      {I(0), D(std::numeric_limits<double>::denorm_min()), -1},
      {I(k2To53), D(0x1p53), 0},
      {I(k2To53 + 1), D(0x1p53), 1},
      {I(k2To53 + 1), D(0x1p53 + 2), -1},
      {I(-k2To53 - 1), D(-0x1p53), -1},
      {I(kIntMax), D(0x1p63), -1},
      {I(kIntMax), D(kBelow2To63), 1},
      {I(kIntMax - 1023), D(kBelow2To63), 0},
      {I(kIntMin), D(-0x1p63), 0},
      {I(kIntMin + 1), D(-0x1p63), 1},
      {I(kIntMin), D(-0x1p63 - 2048), 1},
      {I(kIntMax), D(std::numeric_limits<double>::max()), -1},
      {I(kIntMin), D(std::numeric_limits<double>::lowest()), 1},
  };
  for (const Case& c : cases) {
    int order = 7;
    ASSERT_TRUE(Compare(c.a, c.b, &order));
    EXPECT_EQ(order, c.order) << Show(c.a) << ", " << Show(c.b);
    ASSERT_TRUE(Compare(c.b, c.a, &order));
    EXPECT_EQ(order, -c.order) << Show(c.b) << ", " << Show(c.a);
  }
}

TEST(ValueTest, OnlyNumbersCompareWithAnotherTypeAndTimestampsWithTextThatWritesOne) {
  const std::vector<ValueView> values = {B(true), I(1),      D(1),
                                         T(1),    S("boot"), S("1970-01-01T01:00:00+01:00")};
  // Row by row what is stored, column by column what is wanted.
  constexpr bool kCompare[6][6] = {{1, 0, 0, 0, 0, 0}, {0, 1, 1, 0, 0, 0}, {0, 1, 1, 0, 0, 0},
                                   {0, 0, 0, 1, 0, 1}, {0, 0, 0, 0, 1, 1}, {0, 0, 0, 0, 1, 1}};
  for (size_t i = 0; i < std::size(kCompare); ++i) {
    for (size_t j = 0; j < std::size(kCompare); ++j) {
      int order = 0;
      EXPECT_EQ(Compare(values[i], values[j], &order), kCompare[i][j])
          << Show(values[i]) << ", " << Show(values[j]);
    }
  }
  for (int64_t micros : {-1, 0, 1}) {
    int order = 7;
    EXPECT_TRUE(Compare(T(micros), values[5], &order));
    EXPECT_EQ(order, micros);
  }
}

TEST(ValueTest, TextComparesByBytesAndFalseIsLessThanTrue) {
  const std::string zero("\0", 1);
  const std::vector<ValueView> ascending = {S(""),   S(zero), S("A"),        S("a"),
                                            S("aa"), S("b"),  S("\xc3\xa9"), S("\xf0\x9f\x98\x80")};
  int order = 7;
  for (size_t i = 1; i < ascending.size(); ++i) {
    ASSERT_TRUE(Compare(ascending[i - 1], ascending[i], &order) && order < 0) << i;
    ASSERT_TRUE(Compare(ascending[i], ascending[i - 1], &order) && order > 0) << i;
    ASSERT_TRUE(Compare(ascending[i], ascending[i], &order) && order == 0) << i;
  }
  EXPECT_TRUE(Compare(B(false), B(true), &order) && order < 0);
}

TEST(ValueTest, ValuesAreWrittenAsPeopleReadThem) {
  EXPECT_EQ(Show(B(false)), "bool false");
  EXPECT_EQ(Show(I(kIntMin)), "int64 -9223372036854775808");
  EXPECT_EQ(Show(D(0.1)), "double 0.1");
  EXPECT_EQ(Show(D(-1e300)), "double -1e+300");
  EXPECT_EQ(Show(T(1'500'000)), "timestamp 1970-01-01T00:00:01.5+00:00");
  EXPECT_EQ(Show(S("boot")), "string \"boot\"");
}

TEST(ValueTest, TimestampsAreReadAsRfc3339WritesThem) {
  const std::vector<std::pair<std::string, int64_t>> cases = {
      {"1970-01-01T00:00:00Z", 0},
      {"1970-01-01T00:00:00.25Z", 250'000},
      {"2026-11-21T10:00:00+01:30", 1'795'249'800'000'000},
      {"2026-11-21T10:00:00-23:59", 1'795'341'540'000'000},
      {"2024-02-29T00:00:00Z", 1'709'164'800'000'000},
      {"1970-01-01T00:00:00.0000019Z", 1},
      {"1969-12-31T23:59:59.9999999Z", -1},  // towards the past, always
      {"0001-01-01T00:00:00Z", kYear1},
      {"9999-12-31T23:59:59.9999999Z", kYear9999End},
  };
  for (const auto& [text, wanted] : cases) {
    int64_t micros = 7;
    EXPECT_TRUE(ParseTimestamp(text, &micros)) << text;
    EXPECT_EQ(micros, wanted) << text;
  }
}

void ExpectNoTimestamps(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    int64_t micros = 0;
    EXPECT_FALSE(ParseTimestamp(text, &micros)) << "\"" << text << "\"";
  }
}

TEST(ValueTest, WhatIsNoTimestampIsRefused) {
  ExpectNoTimestamps({"", "boot", "2026", "2026-11-21", "2026-11-21T10:00Z", "infinite-future",
                      "2026-11-21T10:00:00", "2026-11-21 10:00:00Z", "2026-11-21T10:00:00 UTC",
                      "2026-11-21T10:00:00Zulu", "2026-11-21T10:00:00+24:00",
                      "2026-13-21T10:00:00Z", "2026-02-29T10:00:00Z", "2026-11-21T24:00:00Z"});
  ExpectNoTimestamps({"2026-11-21T10:60:00Z", "2026-11-21T10:00:61Z", "2026-11-21T10:00:60Z",
                      "2026-11-21T10:00:00.Z", " 026-11-21T10:00:00Z", "2026-11-21T10:00:00Z ",
                      "2026-11-21T10:00:00Z\n", "2026-11-21T10:00:00Z\0boot"s,
                      "2026-1-2T1:0:0.0000000Z", "2026-11-21T10:00:0.0Z"});
}

TEST(ValueTest, TimestampsOutsideOfTheYears1To9999AreRefused) {
  ExpectNoTimestamps({"0000-12-31T23:59:59Z", "0001-01-01T00:00:00+00:01", "-001-01-01T00:00:00Z",
                      "9999-12-31T23:59:59-00:01", "10000-01-01T00:00:00Z"});
}

TEST(ValueTest, ATimestampEndsWithZOrHoursAndMinutesAndNothingBehindThem) {
  ExpectNoTimestamps({"2026-11-21T10:00:00+01", "2026-11-21T10:00:00+0100",
                      "2026-11-21T10:00:00+01:00:30", "2026-11-21T10:00:00Z\0boot1"s});
}

void ExpectReadAgain(int64_t micros) {
  int64_t again = 7;
  EXPECT_TRUE(ParseTimestamp(FormatTimestamp(micros), &again)) << FormatTimestamp(micros);
  EXPECT_EQ(again, micros) << FormatTimestamp(micros);
}

TEST(ValueTest, ATimestampIsReadAgainAsItIsWritten) {
  std::mt19937_64 random(1);
  std::uniform_int_distribution<int64_t> any(kYear1000, kYear9999End);
  for (int i = 0; i < 1000; ++i) ExpectReadAgain(any(random));
  for (const int64_t micros : {kYear1000, int64_t{-1}, int64_t{0}, kYear9999End}) {
    ExpectReadAgain(micros);
  }
}

TEST(ValueTest, YearsBefore1000AreWrittenWithFourDigits) {
  for (const int64_t micros : {kYear1, kYear1 + 1, kYear1000 - 1}) ExpectReadAgain(micros);
}

TEST(AttributesTest, ARecordHasTheBytesWrittenHere) {
  const AttributeMap attributes = {{"a", List({B(true), S("\xc3\xa9")})},
                                   {"b.c", One(I(-2))},
                                   {"d", One(D(1.5))},
                                   {"e", List({})},
                                   {"t", One(T(0x0102030405060708))}};
  const std::string golden =
      "\1a\0\2\1\1\5\2\xc3\xa9"                  // a list of two: a bool, a string
      "\3b.c\2\xfe\xff\xff\xff\xff\xff\xff\xff"  // an int64
      "\1d\3\x00\x00\x00\x00\x00\x00\xf8\x3f"    // a double
      "\1e\0\0"                                  // a list of none
      "\1t\4\x08\x07\x06\x05\x04\x03\x02\x01"s;  // a timestamp
  EXPECT_EQ(Encoded(attributes), golden);
  EXPECT_EQ(Decoded(golden), Show(attributes));
  // Lengths beyond 127 take two bytes.
  const std::vector<std::pair<size_t, std::string>> lengths = {
      {127, "\x7f"}, {128, "\x80\1"}, {300, "\xac\2"}};
  for (const auto& [length, bytes] : lengths) {
    const std::string text(length, 'x');
    EXPECT_EQ(Encoded({{"s", One(S(text))}}), "\1s\5" + bytes + text);
    EXPECT_EQ(Decoded("\1s\5" + bytes + text), Show({{"s", One(S(text))}}));
  }
}

TEST(AttributesTest, AllKindsOfValuesAreReadAsTheyWereWritten) {
  EXPECT_EQ(EncodeAttributes({}).value(), "");
  EXPECT_EQ(Decoded(""), "");
  EXPECT_EQ(Decoded(Encoded(EachKind())), Show(EachKind()));
  const AttributeMap large = {{std::string(256, 'p'), List(std::vector<ValueView>(300, S("x")))},
                              {"q", One(S(std::string(70'000, 'x')))}};
  EXPECT_EQ(Decoded(Encoded(large)), Show(large));
}

TEST(AttributesTest, AnEncoderTakesPathsInAnyOrderAndBeginsAnewEachTime) {
  const std::string wanted =
      Encoded({{"a", List({I(1), S("x")})}, {"b.c", One(B(true))}, {"d", List({})}});
  AttributeEncoder encoder;
  std::string out = "before";
  for (int again = 0; again < 2; ++again) {
    encoder.BeginList("d");
    encoder.Add("b.c", B(true));
    encoder.BeginList("a");
    encoder.AddToList(I(1));
    encoder.AddToList(S("x"));
    EXPECT_EQ(encoder.Encode(&out), absl::OkStatus());
    // What was written before an error is taken back.
    encoder.Add("a", I(1));
    encoder.Add("b", D(std::numeric_limits<double>::infinity()));
    EXPECT_FALSE(encoder.Encode(&out).ok());
    encoder.Add("a", I(1));
    encoder.BeginList("b");
    encoder.Add("a", I(2));
    EXPECT_EQ(encoder.Encode(&out).ToString(), "INVALID_ARGUMENT: attribute \"a\": is there twice");
  }
  EXPECT_EQ(out, "before" + wanted + wanted);
}

TEST(AttributesTest, PathsAreNamesWithDotsBetweenThem) {
  for (const std::string& path :
       {"a"s, "a.b.c"s, " "s, "\xc3\xa9"s, "a-.-b"s, std::string(256, 'p')}) {
    EXPECT_TRUE(CheckPath(path).ok()) << path;
    EXPECT_TRUE(EncodeAttributes({{path, One(I(1))}}).ok()) << path;
  }
  for (const std::string& path :
       {""s, "."s, ".a"s, "a."s, "a..b"s, "a\xff"s, std::string(257, 'p')}) {
    const std::string error = path.size() > 256 ? "a path must be at most 256 bytes, is 257"
                              : path == "a\xff" ? "\": a path must be UTF-8"
                                                : "\"" + path + "\": a path must be names";
    EXPECT_EQ(CheckPath(path).code(), absl::StatusCode::kInvalidArgument) << path;
    EXPECT_THAT(CheckPath(path).ToString(), HasSubstr(error));
    EXPECT_THAT(Encoded({{path, One(I(1))}}), HasSubstr(error));
    EXPECT_THAT(Patched("", {.set = {{path, One(I(1))}}, .remove = {}}), HasSubstr(error));
    EXPECT_THAT(Patched("", {.set = {}, .remove = {path}}), HasSubstr(error));
  }
}

TEST(AttributesTest, APathThatIsBothAValueAndAnObjectIsRefused) {
  for (const auto& [path, below] : std::vector<std::pair<std::string, std::string>>{
           {"a", "a.b"}, {"a", "a.b.c"}, {"a.b", "a.b.c"}}) {
    // "a-" lies between the two.
    const AttributeMap both = {{path, One(I(1))}, {path + "-", One(I(1))}, {below, One(I(1))}};
    const std::string error = "INVALID_ARGUMENT: attribute \"" + path +
                              "\": is a value, and an object with \"" + below + "\" in it";
    EXPECT_EQ(Encoded(both), error);
    EXPECT_EQ(Patched("", {.set = both, .remove = {}}), error);
  }
  EXPECT_TRUE(EncodeAttributes({{"a", One(I(1))}, {"ab", One(I(1))}, {"b.a", One(I(1))}}).ok());
}

TEST(AttributesTest, ValuesThatCannotBeStoredAreRefusedByTheAttributesName) {
  const auto expect_refused = [](const ValueView& value, std::string_view why) {
    const std::string error = "INVALID_ARGUMENT: attribute \"a.b\": " + std::string(why);
    EXPECT_EQ(Encoded({{"a.a", One(I(1))}, {"a.b", One(value)}}), error);
    EXPECT_EQ(Encoded({{"a.a", One(I(1))}, {"a.b", List({I(1), value})}}), error);
  };
  using Limits = std::numeric_limits<double>;
  for (const double real : {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()}) {
    expect_refused(D(real), "a double must be finite");
  }
  for (const char* text : {"\xff", "caf\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    expect_refused(S(text), "text must be UTF-8");
  }
}

TEST(AttributesTest, ARecordMayBeAsLargeAsTheLimitsAndNoLarger) {
  AttributeMap attributes;
  for (size_t i = 0; i < kAttributesMax; ++i) attributes["p" + std::to_string(i)] = One(B(true));
  EXPECT_EQ(Decoded(Encoded(attributes)), Show(attributes));
  const std::string more = "INVALID_ARGUMENT: metadata must have at most 1024 attributes, has 1025";
  EXPECT_EQ(Patched(Encoded(attributes), {.set = {{"q", One(B(true))}}, .remove = {}}), more);
  attributes["q"] = One(B(true));
  EXPECT_EQ(Encoded(attributes), more);

  // "a" takes 4 bytes, "b" 6 and its text.
  const std::string fits(kAttributesBytesMax - 10, 'x');
  EXPECT_EQ(Encoded({{"a", One(B(true))}, {"b", One(S(fits))}}).size(), kAttributesBytesMax);
  EXPECT_EQ(Encoded({{"a", One(B(true))}, {"b", One(S(fits + "x"))}}),
            "INVALID_ARGUMENT: metadata must be at most 262144 bytes, attribute \"b\" brings it to "
            "262145");
}

// Reads from memory of exactly that size, for AddressSanitizer.
std::string ReadDamaged(std::string_view bytes) {
  const std::unique_ptr<char[]> copy(new char[bytes.size()]);
  std::memcpy(copy.get(), bytes.data(), bytes.size());
  const std::string_view encoded(copy.get(), bytes.size());
  AttributeReader reader(encoded);
  AttributeView view;
  while (reader.Next(&view)) EXPECT_TRUE(view.ForEach([](const ValueView&) { return true; }));
  EXPECT_FALSE(reader.Next(&view)) << "goes on behind the end";
  EXPECT_EQ(DecodeAttributes(encoded).ok(), !reader.damaged());
  if (reader.damaged()) {
    EXPECT_EQ(ApplyPatch(encoded, {}).status().code(), absl::StatusCode::kDataLoss);
  }
  return Decoded(encoded);
}

TEST(AttributesTest, ARecordCutOffAnywhereButBetweenAttributesIsRefused) {
  std::map<size_t, std::string> ends = {{0, ""}};
  AttributeMap first;
  for (const auto& [path, attribute] : EachKind()) {
    first[path] = attribute;
    ends[Encoded(first).size()] = Show(first);
  }
  const std::string whole = Encoded(first);
  for (size_t size = 0; size <= whole.size(); ++size) {
    const std::string read = ReadDamaged(whole.substr(0, size));
    if (ends.contains(size)) {
      EXPECT_EQ(read, ends[size]);
    } else {
      EXPECT_THAT(read, HasSubstr("DATA_LOSS: stored metadata of " + std::to_string(size)));
    }
  }
}

TEST(AttributesTest, NoChangedByteDoesHarmNorALengthBeyondTheEndOrAnUnknownType) {
  const std::string whole = Encoded(EachKind());
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int change = 1; change < 256; ++change) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      ReadDamaged(bytes);
    }
  }
  for (const std::string& bytes :
       {"\1a"s, "\3a\1\1"s, "\1a\6\0\0\0\0\0\0\0\0"s, "\1a\0\1\0\0"s, "\1a\5\x80"s, "\1a\5\2x"s,
        "\1a\0\3\1\1\1\1"s, "\1a\0\xff\xff\xff\xff\x7f\1\1"s,
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1a\1\1"s}) {
    EXPECT_THAT(ReadDamaged(bytes), HasSubstr("DATA_LOSS"));
  }
}

TEST(AttributesTest, AttributesAreSelectedByTheirPathOrAnObjectAboveThem) {
  AttributeMap attributes;
  for (const char* path : {"a", "b-", "b.c", "b.d.e", "ba", "c.a"}) {
    attributes[path] = List({I(1), S(path)});
  }
  const std::string whole = Encoded(attributes);
  const auto selected = [&](const std::vector<std::string>& paths) {
    const AttributeMap some = DecodeAttributes(SelectAttributes(whole, paths)).value();
    std::string found;
    for (const auto& [path, attribute] : some) {
      EXPECT_EQ(Show({{path, attribute}}), Show({{path, attributes[path]}}));
      found += path + " ";
    }
    return found;
  };
  EXPECT_EQ(selected({}), "");
  EXPECT_EQ(selected({"zz", "a.b", "b.", "c.a.x"}), "");
  EXPECT_EQ(selected({"b"}), "b.c b.d.e ");
  EXPECT_EQ(selected({"c.a", "b.d", "b.d.e", "a"}), "a b.d.e c.a ");
  EXPECT_EQ(SelectAttributes(whole.substr(0, whole.size() - 1), {"a", "c"}),
            SelectAttributes(whole, {"a"}));
}

// A JSON document, or a patch of one.
struct Json {
  enum Kind { kObject, kNull, kNumber } kind = kObject;
  int64_t number = 0;
  std::map<std::string, Json> members;
};

// What it sets, and its nulls. Of objects with nothing in them nothing is left.
void Flatten(const Json& json, const std::string& path, MergePatch* flat) {
  if (json.kind == Json::kNumber) flat->set[path] = One(I(json.number));
  if (json.kind == Json::kNull) flat->remove.push_back(path);
  for (const auto& [name, member] : json.members) {
    Flatten(member, path.empty() ? name : path + "." + name, flat);
  }
}
MergePatch Flattened(const Json& json) {
  MergePatch flat;
  Flatten(json, "", &flat);
  return flat;
}

// RFC 7386, section 2, but that a value does not give way to an object with nothing in it: there
// are no such objects.
Json MergePatched(Json target, const Json& patch) {
  if (patch.kind != Json::kObject) return patch;
  if (target.kind == Json::kNumber && Flattened(patch).set.empty()) return target;
  if (target.kind != Json::kObject) target = {};
  for (const auto& [name, value] : patch.members) {
    Json& member = target.members[name];
    member = MergePatched(member, value);
    if (member.kind == Json::kNull) target.members.erase(name);
  }
  return target;
}

// An object of few names, so that patches meet what is there.
Json RandomObject(int depth, bool nulls, std::mt19937* random) {
  Json json;
  for (const char* name : {"a", "a-", "b"}) {
    const uint32_t kind = (*random)() % 5;
    if (kind == 0 || (kind > 2 && depth == 1)) continue;
    Json& member = json.members[name];
    member = kind > 2 ? RandomObject(depth - 1, nulls, random)
                      : Json{.kind = kind == 1 && nulls ? Json::kNull : Json::kNumber,
                             .number = static_cast<int64_t>((*random)()),
                             .members = {}};
  }
  return json;
}

TEST(AttributesTest, PatchesDoWhatRfc7386SaysTheyDo) {
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    const Json json = RandomObject(3, /*nulls=*/false, &random);
    const Json patch = RandomObject(3, /*nulls=*/true, &random);
    const AttributeMap before = Flattened(json).set,
                       after = Flattened(MergePatched(json, patch)).set;
    EXPECT_EQ(Patched(Encoded(before), Flattened(patch)), Show(after))
        << "patch " << i << " of\n" + Show(before);
  }
}

}  // namespace
}  // namespace varve::metadata
