// Varve's index beside hnswlib, both in this process: how fast they build, and how fast they search at
// which recall. What is timed of one is timed of the other right after it, so that a machine's moods
// meet both.
//
//   index_bench --base F --queries F --neighbors F --dimension D --metric l2|cosine|dot
//
// The files hold float32 vectors and int32 row numbers (the 100 nearest of each query) and nothing else.
// Prints one JSON object.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "index/segment_set.h"
#include "storage/file_system.h"
#include "tests/bench/hnswlib_index.h"

namespace varve::bench {
namespace {

constexpr size_t kK = 10;
constexpr size_t kTruth = 100;  // neighbours of a query in the file
constexpr size_t kRowsPerBatch = 1000;
constexpr double kSecondsMin = 0.2;

struct Flags {
  std::string base, queries, neighbors;
  size_t dimension = 0;
  index::Metric metric = index::Metric::kL2;
  size_t threads = 2;
  size_t rounds = 3;
  size_t query_count = 1000;
  index::IndexOptions options;
  std::vector<size_t> efs = {10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 400};
};

template <typename T>
std::vector<T> ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<T> values(bytes.size() / sizeof(T));
  std::copy_n(bytes.data(), values.size() * sizeof(T), reinterpret_cast<char*>(values.data()));
  return values;
}

// Segment files in a folder of their own, mapped as the server's are.
class FileStorage final : public index::SegmentStorage {
 public:
  explicit FileStorage(std::string directory) : directory_(std::move(directory)) {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  ~FileStorage() override { std::filesystem::remove_all(directory_); }

  absl::StatusOr<std::shared_ptr<const index::SealedSegment>> Write(
      uint64_t id, const index::VectorSpace& space, std::shared_ptr<index::RowHistory> history,
      Writer write) override {
    struct Sink final : index::ByteSink {
      absl::Status Append(std::string_view bytes) override { return file->Append(bytes); }
      std::unique_ptr<storage::WritableFile> file;
    } sink;
    const std::string path = directory_ + "/" + std::to_string(id);
    VARVE_ASSIGN_OR_RETURN(sink.file, storage::FileSystem::System()->Create(path));
    VARVE_RETURN_IF_ERROR(write(&sink).status());
    VARVE_RETURN_IF_ERROR(sink.file->Sync());
    VARVE_ASSIGN_OR_RETURN(const auto file, storage::FileSystem::System()->Map(path));
    return index::SealedSegment::Open(file->bytes(), path, file, space, std::move(history));
  }
  absl::Status Install(const index::SegmentChange& change) override {
    for (uint64_t id : change.replaced) Discard(id);
    return absl::OkStatus();
  }
  void Discard(uint64_t id) override {
    std::filesystem::remove(directory_ + "/" + std::to_string(id));
  }
  absl::Status GiveUp(const std::vector<uint64_t>&) override { return absl::OkStatus(); }
  void Close() override {}

 private:
  const std::string directory_;
};

double Seconds(absl::Time since) { return absl::ToDoubleSeconds(absl::Now() - since); }

class Bench {
 public:
  explicit Bench(const Flags& flags)
      : flags_(flags),
        space_(flags.metric, flags.dimension, DType::kF32),
        base_(ReadAll<float>(flags.base)),
        queries_(ReadAll<float>(flags.queries)),
        neighbors_(ReadAll<int32_t>(flags.neighbors)),
        pool_("link", flags.threads, 19) {
    rows_ = base_.size() / flags_.dimension;
    query_count_ = std::min(flags_.query_count, queries_.size() / flags_.dimension);
    if (flags_.metric != index::Metric::kCosine) return;
    normal_base_ = Normalized(base_);
    normal_queries_ = Normalized(queries_);
  }

  void Run() {
    std::vector<double> ours, theirs;
    for (size_t round = 0; round < flags_.rounds; ++round) {
      theirs.push_back(BuildHnswlib());
      ours.push_back(BuildVarve());
    }
    std::printf("{\"rows\": %zu, \"dimension\": %zu, \"threads\": %zu,\n", rows_, flags_.dimension,
                flags_.threads);
    std::printf(" \"varve_build_s\": %s,\n \"hnswlib_build_s\": %s,\n", List(ours).c_str(),
                List(theirs).c_str());
    std::printf(" \"varve_compact_s\": %.2f,\n \"searches\": [", Compact());
    const char* separator = "";
    for (size_t ef : flags_.efs) {
      hnswlib_->set_ef(ef);
      std::vector<double> our_rates[2], their_rates[2];
      double our_recall = 0, their_recall = 0;
      for (size_t round = 0; round < flags_.rounds; ++round) {
        for (size_t parallel : {0, 1}) {
          const size_t threads = parallel == 0 ? 1 : flags_.threads;
          their_rates[parallel].push_back(
              Time(threads, &their_recall, [&](size_t q) { return SearchHnswlib(q); }));
          our_rates[parallel].push_back(
              Time(threads, &our_recall, [&](size_t q) { return SearchVarve(q, ef); }));
        }
      }
      std::printf(
          "%s\n  {\"ef\": %zu, \"varve\": {\"recall\": %.4f, \"qps_1\": %s, \"qps_all\": %s},"
          " \"hnswlib\": {\"recall\": %.4f, \"qps_1\": %s, \"qps_all\": %s}}",
          separator, ef, our_recall, List(our_rates[0]).c_str(), List(our_rates[1]).c_str(),
          their_recall, List(their_rates[0]).c_str(), List(their_rates[1]).c_str());
      separator = ",";
    }
    std::printf("]}\n");
  }

 private:
  std::vector<float> Normalized(const std::vector<float>& vectors) const {
    std::vector<float> out = vectors;
    for (size_t begin = 0; begin < out.size(); begin += flags_.dimension) {
      double squares = 0;
      for (size_t i = 0; i < flags_.dimension; ++i)
        squares += double{out[begin + i]} * out[begin + i];
      for (size_t i = 0; i < flags_.dimension; ++i) {
        out[begin + i] = static_cast<float>(out[begin + i] / std::sqrt(squares));
      }
    }
    return out;
  }

  static std::string List(const std::vector<double>& values) {
    std::string out;
    for (double value : values) {
      out += (out.empty() ? "[" : ", ") + std::to_string(value);
    }
    return out + "]";
  }

  double BuildHnswlib() {
    const std::vector<float>& base = normal_base_.empty() ? base_ : normal_base_;
    hnswlib_.reset();
    hnswlib_ =
        std::make_unique<HnswlibIndex>(flags_.metric == index::Metric::kL2, flags_.dimension, rows_,
                                       flags_.options.m, flags_.options.ef_construction);
    const absl::Time begun = absl::Now();
    std::atomic<size_t> next = 0;
    std::vector<std::thread> threads;
    for (size_t i = 0; i < flags_.threads; ++i) {
      threads.emplace_back([&] {
        for (size_t row; (row = next++) < rows_;) hnswlib_->Add(&base[row * flags_.dimension], row);
      });
    }
    for (std::thread& thread : threads) thread.join();
    return Seconds(begun);
  }

  // Until every row is in a graph; rows are committed in batches, as a server does.
  double BuildVarve() {
    set_.reset();
    const absl::Time begun = absl::Now();
    set_ = index::SegmentSet::Create(
        space_, flags_.options, {.pool = &pool_, .gate = &gate_},
        std::make_unique<FileStorage>(std::filesystem::temp_directory_path() /
                                      "varve_index_bench"));
    set_->Restore(0, 0, {}, 1);
    set_->EndRestore();
    for (size_t begin = 0; begin < rows_; begin += kRowsPerBatch) {
      std::vector<uint64_t> rows;
      std::vector<std::string_view> labels, vectors;
      for (size_t row = begin; row < std::min(rows_, begin + kRowsPerBatch); ++row) {
        rows.push_back(row);
        labels.emplace_back("label");
        vectors.emplace_back(reinterpret_cast<const char*>(&base_[row * flags_.dimension]),
                             flags_.dimension * sizeof(float));
      }
      set_->Commit(begin + 1, begin + rows.size(),
                   {.rows = rows, .labels = labels, .vectors = vectors}, {});
    }
    WaitUntilLinked();
    return Seconds(begun);
  }

  // There is room for a row where none may wait when none waits.
  void WaitUntilLinked() {
    index::IndexOptions options = flags_.options;
    options.max_unindexed_rows = 1;
    set_->SetOptions(options);
    std::promise<void> linked;
    set_->WhenRoom([&] { linked.set_value(); });
    linked.get_future().wait();
  }

  double Compact() {
    const absl::Time begun = absl::Now();
    std::promise<absl::Status> done;
    set_->Compact([&](absl::Status status) { done.set_value(std::move(status)); });
    const absl::Status status = done.get_future().get();
    if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return Seconds(begun);
  }

  std::vector<uint32_t> SearchHnswlib(size_t query) const {
    const std::vector<float>& queries = normal_queries_.empty() ? queries_ : normal_queries_;
    return hnswlib_->Search(&queries[query * flags_.dimension], kK);
  }

  std::vector<uint32_t> SearchVarve(size_t query, size_t ef) const {
    const auto vector = space_.LoadQuery(
        DType::kF32, reinterpret_cast<const char*>(&queries_[query * flags_.dimension]));
    const auto view = set_->Pin();
    const auto found =
        SearchView(space_, *view, vector.get(), {.k = kK, .ef = ef}, CallControl()).value();
    std::vector<uint32_t> rows;
    for (const index::Neighbor& neighbor : found)
      rows.push_back(static_cast<uint32_t>(neighbor.row));
    return rows;
  }

  // Queries per second of all threads together, over at least kSecondsMin.
  template <typename Search>
  double Time(size_t threads, double* recall, Search search) {
    std::vector<std::vector<uint32_t>> found(query_count_);
    std::atomic<size_t> next = 0, done = 0;
    const absl::Time begun = absl::Now();
    std::vector<std::thread> workers;
    for (size_t i = 0; i < threads; ++i) {
      workers.emplace_back([&] {
        for (size_t i; (i = next++) < query_count_ || Seconds(begun) < kSecondsMin;) {
          std::vector<uint32_t> rows = search(i % query_count_);
          if (i < query_count_) found[i] = std::move(rows);
          ++done;
        }
      });
    }
    for (std::thread& worker : workers) worker.join();
    const double rate = static_cast<double>(done) / Seconds(begun);
    size_t hits = 0;
    for (size_t q = 0; q < query_count_; ++q) {
      const int32_t* const truth = &neighbors_[q * kTruth];
      for (uint32_t row : found[q])
        hits += std::count(truth, truth + kK, static_cast<int32_t>(row));
    }
    *recall = static_cast<double>(hits) / static_cast<double>(query_count_ * kK);
    return rate;
  }

  const Flags flags_;
  const index::VectorSpace space_;
  const std::vector<float> base_, queries_;
  const std::vector<int32_t> neighbors_;
  std::vector<float> normal_base_, normal_queries_;  // under cosine
  size_t rows_ = 0, query_count_ = 0;
  std::unique_ptr<HnswlibIndex> hnswlib_;
  index::CompactionGate gate_{1};
  ThreadPool pool_;
  std::shared_ptr<index::SegmentSet> set_;
};

int Main(int argc, char** argv) {
  Flags flags;
  bool unquantized = false;
  CLI::App app("Varve's index beside hnswlib");
  app.add_option("--base", flags.base)->required();
  app.add_option("--queries", flags.queries)->required();
  app.add_option("--neighbors", flags.neighbors)->required();
  app.add_option("--dimension", flags.dimension)->required();
  app.add_option("--metric", flags.metric)
      ->required()
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, index::Metric>{{"l2", index::Metric::kL2},
                                               {"cosine", index::Metric::kCosine},
                                               {"dot", index::Metric::kDot}}));
  app.add_option("--threads", flags.threads, "for building, and for searches by all threads");
  app.add_option("--rounds", flags.rounds);
  app.add_option("--query-count", flags.query_count, "at most");
  app.add_option("--m", flags.options.m);
  app.add_option("--ef-construction", flags.options.ef_construction);
  app.add_option("--ef", flags.efs);
  app.add_flag("--unquantized", unquantized, "quantization none");
  CLI11_PARSE(app, argc, argv);
  if (unquantized) flags.options.quantization = index::Quantization::kNone;
  Bench(flags).Run();
  return 0;
}

}  // namespace
}  // namespace varve::bench

int main(int argc, char** argv) { return varve::bench::Main(argc, argv); }
