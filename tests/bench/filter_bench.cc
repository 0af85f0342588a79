// Searches with filters, in this process: what recall they have, and how long they take as the planner
// has it, beside each plan by force and a search without a filter. tests/bench/filters.py makes the files
// and prints the table.
//
//   filter_bench --base F --queries F --dimension D --metric l2|cosine|dot --metadata F --cases F
//
// Vectors are float32 and nothing else; metadata is one flat JSON object a row; cases are a JSON array of
// {"name", "filter", "queries": [row numbers of the queries]}. Prints one JSON object for each case.

#include <algorithm>
#include <fstream>
#include <future>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/thread_pool.h"
#include "index/memory_segment_storage.h"
#include "index/segment_set.h"
#include "index/segment_view.h"
#include "metadata/attributes.h"
#include "metadata/filter.h"
#include "nlohmann/json.hpp"

namespace varve::bench {
namespace {

using Json = nlohmann::json;

constexpr size_t kK = 10;
constexpr size_t kRowsPerBatch = 1000;

struct Flags {
  std::string base, queries, metadata, cases;
  size_t dimension = 0;
  index::Metric metric = index::Metric::kL2;
  size_t rounds = 3;
  bool sealed = true;
};

std::vector<float> ReadFloats(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<float> values(bytes.size() / sizeof(float));
  std::copy_n(bytes.data(), values.size() * sizeof(float), reinterpret_cast<char*>(values.data()));
  return values;
}

std::string Encode(const Json& object) {
  metadata::AttributeMap attributes;
  for (const auto& [name, value] : object.items()) {
    std::vector<metadata::Value>& values = attributes[name].values;
    if (value.is_boolean()) values.emplace_back(metadata::ValueView::Bool(value.get<bool>()));
    if (value.is_number_integer()) {
      values.emplace_back(metadata::ValueView::Int64(value.get<int64_t>()));
    }
    if (value.is_number_float()) {
      values.emplace_back(metadata::ValueView::Double(value.get<double>()));
    }
    if (value.is_string()) {
      values.emplace_back(metadata::ValueView::String(value.get_ref<const std::string&>()));
    }
  }
  return metadata::EncodeAttributes(attributes).value();
}

class Bench {
 public:
  explicit Bench(const Flags& flags)
      : flags_(flags),
        space_(flags.metric, flags.dimension, DType::kF32),
        base_(ReadFloats(flags.base)),
        queries_(ReadFloats(flags.queries)) {}

  void Run() {
    Build();
    std::ifstream file(flags_.cases);
    for (const Json& one : Json::parse(file)) {
      std::cout << RunCase(one).dump() << std::endl;
    }
    set_->Stop(absl::CancelledError("done"));
  }

 private:
  void Build() {
    set_ = index::SegmentSet::Create(space_, {}, {.pool = &pool_, .gate = &gate_},
                                     std::make_unique<index::MemorySegmentStorage>());
    set_->Restore(0, 0, {}, 1);
    set_->EndRestore();
    std::ifstream metadata(flags_.metadata);
    const size_t rows = base_.size() / flags_.dimension;
    for (size_t begin = 0; begin < rows; begin += kRowsPerBatch) {
      std::vector<uint64_t> numbers;
      std::vector<std::string> encoded;
      std::vector<std::string_view> labels, vectors;
      for (size_t row = begin; row < std::min(rows, begin + kRowsPerBatch); ++row) {
        std::string line;
        std::getline(metadata, line);
        numbers.push_back(row + 1);
        encoded.push_back(Encode(Json::parse(line)));
        labels.emplace_back("label");
        vectors.emplace_back(reinterpret_cast<const char*>(&base_[row * flags_.dimension]),
                             flags_.dimension * sizeof(float));
      }
      const std::vector<std::string_view> attributes(encoded.begin(), encoded.end());
      set_->Commit(begin + 1, numbers.back() + 1,
                   {.rows = numbers,
                    .labels = labels,
                    .vectors = vectors,
                    .attributes = attributes,
                    .expires_at = {}},
                   {});
    }
    if (flags_.sealed) {
      std::promise<absl::Status> done;
      set_->Compact([&](absl::Status status) { done.set_value(status); });
      if (!done.get_future().get().ok()) std::abort();
    }
    while (!set_->Idle()) std::this_thread::yield();
    view_ = set_->Pin();
  }

  struct Timed {
    double median_us = 0;
    std::vector<std::set<uint64_t>> rows;  // found, by query
    std::string plan;
    size_t distances = 0, short_of_k = 0;
  };

  // Searches for each query of a case, `rounds` times.
  Timed Time(const std::vector<size_t>& queries, const metadata::Filter* filter, bool exact,
             std::optional<index::SearchPlan> plan) const {
    Timed timed;
    std::vector<double> micros;
    for (size_t round = 0; round < flags_.rounds; ++round) {
      for (const size_t query : queries) {
        const auto vector = space_.LoadQuery(
            DType::kF32, reinterpret_cast<const char*>(&queries_[query * flags_.dimension]));
        const absl::Time begin = absl::Now();
        index::ViewMatches matches;
        if (filter != nullptr) matches = Match(*view_, *filter, 0);
        std::vector<index::SegmentReport> reports;
        const auto found = index::SearchView(space_, *view_, vector.get(),
                                             {.k = kK,
                                              .ef = index::IndexOptions().ef_search,
                                              .exact = exact,
                                              .matches = filter == nullptr ? nullptr : &matches,
                                              .plan = plan},
                                             CallControl(), &reports);
        micros.push_back(absl::ToDoubleMicroseconds(absl::Now() - begin));
        if (round > 0) continue;
        timed.rows.emplace_back();
        for (const index::Neighbor& neighbor : *found) timed.rows.back().insert(neighbor.row);
        const size_t there = filter == nullptr ? kK : std::min<size_t>(kK, matches.Count());
        timed.short_of_k += found->size() < there ? 1 : 0;
        for (const index::SegmentReport& report : reports) {
          timed.plan = std::string(SearchPlanName(report.search.plan)) +
                       (report.search.gave_up ? ", given up" : "");
          timed.distances += report.search.distances;
        }
      }
    }
    std::nth_element(micros.begin(), micros.begin() + micros.size() / 2, micros.end());
    timed.median_us = micros[micros.size() / 2];
    timed.distances /= queries.size();
    return timed;
  }

  static double Recall(const Timed& found, const Timed& truth) {
    size_t hits = 0, wanted = 0;
    for (size_t i = 0; i < truth.rows.size(); ++i) {
      wanted += truth.rows[i].size();
      for (const uint64_t row : truth.rows[i]) hits += found.rows[i].count(row);
    }
    return wanted == 0 ? 1 : static_cast<double>(hits) / static_cast<double>(wanted);
  }

  Json RunCase(const Json& one) const {
    const auto filter = metadata::ParseFilter(one.at("filter").get<std::string>());
    const auto queries = one.at("queries").get<std::vector<size_t>>();
    if (!filter.ok()) return {{"name", one.at("name")}, {"error", filter.status().ToString()}};
    const absl::Time begin = absl::Now();
    const index::ViewMatches matches = Match(*view_, *filter, 0);
    const double filter_us = absl::ToDoubleMicroseconds(absl::Now() - begin);
    const Timed exact = Time(queries, &*filter, /*exact=*/true, std::nullopt);
    Json result = {{"name", one.at("name")},
                   {"matches", matches.Count()},
                   {"filter_us", filter_us},
                   {"scan_us", exact.median_us},
                   {"unfiltered_us", Time(queries, nullptr, false, std::nullopt).median_us}};
    const auto add = [&](const char* name, std::optional<index::SearchPlan> plan) {
      const Timed timed = Time(queries, &*filter, false, plan);
      result[name] = {{"us", timed.median_us},
                      {"recall", Recall(timed, exact)},
                      {"plan", timed.plan},
                      {"distances", timed.distances},
                      {"short", timed.short_of_k}};
    };
    add("planner", std::nullopt);
    add("filtered_walk", index::SearchPlan::kFilteredWalk);
    add("walk", index::SearchPlan::kWalk);
    return result;
  }

  const Flags flags_;
  const index::VectorSpace space_;
  const std::vector<float> base_, queries_;
  index::CompactionGate gate_{1};
  ThreadPool pool_{"link", 2};
  std::shared_ptr<index::SegmentSet> set_;
  std::shared_ptr<const index::SegmentView> view_;
};

}  // namespace
}  // namespace varve::bench

int main(int argc, char** argv) {
  CLI::App app("Searches with filters");
  varve::bench::Flags flags;
  bool active = false;
  app.add_option("--base", flags.base)->required();
  app.add_option("--queries", flags.queries)->required();
  app.add_option("--metadata", flags.metadata)->required();
  app.add_option("--cases", flags.cases)->required();
  app.add_option("--dimension", flags.dimension)->required();
  app.add_option("--rounds", flags.rounds);
  app.add_flag("--active", active, "Search segments that are not sealed");
  app.add_option("--metric", flags.metric)
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, varve::index::Metric>{{"l2", varve::index::Metric::kL2},
                                                      {"cosine", varve::index::Metric::kCosine},
                                                      {"dot", varve::index::Metric::kDot}}));
  CLI11_PARSE(app, argc, argv);
  flags.sealed = !active;
  varve::bench::Bench(flags).Run();
}
