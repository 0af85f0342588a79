#include "server/engine/engine.h"

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "base/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/temporary_directory.h"

namespace varve::engine {
namespace {

using ::testing::HasSubstr;

constexpr size_t kDimension = 4;

class EngineTest : public testing::Test {
 protected:
  void Open(EngineOptions options = {}) {
    engine_.reset();
    options.data_dir = directory_.path() + "/data";
    auto opened = Engine::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
  }
  void Create(const std::string& name) {
    NamespaceSchema schema{.name = name};
    schema.fields.push_back({.dimension = kDimension, .index = {.segment_size_threshold = 1000}});
    ASSERT_TRUE(engine_->CreateNamespace(schema).ok());
  }
  // Records 0 ... n - 1, each vector full of its id.
  void Fill(const std::string& name, uint64_t n) {
    const auto found = engine_->FindNamespace(name);
    ASSERT_TRUE(found.ok()) << found.status();
    std::vector<uint64_t> ids(n);
    std::iota(ids.begin(), ids.end(), 0);
    std::vector<float> values;
    for (uint64_t id : ids) values.insert(values.end(), kDimension, static_cast<float>(id));
    ASSERT_TRUE(
        (*found)
            ->Upsert(
                {.ids = {.type = IdType::kNumber, .numbers = ids},
                 .fields = {{.vectors = {.rows = n,
                                         .columns = kDimension,
                                         .bytes = {reinterpret_cast<const char*>(values.data()),
                                                   values.size() * sizeof(float)}}}}},
                OnError::kFailBatch)
            .ok());
  }
  uint64_t Count(const std::string& name) {
    const auto found = engine_->FindNamespace(name);
    EXPECT_TRUE(found.ok()) << found.status();
    uint64_t sequence = 0;
    return found.ok() ? (*found)->Count(nullptr, &sequence) : 0;
  }

  static absl::Status Compact(Namespace* space) {
    std::promise<absl::Status> ended;
    space->Compact([&](absl::Status status) { ended.set_value(std::move(status)); });
    return ended.get_future().get();
  }

  storage::TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, ANamespaceIsOpenedByItsFirstUse) {
  Open();
  for (const char* name : {"a", "b", "c"}) {
    Create(name);
    Fill(name, 10);
  }
  Open();
  EXPECT_EQ(engine_->Stats().namespaces, 3u);
  EXPECT_EQ(engine_->ListNamespaces("", 10).size(), 3u);
  EXPECT_EQ(engine_->ListNamespaces("a", 10)[0].id_type, IdType::kNumber);
  EXPECT_EQ(engine_->Stats().open_namespaces, 0u);
  EXPECT_EQ(Count("b"), 10u);
  EXPECT_EQ(engine_->Stats().open_namespaces, 1u);
}

TEST_F(EngineTest, AnIdleNamespaceIsClosedAndComesBackAsItWas) {
  Open({.close_idle_after = absl::Milliseconds(20)});
  Create("a");
  Fill("a", 2500);
  while (engine_->Stats().open_namespaces > 0) std::this_thread::yield();
  EXPECT_EQ(Count("a"), 2500u);
  Fill("a", 10);
  EXPECT_EQ(Count("a"), 2500u);
}

TEST_F(EngineTest, LookingAtOpenNamespacesOpensNoneAndKeepsNoneOpen) {
  Open();
  for (const char* name : {"a", "b"}) {
    Create(name);
    Fill(name, 2500);
    Fill(name, 10);  // replaces as many
  }
  Open({.close_idle_after = absl::Milliseconds(20)});
  EXPECT_TRUE(engine_->OpenNamespaces().empty());
  const auto held = engine_->FindNamespace("b").value();
  const std::vector<OpenNamespace> open = engine_->OpenNamespaces();
  ASSERT_EQ(open.size(), 1u);
  EXPECT_EQ(open[0].name, "b");
  EXPECT_EQ(open[0].index.live_rows, 2500u);
  EXPECT_GT(open[0].index.segments, 0u);
  EXPECT_GT(open[0].index.memory_bytes, 0u);
}

TEST_F(EngineTest, ANamespaceThatIsLookedAtAllTheTimeIsClosed) {
  Open({.close_idle_after = absl::Milliseconds(20)});
  Create("a");
  Fill("a", 100);
  while (!engine_->OpenNamespaces().empty()) std::this_thread::yield();
  EXPECT_EQ(engine_->Stats().open_namespaces, 0u);
  EXPECT_GT(engine_->Stats().disk_size_bytes, engine_->Stats().disk_free_bytes);
}

TEST_F(EngineTest, ANamespaceThatSomebodyHoldsIsNotClosed) {
  Open({.close_idle_after = absl::Milliseconds(1)});
  Create("a");
  Create("b");
  const auto held = engine_->FindNamespace("a");
  Fill("b", 1);
  while (engine_->Stats().open_namespaces > 1) std::this_thread::yield();
  EXPECT_EQ(engine_->FindNamespace("a").value(), held.value());
}

TEST_F(EngineTest, AFileThatCompactionFindsDamagedIsMadeAnewFromTheRecords) {
  Open();
  Create("a");
  Fill("a", 3500);
  const auto before = engine_->FindNamespace("a").value();
  while (!before->Idle()) std::this_thread::yield();
  {
    const std::string path = directory_.path() + "/data/segments/1/2.segment";
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(path)) / 2);
    file << "damage";
  }
  const absl::Status found = Compact(before.get());
  EXPECT_TRUE(absl::IsUnavailable(found)) << found;
  EXPECT_THAT(std::string(found.message()), HasSubstr("2.segment"));
  const auto after = engine_->FindNamespace("a").value();
  EXPECT_NE(before, after);
  uint64_t sequence = 0;
  EXPECT_EQ(after->Count(nullptr, &sequence), 3500u);
  EXPECT_TRUE(Compact(after.get()).ok());
  EXPECT_EQ(after->ListSegments("")->size(), 1u);
  const absl::Status late = before->Delete({.type = IdType::kNumber, .numbers = {}}).status();
  EXPECT_TRUE(absl::IsUnavailable(late)) << late;
}

TEST_F(EngineTest, ManyWhoAskAtOnceGetTheSameNamespace) {
  Open();
  Create("a");
  Fill("a", 3000);
  Open();
  std::vector<std::shared_ptr<Namespace>> got(8);
  std::vector<std::thread> threads;
  for (auto& one : got) {
    threads.emplace_back([&] { one = engine_->FindNamespace("a").value(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& one : got) EXPECT_EQ(one, got[0]);
}

TEST_F(EngineTest, ADeletedNamespaceIsGoneWhetherItWasOpenOrNot) {
  Open();
  Create("a");
  Fill("a", 1500);
  const auto held = engine_->FindNamespace("a").value();
  ASSERT_TRUE(engine_->DeleteNamespace("a").ok());
  EXPECT_TRUE(absl::IsNotFound(engine_->FindNamespace("a").status()));
  EXPECT_TRUE(absl::IsNotFound(held->ListSegments("").status()));
  Create("a");
  EXPECT_EQ(Count("a"), 0u);
  Open();
  ASSERT_TRUE(engine_->DeleteNamespace("a").ok());
  EXPECT_EQ(engine_->Stats().namespaces, 0u);
}

TEST_F(EngineTest, ABrokenNamespaceIsAnErrorToThoseWhoAskForItAlone) {
  Open();
  for (const char* name : {"broken", "whole"}) {
    Create(name);
    Fill(name, 2500);
    const auto found = engine_->FindNamespace(name).value();
    while (!found->Idle()) std::this_thread::yield();
  }
  engine_.reset();
  // A segment file of a format that is not known yet: not damage, so it is not put aside.
  const std::string path = directory_.path() + "/data/segments/1/1.segment";
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(8);
  file.put('\x09');
  file.close();
  Open();
  const auto status = engine_->FindNamespace("broken").status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("broken"));
  EXPECT_EQ(Count("whole"), 2500u);
}

}  // namespace
}  // namespace varve::engine
