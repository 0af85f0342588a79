#include "index/segment_set.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <future>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "index/memory_segment_storage.h"
#include "metadata/attributes.h"
#include "metadata/filter.h"

namespace varve::index {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr IndexOptions kSmallSegments = {.segment_size_threshold = 2000};

// A vector's bytes in a set of that type; its numbers are such as an int8 can have, if it is one.
std::string Elements(DType type, const std::vector<float>& vector) {
  if (type == DType::kI8) {
    std::string bytes;
    for (float x : vector) bytes.push_back(static_cast<char>(static_cast<int8_t>(x)));
    return bytes;
  }
  return {reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)};
}

// A segment set with a writer that numbers rows and commits as the engine does, and remembers
// vectors so that answers can be checked against brute force.
class Fixture {
 public:
  Fixture(Metric metric, size_t dimension, const IndexOptions& options = {}, size_t threads = 2,
          DType element_type = DType::kF32)
      : dimension_(dimension),
        pool_(std::in_place, "test-index", threads),
        set_(SegmentSet::Create(VectorSpace(metric, dimension, element_type), options,
                                {&*pool_, &gate_}, std::make_unique<MemorySegmentStorage>())) {}

  // Commits vectors as new rows; returns the number of the first.
  uint64_t Add(const std::vector<std::vector<float>>& vectors,
               const std::vector<uint64_t>& dead_rows = {}) {
    const uint64_t first = next_row_;
    std::vector<uint64_t> rows;
    std::vector<std::string> labels, elements;
    std::vector<std::string_view> label_views, bytes;
    labels.reserve(vectors.size());
    elements.reserve(vectors.size());
    for (const auto& vector : vectors) {
      rows.push_back(next_row_);
      labels.push_back("label-" + std::to_string(next_row_));
      label_views.push_back(labels.back());
      elements.push_back(Elements(set_->space().element_type(), vector));
      bytes.emplace_back(elements.back());
      live_[next_row_++] = vector;
    }
    for (uint64_t row : dead_rows) live_.erase(row);
    std::vector<std::string> encoded;
    if (numbered_) {
      for (const uint64_t row : rows) encoded.push_back(Number(row % 10));
    }
    const std::vector<std::string_view> attributes(encoded.begin(), encoded.end());
    set_->Commit(++sequence_, next_row_,
                 {.rows = rows,
                  .labels = label_views,
                  .vectors = bytes,
                  .attributes = attributes,
                  .expires_at = {}},
                 {.dead_rows = dead_rows, .metadata = {}});
    return first;
  }
  void Delete(const std::vector<uint64_t>& rows) { Add({}, rows); }
  // From now on rows have the attribute n, which is row % 10 at first ...
  void NumberRows() { numbered_ = true; }
  // ... and then 10 more.
  void Update(const std::set<uint64_t>& rows) {
    std::vector<std::string> encoded;
    for (const uint64_t row : rows) encoded.push_back(Number(row % 10 + 10));
    std::vector<MetadataChange> changes;
    for (const uint64_t row : rows) {
      changes.push_back({.row = row, .attributes = encoded[changes.size()]});
    }
    set_->Commit(++sequence_, next_row_, {}, {.dead_rows = {}, .metadata = changes});
  }
  static std::string Number(uint64_t n) {
    metadata::AttributeMap attributes;
    attributes["n"].values.emplace_back(metadata::ValueView::Int64(static_cast<int64_t>(n)));
    return *metadata::EncodeAttributes(attributes);
  }

  std::vector<Neighbor> Search(const SegmentView& view, const std::vector<float>& query,
                               const SearchParams& params) const {
    const auto loaded =
        set_->space().LoadQuery(DType::kF32, reinterpret_cast<const char*>(query.data()));
    auto found = SearchView(set_->space(), view, loaded.get(), params, CallControl());
    EXPECT_TRUE(found.ok()) << found.status();
    return *std::move(found);
  }
  std::vector<uint64_t> SearchRows(const std::vector<float>& query, const SearchParams& params) {
    view_ = set_->Pin();
    std::vector<uint64_t> rows;
    for (const Neighbor& neighbor : Search(*view_, query, params)) rows.push_back(neighbor.row);
    return rows;
  }

  std::vector<uint64_t> BruteForce(const std::vector<float>& query, size_t k) const {
    std::vector<std::pair<float, uint64_t>> all;
    const VectorSpace space(set_->space().metric(), dimension_, DType::kF32);
    const auto q = space.LoadQuery(DType::kF32, reinterpret_cast<const char*>(query.data()));
    for (const auto& [row, vector] : live_) {
      const auto v = space.LoadQuery(DType::kF32, reinterpret_cast<const char*>(vector.data()));
      all.emplace_back(space.RawDistance(q.get(), reinterpret_cast<const char*>(v.get())), row);
    }
    std::sort(all.begin(), all.end());
    std::vector<uint64_t> rows;
    for (size_t i = 0; i < std::min(k, all.size()); ++i) rows.push_back(all[i].second);
    return rows;
  }

  // Share of the true k nearest that searches at the default effort find.
  double Recall(const std::vector<std::vector<float>>& queries, size_t k) {
    size_t found = 0, wanted = 0;
    for (const auto& query : queries) {
      const std::vector<uint64_t> truth = BruteForce(query, k);
      const std::vector<uint64_t> got = SearchRows(query, {.k = k, .ef = 64});
      for (uint64_t row : truth) found += std::count(got.begin(), got.end(), row);
      wanted += truth.size();
    }
    return static_cast<double>(found) / static_cast<double>(wanted);
  }

  // Lets the pool link all that waits.
  void WaitUntilIndexed() {
    while (set_->Progress(next_row_).unindexed_rows > 0) std::this_thread::yield();
  }

  void WaitUntilIdle() {
    while (!set_->Idle()) std::this_thread::yield();
  }
  absl::Status Compact() {
    std::promise<absl::Status> result;
    set_->Compact([&](absl::Status status) { result.set_value(std::move(status)); });
    return result.get_future().get();
  }
  absl::Status Flush() {
    std::promise<absl::Status> result;
    set_->Flush([&](absl::Status status) { result.set_value(std::move(status)); });
    return result.get_future().get();
  }

  // Returns when the pool has done all that was, or came to be, scheduled on it.
  void EndPool() { pool_.reset(); }

  SegmentSet& set() { return *set_; }
  const CompactionGate& gate() const { return gate_; }
  const std::map<uint64_t, std::vector<float>>& live() const { return live_; }
  uint64_t next_row() const { return next_row_; }

 private:
  bool numbered_ = false;
  const size_t dimension_;
  CompactionGate gate_{1};
  std::optional<ThreadPool> pool_;
  std::shared_ptr<SegmentSet> set_;
  std::shared_ptr<const SegmentView> view_;
  std::map<uint64_t, std::vector<float>> live_;
  uint64_t next_row_ = 1;
  uint64_t sequence_ = 0;
};

// Points about a few centres, as embeddings are.
std::vector<std::vector<float>> Clustered(size_t count, size_t dimension, uint32_t seed) {
  std::mt19937 centre_random(7), random(seed);
  std::normal_distribution<float> normal;
  std::vector<std::vector<float>> centres(20, std::vector<float>(dimension));
  for (auto& centre : centres) {
    for (float& x : centre) x = 2 * normal(centre_random);
  }
  std::vector<std::vector<float>> vectors(count);
  for (auto& vector : vectors) {
    vector = centres[random() % centres.size()];
    for (float& x : vector) x += normal(random);
  }
  return vectors;
}

TEST(SegmentSetTest, AnEmptySetFindsNothing) {
  Fixture fixture(Metric::kL2, 2);
  EXPECT_THAT(fixture.SearchRows({1, 0}, {.k = 3, .ef = 64}), IsEmpty());
}

TEST(SegmentSetTest, DistancesAreInTheMetricsOwnTerms) {
  struct Case {
    Metric metric;
    float distance;
  };
  for (const Case& c : {Case{Metric::kL2, 5.0f}, {Metric::kCosine, 0.0f}, {Metric::kDot, -10.0f}}) {
    Fixture fixture(c.metric, 2);
    fixture.Add({{2, 4}});
    const auto view = fixture.set().Pin();
    const auto found = fixture.Search(*view, {1, 2}, {.k = 1, .ef = 1});
    ASSERT_EQ(found.size(), 1u);
    EXPECT_NEAR(found[0].distance, c.distance, 1e-6);
    EXPECT_EQ(found[0].label, "label-1");
  }
}

TEST(SegmentSetTest, ACommittedRowIsFoundAtOnce) {
  Fixture fixture(Metric::kL2, 8, kSmallSegments);
  const auto vectors = Clustered(5000, 8, 1);
  for (size_t i = 0; i < vectors.size(); i += 100) {
    const uint64_t row = fixture.Add({vectors.begin() + i, vectors.begin() + i + 100});
    EXPECT_THAT(fixture.SearchRows(vectors[i], {.k = 1, .ef = 64}), ElementsAre(row));
  }
}

TEST(SegmentSetTest, AViewSeesItsOwnCommitWhateverComesLater) {
  Fixture fixture(Metric::kL2, 2);
  fixture.Add({{0, 0}, {1, 0}});
  const auto before = fixture.set().Pin();
  fixture.Add({{0, 0.1f}}, {1});  // row 3 replaces row 1
  std::vector<uint64_t> rows;
  for (const auto& neighbor : fixture.Search(*before, {0, 0}, {.k = 3, .ef = 3})) {
    rows.push_back(neighbor.row);
  }
  EXPECT_THAT(rows, ElementsAre(1, 2));
  EXPECT_THAT(fixture.SearchRows({0, 0}, {.k = 3, .ef = 3}), ElementsAre(3, 2));
  EXPECT_EQ(before->live_rows, 2u);
  EXPECT_EQ(fixture.set().Pin()->live_rows, 2u);
}

TEST(SegmentSetTest, FullSegmentsAreSealedAndTheNextOneBegins) {
  Fixture fixture(Metric::kL2, 8, kSmallSegments);
  fixture.Add(Clustered(5000, 8, 1));
  fixture.WaitUntilIndexed();
  while (fixture.set().Segments()[1].state != SegmentState::kSealed) std::this_thread::yield();
  const auto segments = fixture.set().Segments();
  ASSERT_EQ(segments.size(), 3u);
  EXPECT_EQ(segments[0].state, SegmentState::kSealed);
  EXPECT_EQ(segments[0].rows, 2000u);
  EXPECT_EQ(segments[2].state, SegmentState::kActive);
  EXPECT_EQ(segments[2].rows, 1000u);
}

TEST(SegmentSetTest, ExactSearchEqualsBruteForceInEveryMetric) {
  for (Metric metric : {Metric::kL2, Metric::kCosine, Metric::kDot}) {
    Fixture fixture(metric, 24, kSmallSegments);
    fixture.Add(Clustered(4500, 24, 1));
    fixture.Delete({1, 17, 2500, 4500});
    for (const auto& query : Clustered(20, 24, 2)) {
      EXPECT_EQ(fixture.SearchRows(query, {.k = 25, .exact = true}), fixture.BruteForce(query, 25));
    }
  }
}

TEST(SegmentSetTest, RecallIsHighInEveryMetricWhetherLinkedOrNot) {
  for (Metric metric : {Metric::kL2, Metric::kCosine, Metric::kDot}) {
    Fixture fixture(metric, 24, kSmallSegments);
    fixture.Add(Clustered(7000, 24, 1));
    const auto queries = Clustered(50, 24, 2);
    EXPECT_GT(fixture.Recall(queries, 10), 0.97);
    fixture.WaitUntilIndexed();
    EXPECT_GT(fixture.Recall(queries, 10), 0.97);
  }
}

TEST(SegmentSetTest, RecallStaysHighWhenMostRowsAreDead) {
  for (const uint64_t keep_one_in : {2, 10, 200}) {
    Fixture fixture(Metric::kL2, 24, kSmallSegments);
    fixture.Add(Clustered(6000, 24, 1));
    fixture.WaitUntilIndexed();
    std::vector<uint64_t> dead;
    for (uint64_t row = 1; row <= 6000; ++row) {
      if (row % keep_one_in != 0) dead.push_back(row);
    }
    fixture.Delete(dead);
    EXPECT_GT(fixture.Recall(Clustered(50, 24, 2), 10), 0.97) << keep_one_in;
  }
}

TEST(SegmentSetTest, ResultsNumberTenThousandWhenAskedFor) {
  Fixture fixture(Metric::kL2, 4, {.segment_size_threshold = 20'000});
  fixture.Add(Clustered(12'000, 4, 1));
  fixture.WaitUntilIndexed();
  const std::vector<float> query(4, 0.5f);
  EXPECT_EQ(fixture.SearchRows(query, {.k = 10'000, .ef = 64}), fixture.BruteForce(query, 10'000));
}

TEST(SegmentSetTest, ManyEqualVectorsAreAllFound) {
  Fixture fixture(Metric::kL2, 4, kSmallSegments);
  fixture.Add(std::vector<std::vector<float>>(3000, {1, 2, 3, 4}));
  fixture.WaitUntilIndexed();
  EXPECT_EQ(fixture.SearchRows({1, 2, 3, 4}, {.k = 100, .ef = 100}).size(), 100u);
}

TEST(SegmentSetTest, SearchStopsWhenItsCallIsCancelled) {
  Fixture fixture(Metric::kL2, 4);
  fixture.Add({{1, 2, 3, 4}});
  CallControl control;
  control.Cancel();
  const float query[16] = {};
  alignas(64) float aligned[16] = {};
  std::copy(query, query + 16, aligned);
  EXPECT_EQ(
      SearchView(fixture.set().space(), *fixture.set().Pin(), aligned, {.k = 1, .ef = 1}, control)
          .status()
          .code(),
      absl::StatusCode::kCancelled);
}

TEST(SegmentSetTest, WritersWaitWhileTooManyRowsAreUnindexed) {
  Fixture fixture(Metric::kL2, 8, {.max_unindexed_rows = 1500});
  std::atomic<int> ready = 0;
  fixture.set().WhenRoom([&] { ++ready; });
  EXPECT_EQ(ready, 1);
  fixture.Add(Clustered(20'000, 8, 1));
  EXPECT_GT(fixture.set().Progress(fixture.next_row()).unindexed_rows, 1500u);
  fixture.set().WhenRoom([&] { ++ready; });
  EXPECT_EQ(ready, 1);
  while (ready < 2) std::this_thread::yield();
  EXPECT_LT(fixture.set().Progress(fixture.next_row()).unindexed_rows, 1500u);
}

TEST(SegmentSetTest, ProgressCountsTheRowsBelowTheOneAskedFor) {
  Fixture fixture(Metric::kL2, 8, kSmallSegments);
  fixture.Add(Clustered(3000, 8, 1));
  EXPECT_EQ(fixture.set().Progress(1001).total_rows, 1000u);
  EXPECT_EQ(fixture.set().Progress(3001).total_rows, 3000u);
  fixture.WaitUntilIndexed();
  EXPECT_EQ(fixture.set().Progress(3001).unindexed_rows, 0u);
}

TEST(SegmentSetTest, OnceStoppedTheRowsThatWaitAreLeftUnlinked) {
  Fixture fixture(Metric::kL2, 16);
  fixture.Add(Clustered(20'000, 16, 7));
  fixture.set().Stop(absl::CancelledError("stopped"));
  fixture.EndPool();
  EXPECT_GT(fixture.set().Progress(fixture.next_row()).unindexed_rows, 0);
}

TEST(SegmentSetTest, MergedSegmentsAnswerAsBeforeAndKeepTheirRecall) {
  for (Metric metric : {Metric::kL2, Metric::kCosine, Metric::kDot}) {
    Fixture fixture(metric, 24, kSmallSegments);
    fixture.Add(Clustered(9000, 24, 1));
    fixture.Delete({1, 17, 2500, 8800});
    fixture.WaitUntilIdle();
    const auto segments = fixture.set().Segments();
    ASSERT_EQ(segments.size(), 2u) << "four were merged, one is active";
    EXPECT_EQ(segments[0].state, SegmentState::kSealed);
    EXPECT_EQ(segments[0].level, 1u);
    EXPECT_GE(segments[0].live_rows, 7997u);
    fixture.Delete({3, 5000});
    const auto queries = Clustered(50, 24, 2);
    EXPECT_GT(fixture.Recall(queries, 10), 0.97);
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(fixture.SearchRows(queries[i], {.k = 25, .exact = true}),
                fixture.BruteForce(queries[i], 25));
    }
  }
}

TEST(SegmentSetTest, AViewKeepsItsSegmentsWhileTheyAreMergedAndRebuilt) {
  Fixture fixture(Metric::kL2, 8, kSmallSegments);
  const auto vectors = Clustered(6000, 8, 1);
  fixture.Add(vectors);
  const auto before = fixture.set().Pin();
  std::vector<uint64_t> dead(3000);
  std::iota(dead.begin(), dead.end(), 1000);
  fixture.Delete(dead);
  ASSERT_TRUE(fixture.Compact().ok());
  EXPECT_EQ(fixture.set().Segments().size(), 1u);
  EXPECT_EQ(fixture.set().Segments()[0].rows, 3000u);
  const auto found = fixture.Search(*before, vectors[2000], {.k = 1, .ef = 64});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].row, 2001u) << "alive as of that view";
  EXPECT_EQ(before->live_rows, 6000u);
}

TEST(SegmentSetTest, CompactionsAreCountedWithTheRowsTheyMade) {
  Fixture fixture(Metric::kL2, 8, {.segment_size_threshold = 1000, .auto_compaction = false});
  fixture.Add(Clustered(3000, 8, 1));
  fixture.Delete({5, 6, 7});
  ASSERT_TRUE(fixture.Compact().ok());
  const CompactionCounters& counters = fixture.gate().counters();
  EXPECT_EQ(counters.finished.value(), 1u);
  EXPECT_EQ(counters.rows.value(), 2997u);
  EXPECT_EQ(counters.duration.Read().count(), 1u);
  EXPECT_EQ(counters.failed.value(), 0u);
  EXPECT_EQ(fixture.gate().running(), 0u);
}

TEST(SegmentSetTest, WhatDiesDuringACompactionStaysDead) {
  Fixture fixture(Metric::kL2, 8, kSmallSegments);
  fixture.Add(Clustered(8000, 8, 1));
  ASSERT_TRUE(fixture.Flush().ok());
  std::promise<absl::Status> compacted;
  fixture.set().Compact([&](absl::Status status) { compacted.set_value(std::move(status)); });
  auto result = compacted.get_future();
  uint64_t row = 1;
  while (result.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    if (row < 8000) fixture.Delete({row++});
  }
  ASSERT_TRUE(result.get().ok());
  fixture.WaitUntilIdle();
  EXPECT_EQ(fixture.set().Pin()->live_rows, fixture.live().size());
  for (const auto& query : Clustered(20, 8, 2)) {
    EXPECT_EQ(fixture.SearchRows(query, {.k = 25, .exact = true}), fixture.BruteForce(query, 25));
  }
}

TEST(SegmentSetTest, ARebuildDropsScatteredDeadRowsAndKeepsRecall) {
  Fixture fixture(Metric::kL2, 24, {.segment_size_threshold = 4000});
  fixture.Add(Clustered(4000, 24, 1));
  ASSERT_TRUE(fixture.Flush().ok());
  for (uint64_t round = 0; round < 3; ++round) {
    std::vector<uint64_t> dead;
    for (const auto& [row, vector] : fixture.live()) {
      if ((row * 2654435761u >> 8) % 4 == round) dead.push_back(row);
    }
    fixture.Delete(dead);
    fixture.WaitUntilIdle();
    EXPECT_EQ(fixture.set().Segments()[0].rows, fixture.live().size());
    EXPECT_GT(fixture.Recall(Clustered(50, 24, 2), 10), 0.97) << fixture.live().size();
  }
}

// Of a line, a stretch goes: what is nearest to the middle of the gap lies on both sides of it.
TEST(SegmentSetTest, ARebuildLeadsAcrossTheGapThatDeletedNeighboursLeave) {
  // One thread: on a line whose vectors come in order, the link across depends on who is linked first.
  Fixture fixture(Metric::kL2, 4, {.m = 8, .ef_construction = 40, .segment_size_threshold = 1000},
                  /*threads=*/1);
  std::vector<std::vector<float>> line(1000, std::vector<float>(4));
  for (size_t i = 0; i < line.size(); ++i) line[i][0] = static_cast<float>(i);
  fixture.Add(line);
  std::vector<uint64_t> dead(400);
  std::iota(dead.begin(), dead.end(), 301);  // vectors 300 ... 699
  fixture.Delete(dead);
  ASSERT_TRUE(fixture.Compact().ok());
  EXPECT_THAT(fixture.SearchRows({499.6f, 0, 0, 0}, {.k = 2, .ef = 16}), ElementsAre(701, 300));
}

TEST(SegmentSetTest, SegmentsOfAShortTypeAreSearchedAndMergedAsThoseOfFloatsAre) {
  auto vectors = Clustered(6000, 16, 1), queries = Clustered(30, 16, 2);
  for (auto* some : {&vectors, &queries}) {
    for (auto& vector : *some) {
      for (float& x : vector) x = std::clamp(std::round(20 * x), -128.0f, 127.0f);
    }
  }
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kDot}) {
    for (const Quantization quantization : {Quantization::kInt8, Quantization::kNone}) {
      SCOPED_TRACE(testing::Message() << "metric " << static_cast<int>(metric) << ", quantization "
                                      << static_cast<int>(quantization));
      IndexOptions options = kSmallSegments;
      options.quantization = quantization;
      Fixture fixture(metric, 16, options, /*threads=*/2, DType::kI8);
      fixture.Add(vectors);
      EXPECT_GT(fixture.Recall(queries, 10), 0.97);
      const absl::Status compacted = fixture.Compact();
      ASSERT_TRUE(compacted.ok()) << compacted;
      EXPECT_EQ(fixture.set().Segments().size(), 1u);
      EXPECT_GT(fixture.Recall(queries, 10), 0.97);
    }
  }
}

TEST(SegmentSetTest, PausedCompactionLeavesSegmentsAsTheyAreUntilItIsResumedOrAskedFor) {
  IndexOptions options = {.segment_size_threshold = 1000, .auto_compaction = false};
  Fixture fixture(Metric::kL2, 8, options);
  fixture.Add(Clustered(5000, 8, 1));
  ASSERT_TRUE(fixture.Flush().ok());
  EXPECT_EQ(fixture.set().Segments().size(), 5u);
  options.auto_compaction = true;
  fixture.set().SetOptions(options);
  fixture.WaitUntilIdle();
  EXPECT_EQ(fixture.set().Segments().size(), 1u);
  options.auto_compaction = false;
  fixture.set().SetOptions(options);
  fixture.Delete({7});
  ASSERT_TRUE(fixture.Compact().ok());
  EXPECT_EQ(fixture.set().Segments()[0].rows, 4999u);
}

TEST(SegmentSetTest, ABacklogIsLinkedIntoOneLargeSegment) {
  Fixture fixture(Metric::kL2, 8, {.ef_construction = 40, .segment_size_threshold = 1000});
  const auto vectors = Clustered(20'000, 8, 1);
  fixture.Add({vectors.begin(), vectors.begin() + 10'000});
  fixture.Add({vectors.begin() + 10'000, vectors.end()});
  const auto segments = fixture.set().Segments();
  EXPECT_GT(std::max_element(segments.begin(), segments.end(),
                             [](const auto& a, const auto& b) { return a.rows < b.rows; })
                ->rows,
            5000u);
  fixture.WaitUntilIndexed();
  EXPECT_GT(fixture.Recall(Clustered(30, 8, 2), 10), 0.97);
}

// As when an id is written again and again with the same vector.
TEST(SegmentSetTest, TheLivingOneOfManyDeadCopiesIsFound) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kDot}) {
    Fixture fixture(metric, 4, {});
    fixture.Add(Clustered(3000, 4, 1));
    const std::vector<float> copy = {10, 20, 30, 40};
    uint64_t last = fixture.Add({copy});
    for (int i = 0; i < 300; ++i) {
      last = fixture.Add({copy}, {last});
      fixture.WaitUntilIndexed();
      const std::vector<uint64_t> found = fixture.SearchRows(copy, {.k = 10, .ef = 64});
      ASSERT_EQ(found.size(), 10u) << i;
      ASSERT_EQ(found.front(), last) << i;
    }
  }
}

TEST(SegmentSetTest, AViewShowsTheMetadataOfItsCommit) {
  Fixture fixture(Metric::kL2, 2, {.segment_size_threshold = 1000});
  fixture.NumberRows();
  fixture.Add(Clustered(3000, 2, 1));
  const auto count = [](const SegmentView& view, const char* filter) {
    return Match(view, *metadata::ParseFilter(filter), 0).Count();
  };
  const auto old_view = fixture.set().Pin();
  fixture.Update({7, 17, 2007});
  const auto new_view = fixture.set().Pin();
  for (const char* const moment : {"while active", "when sealed", "when compacted"}) {
    SCOPED_TRACE(moment);
    const auto view = fixture.set().Pin();
    EXPECT_EQ(count(*old_view, "n = 7"), 300u);
    EXPECT_EQ(count(*old_view, "n = 17"), 0u);
    for (const SegmentView* one : {new_view.get(), view.get()}) {
      EXPECT_EQ(count(*one, "n = 7"), 297u);
      EXPECT_EQ(count(*one, "n = 17"), 3u);
    }
    const absl::Status next =
        std::string(moment) == "while active" ? fixture.Flush() : fixture.Compact();
    ASSERT_TRUE(next.ok()) << next;
  }
}

TEST(SegmentSetTest, VectorsOfOneRowStayInOneSegmentAndDieTogether) {
  Fixture fixture(Metric::kL2, 2, {.segment_size_threshold = 1000, .auto_compaction = false});
  // Rows of 300 vectors: three fit into a segment.
  std::vector<std::string> elements;
  for (const auto& vector : Clustered(300, 2, 1)) elements.push_back(Elements(DType::kF32, vector));
  const std::vector<std::string_view> bytes(elements.begin(), elements.end());
  const std::vector<std::string_view> labels(300, "label");
  for (uint64_t row = 1; row <= 8; ++row) {
    const std::vector<uint64_t> rows(300, row);
    fixture.set().Commit(
        row, row + 1,
        {.rows = rows, .labels = labels, .vectors = bytes, .attributes = {}, .expires_at = {}}, {});
  }
  const auto view = fixture.set().Pin();
  EXPECT_EQ(view->live_rows, 2400u);
  EXPECT_EQ(view->parts.size(), 3u);
  for (uint64_t row = 1; row <= 8; ++row) {
    const RowPlace place = view->Find(row);
    EXPECT_EQ(place.end - place.begin, 300u) << row;
  }
  const std::vector<uint64_t> dead = {2, 8};
  fixture.set().Commit(9, 9, {}, {.dead_rows = dead, .metadata = {}});
  EXPECT_EQ(fixture.set().Pin()->live_rows, 1800u);
  ASSERT_TRUE(fixture.Compact().ok());
  EXPECT_EQ(fixture.set().Segments()[0].rows, 1800u);
  EXPECT_EQ(fixture.set().Pin()->Find(8).segment, nullptr);
}

TEST(SegmentSetTest, StoppingGivesUpACompactionAndSaysSo) {
  Fixture fixture(Metric::kL2, 24, {.segment_size_threshold = 5000});
  fixture.Add(Clustered(20'000, 24, 1));
  ASSERT_TRUE(fixture.Flush().ok());
  std::promise<absl::Status> compacted;
  fixture.set().Compact([&](absl::Status status) { compacted.set_value(std::move(status)); });
  fixture.set().Stop(absl::CancelledError("stopped"));
  const absl::Status status = compacted.get_future().get();
  EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
  fixture.EndPool();
}

// Searches, commits, deletes, linking, sealing and compaction all at once. Run under
// ThreadSanitizer, this is the proof that walks through a growing graph are sound.
TEST(SegmentSetTest, SearchesBesideCommitsLinkingSealingAndCompactionSeeWholeCommits) {
  constexpr size_t kBatch = 50, kBatches = 160;
  Fixture fixture(Metric::kL2, 8, {.ef_construction = 60, .segment_size_threshold = 1000});
  fixture.NumberRows();
  const auto vectors = Clustered(kBatch * kBatches, 8, 3);
  std::atomic<bool> done = false;
  auto reader = [&](uint32_t seed) {
    std::mt19937 random(seed);
    while (!done) {
      const auto view = fixture.set().Pin();
      const bool exact = random() % 4 == 0;
      const auto found = fixture.Search(*view, vectors[random() % vectors.size()],
                                        {.k = 10, .ef = 32, .exact = exact});
      std::set<uint64_t> rows;
      for (const Neighbor& neighbor : found) {
        EXPECT_LT(neighbor.row, view->next_row);
        EXPECT_EQ(neighbor.label, "label-" + std::to_string(neighbor.row));
        EXPECT_TRUE(rows.insert(neighbor.row).second) << "found twice: " << neighbor.row;
      }
      EXPECT_EQ(found.size(), std::min<uint64_t>(10, view->live_rows));
      // Each row has one of twenty numbers, whatever is changed meanwhile.
      uint64_t counted = 0;
      for (uint32_t n = 0; n < 20; ++n) {
        const auto filter =
            metadata::Filter::In("n", {metadata::Value(metadata::ValueView::Int64(n))});
        const ViewMatches matches = Match(*view, filter, 0);
        counted += matches.Count();
        if (n != seed) continue;
        const auto filtered = fixture.Search(*view, vectors[random() % vectors.size()],
                                             {.k = 10, .ef = 32, .matches = &matches});
        EXPECT_EQ(filtered.size(), std::min<uint64_t>(10, matches.Count()));
        for (const Neighbor& neighbor : filtered) EXPECT_EQ(neighbor.row % 10, n % 10);
      }
      EXPECT_EQ(counted, view->live_rows);
    }
  };
  std::thread first(reader, 1), second(reader, 12);
  std::mt19937 random(4);
  for (size_t batch = 0; batch < kBatches; ++batch) {
    std::set<uint64_t> dead;
    while (batch > 0 && dead.size() < 10) {
      const uint64_t row = 1 + random() % (batch * kBatch);
      if (fixture.live().contains(row)) dead.insert(row);
    }
    fixture.Add({vectors.begin() + batch * kBatch, vectors.begin() + (batch + 1) * kBatch},
                {dead.begin(), dead.end()});
    std::set<uint64_t> changed;
    while (changed.size() < 10) {
      const uint64_t row = 1 + random() % ((batch + 1) * kBatch);
      if (fixture.live().contains(row)) changed.insert(row);
    }
    fixture.Update(changed);
  }
  EXPECT_TRUE(fixture.Compact().ok());
  done = true;
  first.join();
  second.join();
  EXPECT_GT(fixture.Recall(Clustered(30, 8, 5), 10), 0.95);
}

}  // namespace
}  // namespace varve::index
