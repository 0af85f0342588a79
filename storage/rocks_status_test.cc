#include "storage/rocks_status.h"

#include <gtest/gtest.h>

#include <string>

namespace varve::storage {
namespace {

using rocksdb::Status;

absl::StatusCode CodeOf(const Status& status) { return FromRocks(status, "dir", "write").code(); }

TEST(RocksStatusTest, OkIsOk) { EXPECT_TRUE(FromRocks(Status::OK(), "dir", "write").ok()); }

TEST(RocksStatusTest, WhatIsDamagedOrMissingIsDataLoss) {
  EXPECT_EQ(CodeOf(Status::Corruption("x")), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(Status::NotFound("x")), absl::StatusCode::kDataLoss);
}

TEST(RocksStatusTest, WhatIsFullIsResourceExhausted) {
  EXPECT_EQ(CodeOf(Status::NoSpace("x")), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOf(Status::SpaceLimit("x")), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOf(Status::MemoryLimit("x")), absl::StatusCode::kResourceExhausted);
}

TEST(RocksStatusTest, WhatMayPassIsUnavailable) {
  EXPECT_EQ(CodeOf(Status::IOError("x")), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf(Status::Busy("x")), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf(Status::Aborted("x")), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf(Status::TimedOut("x")), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf(Status::TryAgain("x")), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf(Status::Incomplete("x")), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf(Status::ShutdownInProgress("x")), absl::StatusCode::kUnavailable);
}

TEST(RocksStatusTest, WhatWeDidWrongIsInternal) {
  EXPECT_EQ(CodeOf(Status::InvalidArgument("x")), absl::StatusCode::kInternal);
  EXPECT_EQ(CodeOf(Status::NotSupported("x")), absl::StatusCode::kInternal);
  EXPECT_EQ(CodeOf(Status::ColumnFamilyDropped("x")), absl::StatusCode::kInternal);
}

TEST(RocksStatusTest, TheMessageNamesTheDirectoryTheActionAndRocksDbsWord) {
  EXPECT_EQ(std::string(FromRocks(Status::IOError("gone", "disk"), "/data", "write").message()),
            "/data: cannot write: IO error: gone: disk");
}

}  // namespace
}  // namespace varve::storage
