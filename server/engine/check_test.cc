#include "server/engine/check.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "base/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/engine.h"
#include "storage/data_directory.h"
#include "storage/manifest.h"
#include "storage/record_store.h"
#include "storage/temporary_directory.h"

namespace varve::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kDimension = 4;
constexpr uint64_t kRecords = 3500;

// A data directory with one namespace, number 1: ids 0 ... kRecords - 1 in rows 1 ..., three sealed
// segments and a tail; some of its rows are dead.
class CheckTest : public testing::Test {
 protected:
  CheckTest() {
    const auto engine = Engine::Open({.data_dir = Path()});
    NamespaceSchema schema{.name = "n"};
    schema.fields.push_back({.dimension = kDimension,
                             .metric = index::Metric::kCosine,
                             .index = {.m = 8, .segment_size_threshold = 1000}});
    EXPECT_TRUE((*engine)->CreateNamespace(schema).ok());
    const auto opened = *(*engine)->FindNamespace("n");
    std::vector<uint64_t> ids(kRecords);
    std::iota(ids.begin(), ids.end(), 0);
    std::vector<float> values;
    for (uint64_t id : ids) values.insert(values.end(), {1, static_cast<float>(id), 2, 3});
    EXPECT_TRUE(
        opened
            ->Upsert(
                {.ids = {.type = IdType::kNumber, .numbers = ids},
                 .fields = {{.vectors = {.rows = kRecords,
                                         .columns = kDimension,
                                         .bytes = {reinterpret_cast<const char*>(values.data()),
                                                   values.size() * sizeof(float)}}}}},
                OnError::kFailBatch)
            .ok());
    while (!opened->Idle()) std::this_thread::yield();
    const std::vector<uint64_t> dead = {7, 1500, 3400};
    EXPECT_TRUE(opened->Delete({.type = IdType::kNumber, .numbers = dead}).ok());
  }

  std::string Path() const { return directory_.path() + "/data"; }
  std::string Segment(uint64_t id) const { return StrCat(Path(), "/segments/1/", id, ".segment"); }
  CheckReport Check() const {
    auto report = CheckDataDirectory(Path());
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *std::move(report) : CheckReport();
  }
  // Changes the store behind the server's back.
  void Tamper(const std::function<void(storage::RecordStore*)>& change) {
    const auto directory = storage::DataDirectory::OpenExisting(Path());
    const auto store = storage::RecordStore::Open((*directory)->records_path(), {});
    change(store->get());
  }
  void ExpectRepaired(const std::string& found) {
    EXPECT_THAT(Check().index_damage, ElementsAre(HasSubstr(found)));
    const auto report = RepairDataDirectory(Path());
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->index_damage, ElementsAre(HasSubstr(found)));
    const CheckReport after = Check();
    EXPECT_TRUE(after.clean());
    EXPECT_EQ(after.records, kRecords - 3);
    EXPECT_GE(after.segment_rows, 3000u - 3) << "what was given up is in files again";
  }

  storage::TemporaryDirectory directory_;
};

TEST_F(CheckTest, AWholeDirectoryIsClean) {
  const CheckReport report = Check();
  EXPECT_TRUE(report.clean());
  EXPECT_THAT(report.leftovers, IsEmpty());
  EXPECT_EQ(report.namespaces, 1u);
  EXPECT_EQ(report.records, kRecords - 3);
  EXPECT_EQ(report.segments, 3u);
  EXPECT_EQ(report.segment_rows, 3000u);
}

TEST_F(CheckTest, WhatIsNoDataDirectoryIsNotMadeOne) {
  EXPECT_TRUE(absl::IsNotFound(CheckDataDirectory(directory_.path() + "/other").status()));
  EXPECT_FALSE(std::filesystem::exists(directory_.path() + "/other"));
}

TEST_F(CheckTest, ADirectoryInUseIsNotTouched) {
  const auto engine = Engine::Open({.data_dir = Path()});
  EXPECT_THAT(std::string(CheckDataDirectory(Path()).status().message()),
              HasSubstr("is in use by process"));
}

TEST_F(CheckTest, AMissingFileIsFoundAndMadeAnew) {
  std::filesystem::remove(Segment(2));
  ExpectRepaired("no such file");
}

TEST_F(CheckTest, AnyFlippedBitIsFoundAndTheFileMadeAnew) {
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(Segment(2)));
  {
    std::fstream file(Segment(2), std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(size / 2);
    const char flipped = static_cast<char>(file.get() ^ 4);
    file.seekp(size / 2);
    file.put(flipped);
  }
  ExpectRepaired("segment 2: ");
  EXPECT_THAT(Check().leftovers, ElementsAre(Segment(2) + ".damaged"));
}

TEST_F(CheckTest, ADeadRowWithoutItsTombstoneIsFound) {
  Tamper([](storage::RecordStore* store) {
    const std::string manifest = *store->ReadManifest(1, storage::kDefaultField);
    const storage::ForgottenMarks forgotten{{1501, 1501}};
    ASSERT_TRUE(store->WriteManifest(1, storage::kDefaultField, manifest, {forgotten}).ok());
  });
  ExpectRepaired("segment 2: row 1501 has neither a record nor a tombstone");
}

TEST_F(CheckTest, AManifestThatNamesTheWrongRowsIsFound) {
  Tamper([](storage::RecordStore* store) {
    auto manifest = *storage::DecodeManifest(*store->ReadManifest(1, storage::kDefaultField));
    manifest.segments[2].range.last += 100;  // they are in the tail
    ASSERT_TRUE(store->WriteManifest(1, storage::kDefaultField, EncodeManifest(manifest), {}).ok());
  });
  ExpectRepaired("segment 3: row 3001 is missing from it");
}

TEST_F(CheckTest, AManifestThatDoesNotDecodeIsFound) {
  Tamper([](storage::RecordStore* store) {
    ASSERT_TRUE(store->WriteManifest(1, storage::kDefaultField, "nonsense", {}).ok());
  });
  ExpectRepaired("manifest");
}

TEST_F(CheckTest, FilesOfNobodyAreNamed) {
  std::ofstream(Segment(77)) << "left by a crash";
  std::filesystem::create_directory(Path() + "/segments/9");
  const CheckReport report = Check();
  EXPECT_TRUE(report.clean());
  EXPECT_THAT(report.leftovers, ElementsAre(Segment(77), Path() + "/segments/9"));
}

TEST_F(CheckTest, AnIdWithoutARecordIsFound) {
  Tamper([](storage::RecordStore* store) {
    storage::CommitState state = store->ReadNamespace("n")->state;
    ++state.sequence;
    const std::vector<uint64_t> dead = {12, 3201};  // and their ids stay
    ASSERT_TRUE(store->Write({.namespace_number = 1, .state = state, .dead_rows = dead}).ok());
  });
  EXPECT_THAT(Check().record_damage, ElementsAre(HasSubstr("has no record")));
  EXPECT_THAT(RepairDataDirectory(Path())->record_damage, ElementsAre(HasSubstr("has no record")))
      << "what is lost cannot be made anew";
}

}  // namespace
}  // namespace varve::engine
