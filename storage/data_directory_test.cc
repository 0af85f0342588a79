#include "storage/data_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "storage/temporary_directory.h"

namespace varve::storage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class DataDirectoryTest : public testing::Test {
 protected:
  void Put(const std::string& name, const std::string& content) {
    std::ofstream(path() + "/" + name) << content;
  }
  std::set<std::string> Files() {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path())) {
      names.insert(entry.path().filename().native());
    }
    return names;
  }
  void ExpectOpens() {
    const auto opened = DataDirectory::Open(path());
    EXPECT_TRUE(opened.ok()) << opened.status();
  }
  // Refused, for a reason that contains `reason`, and with nothing created or changed.
  void ExpectRefused(const std::string& reason) {
    const std::set<std::string> before = Files();
    const auto opened = DataDirectory::Open(path());
    ASSERT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition) << opened.status();
    EXPECT_THAT(std::string(opened.status().message()), HasSubstr(path()));
    EXPECT_THAT(std::string(opened.status().message()), HasSubstr(reason));
    EXPECT_EQ(Files(), before);
  }
  const std::string& path() const { return directory_.path(); }

 private:
  const TemporaryDirectory directory_;
};

TEST_F(DataDirectoryTest, AMissingDirectoryIsCreatedWithItsParents) {
  const std::string deep = path() + "/a/b/c";
  const auto opened = DataDirectory::Open(deep);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->path(), deep);
  EXPECT_EQ((*opened)->records_path(), deep + "/records");
  EXPECT_TRUE(std::filesystem::exists(deep + "/FORMAT"));
}

TEST_F(DataDirectoryTest, ATrailingSlashIsFine) {
  const auto opened = DataDirectory::Open(path() + "/a/b/");
  EXPECT_TRUE(opened.ok()) << opened.status();
}

TEST_F(DataDirectoryTest, AnEmptyDirectoryIsTakenAndOpensAgain) {
  ExpectOpens();
  EXPECT_THAT(Files(), ElementsAre("FORMAT", "LOCK"));
  ExpectOpens();
}

// The content is on disk: tools and older builds read it.
TEST_F(DataDirectoryTest, FormatSaysWhoWroteItAndTheVersion) {
  ExpectOpens();
  std::ifstream file(path() + "/FORMAT");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}),
            "{\"format\":\"varve\",\"version\":2}\n");
}

TEST_F(DataDirectoryTest, AnOlderVersionIsBroughtUpToThisOneWhenItIsOpened) {
  Put("FORMAT", "{\"format\":\"varve\",\"version\":1}\n");
  ExpectOpens();
  std::ifstream file(path() + "/FORMAT");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}),
            "{\"format\":\"varve\",\"version\":2}\n");
}

TEST_F(DataDirectoryTest, AFreshFileSystemIsEmpty) {
  std::filesystem::create_directory(path() + "/lost+found");
  ExpectOpens();
}

TEST_F(DataDirectoryTest, WhatAStartLeftThatWasKilledEarlyIsTakenOver) {
  Put("LOCK", "12345\n");
  Put("FORMAT.tmp", "{\"for");
  ExpectOpens();
  EXPECT_THAT(Files(), ElementsAre("FORMAT", "LOCK"));
}

TEST_F(DataDirectoryTest, AForeignDirectoryIsRefusedAndTheErrorNamesWhatIsInIt) {
  Put("precious.txt", "");
  ExpectRefused("\"precious.txt\"");
}

TEST_F(DataDirectoryTest, RecordsWithoutFormatAreRefused) {
  std::filesystem::create_directory(path() + "/records");
  ExpectRefused("\"records\"");
}

TEST_F(DataDirectoryTest, AFormatFileOfSomethingElseIsRefused) {
  for (const char* const content :
       {"", "{", "[]", "7", "null", "\"varve\"", "{\"version\":1}", "{\"format\":7,\"version\":1}",
        "{\"format\":\"other\",\"version\":1}", "\xff\xfe"}) {
    SCOPED_TRACE(content);
    Put("FORMAT", content);
    ExpectRefused("belongs to something else");
  }
}

TEST_F(DataDirectoryTest, ANewerVersionIsRefusedWithBothNumbers) {
  Put("FORMAT", "{\"format\":\"varve\",\"version\":9876}");
  ExpectRefused("has format version 9876, this build reads up to 2");
}

TEST_F(DataDirectoryTest, AVersionThatIsNoNumberIsRefused) {
  for (const char* const version : {"0", "-1", "1.5", "\"1\"", "null", "[1]", "true"}) {
    SCOPED_TRACE(version);
    Put("FORMAT", std::string("{\"format\":\"varve\",\"version\":") + version + "}");
    ExpectRefused("\"version\" must be a number from 1 on");
  }
  Put("FORMAT", "{\"format\":\"varve\"}");
  ExpectRefused("\"version\" must be a number from 1 on");
}

TEST_F(DataDirectoryTest, AFormatFileOfAbsurdLengthIsDataLoss) {
  Put("FORMAT", std::string(1 << 20, ' '));
  EXPECT_EQ(DataDirectory::Open(path()).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Files(), ElementsAre("FORMAT"));
}

TEST_F(DataDirectoryTest, AFileInItsPlaceIsRefused) {
  Put("file", "content");
  const auto opened = DataDirectory::Open(path() + "/file");
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("is not a directory"));
}

TEST_F(DataDirectoryTest, AnEmptyPathIsInvalid) {
  EXPECT_EQ(DataDirectory::Open("").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(DataDirectoryTest, ASecondOpenInTheSameProcessFailsUntilTheFirstIsGone) {
  auto first = DataDirectory::Open(path());
  ASSERT_TRUE(first.ok()) << first.status();
  ExpectRefused("is in use by process " + std::to_string(getpid()));
  first->reset();
  ExpectOpens();
}

TEST_F(DataDirectoryTest, AnotherProcessHoldsItUntilItDiesAndTheErrorNamesIt) {
  int locked[2];
  ASSERT_EQ(pipe(locked), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto held = DataDirectory::Open(path());
    const char answer = held.ok() ? 'y' : 'n';
    if (write(locked[1], &answer, 1) == 1) pause();  // until it is killed
    _exit(0);
  }
  char answer = 0;
  EXPECT_EQ(read(locked[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  ExpectRefused("is in use by process " + std::to_string(child));

  EXPECT_EQ(kill(child, SIGKILL), 0);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  ExpectOpens();
  close(locked[0]);
  close(locked[1]);
}

}  // namespace
}  // namespace varve::storage
