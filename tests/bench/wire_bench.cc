// What a client gets from a server over gRPC: how fast rows are acknowledged and indexed, and how fast and
// how well it is answered.
//
//   wire_bench --server HOST:PORT --base F --queries F --neighbors F --dimension D --metric l2|cosine|dot
//   wire_bench --server HOST:PORT --base F --dimension D --acknowledged-only
//
// Files as for index_bench. The second form asks a server for nothing but the ingest stream, and so
// measures plain_server too. Prints one JSON object.

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "clients/cpp/varve/client.h"
#include "clients/cpp/varve/ingest_writer.h"

namespace varve::bench {
namespace {

constexpr char kNamespace[] = "bench";
constexpr uint32_t kK = 10;
constexpr size_t kTruth = 100;  // neighbours of a query in the file
constexpr size_t kUnaryCalls = 500;
constexpr double kSecondsMin = 0.2;
constexpr size_t kBatchBytes = size_t{2} << 20;

struct Flags {
  std::string server, base, queries, neighbors;
  size_t dimension = 0;
  client::Metric metric = client::Metric::kL2;
  size_t rounds = 3;
  bool acknowledged_only = false;
  std::vector<uint32_t> efs = {10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 400};
};

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

double Seconds(absl::Time since) { return absl::ToDoubleSeconds(absl::Now() - since); }

class Bench {
 public:
  Bench(const Flags& flags, client::Client& client)
      : flags_(flags), client_(client), base_(ReadAll(flags.base)) {
    if (!flags.acknowledged_only) {
      queries_ = ReadAll(flags.queries);
      neighbors_ = ReadAll(flags.neighbors);
    }
  }

  absl::Status Run() {
    if (!flags_.acknowledged_only) {
      client::Namespace spec{.name = kNamespace};
      spec.fields.push_back(
          {.dimension = static_cast<uint32_t>(flags_.dimension), .metric = flags_.metric});
      VARVE_RETURN_IF_ERROR(client_.CreateNamespace(spec).status());
    }
    const absl::Time begun = absl::Now();
    VARVE_RETURN_IF_ERROR(Ingest());
    std::printf("{\"rows\": %zu, \"acknowledged_s\": %.4f", Rows(base_), Seconds(begun));
    if (flags_.acknowledged_only) {
      std::printf("}\n");
      return absl::OkStatus();
    }
    VARVE_RETURN_IF_ERROR(
        client_.WatchIndexing(kNamespace, [](const client::IndexingProgress&) {}));
    std::printf(", \"indexed_s\": %.4f", Seconds(begun));
    VARVE_RETURN_IF_ERROR(client_.Compact(kNamespace, /*wait=*/true));
    std::printf(", \"searches\": [");
    const char* separator = "";
    for (uint32_t ef : flags_.efs) {
      std::printf("%s\n  ", separator);
      VARVE_RETURN_IF_ERROR(Search(ef));
      separator = ",";
    }
    std::printf("]}\n");
    return absl::OkStatus();
  }

 private:
  size_t Rows(const std::string& bytes) const {
    return bytes.size() / (flags_.dimension * sizeof(float));
  }
  client::TensorView View(const std::string& bytes, size_t begin, size_t rows) const {
    const size_t row_bytes = flags_.dimension * sizeof(float);
    return {.dtype = DType::kF32,
            .rows = rows,
            .columns = flags_.dimension,
            .bytes = std::string_view(bytes).substr(begin * row_bytes, rows * row_bytes)};
  }

  absl::Status Ingest() {
    VARVE_ASSIGN_OR_RETURN(
        const auto writer,
        client::IngestWriter::Open(client_, {.name_space = kNamespace, .producer = "wire_bench"}));
    const size_t batch = std::max<size_t>(1, kBatchBytes / (flags_.dimension * sizeof(float)));
    std::vector<uint64_t> ids(Rows(base_));
    std::iota(ids.begin(), ids.end(), uint64_t{0});
    for (size_t begin = 0; begin < ids.size(); begin += batch) {
      const size_t rows = std::min(batch, ids.size() - begin);
      const absl::Span<const uint64_t> span(&ids[begin], rows);
      VARVE_RETURN_IF_ERROR(
          writer->Write({.ids = span, .vectors = View(base_, begin, rows)}).status());
    }
    return writer->Finish();
  }

  // All queries in one call, and some one by one.
  absl::Status Search(uint32_t ef) {
    const client::SearchOptions options{.k = kK, .ef_search = ef};
    const size_t queries = Rows(queries_);
    std::string rates;
    double recall = 0;
    for (size_t round = 0; round < flags_.rounds; ++round) {
      const absl::Time begun = absl::Now();
      size_t answered = 0;
      do {
        VARVE_ASSIGN_OR_RETURN(
            const client::SearchBatchResult result,
            client_.SearchBatch(kNamespace, View(queries_, 0, queries), options));
        if (answered == 0) recall = Recall(std::get<std::vector<uint64_t>>(result.ids), queries);
        answered += queries;
      } while (Seconds(begun) < kSecondsMin);
      rates +=
          (round == 0 ? "" : ", ") + std::to_string(static_cast<double>(answered) / Seconds(begun));
    }
    VARVE_ASSIGN_OR_RETURN(
        const double micros, MedianMicros(std::min(queries, kUnaryCalls), [&](size_t i) {
          return client_.Search(kNamespace, View(queries_, i, 1), options).status();
        }));
    // What a call takes that does next to nothing, right after.
    VARVE_ASSIGN_OR_RETURN(const double call_micros, MedianMicros(kUnaryCalls, [&](size_t) {
                             return client_.GetNamespace(kNamespace).status();
                           }));
    std::printf(
        "{\"ef\": %u, \"recall\": %.4f, \"batch_qps\": [%s], \"unary_p50_us\": %.1f, "
        "\"call_p50_us\": %.1f}",
        ef, recall, rates.c_str(), micros, call_micros);
    return absl::OkStatus();
  }

  template <typename Call>
  static absl::StatusOr<double> MedianMicros(size_t calls, Call call) {
    std::vector<double> micros;
    for (size_t i = 0; i < calls; ++i) {
      const absl::Time begun = absl::Now();
      VARVE_RETURN_IF_ERROR(call(i));
      micros.push_back(Seconds(begun) * 1e6);
    }
    std::sort(micros.begin(), micros.end());
    return micros[micros.size() / 2];
  }

  double Recall(const std::vector<uint64_t>& found, size_t queries) const {
    const auto* const truth = reinterpret_cast<const int32_t*>(neighbors_.data());
    size_t hits = 0;
    for (size_t q = 0; q < queries; ++q) {
      for (size_t i = 0; i < kK; ++i) {
        const int32_t* const nearest = truth + q * kTruth;
        hits += std::count(nearest, nearest + kK, static_cast<int32_t>(found[q * kK + i]));
      }
    }
    return static_cast<double>(hits) / static_cast<double>(queries * kK);
  }

  const Flags flags_;
  client::Client& client_;
  const std::string base_;
  std::string queries_, neighbors_;
};

absl::Status Run(const Flags& flags) {
  VARVE_ASSIGN_OR_RETURN(const auto client, client::Client::Connect(flags.server));
  return Bench(flags, *client).Run();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("A server over gRPC");
  app.add_option("--server", flags.server)->required();
  app.add_option("--base", flags.base)->required();
  app.add_option("--queries", flags.queries);
  app.add_option("--neighbors", flags.neighbors);
  app.add_option("--dimension", flags.dimension)->required();
  app.add_option("--metric", flags.metric)
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, client::Metric>{{"l2", client::Metric::kL2},
                                                {"cosine", client::Metric::kCosine},
                                                {"dot", client::Metric::kDot}}));
  app.add_option("--rounds", flags.rounds);
  app.add_option("--ef", flags.efs);
  app.add_flag("--acknowledged-only", flags.acknowledged_only);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = Run(flags);
  if (status.ok()) return 0;
  std::fprintf(stderr, "wire_bench: %s\n", status.ToString().c_str());
  return 1;
}

}  // namespace
}  // namespace varve::bench

int main(int argc, char** argv) { return varve::bench::Main(argc, argv); }
