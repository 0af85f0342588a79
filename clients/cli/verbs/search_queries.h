#ifndef VARVE_CLIENTS_CLI_VERBS_SEARCH_QUERIES_H_
#define VARVE_CLIENTS_CLI_VERBS_SEARCH_QUERIES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/cli/input/vector_file.h"

namespace varve::cli {

// The queries of a search, of a file. Thread-compatible.
class SearchQueries {
 public:
  // In a field of several vectors, `offsets` is a file that says where each query's vectors begin;
  // if it is empty, all of them are one query. Errors name the file.
  static absl::StatusOr<SearchQueries> Open(const std::string& path,
                                            std::optional<uint32_t> dimension, bool multi_vector,
                                            const std::string& offsets);

  size_t size() const { return offsets_.empty() ? file_.rows() : offsets_.size() - 1; }
  // All vectors.
  TensorView All() { return file_.Rows(0, file_.rows(), &scratch_); }
  // Those of one query, until the next call.
  TensorView Query(size_t i);

 private:
  explicit SearchQueries(VectorFile file) : file_(std::move(file)) {}

  VectorFile file_;
  std::vector<uint64_t> offsets_;  // empty: a vector each
  std::string scratch_;
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_VERBS_SEARCH_QUERIES_H_
