#include "clients/cli/verbs/scan_token.h"

#include <gtest/gtest.h>

#include <string>

namespace varve::cli {
namespace {

TEST(ScanTokenTest, AWordReadsBackAsWhatItWas) {
  const std::string server("7:\0\xff", 4);
  for (const std::string& token : {std::string(), server}) {
    for (const std::optional<client::Id>& after :
         {std::optional<client::Id>(), std::optional<client::Id>(uint64_t{0}),
          std::optional<client::Id>(UINT64_MAX), std::optional<client::Id>(std::string("ä:7\0", 5)),
          std::optional<client::Id>(std::string("7"))}) {
      const std::string word = ToText({.server = token, .after = after});
      EXPECT_EQ(word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789_-"),
                word.npos);
      const auto read = ParseScanToken(word);
      ASSERT_TRUE(read.has_value()) << word;
      EXPECT_EQ(read->server, token);
      EXPECT_EQ(read->after, after);
    }
  }
}

TEST(ScanTokenTest, AnyOtherWordIsNone) {
  for (const char* word : {"", "!", "abc", "LTk6", "bjA6", "eDA6"}) {
    EXPECT_FALSE(ParseScanToken(word).has_value()) << word;
  }
}

}  // namespace
}  // namespace varve::cli
