#include "server/engine/namespace.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/temporary_directory.h"
#include "tests/testutil/memory_record_store.h"

namespace varve::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr size_t kDimension = 4;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

// A namespace over a store in memory, with the calls that tests make most.
class NamespaceTest : public testing::Test {
 protected:
  NamespaceTest() { Make({.segment_size_threshold = 1000}); }

  void Make(const index::IndexOptions& options) {
    NamespaceSchema schema{.name = "n" + std::to_string(++made_)};
    schema.fields.push_back({.dimension = kDimension, .index = options});
    entry_ = {.name = schema.name, .schema = SerializeSchema(schema)};
    entry_.number = *store_.CreateNamespace(entry_.name, entry_.schema);
    Open();
  }

  // Opens the namespace as the store has it now, as after a restart.
  void Open() {
    const auto entries = store_.ListNamespaces();
    ASSERT_TRUE(entries.ok()) << entries.status();
    for (const storage::NamespaceEntry& stored : *entries) {
      if (stored.name == entry_.name) entry_ = stored;
    }
    auto opened = Namespace::Open(entry_, resources_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    namespace_ = *std::move(opened);
  }

  // Vectors (id, 0, 0, 0) unless given.
  absl::StatusOr<WriteResult> Upsert(const std::vector<uint64_t>& ids,
                                     const ProducerBatch& batch = {}, float offset = 0) {
    std::vector<float> values;
    for (uint64_t id : ids) {
      values.insert(values.end(), {static_cast<float>(id) + offset, 0, 0, 0});
    }
    return namespace_->Upsert(
        {.ids = {.type = IdType::kNumber, .numbers = ids}, .fields = {{.vectors = View(values)}}},
        OnError::kFailBatch, batch);
  }
  absl::StatusOr<DeleteResult> Delete(const std::vector<uint64_t>& ids) {
    return namespace_->Delete({.type = IdType::kNumber, .numbers = ids});
  }
  absl::StatusOr<SearchResult> Search(float x, uint32_t k, SearchQuery query = {}) {
    const std::vector<float> values = {x, 0, 0, 0};
    query.queries = View(values);
    query.k = k;
    return namespace_->Search(query, CallControl());
  }
  std::vector<uint64_t> SearchIds(float x, uint32_t k) { return Search(x, k)->records.ids.numbers; }

  static TensorView View(const std::vector<float>& values) {
    return {.rows = values.size() / kDimension,
            .columns = kDimension,
            .bytes = {reinterpret_cast<const char*>(values.data()), values.size() * 4}};
  }

  // The bytes of the records' vectors; empty when they did not come along.
  static std::string Vectors(const RecordList& records) {
    return records.fields.empty() ? "" : records.fields.front().bytes;
  }

  storage::TemporaryDirectory directory_;
  storage::MemoryRecordStore store_;
  index::CompactionGate gate_{1};
  ThreadPool index_pool_{"test-index", 2};
  ThreadPool search_pool_{"test-search", 2};
  NamespaceResources resources_{.store = &store_,
                                .files = storage::FileSystem::System(),
                                .segments_directory = directory_.path() + "/segments",
                                .index = {.pool = &index_pool_, .gate = &gate_},
                                .search_pool = &search_pool_};
  storage::NamespaceEntry entry_;
  std::shared_ptr<Namespace> namespace_;
  int made_ = 0;
};

TEST_F(NamespaceTest, ASearchAfterACommitSeesIt) {
  ASSERT_TRUE(Upsert({1, 2, 3}).ok());
  EXPECT_THAT(SearchIds(2.2f, 2), ElementsAre(2, 3));
  ASSERT_TRUE(Delete({2}).ok());
  EXPECT_THAT(SearchIds(2.2f, 2), ElementsAre(3, 1));
}

TEST_F(NamespaceTest, AnUpsertReplacesTheRecordOfItsId) {
  ASSERT_TRUE(Upsert({1, 2}).ok());
  ASSERT_TRUE(Upsert({1}, {}, 100).ok());
  EXPECT_THAT(SearchIds(101, 5), ElementsAre(1, 2));
  uint64_t sequence = 0;
  EXPECT_EQ(namespace_->Count(nullptr, &sequence), 2u);
  EXPECT_EQ(sequence, 2u);
}

TEST_F(NamespaceTest, AProducersBatchIsAppliedOnceAndWithoutGaps) {
  EXPECT_EQ(*namespace_->ProducerPosition("p"), 0u);
  EXPECT_FALSE(Upsert({1}, {"p", 1})->duplicate);
  EXPECT_TRUE(Upsert({1}, {"p", 1})->duplicate);
  const absl::Status gap = Upsert({3}, {"p", 3}).status();
  EXPECT_EQ(gap.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(gap), HasSubstr("next batch is 2, got 3"));
  EXPECT_FALSE(Upsert({2}, {"p", 2})->duplicate);
  EXPECT_FALSE(Upsert({9}, {"other", 1})->duplicate);
  EXPECT_EQ(*namespace_->ProducerPosition("p"), 2u);
}

TEST_F(NamespaceTest, ABatchWithoutRowsMovesTheProducerOn) {
  ASSERT_TRUE(Upsert({}, {"p", 1}).ok());
  EXPECT_EQ(*namespace_->ProducerPosition("p"), 1u);
  EXPECT_EQ(Upsert({})->sequence, 1u) << "nothing to commit";
}

TEST_F(NamespaceTest, TheFirstBatchDecidesTheKindOfIds) {
  ASSERT_TRUE(Upsert({1}).ok());
  EXPECT_EQ(namespace_->schema()->id_type, IdType::kNumber);
  const std::string_view text = "a";
  const std::vector<float> values(kDimension, 1);
  const absl::Status status = namespace_
                                  ->Upsert({.ids = {.type = IdType::kText, .texts = {&text, 1}},
                                            .fields = {{.vectors = View(values)}}},
                                           OnError::kFailBatch)
                                  .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("ids of type number, the request's are of type text"));
  Open();
  EXPECT_EQ(namespace_->schema()->id_type, IdType::kNumber) << "after a restart";
}

TEST_F(NamespaceTest, DeletingWhatIsNotThereCommitsNothing) {
  ASSERT_TRUE(Upsert({1}).ok());
  const auto result = Delete({7, 8, 7});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->records_deleted, 0u);
  EXPECT_EQ(result->sequence, 1u);
  EXPECT_EQ(Delete({1, 1, 7})->records_deleted, 1u);
}

TEST_F(NamespaceTest, SearchOptionsAreChecked) {
  ASSERT_TRUE(Upsert({1}).ok());
  EXPECT_THAT(Message(Search(1, 0).status()), HasSubstr("k must be 1 to 10000, is 0"));
  EXPECT_THAT(Message(Search(1, 10'001).status()), HasSubstr("k must be 1 to 10000, is 10001"));
  EXPECT_THAT(Message(Search(1, 1, {.ef_search = 10'001}).status()), HasSubstr("ef_search"));
  EXPECT_THAT(Message(Search(1, 1, {.field = "title"}).status()), HasSubstr("\"title\""));
  EXPECT_EQ(Search(1, 1, {.min_sequence = 2}).status().code(), absl::StatusCode::kUnavailable);
  const std::vector<float> wrong(kDimension + 1, 1);
  const absl::Status status =
      namespace_
          ->Search({.queries = {.rows = 1,
                                .columns = 5,
                                .bytes = {reinterpret_cast<const char*>(wrong.data()), 20}},
                    .k = 1},
                   CallControl())
          .status();
  EXPECT_THAT(Message(status), HasSubstr("dimension 4, the query has 5"));
}

TEST_F(NamespaceTest, VectorsComeBackAsTheyWereSent) {
  ASSERT_TRUE(Upsert({1, 2}).ok());
  const auto found = Search(2, 1, {.include = {.vectors = true}});
  ASSERT_TRUE(found.ok()) << found.status();
  const std::vector<float> expected = {2, 0, 0, 0};
  EXPECT_EQ(Vectors(found->records), View(expected).bytes);
  IdList missing;
  const std::vector<uint64_t> ids = {2, 5};
  const auto got =
      namespace_->Get({.type = IdType::kNumber, .numbers = ids}, {.vectors = true}, &missing);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(Vectors(*got), View(expected).bytes);
  EXPECT_THAT(missing.numbers, ElementsAre(5));
}

TEST_F(NamespaceTest, NarrowTensorsAreStoredAndComeBackInTheFieldsElementType) {
  const std::vector<uint64_t> ids = {7};
  const IdsView id_view = {.type = IdType::kNumber, .numbers = ids};
  const TensorView bytes = {
      .dtype = DType::kU8, .rows = 1, .columns = kDimension, .bytes = "\x07\x01\x02\xff"};
  const std::vector<float> wanted = {7, 1, 2, 255};
  ASSERT_TRUE(
      namespace_->Upsert({.ids = id_view, .fields = {{.vectors = bytes}}}, OnError::kFailBatch)
          .ok());
  Open();
  IdList missing;
  const auto found = namespace_->Get(id_view, {.vectors = true}, &missing);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(Vectors(*found), View(wanted).bytes);
}

TEST_F(NamespaceTest, AScanTokenOfAnotherKindIsInvalid) {
  ASSERT_TRUE(Upsert({1}).ok());
  for (std::string_view token : {"n", "n123", "tabc", "x12345678"}) {
    EXPECT_EQ(namespace_->Scan(token, {}).status().code(), absl::StatusCode::kInvalidArgument)
        << token;
  }
}

TEST_F(NamespaceTest, EverythingIsThereAgainAfterARestart) {
  for (uint64_t id = 1; id <= 3000; id += 500) {
    std::vector<uint64_t> ids(500);
    std::iota(ids.begin(), ids.end(), id);
    ASSERT_TRUE(Upsert(ids).ok());
  }
  ASSERT_TRUE(Delete({10, 20}).ok());
  Open();
  EXPECT_THAT(SearchIds(10.1f, 3), ElementsAre(11, 9, 12));
  EXPECT_EQ(namespace_->sequence(), 7u);
  ASSERT_TRUE(Upsert({10}).ok());
  EXPECT_THAT(SearchIds(10.1f, 1), ElementsAre(10));
  while (namespace_->StatsOfIndex().unindexed_rows > 0) std::this_thread::yield();
  EXPECT_THAT(SearchIds(10.1f, 3), ElementsAre(10, 11, 9));
}

TEST_F(NamespaceTest, OptionsChangeWhereTheyAreSetAndAreRemembered) {
  ASSERT_TRUE(namespace_->Update("", {.ef_search = 99}, {}).ok());
  EXPECT_EQ(namespace_->Update("", {.ef_search = 0}, {}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(namespace_->Update("title", {.ef_search = 9}, {}).code(),
            absl::StatusCode::kInvalidArgument);
  Open();
  EXPECT_EQ(namespace_->schema()->fields[0].index.ef_search, 99u);
  EXPECT_EQ(namespace_->schema()->fields[0].index.segment_size_threshold, 1000u);
}

TEST_F(NamespaceTest, EveryCallOnADeletedNamespaceIsNotFound) {
  ASSERT_TRUE(Upsert({1}).ok());
  namespace_->Retire(absl::NotFoundError("deleted"));
  EXPECT_EQ(Upsert({2}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Delete({1}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Search(1, 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(namespace_->Scan("", {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(namespace_->ProducerPosition("p").status().code(), absl::StatusCode::kNotFound);
}

// Upserts, deletes, searches, gets and scans at once. Each record is upserted over and over with
// vectors that keep its place, so a search that misses one, or finds it twice, saw half a commit.
// Run under ThreadSanitizer.
TEST_F(NamespaceTest, ReadersBesideWritersSeeWholeCommits) {
  constexpr uint64_t kRecords = 40;
  std::vector<uint64_t> all(kRecords);
  std::iota(all.begin(), all.end(), 0);
  ASSERT_TRUE(Upsert(all).ok());
  std::atomic<bool> done = false;
  auto reader = [&](uint32_t seed) {
    std::mt19937 random(seed);
    while (!done) {
      const bool vectors = random() % 2 == 0;
      const auto found = Search(random() % kRecords, kRecords,
                                {.exact = random() % 2 == 0, .include = {.vectors = vectors}});
      if (!found.ok()) {
        EXPECT_EQ(found.status().code(), absl::StatusCode::kAborted) << found.status();
        continue;
      }
      const std::set<uint64_t> ids(found->records.ids.numbers.begin(),
                                   found->records.ids.numbers.end());
      EXPECT_EQ(ids.size(), kRecords);
      EXPECT_EQ(found->records.ids.size(), kRecords);
      EXPECT_EQ(Vectors(found->records).size(), vectors ? kRecords * kDimension * 4 : 0);
      std::string token;
      bool scanned_all = false;
      const auto scanned = (*namespace_->Scan("", {.include = {.vectors = true}}))
                               ->Next(1000, 1 << 20, &token, &scanned_all);
      EXPECT_EQ(scanned->ids.size(), kRecords);
    }
  };
  std::thread first(reader, 1), second(reader, 2);
  auto writer = [&](uint32_t seed) {
    std::mt19937 random(seed);
    for (int i = 0; i < 300; ++i) {
      std::set<uint64_t> ids;
      while (ids.size() < 10) ids.insert(random() % kRecords);
      EXPECT_TRUE(Upsert({ids.begin(), ids.end()}, {}, 0.25f).ok());
      EXPECT_EQ(Delete({kRecords + 1 + random() % 5})->records_deleted, 0u);
    }
  };
  std::thread third(writer, 3);
  writer(4);
  third.join();
  done = true;
  first.join();
  second.join();
  EXPECT_EQ(namespace_->sequence(), 601u);
  EXPECT_EQ(namespace_->Stats().records, kRecords);
}

}  // namespace
}  // namespace varve::engine
