// Seeded random operations on the engine, with seals, merges, rebuilds, restarts and damaged files,
// against a model that is a map. One line is
// logged per operation; a failure prints the command that repeats it. For a longer run:
//   VARVE_MODEL_SEEDS=100 VARVE_MODEL_OPERATIONS=5000 bazel test //tests/model:engine_model_test
//     --test_env=VARVE_MODEL_SEEDS --test_env=VARVE_MODEL_OPERATIONS

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/check.h"
#include "server/engine/engine.h"

namespace varve::engine {
namespace {

constexpr size_t kDimension = 8;
constexpr char kNamespaceName[] = "model";

using Vector = std::vector<float>;

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* value = std::getenv(name);
  return value == nullptr ? fallback : std::strtoull(value, nullptr, 10);
}

// One history: an engine on a directory of its own beside the model of what it should hold.
class ModelRun {
 public:
  ModelRun(uint64_t seed, index::Metric metric, IdType id_type)
      : random_(seed),
        metric_(metric),
        id_type_(id_type),
        directory_(std::filesystem::path(testing::TempDir()) / ("model-" + std::to_string(seed))) {
    std::filesystem::remove_all(directory_);
    OpenEngine();
    NamespaceSchema schema{.name = kNamespaceName, .id_type = id_type};
    schema.fields.push_back({.dimension = kDimension,
                             .metric = metric,
                             .index = {.ef_construction = 64, .segment_size_threshold = 1000}});
    EXPECT_TRUE(engine_->CreateNamespace(schema).ok());
    namespace_ = *engine_->FindNamespace(kNamespaceName);
  }
  ~ModelRun() {
    namespace_.reset();
    engine_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Step() {
    const uint32_t dice = random_() % 100;
    if (dice < 40) {
      Upsert();
    } else if (dice < 50) {
      Delete();
    } else if (dice < 70) {
      ExactSearch();
    } else if (dice < 85) {
      GraphSearch();
    } else if (dice < 93) {
      Get();
    } else if (dice < 95) {
      Scan();
    } else if (dice < 96) {
      ResendBatch();
    } else if (dice < 97) {
      Await("flush", &Namespace::Flush);
    } else if (dice < 98) {
      Await("compact", &Namespace::Compact);
    } else if (dice < 99) {
      Restart([] {});
    } else {
      Restart([this] { DamageAFile(); });
    }
    uint64_t sequence = 0;
    EXPECT_EQ(namespace_->Count(nullptr, &sequence), model_.size());
    EXPECT_EQ(sequence, sequence_);
  }

  void CheckEverything() {
    Scan();
    Restart([this] { ExpectClean(); });
    Scan();
    for (int i = 0; i < 20; ++i) ExactSearch();
  }

 private:
  void OpenEngine() {
    auto opened = Engine::Open({.data_dir = directory_.string()});
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine_ = *std::move(opened);
  }

  // Ids out of a small set, so that they meet again. The model's keys sort as the ids do.
  uint64_t RandomId() { return random_() % 4000; }
  static std::string Text(uint64_t id) {
    char text[32];
    std::snprintf(text, sizeof(text), "record/%06lu", id);
    return text;
  }
  Vector RandomVector() {
    Vector vector(kDimension);
    // Few distinct values, so that equal distances are common too.
    for (float& x : vector) x = static_cast<float>(static_cast<int>(random_() % 21) - 10);
    vector[0] += 0.5f;
    return vector;
  }

  // Ids as the engine takes them, for as long as the object lives.
  struct Ids {
    std::vector<uint64_t> numbers;
    std::vector<std::string> texts;
    std::vector<std::string_view> views;
    IdsView View(IdType type) {
      if (type == IdType::kNumber) return {.type = type, .numbers = numbers};
      texts.clear();
      for (uint64_t number : numbers) texts.push_back(Text(number));
      views.assign(texts.begin(), texts.end());
      return {.type = type, .texts = views};
    }
  };
  std::vector<uint64_t> Numbers(const IdList& ids) const {
    if (ids.type == IdType::kNumber) return ids.numbers;
    std::vector<uint64_t> numbers;
    for (const std::string& text : ids.texts) numbers.push_back(std::stoull(text.substr(7)));
    return numbers;
  }

  static std::string Pack(const std::vector<Vector>& vectors) {
    std::string bytes;
    for (const Vector& vector : vectors) {
      bytes.append(reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float));
    }
    return bytes;
  }
  static TensorView View(const std::string& bytes) {
    return {
        .rows = bytes.size() / (kDimension * sizeof(float)), .columns = kDimension, .bytes = bytes};
  }
  // The bytes of the records' vectors; empty when there are no records.
  static const std::string& Vectors(const RecordList& records) {
    static const std::string none;
    return records.fields.empty() ? none : records.fields.front().bytes;
  }

  WriteResult Send(const std::vector<uint64_t>& ids, const std::vector<Vector>& vectors,
                   uint64_t batch) {
    Ids owned{.numbers = ids};
    const std::string bytes = Pack(vectors);
    auto result =
        namespace_->Upsert({.ids = owned.View(id_type_), .fields = {{.vectors = View(bytes)}}},
                           OnError::kFailBatch, {.producer = "p", .number = batch});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : WriteResult();
  }

  void Upsert() {
    // Mostly small batches; now and then one that fills segments.
    const size_t count = random_() % 20 == 0 ? 1500 : 1 + random_() % 60;
    last_ids_.clear(), last_vectors_.clear();
    for (size_t i = 0; i < count; ++i) {
      last_ids_.push_back(RandomId());
      last_vectors_.push_back(RandomVector());
    }
    std::printf("upsert %zu\n", count);
    std::map<uint64_t, Vector> written;
    for (size_t i = 0; i < count; ++i) written[last_ids_[i]] = last_vectors_[i];
    const WriteResult result = Send(last_ids_, last_vectors_, ++last_batch_);
    EXPECT_EQ(result.sequence, ++sequence_);
    EXPECT_FALSE(result.duplicate);
    EXPECT_EQ(result.records_written, written.size());
    EXPECT_EQ(result.superseded_rows.size(), count - written.size());
    for (auto& [id, vector] : written) model_[id] = vector;
  }

  // A producer that did not hear the acknowledgement sends its last batch again.
  void ResendBatch() {
    if (last_batch_ == 0) return;
    std::printf("resend batch %lu\n", last_batch_);
    EXPECT_TRUE(Send(last_ids_, last_vectors_, last_batch_).duplicate);
  }

  void Delete() {
    Ids ids;
    for (size_t i = 0, count = 1 + random_() % 200; i < count; ++i) {
      ids.numbers.push_back(RandomId());
    }
    std::printf("delete %zu\n", ids.numbers.size());
    size_t expected = 0;
    for (uint64_t id : ids.numbers) expected += model_.erase(id);
    auto result = namespace_->Delete(ids.View(id_type_));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->records_deleted, expected);
    if (expected > 0) ++sequence_;
    EXPECT_EQ(result->sequence, sequence_);
  }

  double Distance(const Vector& a, const Vector& b) const {
    double l2 = 0, dot = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < kDimension; ++i) {
      l2 += (a[i] - b[i]) * (a[i] - b[i]);
      dot += a[i] * b[i];
      aa += a[i] * a[i];
      bb += b[i] * b[i];
    }
    if (metric_ == index::Metric::kL2) return l2;
    return metric_ == index::Metric::kDot ? -dot : 1 - dot / std::sqrt(aa * bb);
  }

  // Searches, checks that what is found is live with its true distance and vector, in order and
  // once, and returns the distances.
  std::vector<float> Search(const Vector& query, uint32_t k, bool exact) {
    const std::string bytes = Pack({query});
    auto result = namespace_->Search({.queries = View(bytes),
                                      .k = k,
                                      .exact = exact,
                                      .min_sequence = sequence_,
                                      .include = {.vectors = true}},
                                     CallControl());
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return {};
    EXPECT_TRUE(std::is_sorted(result->distances.begin(), result->distances.end()));
    std::vector<uint64_t> ids = Numbers(result->records.ids);
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto found = model_.find(ids[i]);
      EXPECT_NE(found, model_.end()) << "id " << ids[i] << " is not live";
      if (found == model_.end()) continue;
      EXPECT_NEAR(result->distances[i], Distance(query, found->second), 1e-3);
      EXPECT_EQ(View(Vectors(result->records)).row(i), Pack({found->second}));
    }
    std::sort(ids.begin(), ids.end());
    EXPECT_EQ(std::adjacent_find(ids.begin(), ids.end()), ids.end()) << "an id was found twice";
    return result->distances;
  }

  std::vector<double> TrueDistances(const Vector& query, uint32_t k) const {
    std::vector<double> distances;
    for (const auto& [id, vector] : model_) distances.push_back(Distance(query, vector));
    std::sort(distances.begin(), distances.end());
    distances.resize(std::min<size_t>(distances.size(), k));
    return distances;
  }

  void ExactSearch() {
    const Vector query = RandomVector();
    const uint32_t k = 1 + random_() % 50;
    std::printf("exact search k=%u\n", k);
    const std::vector<float> found = Search(query, k, /*exact=*/true);
    const std::vector<double> truth = TrueDistances(query, k);
    ASSERT_EQ(found.size(), truth.size());
    for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], truth[i], 1e-3);
  }

  void GraphSearch() {
    const Vector query = RandomVector();
    const uint32_t k = 10;
    std::printf("search k=%u\n", k);
    const std::vector<float> found = Search(query, k, /*exact=*/false);
    const std::vector<double> truth = TrueDistances(query, k);
    ASSERT_EQ(found.size(), truth.size());
    for (float distance : found) hits_ += distance <= truth.back() + 1e-3;
    wanted_ += truth.size();
  }

  void Get() {
    Ids ids;
    for (int i = 0; i < 20; ++i) ids.numbers.push_back(RandomId());
    std::printf("get %zu\n", ids.numbers.size());
    IdList missing;
    auto records = namespace_->Get(ids.View(id_type_), {.vectors = true}, &missing);
    ASSERT_TRUE(records.ok()) << records.status();
    std::vector<uint64_t> expected_found, expected_missing;
    std::vector<Vector> expected_vectors;
    for (uint64_t id : ids.numbers) {
      (model_.contains(id) ? expected_found : expected_missing).push_back(id);
      if (model_.contains(id)) expected_vectors.push_back(model_[id]);
    }
    EXPECT_EQ(Numbers(records->ids), expected_found);
    EXPECT_EQ(Numbers(missing), expected_missing);
    EXPECT_EQ(Vectors(*records), Pack(expected_vectors));
  }

  // Reads everything, taking the scan up anew from its token now and then.
  void Scan() {
    std::printf("scan\n");
    std::string token;
    std::vector<uint64_t> ids;
    std::string vectors;
    std::unique_ptr<RecordScanner> scanner;
    bool done = false;
    while (!done) {
      if (scanner == nullptr || random_() % 3 == 0) {
        auto opened = namespace_->Scan(token, {.include = {.vectors = true}});
        ASSERT_TRUE(opened.ok()) << opened.status();
        scanner = *std::move(opened);
      }
      auto records = scanner->Next(1 + random_() % 500, 1 << 20, &token, &done);
      ASSERT_TRUE(records.ok()) << records.status();
      for (uint64_t id : Numbers(records->ids)) ids.push_back(id);
      vectors += Vectors(*records);
    }
    std::vector<uint64_t> expected_ids;
    std::vector<Vector> expected_vectors;
    for (const auto& [id, vector] : model_) {
      expected_ids.push_back(id);
      expected_vectors.push_back(vector);
    }
    EXPECT_EQ(ids, expected_ids);
    EXPECT_EQ(vectors, Pack(expected_vectors));
  }

  void Await(const char* name, void (Namespace::*call)(Namespace::Done)) {
    std::printf("%s\n", name);
    std::promise<absl::Status> ended;
    ((*namespace_).*call)([&](absl::Status status) { ended.set_value(std::move(status)); });
    const absl::Status status = ended.get_future().get();
    EXPECT_TRUE(status.ok()) << status;
    const auto segments = namespace_->ListSegments("");
    for (const index::SegmentInfo& segment : *segments) {
      EXPECT_GT(segment.file_bytes, 0u);
    }
  }

  // The engine is closed: removes a sealed segment's file, or makes its beginning or end unreadable.
  void DamageAFile() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
      if (entry.path().extension() == ".segment") files.push_back(entry.path());
    }
    if (files.empty()) return;
    std::sort(files.begin(), files.end());
    const std::filesystem::path& file = files[random_() % files.size()];
    const uintmax_t bytes = std::filesystem::file_size(file);
    std::printf("damage %s\n", file.c_str());
    switch (random_() % 3) {
      case 0:
        std::filesystem::remove(file);
        break;
      case 1:
        std::filesystem::resize_file(file, random_() % bytes);
        break;
      default:
        std::fstream(file, std::ios::binary | std::ios::in | std::ios::out) << "nonsense";
    }
  }

  // The engine is closed: all that is on disk agrees.
  void ExpectClean() {
    const auto report = CheckDataDirectory(directory_.string());
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->record_damage, testing::IsEmpty());
    EXPECT_THAT(report->index_damage, testing::IsEmpty());
    EXPECT_EQ(report->records, model_.size());
  }

  void Restart(const std::function<void()>& meanwhile) {
    std::printf("restart\n");
    namespace_.reset();
    engine_.reset();
    meanwhile();
    OpenEngine();
    auto found = engine_->FindNamespace(kNamespaceName);
    ASSERT_TRUE(found.ok()) << found.status();
    namespace_ = *found;
    EXPECT_EQ(*namespace_->ProducerPosition("p"), last_batch_);
    EXPECT_EQ(namespace_->sequence(), sequence_);
  }

 public:
  double recall() const { return wanted_ == 0 ? 1 : static_cast<double>(hits_) / wanted_; }

 private:
  std::mt19937_64 random_;
  const index::Metric metric_;
  const IdType id_type_;
  const std::filesystem::path directory_;
  std::unique_ptr<Engine> engine_;
  std::shared_ptr<Namespace> namespace_;

  std::map<uint64_t, Vector> model_;
  uint64_t sequence_ = 0;
  uint64_t last_batch_ = 0;
  std::vector<uint64_t> last_ids_;
  std::vector<Vector> last_vectors_;
  size_t hits_ = 0, wanted_ = 0;
};

TEST(EngineModelTest, RandomOperationsAndRestartsAgreeWithTheModel) {
  const uint64_t seeds = FromEnvironment("VARVE_MODEL_SEEDS", 6);
  const uint64_t first = FromEnvironment("VARVE_MODEL_FIRST_SEED", 1);
  const uint64_t operations = FromEnvironment("VARVE_MODEL_OPERATIONS", 800);
  constexpr index::Metric kMetrics[] = {index::Metric::kL2, index::Metric::kCosine,
                                        index::Metric::kDot};
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    ModelRun run(seed, kMetrics[seed % 3], seed % 2 == 0 ? IdType::kText : IdType::kNumber);
    for (uint64_t i = 0; i < operations && !HasFailure(); ++i) run.Step();
    if (!HasFailure()) run.CheckEverything();
    EXPECT_GT(run.recall(), 0.95);
    ASSERT_FALSE(HasFailure()) << "repeat with: VARVE_MODEL_FIRST_SEED=" << seed
                               << " VARVE_MODEL_SEEDS=1 VARVE_MODEL_OPERATIONS=" << operations
                               << " bazel-bin/tests/model/engine_model_test";
  }
}

}  // namespace
}  // namespace varve::engine
