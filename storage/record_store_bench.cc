#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/str_cat.h"
#include "storage/big_endian.h"
#include "storage/record_store.h"
namespace varve::storage {
namespace {

constexpr size_t kBatchRows = 1000;

// A store in a directory of its own, with one namespace, and batches as the engine writes them.
// Each benchmark thread has its own, so that threads are namespaces of one server...
class Loader {
 public:
  Loader(RecordStore* store, std::string_view name, size_t dimension, bool random_ids)
      : store_(*store), random_ids_(random_ids), number_(*store->CreateNamespace(name, "")) {
    std::mt19937 random(1);
    tensor_.resize(kBatchRows * dimension * sizeof(float));
    for (char& byte : tensor_) byte = static_cast<char>(random());
    for (size_t i = 0; i < kBatchRows; ++i) {
      vectors_.push_back(std::string_view(tensor_).substr(i * dimension * sizeof(float),
                                                          dimension * sizeof(float)));
    }
  }

  bool WriteBatch() {
    std::vector<std::array<char, 8>> numbers;
    std::vector<std::string_view> ids;
    for (uint64_t row = state_.next_row; numbers.size() < kBatchRows; ++row) {
      numbers.push_back(BigEndian(random_ids_ ? row * 0x9e37'79b9'7f4a'7c15 : row));
    }
    for (const auto& number : numbers) ids.push_back(View(number));
    std::vector<uint64_t> rows;
    if (!store_.FindRows(number_, ids, &rows).ok()) return false;

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
    return store_.Write(commit).ok();
  }

 private:
  RecordStore& store_;
  const bool random_ids_;
  const NamespaceNumber number_;
  std::string tensor_;
  std::vector<std::string_view> vectors_;
  CommitState state_;
};

class TemporaryStore {
 public:
  TemporaryStore() {
    const char* base = getenv("TEST_TMPDIR");
    path_ = StrCat(base != nullptr ? base : "/tmp", "/record_store_bench.XXXXXX");
    if (mkdtemp(path_.data()) == nullptr) abort();
    auto opened = RecordStore::Open(path_, RecordStoreOptions());
    if (!opened.ok()) abort();
    store_ = *std::move(opened);
  }
  ~TemporaryStore() {
    store_.reset();
    std::filesystem::remove_all(path_);
  }
  RecordStore* get() { return store_.get(); }

 private:
  std::string path_;
  std::unique_ptr<RecordStore> store_;
};

void BM_WriteNewIds(benchmark::State& state, bool random_ids) {
  const auto dimension = static_cast<size_t>(state.range(0));
  TemporaryStore store;
  Loader loader(store.get(), "bench", dimension, random_ids);
  for (auto _ : state) {
    if (!loader.WriteBatch()) state.SkipWithError("the store refused a batch");
  }
  const auto rows = static_cast<int64_t>(state.iterations() * kBatchRows);
  state.SetItemsProcessed(rows);
  state.SetBytesProcessed(rows * static_cast<int64_t>(dimension * sizeof(float)));
}
BENCHMARK_CAPTURE(BM_WriteNewIds, ascending, false)->Arg(768)->Iterations(1000)->UseRealTime();
BENCHMARK_CAPTURE(BM_WriteNewIds, random, true)->Arg(768)->Iterations(1000)->UseRealTime();

}  // namespace
}  // namespace varve::storage

BENCHMARK_MAIN();
