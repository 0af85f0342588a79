#include "storage/synced_mark.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "storage/temporary_directory.h"

namespace varve::storage {
namespace {

using std::literals::operator""s;
using testing::HasSubstr;

class SyncedMarkTest : public testing::Test {
 protected:
  std::unique_ptr<SyncedMark> Open() {
    auto mark = SyncedMark::Open(directory_.path());
    EXPECT_TRUE(mark.ok()) << mark.status();
    return mark.ok() ? *std::move(mark) : nullptr;
  }
  std::string path() const { return directory_.path() + "/SYNCED"; }
  std::string Content() {
    std::ifstream file(path(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  void SetContent(const std::string& content) {
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << content;
  }
  void ExpectDataLoss() {
    const auto mark = SyncedMark::Open(directory_.path());
    ASSERT_EQ(mark.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(mark.status().message()), HasSubstr(path()));
  }

  const TemporaryDirectory directory_;
};

TEST_F(SyncedMarkTest, ANewMarkIsAtZero) { EXPECT_EQ(Open()->sequence(), 0); }

TEST_F(SyncedMarkTest, ItIsWhereItWasRaisedToAfterReopening) {
  ASSERT_TRUE(Open()->Raise(0x0102030405060708).ok());
  EXPECT_EQ(Open()->sequence(), 0x0102030405060708);
}

TEST_F(SyncedMarkTest, ItNeverGoesDown) {
  const auto mark = Open();
  ASSERT_TRUE(mark->Raise(7).ok());
  ASSERT_TRUE(mark->Raise(5).ok());
  EXPECT_EQ(mark->sequence(), 7);
  EXPECT_EQ(Open()->sequence(), 7);
}

// The bytes are on disk: magic, CRC-32 of the number, number.
TEST_F(SyncedMarkTest, TheFileHasTheBytesOfTheTable) {
  ASSERT_TRUE(Open()->Raise(1).ok());
  EXPECT_EQ(Content(), "VSYN\x12\x25\xef\xff\0\0\0\0\0\0\0\1"s);
}

TEST_F(SyncedMarkTest, AFileOfTheWrongLengthIsDataLoss) {
  Open();
  const std::string content = Content();
  SetContent(content.substr(1));
  ExpectDataLoss();
  SetContent(content + "x");
  ExpectDataLoss();
  SetContent("");
  ExpectDataLoss();
}

TEST_F(SyncedMarkTest, AFlippedBitAnywhereIsDataLoss) {
  ASSERT_TRUE(Open()->Raise(123'456).ok());
  const std::string content = Content();
  for (size_t i = 0; i < content.size(); ++i) {
    SCOPED_TRACE(i);
    std::string damaged = content;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    SetContent(damaged);
    ExpectDataLoss();
  }
}

}  // namespace
}  // namespace varve::storage
