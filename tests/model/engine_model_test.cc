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
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/check.h"
#include "server/engine/engine.h"
#include "tests/model/random_metadata.h"

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
    if (dice < 35) {
      Upsert();
    } else if (dice < 42) {
      Delete();
    } else if (dice < 46) {
      UpdateMetadata();
    } else if (dice < 47) {
      DeleteMatching();
    } else if (dice < 50) {
      PassTime();
    } else if (dice < 60) {
      ExactSearch();
    } else if (dice < 70) {
      FilteredSearch();
    } else if (dice < 84) {
      GraphSearch();
    } else if (dice < 85) {
      SnapshotOrRollBack();
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
  // A record as it should be.
  struct Record {
    Vector vector;
    ModelMetadata metadata;
    int64_t expires_at = 0;  // in seconds of the model's clock; 0: never
  };

  void OpenEngine() {
    auto opened = Engine::Open({.data_dir = directory_.string(),
                                .sweep_every = absl::InfiniteDuration(),  // but see PassTime
                                .now = [this] { return absl::FromUnixSeconds(clock_); }});
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

  WriteResult Send(const std::vector<uint64_t>& ids, const std::vector<Record>& records,
                   uint64_t batch) {
    Ids owned{.numbers = ids};
    std::vector<Vector> vectors;
    std::vector<std::string> encoded;
    std::vector<int64_t> expires_at;
    for (const Record& record : records) {
      vectors.push_back(record.vector);
      encoded.push_back(record.metadata.Encode());
      expires_at.push_back(record.expires_at * 1'000'000);
    }
    const std::vector<std::string_view> attributes(encoded.begin(), encoded.end());
    const std::string bytes = Pack(vectors);
    auto result = namespace_->Upsert({.ids = owned.View(id_type_),
                                      .fields = {{.vectors = View(bytes)}},
                                      .attributes = attributes,
                                      .expires_at = expires_at},
                                     OnError::kFailBatch, {.producer = "p", .number = batch});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : WriteResult();
  }

  void Upsert() {
    // Mostly small batches; now and then one that fills segments.
    const size_t count = random_() % 20 == 0 ? 1500 : 1 + random_() % 60;
    last_ids_.clear(), last_records_.clear();
    for (size_t i = 0; i < count; ++i) {
      last_ids_.push_back(RandomId());
      const int64_t expires_at = random_() % 8 == 0 ? clock_ + 1 + random_() % 300 : 0;
      last_records_.push_back(
          {.vector = RandomVector(), .metadata = metadata_.Draw(), .expires_at = expires_at});
    }
    std::printf("upsert %zu\n", count);
    std::map<uint64_t, Record> written;
    for (size_t i = 0; i < count; ++i) written[last_ids_[i]] = last_records_[i];
    const WriteResult result = Send(last_ids_, last_records_, ++last_batch_);
    EXPECT_EQ(result.sequence, ++sequence_);
    EXPECT_FALSE(result.duplicate);
    EXPECT_EQ(result.records_written, written.size());
    EXPECT_EQ(result.superseded_rows.size(), count - written.size());
    for (auto& [id, record] : written) model_[id] = record, dead_.erase(id);
  }

  // A producer that did not hear the acknowledgement sends its last batch again.
  void ResendBatch() {
    if (last_ids_.empty()) return;
    std::printf("resend batch %lu\n", last_batch_);
    EXPECT_TRUE(Send(last_ids_, last_records_, last_batch_).duplicate);
  }

  void Delete() {
    Ids ids;
    for (size_t i = 0, count = 1 + random_() % 200; i < count; ++i) {
      ids.numbers.push_back(RandomId());
    }
    std::printf("delete %zu\n", ids.numbers.size());
    // One that has expired and is not deleted yet is deleted as well.
    size_t expected = 0;
    for (uint64_t id : ids.numbers) expected += model_.erase(id) + dead_.erase(id);
    auto result = namespace_->Delete(ids.View(id_type_));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->records_deleted, expected);
    if (expected > 0) ++sequence_;
    EXPECT_EQ(result->sequence, sequence_);
  }

  void UpdateMetadata() {
    Ids ids;
    for (size_t i = 0, count = 1 + random_() % 40; i < count; ++i)
      ids.numbers.push_back(RandomId());
    const ModelMetadata patch = metadata_.Draw();
    const bool removes = random_() % 3 == 0;
    std::printf("update metadata %zu\n", ids.numbers.size());
    metadata::MergePatch merge{.set = patch.Attributes(), .remove = {}};
    if (removes && !patch.n) merge.remove.push_back("n");
    size_t missing = 0;
    std::set<uint64_t> changed;
    for (const uint64_t id : ids.numbers) {
      const auto found = model_.find(id);
      if (found == model_.end()) {
        ++missing;
        continue;
      }
      changed.insert(id);
      found->second.metadata = patch.Over(found->second.metadata);
      if (removes && !patch.n) found->second.metadata.n.reset();
    }
    auto result = namespace_->UpdateMetadata(ids.View(id_type_), {&merge, 1});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->records_updated, changed.size());
    EXPECT_EQ(result->missing.size(), missing);
    if (!changed.empty()) ++sequence_;
    EXPECT_EQ(result->sequence, sequence_);
  }

  void DeleteMatching() {
    // Two conditions, so that not everything goes too often.
    const auto one = metadata_.DrawFilter(), other = metadata_.DrawFilter();
    const metadata::Filter filter = metadata::Filter::And({one.filter, other.filter});
    std::printf("delete %s\n", ToString(filter).c_str());
    const auto doomed = std::erase_if(model_, [&](const auto& entry) {
      return one.meaning(entry.second.metadata) && other.meaning(entry.second.metadata);
    });
    const auto preview = namespace_->PreviewDelete(filter, 5);
    ASSERT_TRUE(preview.ok()) << preview.status();
    EXPECT_EQ(preview->records, doomed);
    EXPECT_EQ(preview->sample.size(), std::min<size_t>(doomed, 5));
    const auto result = namespace_->DeleteMatching(filter, CallControl());
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->records_deleted, doomed);
    if (doomed > 0) ++sequence_;
  }

  // Records expire; now and then they are deleted too.
  void PassTime() {
    clock_ += random_() % 60;
    Expire();
    std::printf("time %ld\n", clock_);
    if (random_() % 2 == 0) return;
    const auto deleted = namespace_->DeleteExpired();
    ASSERT_TRUE(deleted.ok()) << deleted.status();
    EXPECT_EQ(*deleted, dead_.size());
    if (*deleted > 0) ++sequence_;
    dead_.clear();
  }

  void Expire() {
    for (auto it = model_.begin(); it != model_.end();) {
      const bool expired = it->second.expires_at != 0 && it->second.expires_at <= clock_;
      if (expired) dead_.insert(it->first);
      it = expired ? model_.erase(it) : std::next(it);
    }
  }

  // Takes a snapshot, or goes back to the one that was taken: the namespace is deleted, and restored
  // under its name.
  void SnapshotOrRollBack() {
    if (saved_.has_value()) return RollBack();
    const std::string only = random_() % 2 == 0 ? kNamespaceName : "";
    std::printf("snapshot %s\n", only.c_str());
    saved_ = Saved{.name = "snapshot-" + std::to_string(sequence_),
                   .model = model_,
                   .dead = dead_,
                   .sequence = sequence_,
                   .last_batch = last_batch_};
    const auto snapshot = engine_->CreateSnapshot(saved_->name, only, CallControl());
    ASSERT_TRUE(snapshot.ok()) << snapshot.status();
    ASSERT_EQ(snapshot->namespaces.size(), 1);
    EXPECT_EQ(snapshot->namespaces[0].sequence, sequence_);
    const auto report = CheckSnapshot(*engine_->snapshots().Find(saved_->name));
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->record_damage, testing::IsEmpty());
    EXPECT_THAT(report->index_damage, testing::IsEmpty());
    EXPECT_EQ(report->records, model_.size() + dead_.size());
  }
  void RollBack() {
    std::printf("roll back\n");
    namespace_.reset();
    EXPECT_TRUE(engine_->DeleteNamespace(kNamespaceName).ok());
    const auto restored = engine_->AdoptNamespace(*engine_->snapshots().Find(saved_->name),
                                                  kNamespaceName, kNamespaceName, CallControl());
    ASSERT_TRUE(restored.ok()) << restored.status();
    EXPECT_TRUE(engine_->snapshots().Delete(saved_->name).ok());
    model_ = std::move(saved_->model), dead_ = std::move(saved_->dead);
    sequence_ = saved_->sequence, last_batch_ = saved_->last_batch;
    last_ids_.clear(), last_records_.clear();
    saved_.reset();
    Expire();
    FindNamespace();
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
  std::vector<float> Search(const Vector& query, uint32_t k, bool exact,
                            const std::optional<metadata::Filter>& filter = std::nullopt) {
    const std::string bytes = Pack({query});
    auto result = namespace_->Search({.queries = View(bytes),
                                      .k = k,
                                      .exact = exact,
                                      .min_sequence = sequence_,
                                      .filter = filter,
                                      .include = {.vectors = true, .metadata = true}},
                                     CallControl());
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return {};
    EXPECT_TRUE(std::is_sorted(result->distances.begin(), result->distances.end()));
    std::vector<uint64_t> ids = Numbers(result->records.ids);
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto found = model_.find(ids[i]);
      EXPECT_NE(found, model_.end()) << "id " << ids[i] << " is not live";
      if (found == model_.end()) continue;
      EXPECT_NEAR(result->distances[i], Distance(query, found->second.vector), 1e-3);
      EXPECT_EQ(View(Vectors(result->records)).row(i), Pack({found->second.vector}));
      EXPECT_EQ(result->records.attributes[i], found->second.metadata.Encode());
    }
    std::sort(ids.begin(), ids.end());
    EXPECT_EQ(std::adjacent_find(ids.begin(), ids.end()), ids.end()) << "an id was found twice";
    return result->distances;
  }

  std::vector<double> TrueDistances(
      const Vector& query, uint32_t k,
      const RandomMetadata::Meaning& keep = [](const ModelMetadata&) { return true; }) const {
    std::vector<double> distances;
    for (const auto& [id, record] : model_) {
      if (keep(record.metadata)) distances.push_back(Distance(query, record.vector));
    }
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

  void FilteredSearch() {
    const Vector query = RandomVector();
    const uint32_t k = 1 + random_() % 30;
    const bool exact = random_() % 2 == 0;
    const RandomMetadata::DrawnFilter drawn = metadata_.DrawFilter();
    const auto& [filter, meaning] = drawn;
    std::printf("%s k=%u %s\n", exact ? "exact search" : "search", k, ToString(filter).c_str());
    const std::vector<float> found = Search(query, k, exact, filter);
    const std::vector<double> truth = TrueDistances(query, k, meaning);
    ASSERT_EQ(found.size(), truth.size());
    for (size_t i = 0; i < found.size(); ++i) {
      if (exact) EXPECT_NEAR(found[i], truth[i], 1e-3);
      if (!exact) hits_ += found[i] <= truth.back() + 1e-3;
    }
    if (!exact) wanted_ += truth.size();
    const auto satisfies = [&](const auto& entry) { return drawn.meaning(entry.second.metadata); };
    uint64_t sequence = 0;
    EXPECT_EQ(namespace_->Count(&filter, &sequence),
              std::count_if(model_.begin(), model_.end(), satisfies));
  }

  void Get() {
    Ids ids;
    for (int i = 0; i < 20; ++i) ids.numbers.push_back(RandomId());
    std::printf("get %zu\n", ids.numbers.size());
    IdList missing;
    auto records =
        namespace_->Get(ids.View(id_type_), {.vectors = true, .metadata = true}, &missing);
    ASSERT_TRUE(records.ok()) << records.status();
    std::vector<uint64_t> expected_found, expected_missing;
    std::vector<Vector> expected_vectors;
    std::vector<std::string> expected_attributes;
    for (uint64_t id : ids.numbers) {
      (model_.contains(id) ? expected_found : expected_missing).push_back(id);
      if (!model_.contains(id)) continue;
      expected_vectors.push_back(model_[id].vector);
      expected_attributes.push_back(model_[id].metadata.Encode());
    }
    EXPECT_EQ(records->attributes, expected_attributes);
    EXPECT_EQ(Numbers(records->ids), expected_found);
    EXPECT_EQ(Numbers(missing), expected_missing);
    EXPECT_EQ(Vectors(*records), Pack(expected_vectors));
  }

  // Reads everything, taking the scan up anew from its token now and then.
  void Scan() {
    std::optional<RandomMetadata::DrawnFilter> drawn;
    if (random_() % 2 == 0) drawn = metadata_.DrawFilter();
    std::printf("scan %s\n", drawn ? ToString(drawn->filter).c_str() : "");
    std::string token;
    std::vector<uint64_t> ids;
    std::string vectors;
    std::unique_ptr<RecordScanner> scanner;
    bool done = false;
    while (!done) {
      if (scanner == nullptr || random_() % 3 == 0) {
        ScanRequest request{.include = {.vectors = true}};
        if (drawn) request.filter = drawn->filter;
        auto opened = namespace_->Scan(token, request);
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
    for (const auto& [id, record] : model_) {
      if (drawn && !drawn->meaning(record.metadata)) continue;
      expected_ids.push_back(id);
      expected_vectors.push_back(record.vector);
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
    EXPECT_EQ(report->records, model_.size() + dead_.size());
  }

  void Restart(const std::function<void()>& meanwhile) {
    std::printf("restart\n");
    namespace_.reset();
    engine_.reset();
    meanwhile();
    OpenEngine();
    FindNamespace();
  }

  void FindNamespace() {
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

  std::map<uint64_t, Record> model_;
  std::set<uint64_t> dead_;  // expired, and not deleted yet
  RandomMetadata metadata_{&random_};
  int64_t clock_ = 1'700'000'000;
  uint64_t sequence_ = 0;
  uint64_t last_batch_ = 0;
  std::vector<uint64_t> last_ids_;
  std::vector<Record> last_records_;
  size_t hits_ = 0, wanted_ = 0;

  // What was when a snapshot was taken.
  struct Saved {
    std::string name;
    std::map<uint64_t, Record> model;
    std::set<uint64_t> dead;
    uint64_t sequence = 0;
    uint64_t last_batch = 0;
  };
  std::optional<Saved> saved_;
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
