#include "clients/cli/input/id_column.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "clients/cli/input/id_text.h"
#include "clients/cli/input/npy.h"
#include "clients/cli/testing/files.h"

namespace varve::cli {
namespace {

using client::IdsView;
using testing::BytesOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::WriteTestFile;

std::vector<uint64_t> Numbers(const IdColumn& column) {
  std::vector<uint64_t> scratch;
  const IdsView view = column.Slice(0, column.size(), &scratch);
  const auto numbers = std::get<absl::Span<const uint64_t>>(view);
  return {numbers.begin(), numbers.end()};
}

std::vector<std::string> Texts(const IdColumn& column) {
  const IdsView view = column.Slice(0, column.size(), nullptr);
  const auto texts = std::get<absl::Span<const std::string_view>>(view);
  return {texts.begin(), texts.end()};
}

void ExpectRefused(const std::string& path, IdType type, const std::string& why) {
  const auto ids = IdColumn::Open(path, type);
  ASSERT_FALSE(ids.ok()) << "wanted: " << why;
  EXPECT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(ids.status().message()), HasSubstr(path + ": "));
  EXPECT_THAT(std::string(ids.status().message()), HasSubstr(why));
}

TEST(IdTextTest, ANumberHasOneSpelling) {
  EXPECT_EQ(ParseNumberId("0"), 0);
  EXPECT_EQ(ParseNumberId("18446744073709551615"), UINT64_MAX);
  for (const char* text :
       {"", "00", "007", "+7", "-7", " 7", "7 ", "7.0", "0x7", "1e3", "18446744073709551616"}) {
    EXPECT_EQ(ParseNumberId(text), std::nullopt) << text;
  }
}

TEST(IdTextTest, TextIsUtf8OfBoundedLength) {
  EXPECT_TRUE(CheckTextId("a").ok());
  EXPECT_TRUE(CheckTextId("naïve 日本 🎉").ok());
  EXPECT_TRUE(CheckTextId(std::string(512, 'x')).ok());
  EXPECT_FALSE(CheckTextId("").ok());
  EXPECT_FALSE(CheckTextId(std::string(513, 'x')).ok());
  for (const char* text : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
                           "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xff", "a\xe6\x97"}) {
    EXPECT_FALSE(CheckTextId(text).ok()) << text;
  }
}

TEST(IdColumnTest, CountingIdsAreRowNumbers) {
  const IdColumn ids = IdColumn::Counting(5);
  EXPECT_EQ(ids.type(), IdType::kNumber);
  EXPECT_EQ(ids.size(), 5);
  std::vector<uint64_t> scratch;
  const IdsView view = ids.Slice(2, 3, &scratch);
  EXPECT_THAT(std::get<absl::Span<const uint64_t>>(view), ElementsAre(2, 3, 4));
}

TEST(IdColumnTest, U64FilesHoldNumbers) {
  const auto ids = IdColumn::Open(WriteTestFile("ids.u64", BytesOf<uint64_t>({7, UINT64_MAX})),
                                  IdType::kUndecided);
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_THAT(Numbers(*ids), ElementsAre(7, UINT64_MAX));
  ExpectRefused(WriteTestFile("bad.u64", "123456789"), IdType::kNumber,
                "holds 9 bytes, wanted a multiple of 8");
}

TEST(IdColumnTest, NpyFilesOfWholeNumbersAreRead) {
  const auto open = [](const char* dtype, const std::string& data) {
    return IdColumn::Open(WriteTestFile("ids.npy", NpyHeader(dtype, {2}) + data), IdType::kNumber);
  };
  EXPECT_THAT(Numbers(*open("<u8", BytesOf<uint64_t>({1, UINT64_MAX}))),
              ElementsAre(1, UINT64_MAX));
  EXPECT_THAT(Numbers(*open("<i8", BytesOf<int64_t>({1, INT64_MAX}))), ElementsAre(1, INT64_MAX));
  EXPECT_THAT(Numbers(*open("<u4", BytesOf<uint32_t>({1, UINT32_MAX}))),
              ElementsAre(1, UINT32_MAX));
  EXPECT_THAT(Numbers(*open("<i4", BytesOf<int32_t>({1, 2}))), ElementsAre(1, 2));
}

TEST(IdColumnTest, NpyFilesOfOtherThingsAreRefused) {
  ExpectRefused(WriteTestFile("a.npy", NpyHeader("<i8", {2}) + BytesOf<int64_t>({1, -2})),
                IdType::kNumber, "row 1 is -2");
  ExpectRefused(WriteTestFile("a.npy", NpyHeader("<i4", {2}) + BytesOf<int32_t>({-1, 2})),
                IdType::kNumber, "row 0 is -1");
  ExpectRefused(WriteTestFile("a.npy", NpyHeader("<f8", {1}) + std::string(8, 'x')),
                IdType::kNumber, "type f8, wanted u8");
  ExpectRefused(WriteTestFile("a.npy", NpyHeader("<u8", {1, 1}) + std::string(8, 'x')),
                IdType::kNumber, "has shape (1, 1), wanted (rows,)");
}

TEST(IdColumnTest, NumbersDoNotGoIntoANamespaceOfText) {
  ExpectRefused(WriteTestFile("ids.u64", BytesOf<uint64_t>({7})), IdType::kText,
                "the namespace's ids are text");
}

TEST(IdColumnTest, LinesAreNumbersWhereTheNamespaceHasNumbersOrEveryLineIsOne) {
  const std::string numbers = WriteTestFile("n.txt", "3\r\n0\n18446744073709551615");
  EXPECT_THAT(Numbers(*IdColumn::Open(numbers, IdType::kNumber)), ElementsAre(3, 0, UINT64_MAX));
  EXPECT_THAT(Numbers(*IdColumn::Open(numbers, IdType::kUndecided)), ElementsAre(3, 0, UINT64_MAX));
  EXPECT_THAT(Texts(*IdColumn::Open(numbers, IdType::kText)),
              ElementsAre("3", "0", "18446744073709551615"));
  const std::string mixed = WriteTestFile("m.txt", "3\n007\n");
  EXPECT_THAT(Texts(*IdColumn::Open(mixed, IdType::kUndecided)), ElementsAre("3", "007"));
  ExpectRefused(mixed, IdType::kNumber, "line 2 is '007'");
}

TEST(IdColumnTest, LinesThatCannotBeIdsAreNamed) {
  ExpectRefused(WriteTestFile("t.txt", "a\n\nb\n"), IdType::kUndecided, "line 2 has 0 bytes");
  ExpectRefused(WriteTestFile("t.txt", "a\nb\n" + std::string(513, 'x')), IdType::kText,
                "line 3 has 513 bytes, wanted 1 to 512");
  ExpectRefused(WriteTestFile("t.txt", "a\xff\n"), IdType::kText, "line 1 is not UTF-8");
}

TEST(IdColumnTest, WordsFollowTheNamespacesKind) {
  const std::vector<std::string> words = {"2000", "7"};
  EXPECT_THAT(Numbers(*IdColumn::FromWords(words, IdType::kNumber)), ElementsAre(2000, 7));
  EXPECT_THAT(Texts(*IdColumn::FromWords(words, IdType::kText)), ElementsAre("2000", "7"));
  const std::vector<std::string> text = {"2000", "x"};
  EXPECT_THAT(std::string(IdColumn::FromWords(text, IdType::kNumber).status().message()),
              HasSubstr("ids: id 2 is 'x'"));
}

TEST(IdColumnTest, TheLongestIdDecidesHowMuchRoomIdsTake) {
  EXPECT_EQ(IdColumn::Counting(3).longest_bytes(), 8);
  const std::vector<std::string> words = {"a", "four"};
  EXPECT_EQ(IdColumn::FromWords(words, IdType::kText)->longest_bytes(), 7);
}

}  // namespace
}  // namespace varve::cli
