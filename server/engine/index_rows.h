#ifndef VARVE_SERVER_ENGINE_INDEX_ROWS_H_
#define VARVE_SERVER_ENGINE_INDEX_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "index/segment_set.h"
#include "server/engine/schema.h"

namespace varve::engine {

// Rows in the form in which the index of one field takes them: one for each vector. Points into the
// caller's memory.
class IndexRows {
 public:
  explicit IndexRows(const FieldSchema& field)
      : vector_bytes_(field.dimension * SizeOf(field.element_type)) {}

  static size_t VectorBytes(const FieldSchema& field) {
    return field.dimension * SizeOf(field.element_type);
  }

  // `vectors`: one or several, packed; none when empty.
  void Add(uint64_t row, std::string_view label, std::string_view vectors,
           std::string_view attributes, int64_t expires_at) {
    for (size_t at = 0; at < vectors.size(); at += vector_bytes_) {
      rows_.push_back(row);
      labels_.push_back(label);
      vectors_.push_back(vectors.substr(at, vector_bytes_));
      attributes_.push_back(attributes);
      expires_at_.push_back(expires_at);
    }
  }
  void Clear() {
    rows_.clear(), labels_.clear(), vectors_.clear(), attributes_.clear(), expires_at_.clear();
  }

  size_t size() const { return rows_.size(); }
  index::NewRows view() const {
    return {.rows = rows_,
            .labels = labels_,
            .vectors = vectors_,
            .attributes = attributes_,
            .expires_at = expires_at_};
  }

 private:
  const size_t vector_bytes_;
  std::vector<uint64_t> rows_;
  std::vector<std::string_view> labels_, vectors_, attributes_;
  std::vector<int64_t> expires_at_;
};

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_INDEX_ROWS_H_
