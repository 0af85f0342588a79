#include "clients/cli/input/metadata_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "clients/cli/testing/files.h"

namespace varve::cli {
namespace {

using client::Metadata;
using ::testing::HasSubstr;
using testing::ReadTestFile;
using testing::TestPath;
using testing::WriteTestFile;

std::string WriteGzip(const std::string& name, const std::string& content) {
  const std::string path = TestPath(name);
  const gzFile file = gzopen(path.c_str(), "wb");
  EXPECT_EQ(gzwrite(file, content.data(), content.size()), content.size());
  gzclose(file);
  return path;
}

std::string Error(const absl::Status& status) { return std::string(status.message()); }

TEST(MetadataFileTest, NamesTellTheFormat) {
  EXPECT_TRUE(IsMetadataFileName("a.jsonl"));
  EXPECT_TRUE(IsMetadataFileName("a.jsonl.gz"));
  EXPECT_FALSE(IsMetadataFileName("a.json"));
  EXPECT_FALSE(IsMetadataFileName("a.gz"));
  EXPECT_FALSE(IsMetadataFileName("a.jsonl.zst"));
}

TEST(MetadataFileTest, RowsAreReadFromTheMiddleOfAFile) {
  const auto file = MetadataFile::Open(
      WriteTestFile("a.jsonl", "{\"i\":0}\n{\"i\":1}\r\n{\"at\":\"2001-09-09T01:46:40Z\"}\n{}"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->rows(), 4);
  std::vector<Metadata> rows = {{{"old", 1}}};
  ASSERT_TRUE(file->Read(1, 3, {{"at", client::AttributeType::kTimestamp}}, &rows).ok());
  EXPECT_EQ(rows, (std::vector<Metadata>{
                      {{"i", 1}}, {{"at", absl::FromUnixSeconds(1'000'000'000)}}, {}}));
  ASSERT_TRUE(file->Read(4, 0, {}, &rows).ok());
  EXPECT_TRUE(rows.empty());
}

TEST(MetadataFileTest, AnEmptyFileHasNoRows) {
  EXPECT_EQ(MetadataFile::Open(WriteTestFile("empty.jsonl", ""))->rows(), 0);
  EXPECT_EQ(MetadataFile::Open(WriteGzip("empty.jsonl.gz", ""))->rows(), 0);
}

TEST(MetadataFileTest, ALineThatIsWrongIsNamed) {
  const std::string path = WriteTestFile("wrong.jsonl", "{}\n{\"a\":1}\n{\"a\":\n\n{}\n");
  const auto file = MetadataFile::Open(path);
  std::vector<Metadata> rows;
  EXPECT_TRUE(file->Read(0, 2, {}, &rows).ok());
  EXPECT_THAT(Error(file->Read(0, 5, {}, &rows)),
              HasSubstr(path + ": line 3: is not a JSON object"));
  EXPECT_THAT(Error(file->Read(3, 1, {}, &rows)), HasSubstr(path + ": line 4: "));
}

TEST(MetadataFileTest, AGzipIsReadAsWhatItHolds) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "{\"i\":" + std::to_string(i) + "}\n";
  const auto file = MetadataFile::Open(WriteGzip("long.jsonl.gz", text));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->rows(), 200'000);
  EXPECT_EQ(file->bytes(), text);
  std::vector<Metadata> rows;
  ASSERT_TRUE(file->Read(199'999, 1, {}, &rows).ok());
  EXPECT_EQ(rows.front(), (Metadata{{"i", 199'999}}));
}

TEST(MetadataFileTest, AGzipThatIsNoneOrDamagedIsRefused) {
  const std::string plain = WriteTestFile("plain.jsonl.gz", "{}\n");
  EXPECT_EQ(Error(MetadataFile::Open(plain).status()), plain + ": is not gzip");
  std::string bytes = ReadTestFile(WriteGzip("whole.jsonl.gz", std::string(10'000, ' ') + "{}\n"));
  const std::string cut = WriteTestFile("cut.jsonl.gz", bytes.substr(0, bytes.size() - 9));
  EXPECT_EQ(Error(MetadataFile::Open(cut).status()), cut + ": is cut short");
  bytes[bytes.size() - 6] ^= 1;  // of the checksum
  const std::string damaged = WriteTestFile("damaged.jsonl.gz", bytes);
  EXPECT_THAT(Error(MetadataFile::Open(damaged).status()), HasSubstr(damaged + ": is damaged"));
  EXPECT_THAT(Error(MetadataFile::Open("nowhere.jsonl.gz").status()), HasSubstr("nowhere"));
}

TEST(MetadataFileTest, ARowInAMessageIsNeverLargerThanItSays) {
  const std::string path =
      WriteTestFile("sizes.jsonl", "{\"a\":-1}\n{\"a\":[-1,-2,-3]}\n{\"a\":{\"b\":{\"c\":-1}}}\n");
  const auto file = MetadataFile::Open(path);
  // Tags and lengths of an entry, its name and value, and a negative number's ten bytes.
  EXPECT_GE(file->MessageBytes(0), 9 + 10);
  EXPECT_GE(file->MessageBytes(1), 9 + 3 * 13);
  EXPECT_GE(file->MessageBytes(2), 3 * 11 + 10);
}

}  // namespace
}  // namespace varve::cli
