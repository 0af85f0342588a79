#include "clients/cli/verbs/search_queries.h"

#include <utility>

#include "base/status_macros.h"
#include "clients/cli/input/offsets_file.h"

namespace varve::cli {

absl::StatusOr<SearchQueries> SearchQueries::Open(const std::string& path,
                                                  std::optional<uint32_t> dimension,
                                                  bool multi_vector, const std::string& offsets) {
  VARVE_ASSIGN_OR_RETURN(VectorFile file, VectorFile::Open(path, dimension, kTestDataset));
  SearchQueries queries(std::move(file));
  if (!offsets.empty()) {
    VARVE_ASSIGN_OR_RETURN(queries.offsets_, ReadOffsets(offsets, queries.file_.rows()));
  } else if (multi_vector) {
    queries.offsets_ = {0, queries.file_.rows()};
  }
  return queries;
}

TensorView SearchQueries::Query(size_t i) {
  if (offsets_.empty()) return file_.Rows(i, 1, &scratch_);
  return file_.Rows(offsets_[i], offsets_[i + 1] - offsets_[i], &scratch_);
}

}  // namespace varve::cli
