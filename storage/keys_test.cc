#include "storage/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "storage/big_endian.h"

namespace varve::storage {
namespace {

using std::literals::operator""s;
using testing::HasSubstr;

// Numbers around each place where a byte order that is not big-endian would show.
const uint64_t kNumbers[] = {0,         1, 0xff, 0x100, 0xffff, 0x1'0000, 0x1234'5678'9abc'def0,
                             UINT64_MAX};
const FieldNumber kFieldNumbers[] = {kDefaultField, 1, 0xff, 0x100, 0xffff};

template <typename T>
void ExpectDataLoss(const absl::StatusOr<T>& result, const std::string& key, size_t found,
                    const std::string& expected) {
  ASSERT_EQ(result.status().code(), absl::StatusCode::kDataLoss);
  const std::string message(result.status().message());
  EXPECT_THAT(message, HasSubstr(DescribeKey(key)));
  EXPECT_THAT(message, HasSubstr(std::to_string(found) + " bytes"));
  EXPECT_THAT(message, HasSubstr(expected));
}

// The bytes below are on disk: a test that has to be changed asks for a new format version.
TEST(KeysTest, KeysHaveTheBytesOfTheTable) {
  EXPECT_EQ(NextNamespaceKey(), "\0\0\0\0n"s);
  EXPECT_EQ(NamespaceKey("docs"), "\0\0\0\0Ndocs"s);
  EXPECT_EQ(CommitStateKey(0x01020304), "\1\2\3\4c"s);
  EXPECT_EQ(ManifestKey(7, kDefaultField), "\0\0\0\7m"s);
  EXPECT_EQ(ManifestKey(7, 3), "\0\0\0\7m\0\3"s);
  EXPECT_EQ(ManifestKey(7, 0x0203), "\0\0\0\7m\2\3"s);
  EXPECT_EQ(ProducerKey(7, "p"), "\0\0\0\7pp"s);
  EXPECT_EQ(IdKey(7, "\0x"s), "\0\0\0\7\0x"s);
  EXPECT_EQ(View(RowKey(7, 0x0102030405060708)), "\0\0\0\7\1\2\3\4\5\6\7\x8"s);
  EXPECT_EQ(View(VectorKey(7, 1, kDefaultField)), "\0\0\0\7\0\0\0\0\0\0\0\1\0\0"s);
  EXPECT_EQ(View(VectorKey(7, 1, 0x0203)), "\0\0\0\7\0\0\0\0\0\0\0\1\2\3"s);
  EXPECT_EQ(MarkKey(7, 0x0102030405060708, kDefaultField), "\0\0\0\7\1\2\3\4\5\6\7\x8"s);
  EXPECT_EQ(MarkKey(7, 0x0102030405060708, 3), "\0\0\0\7\1\2\3\4\5\6\7\x8\0\3"s);
}

TEST(KeysTest, ValuesHaveTheBytesOfTheTable) {
  EXPECT_EQ(NextNamespaceValue(0x01020304), "\1\2\3\4"s);
  EXPECT_EQ(NamespaceValue(7, "schema"), "\0\0\0\7schema"s);
  EXPECT_EQ(CommitStateValue({.sequence = 1, .next_row = 2, .id_type = 3}),
            "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\3"s);
  EXPECT_EQ(ProducerValue(258), "\0\0\0\0\0\0\1\2"s);
  EXPECT_EQ(View(IdValue(258)), "\0\0\0\0\0\0\1\2"s);
  EXPECT_EQ(View(MarkValue(258)), "\0\0\0\0\0\0\1\2"s);
  EXPECT_EQ(RowValue(258, "id"), "\0\0\0\0\0\0\1\2id"s);
  EXPECT_EQ(AttributesValue(258, "color"), "\0\0\0\0\0\0\1\2color"s);
  EXPECT_EQ(AttributesValue(-2, ""), "\xff\xff\xff\xff\xff\xff\xff\xfe"s);
  EXPECT_EQ(AttributesValue(kNeverExpires, ""), "\x7f\xff\xff\xff\xff\xff\xff\xff"s);
}

TEST(KeysTest, RowsSortInNumericOrder) {
  for (size_t i = 1; i < std::size(kNumbers); ++i) {
    EXPECT_LT(View(RowKey(1, kNumbers[i - 1])), View(RowKey(1, kNumbers[i])));
    EXPECT_LT(View(VectorKey(1, kNumbers[i - 1], 0xffff)), View(VectorKey(1, kNumbers[i], 0)));
    EXPECT_LT(MarkKey(1, kNumbers[i - 1], 0xffff), MarkKey(1, kNumbers[i], kDefaultField));
  }
}

TEST(KeysTest, AllThatIsOfARowIsBetweenItsKeyAndTheNext) {
  for (const uint64_t row : kNumbers) {
    if (row == UINT64_MAX) continue;
    for (const FieldNumber field : kFieldNumbers) {
      for (const std::string& key :
           {std::string(View(VectorKey(1, row, field))), MarkKey(1, row, field)}) {
        EXPECT_LE(View(RowKey(1, row)), key);
        EXPECT_LT(key, View(RowKey(1, row + 1)));
      }
    }
  }
}

TEST(KeysTest, ANamespaceIsARangeOfEveryFamily) {
  for (const NamespaceNumber number : {1u, 0xffu, 0x100u, kNamespaceNumberMax}) {
    const std::string begin = NamespaceBegin(number);
    const std::string end = NamespaceBegin(number + 1);
    const std::vector<std::string> keys = {CommitStateKey(number),
                                           ManifestKey(number, kDefaultField),
                                           ManifestKey(number, 0xffff),
                                           ProducerKey(number, "\xff\xff\xff\xff"),
                                           IdKey(number, ""),
                                           IdKey(number, "\xff\xff\xff\xff"),
                                           std::string(View(RowKey(number, 0))),
                                           std::string(View(RowKey(number, UINT64_MAX))),
                                           std::string(View(VectorKey(number, UINT64_MAX, 0xffff))),
                                           MarkKey(number, 0, kDefaultField),
                                           MarkKey(number, UINT64_MAX, 0xffff)};
    for (const std::string& key : keys) {
      EXPECT_LE(begin, key);
      EXPECT_LT(key, end);
    }
  }
}

TEST(KeysTest, WhatBelongsToTheStoreIsInNoNamespace) {
  EXPECT_LT(NextNamespaceKey(), NamespaceBegin(1));
  EXPECT_LT(NamespaceKey("\xff\xff\xff\xff\xff"), NamespaceBegin(1));
}

TEST(KeysTest, KeysComeBackAsTheyWere) {
  for (const std::string& text : {""s, "a"s, "\0\xff\0"s, std::string(600, 'x')}) {
    EXPECT_EQ(ParseIdKey(IdKey(9, text)).value(), text);
    EXPECT_EQ(ParseNamespaceKey(NamespaceKey(text)).value(), text);
  }
  for (const uint64_t number : kNumbers) {
    EXPECT_EQ(ParseRowKey(View(RowKey(9, number))).value(), number);
    for (const FieldNumber field : kFieldNumbers) {
      const std::string vector_key(View(VectorKey(9, number, field)));
      for (const std::string& key : {vector_key, MarkKey(9, number, field)}) {
        const RowFieldKeyParts parts = ParseRowFieldKey(key).value();
        EXPECT_EQ(parts.row, number);
        EXPECT_EQ(parts.field, field);
      }
    }
  }
}

TEST(KeysTest, ValuesComeBackAsTheyWere) {
  for (const uint64_t number : kNumbers) {
    EXPECT_EQ(ParseIdValue("k", View(IdValue(number))).value(), number);
    EXPECT_EQ(ParseMarkValue("k", View(MarkValue(number))).value(), number);
    EXPECT_EQ(ParseProducerValue("k", ProducerValue(number)).value(), number);
    for (const std::string& text : {""s, "attributes\0"s}) {
      const auto expires_at = static_cast<int64_t>(number);
      const std::string value = AttributesValue(expires_at, text);
      const AttributesValueParts parts = ParseAttributesValue("k", value).value();
      EXPECT_EQ(parts.expires_at, expires_at);
      EXPECT_EQ(parts.attributes, text);
    }
    const std::string row_value = RowValue(number, "id\0"s);
    const RowValueParts row = ParseRowValue("k", row_value).value();
    EXPECT_EQ(row.sequence, number);
    EXPECT_EQ(row.id, "id\0"s);
    const CommitState state =
        ParseCommitStateValue(
            "k", CommitStateValue({.sequence = number, .next_row = ~number, .id_type = 0xff}))
            .value();
    EXPECT_EQ(state.sequence, number);
    EXPECT_EQ(state.next_row, ~number);
    EXPECT_EQ(state.id_type, 0xff);
    const auto low = static_cast<NamespaceNumber>(number);
    EXPECT_EQ(ParseNextNamespaceValue("k", NextNamespaceValue(low)).value(), low);
    const std::string namespace_value = NamespaceValue(low, "\0schema"s);
    const NamespaceValueParts parts = ParseNamespaceValue("k", namespace_value).value();
    EXPECT_EQ(parts.number, low);
    EXPECT_EQ(parts.schema, "\0schema"s);
  }
}

TEST(KeysTest, AKeyOfTheWrongLengthIsDataLossAndNamesItAndBothLengths) {
  ExpectDataLoss(ParseRowKey("\0\0\0\1row"s), "\0\0\0\1row"s, 7, "12");
  ExpectDataLoss(ParseRowKey(std::string(14, 'x')), std::string(14, 'x'), 14, "12");
  for (const size_t length : {0, 4, 11, 13, 15}) {
    const std::string key(length, 'x');
    ExpectDataLoss(ParseRowFieldKey(key), key, length, "expected 12");
  }
  ExpectDataLoss(ParseIdKey("abc"), "abc", 3, "at least 4");
  ExpectDataLoss(ParseNamespaceKey("\0\0\0\0"s), "\0\0\0\0"s, 4, "at least 5");
}

TEST(KeysTest, AValueOfTheWrongLengthIsDataLossAndNamesItsKeyAndBothLengths) {
  const std::string seven(7, 'x');
  const std::string nine(9, 'x');
  ExpectDataLoss(ParseIdValue("key", seven), "key", 7, "expected 8");
  ExpectDataLoss(ParseIdValue("key", nine), "key", 9, "expected 8");
  ExpectDataLoss(ParseMarkValue("key", seven), "key", 7, "expected 8");
  ExpectDataLoss(ParseMarkValue("key", nine), "key", 9, "expected 8");
  ExpectDataLoss(ParseAttributesValue("key", ""), "key", 0, "at least 8");
  ExpectDataLoss(ParseAttributesValue("key", seven), "key", 7, "at least 8");
  ExpectDataLoss(ParseProducerValue("key", nine), "key", 9, "expected 8");
  ExpectDataLoss(ParseNextNamespaceValue("key", seven), "key", 7, "expected 4");
  ExpectDataLoss(ParseNamespaceValue("key", "abc"), "key", 3, "at least 4");
  ExpectDataLoss(ParseCommitStateValue("key", ""), "key", 0, "expected 17");
  ExpectDataLoss(ParseCommitStateValue("key", std::string(18, 'x')), "key", 18, "expected 17");
  ExpectDataLoss(ParseRowValue("key", seven), "key", 7, "at least 8");
}

TEST(KeysTest, ALongKeyIsCutShortInErrors) {
  EXPECT_EQ(DescribeKey("\1\xff"), "0x01ff");
  EXPECT_EQ(DescribeKey(std::string(64, 'a')).size(), 2 + 128);
  EXPECT_EQ(DescribeKey(std::string(65, 'a')).size(), 2 + 128 + 3);
}

}  // namespace
}  // namespace varve::storage
