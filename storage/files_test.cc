#include "storage/files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "storage/temporary_directory.h"

namespace varve::storage {
namespace {

using testing::HasSubstr;

TEST(FilesTest, AFullDiskIsResourceExhaustedAndAnythingElseUnavailable) {
  EXPECT_EQ(SystemError(ENOSPC, "p", "write").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(SystemError(EDQUOT, "p", "write").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(SystemError(EIO, "p", "write").code(), absl::StatusCode::kUnavailable);
}

TEST(FilesTest, AnErrorNamesThePathTheActionAndTheSystemsWord) {
  EXPECT_EQ(std::string(SystemError(EIO, "/a/b", "write").message()),
            "/a/b: cannot write: Input/output error");
}

TEST(FilesTest, AFileThatIsNotThereHasNoContent) {
  const TemporaryDirectory directory;
  const auto content = ReadSmallFile(directory.path() + "/none", 10);
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_EQ(*content, std::nullopt);
}

TEST(FilesTest, AFileIsReadUpToItsLimitAndRefusedBeyondIt) {
  const TemporaryDirectory directory;
  ASSERT_TRUE(WriteFileAtomically(directory.path(), "f", "0123456789").ok());
  const std::string path = directory.path() + "/f";
  EXPECT_EQ(ReadSmallFile(path, 10).value(), "0123456789");
  EXPECT_EQ(ReadSmallFile(path, 100).value(), "0123456789");
  const auto too_long = ReadSmallFile(path, 9);
  EXPECT_EQ(too_long.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(too_long.status().message()), HasSubstr(path));
}

TEST(FilesTest, AWriteReplacesTheFileAndLeavesNothingElse) {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() + "/f.tmp") << "left by a crash, and longer than what comes";
  ASSERT_TRUE(WriteFileAtomically(directory.path(), "f", "old").ok());
  ASSERT_TRUE(WriteFileAtomically(directory.path(), "f", "new").ok());
  EXPECT_EQ(ReadSmallFile(directory.path() + "/f", 10).value(), "new");
  EXPECT_FALSE(std::filesystem::exists(directory.path() + "/f.tmp"));
}

TEST(FilesTest, AWriteIntoADirectoryThatIsNotThereIsUnavailable) {
  const TemporaryDirectory directory;
  EXPECT_EQ(WriteFileAtomically(directory.path() + "/none", "f", "x").code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(SyncDirectory(directory.path() + "/none").code(), absl::StatusCode::kUnavailable);
}

TEST(FilesTest, ADescriptorIsClosedOnceByItsLastOwner) {
  const TemporaryDirectory directory;
  int fd = -1;
  {
    FileDescriptor first(open(directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(first.valid());
    fd = first.get();
    const FileDescriptor second = std::move(first);
    EXPECT_EQ(second.get(), fd);
    EXPECT_NE(fcntl(fd, F_GETFD), -1);
  }
  EXPECT_EQ(fcntl(fd, F_GETFD), -1);
}

}  // namespace
}  // namespace varve::storage
