// Without flags it measures what matters most: how many rows a second one ingest stream can commit.

#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "storage/big_endian.h"
#include "storage/record_store.h"
#include "storage/temporary_directory.h"

namespace varve::storage {
namespace {

constexpr size_t kBatchRows = 1000;
constexpr size_t kDimension = 768;
constexpr size_t kVectorBytes = kDimension * sizeof(float);

// Whether ids arrive in their order, as from a counter, or in none, as from a hash.
enum IdOrder : int64_t { kAscending, kRandom };

constexpr FieldNumber kFields[] = {kDefaultField};
// Some tags and a few numbers.
constexpr size_t kAttributeBytes = 100;

// A namespace in a store of its own, filled by batches of new ids as the engine writes them, each
// with metadata of `attribute_bytes`.
class Loader {
 public:
  explicit Loader(IdOrder order, size_t attribute_bytes = 0)
      : order_(order),
        store_(RecordStore::Open(directory_.path(), RecordStoreOptions()).value()),
        number_(store_->CreateNamespace("bench", "").value()),
        tensor_(kBatchRows * kVectorBytes, '\0'),
        attributes_(kBatchRows * attribute_bytes, 'a') {
    for (char& byte : tensor_) byte = static_cast<char>(random_());
    for (size_t i = 0; i < kBatchRows; ++i) {
      vectors_.push_back(std::string_view(tensor_).substr(i * kVectorBytes, kVectorBytes));
      if (attribute_bytes == 0) continue;
      attribute_views_.push_back(
          std::string_view(attributes_).substr(i * attribute_bytes, attribute_bytes));
    }
  }

  RecordStore& store() { return *store_; }
  NamespaceNumber number() const { return number_; }
  uint64_t rows() const { return state_.next_row - 1; }

  void Load() {
    std::array<std::array<char, sizeof(uint64_t)>, kBatchRows> numbers;
    std::array<std::string_view, kBatchRows> ids;
    for (size_t i = 0; i < kBatchRows; ++i) {
      const uint64_t row = state_.next_row + i;
      numbers[i] = BigEndian(order_ == kRandom ? row * 0x9e37'79b9'7f4a'7c15 : row);
      ids[i] = View(numbers[i]);
    }
    std::vector<uint64_t> present;
    if (!store_->FindRows(number_, ids, &present).ok()) std::abort();

    Commit commit;
    commit.first_row = state_.next_row;
    state_.next_row += kBatchRows;
    commit.ids = ids;
    const FieldColumn fields[] = {{kDefaultField, vectors_}};
    commit.fields = fields;
    commit.attributes = attribute_views_;
    Write(&commit);
  }

  // New metadata for a batch of rows, which begins anywhere.
  void Update() {
    const std::string attributes(kAttributeBytes, 'b');
    const uint64_t first = 1 + random_() % (rows() - kBatchRows + 1);
    std::vector<MetadataUpdate> updates;
    for (uint64_t row = first; row < first + kBatchRows; ++row) {
      updates.push_back({.row = row, .attributes = attributes});
    }
    Commit commit;
    commit.updates = updates;
    Write(&commit);
  }

 private:
  void Write(Commit* commit) {
    state_.sequence += 1;
    commit->namespace_number = number_;
    commit->state = state_;
    commit->namespace_fields = kFields;
    commit->producer = "bench";
    commit->producer_batch = state_.sequence;
    if (!store_->Write(*commit).ok()) std::abort();
  }

  const IdOrder order_;
  const TemporaryDirectory directory_;
  const std::unique_ptr<RecordStore> store_;
  const NamespaceNumber number_;
  std::string tensor_;
  std::vector<std::string_view> vectors_;
  const std::string attributes_;
  std::vector<std::string_view> attribute_views_;
  std::mt19937 random_{1};
  CommitState state_;
};

void CountRows(benchmark::State& state, uint64_t rows) {
  state.SetItemsProcessed(static_cast<int64_t>(rows));
  state.SetBytesProcessed(static_cast<int64_t>(rows * kVectorBytes));
}

void WriteNewIds(benchmark::State& state) {
  Loader loader(static_cast<IdOrder>(state.range(0)));
  while (state.KeepRunning()) loader.Load();
  CountRows(state, loader.rows());
}
BENCHMARK(WriteNewIds)->Arg(kAscending)->Arg(kRandom)->Iterations(1000)->UseRealTime();

void WriteNewIdsWithMetadata(benchmark::State& state) {
  Loader loader(kAscending, kAttributeBytes);
  while (state.KeepRunning()) loader.Load();
  CountRows(state, loader.rows());
}
BENCHMARK(WriteNewIdsWithMetadata)->Iterations(1000)->UseRealTime();

void UpdateMetadata(benchmark::State& state) {
  Loader loader(kAscending, kAttributeBytes);
  for (int i = 0; i < 200; ++i) loader.Load();
  while (state.KeepRunning()) loader.Update();
  state.SetItemsProcessed(state.iterations() * kBatchRows);
}
BENCHMARK(UpdateMetadata)->Iterations(1000)->UseRealTime();

// What a start does.
void ScanByRow(benchmark::State& state) {
  const bool metadata = state.range(0) != 0;
  Loader loader(kRandom, metadata ? kAttributeBytes : 0);
  for (int i = 0; i < 200; ++i) loader.Load();
  uint64_t rows = 0;
  while (state.KeepRunning()) {
    const RecordParts parts = {.fields = kFields, .metadata = metadata};
    auto cursor = loader.store().ScanByRow(loader.number(), {1, kLastRow}, parts).value();
    for (StoredRecord record; cursor->Next(&record).value(); ++rows) {
      benchmark::DoNotOptimize(record.vectors.data());
    }
  }
  CountRows(state, rows);
}
BENCHMARK(ScanByRow)->ArgName("metadata")->Arg(0)->Arg(1)->Iterations(3)->UseRealTime();

// What rescoring one search does.
void ReadRows(benchmark::State& state) {
  Loader loader(kRandom);
  for (int i = 0; i < 200; ++i) loader.Load();
  std::mt19937 random(1);
  std::vector<uint64_t> rows(100);
  while (state.KeepRunning()) {
    for (uint64_t& row : rows) row = 1 + random() % loader.rows();
    const auto records = loader.store().ReadRows(loader.number(), rows, {.fields = kFields});
    benchmark::DoNotOptimize(records.value().data());
  }
  CountRows(state, state.iterations() * rows.size());
}
BENCHMARK(ReadRows)->UseRealTime();

}  // namespace
}  // namespace varve::storage

BENCHMARK_MAIN();
