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

// A namespace in a store of its own, filled by batches of new ids as the engine writes them.
class Loader {
 public:
  explicit Loader(IdOrder order)
      : order_(order),
        store_(RecordStore::Open(directory_.path(), RecordStoreOptions()).value()),
        number_(store_->CreateNamespace("bench", "").value()),
        tensor_(kBatchRows * kVectorBytes, '\0') {
    std::mt19937 random(1);
    for (char& byte : tensor_) byte = static_cast<char>(random());
    for (size_t i = 0; i < kBatchRows; ++i) {
      vectors_.push_back(std::string_view(tensor_).substr(i * kVectorBytes, kVectorBytes));
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
    commit.namespace_number = number_;
    commit.first_row = state_.next_row;
    state_.sequence += 1;
    state_.next_row += kBatchRows;
    commit.state = state_;
    commit.ids = ids;
    commit.vectors = vectors_;
    commit.producer = "bench";
    commit.producer_batch = state_.sequence;
    if (!store_->Write(commit).ok()) std::abort();
  }

 private:
  const IdOrder order_;
  const TemporaryDirectory directory_;
  const std::unique_ptr<RecordStore> store_;
  const NamespaceNumber number_;
  std::string tensor_;
  std::vector<std::string_view> vectors_;
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

// What a start does.
void ScanByRow(benchmark::State& state) {
  Loader loader(kRandom);
  for (int i = 0; i < 200; ++i) loader.Load();
  uint64_t rows = 0;
  while (state.KeepRunning()) {
    auto cursor = loader.store().ScanByRow(loader.number(), {1, kLastRow}).value();
    for (StoredRecord record; cursor->Next(&record).value(); ++rows) {
      benchmark::DoNotOptimize(record.vector.data());
    }
  }
  CountRows(state, rows);
}
BENCHMARK(ScanByRow)->Iterations(3)->UseRealTime();

// What rescoring one search does.
void ReadVectors(benchmark::State& state) {
  Loader loader(kRandom);
  for (int i = 0; i < 200; ++i) loader.Load();
  std::mt19937 random(1);
  std::vector<uint64_t> rows(100);
  while (state.KeepRunning()) {
    for (uint64_t& row : rows) row = 1 + random() % loader.rows();
    benchmark::DoNotOptimize(loader.store().ReadVectors(loader.number(), rows).value().data());
  }
  CountRows(state, state.iterations() * rows.size());
}
BENCHMARK(ReadVectors)->UseRealTime();

}  // namespace
}  // namespace varve::storage

BENCHMARK_MAIN();
