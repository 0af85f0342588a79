#include "storage/file_system.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/temporary_directory.h"

namespace varve::storage {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class FileSystemTest : public testing::Test {
 protected:
  std::string Path(std::string_view name) const {
    return directory_.path() + "/" + std::string(name);
  }
  void WriteFile(std::string_view name, std::string_view content) {
    auto file = files_.Create(Path(name));
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Append(content).ok());
    ASSERT_TRUE((*file)->Sync().ok());
  }

  TemporaryDirectory directory_;
  FileSystem& files_ = *FileSystem::System();
};

TEST_F(FileSystemTest, WhatIsAppendedIsMappedBack) {
  const std::string large(3 << 20, 'x');
  WriteFile("a", large + "end");
  const auto mapped = files_.Map(Path("a"));
  ASSERT_TRUE(mapped.ok()) << mapped.status();
  EXPECT_EQ((*mapped)->bytes(), large + "end");
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*mapped)->bytes().data()) % 4096, 0u);
}

TEST_F(FileSystemTest, AMappedFileStaysReadableWhenItIsRemoved) {
  WriteFile("a", "content");
  const auto mapped = files_.Map(Path("a"));
  ASSERT_TRUE(files_.Remove(Path("a")).ok());
  EXPECT_EQ((*mapped)->bytes(), "content");
}

TEST_F(FileSystemTest, AnEmptyFileIsMapped) {
  WriteFile("a", "");
  EXPECT_THAT((*files_.Map(Path("a")))->bytes(), IsEmpty());
}

TEST_F(FileSystemTest, RenamesAndRemovalsShowInTheList) {
  WriteFile("a", "1");
  WriteFile("b", "2");
  ASSERT_TRUE(files_.Rename(Path("a"), Path("b")).ok());
  ASSERT_TRUE(files_.CreateDirectory(Path("d")).ok());
  ASSERT_TRUE(files_.CreateDirectory(Path("d")).ok()) << "it is there already";
  EXPECT_THAT(*files_.List(directory_.path()), UnorderedElementsAre("b", "d"));
  WriteFile("d/c", "3");
  ASSERT_TRUE(files_.RemoveDirectory(Path("d")).ok());
  ASSERT_TRUE(files_.RemoveDirectory(Path("d")).ok()) << "it is gone already";
  EXPECT_THAT(*files_.List(directory_.path()), UnorderedElementsAre("b"));
  EXPECT_THAT(*files_.List(Path("nowhere")), IsEmpty());
  EXPECT_TRUE(files_.SyncDirectory(directory_.path()).ok());
}

TEST_F(FileSystemTest, WhatIsMissingIsNotFoundAndNamed) {
  const absl::Status status = files_.Map(Path("a")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(Path("a") + ": cannot open"));
  EXPECT_EQ(files_.Remove(Path("a")).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace varve::storage
