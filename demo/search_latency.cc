// Measures the latency of searches as a client sees it: one connection, one search at a time.
//
//   search_latency --server HOST:PORT --namespace NS --queries FILE --dtype u8 --dimension D
//
// FILE holds the queries' bytes and nothing else. Prints one JSON object.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/tensor.h"
#include "clients/cpp/varve/client.h"
#include "clients/cpp/varve/tensor.h"

namespace varve::demo {
namespace {

struct Flags {
  std::string server;
  std::string name_space;
  std::string queries_path;
  DType dtype = DType::kF32;
  size_t dimension = 0;
  uint32_t k = 10;
  size_t warm_up = 100;
  size_t searches = 1000;
};

absl::StatusOr<client::Tensor> ReadQueries(const Flags& flags) {
  std::ifstream file(flags.queries_path, std::ios::binary);
  client::Tensor queries;
  queries.dtype = flags.dtype;
  queries.columns = flags.dimension;
  queries.bytes.assign(std::istreambuf_iterator<char>(file), {});
  queries.rows = queries.bytes.size() / (flags.dimension * SizeOf(flags.dtype));
  if (queries.rows == 0) return absl::NotFoundError(flags.queries_path + ": no queries in it");
  VARVE_RETURN_IF_ERROR(client::CheckTensor(queries.view()));
  return queries;
}

// The time each search took, without those that warm the connection up, shortest first.
absl::StatusOr<std::vector<absl::Duration>> TimeSearches(client::Client& client, const Flags& flags,
                                                         const client::Tensor& queries) {
  client::SearchOptions options;
  options.k = flags.k;
  std::vector<absl::Duration> times;
  for (size_t i = 0; i < flags.warm_up + flags.searches; ++i) {
    const TensorView query{queries.dtype, 1, queries.columns, queries.view().row(i % queries.rows)};
    const absl::Time start = absl::Now();
    VARVE_RETURN_IF_ERROR(client.Search(flags.name_space, query, options).status());
    if (i >= flags.warm_up) times.push_back(absl::Now() - start);
  }
  std::sort(times.begin(), times.end());
  return times;
}

absl::Status Run(const Flags& flags) {
  VARVE_ASSIGN_OR_RETURN(const client::Tensor queries, ReadQueries(flags));
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<client::Client> client,
                         client::Client::Connect(flags.server));
  VARVE_ASSIGN_OR_RETURN(const std::vector<absl::Duration> times,
                         TimeSearches(*client, flags, queries));
  const auto percentile_ms = [&times](size_t percent) {
    return absl::ToDoubleMilliseconds(times[(times.size() - 1) * percent / 100]);
  };
  std::printf(R"({"searches": %zu, "p50_ms": %.3f, "p99_ms": %.3f})"
              "\n",
              times.size(), percentile_ms(50), percentile_ms(99));
  return absl::OkStatus();
}

}  // namespace
}  // namespace varve::demo

int main(int argc, char** argv) {
  using varve::DType;
  const std::map<std::string, DType> dtypes = {{"f32", DType::kF32},
                                               {"f16", DType::kF16},
                                               {"bf16", DType::kBF16},
                                               {"u8", DType::kU8},
                                               {"i8", DType::kI8}};
  varve::demo::Flags flags;
  CLI::App app("Measures the latency of searches, one at a time over one connection");
  app.add_option("--server", flags.server)->required();
  app.add_option("--namespace", flags.name_space)->required();
  app.add_option("--queries", flags.queries_path, "a file of raw vectors")->required();
  app.add_option("--dtype", flags.dtype)->required()->transform(CLI::CheckedTransformer(dtypes));
  app.add_option("--dimension", flags.dimension)->required()->check(CLI::PositiveNumber);
  app.add_option("--k", flags.k);
  app.add_option("--searches", flags.searches)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = varve::demo::Run(flags);
  if (!status.ok()) std::fprintf(stderr, "search_latency: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
