#include "clients/cli/format.h"

#include <gtest/gtest.h>

namespace varve::cli {
namespace {

TEST(FormatTest, NumbersHaveThousands) {
  EXPECT_EQ(Thousands(0), "0");
  EXPECT_EQ(Thousands(999), "999");
  EXPECT_EQ(Thousands(1'000), "1,000");
  EXPECT_EQ(Thousands(1'234'567), "1,234,567");
  EXPECT_EQ(Thousands(UINT64_MAX), "18,446,744,073,709,551,615");
}

TEST(FormatTest, BytesAreMegabytes) {
  EXPECT_EQ(Megabytes(0), "0.0 MB");
  EXPECT_EQ(Megabytes(16'340'000), "16.3 MB");
}

TEST(FormatTest, TimesAreAsPreciseAsTheyAreLong) {
  EXPECT_EQ(Took(absl::Milliseconds(8'254)), "8.25s");
  EXPECT_EQ(Took(absl::Seconds(123)), "2m03s");
  EXPECT_EQ(Took(absl::Seconds(3'723)), "1h02m");
  EXPECT_EQ(About(absl::Milliseconds(8'254)), "9s");
}

TEST(FormatTest, IdsDoNotDisturbATerminal) {
  EXPECT_EQ(IdText(uint64_t{7}), "7");
  EXPECT_EQ(IdText(std::string("naïve")), "naïve");
  EXPECT_EQ(IdText(std::string("a\x1b[2Jb\n")), "a\\033[2Jb\\n");
}

TEST(FormatTest, WordsAreQuotedForAShellWhereTheyMustBe) {
  EXPECT_EQ(ShellWord("--input=base.npy"), "--input=base.npy");
  EXPECT_EQ(ShellWord(""), "''");
  EXPECT_EQ(ShellWord("my file"), "'my file'");
  EXPECT_EQ(ShellWord("it's $HOME"), "'it'\\''s $HOME'");
}

TEST(FormatTest, TablesAlignTextLeftAndNumbersRight) {
  Table table({"NAME", "ROWS"});
  table.Add({"a", "12,288"});
  table.Add({"words", "7"});
  EXPECT_EQ(table.Text(),
            "NAME   ROWS\n"
            "a      12,288\n"
            "words       7\n");
}

TEST(FormatTest, AFilterIsShownWithACaretBelowTheColumn) {
  EXPECT_EQ(FilterFault("price > AND", "filter: filter, column 9: a value must follow >"),
            "  price > AND\n"
            "          ^\n");
  EXPECT_EQ(FilterFault("ä\t=", "filter, column 4: ..."),
            "  ä =\n"
            "     ^\n");
  EXPECT_EQ(FilterFault("", "filter, column 1: ..."), "");
  EXPECT_EQ(FilterFault("a", "k must be 1 to 10000"), "");
  EXPECT_EQ(FilterFault("a", "filter, column x"), "");
  EXPECT_EQ(FilterFault("a", "filter, column 99: ..."), "");
}

TEST(FormatTest, ColumnsWithNothingInThemCanBeLeftOut) {
  Table table({"A", "B", "C", "D"});
  table.Add({"", "1", "", "2"});
  table.DropEmpty(1);
  EXPECT_EQ(table.Text(),
            "A  B  D\n"
            "   1  2\n");
}

}  // namespace
}  // namespace varve::cli
