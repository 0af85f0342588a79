#ifndef VARVE_SERVER_ENGINE_FIELD_SEARCH_H_
#define VARVE_SERVER_ENGINE_FIELD_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/call_control.h"
#include "base/thread_pool.h"
#include "index/segment_view.h"
#include "metadata/filter.h"
#include "server/engine/records.h"
#include "server/engine/schema.h"
#include "storage/record_store.h"

namespace varve::engine {

inline constexpr size_t kQueryVectorsMax = 1'000;  // of one search of a field of several vectors
inline constexpr uint32_t kGroupSizeMax = 100;

// See Diversity in the protocol.
struct Diversity {
  float weight = 0;
  uint32_t candidates = 0;  // 0: four for each result
};

struct SearchQuery {
  std::string_view field;
  // [queries, dimension], any dtype. Of a field of several vectors it is one query.
  TensorView queries;
  uint32_t k = 0;
  std::optional<uint32_t> ef_search;
  bool exact = false;
  uint64_t min_sequence = 0;
  std::optional<metadata::Filter> filter;
  RecordMask include;
  uint32_t offset = 0;
  std::optional<float> max_distance;
  // For one query alone:
  std::string group_by;  // empty: not at all
  uint32_t group_size = 1;
  std::optional<Diversity> diversity;
  // Instead of `queries`, where there are positive ones.
  IdsView positive, negative;
};

// How the search of one segment went; see index::SegmentReport.
struct SegmentExplanation {
  index::SegmentReport report;
  double estimated_matches = 0;
  uint64_t matches = 0;
};

// Results of all queries, packed: those of query 0 first, nearest first.
struct SearchResult {
  uint64_t sequence = 0;
  std::vector<uint32_t> counts;  // per query
  std::vector<float> distances;
  RecordList records;                           // of all results; what of them was asked for
  std::vector<metadata::Value> groups;          // with group_by: of each result
  std::vector<SegmentExplanation> explanation;  // of the first query
  absl::Duration filter_time;
};

// What a search is done with. All must outlive it.
struct SearchResources {
  const storage::RecordStore* store = nullptr;
  storage::NamespaceNumber number = 0;
  ThreadPool* pool = nullptr;
};

// OK when a query is within the limits, and its vectors are of the field's. InvalidArgument names what is
// not.
absl::Status CheckQuery(const FieldSchema& field, const SearchQuery& query);

// The vector to search with instead of examples: their mean, away from the mean of the negative ones; see
// Examples in the protocol. `dimension` floats. NotFound: one of them does not exist.
absl::StatusOr<std::vector<float>> QueryOfExamples(const SearchResources& resources,
                                                   const FieldSchema& field,
                                                   storage::FieldNumber number,
                                                   const SearchQuery& query);

// One search of one field on one view. One thread, which may use others of the pool.
class FieldSearch {
 public:
  // `now`: microseconds since the Unix epoch; records that expired by then are not found. All must outlive
  // the object.
  FieldSearch(const SearchResources& resources, const NamespaceSchema& schema,
              const FieldSchema& field, const index::VectorSpace& space,
              const index::SegmentView& view, const SearchQuery& query, int64_t now,
              const CallControl& control);

  // Nullopt when parts of records were asked for and a record found was replaced or deleted before they
  // could be read: search again on a newer view.
  absl::StatusOr<std::optional<SearchResult>> Run();

 private:
  using Neighbors = std::vector<index::Neighbor>;

  // The `k` nearest records for query vector `position`, or in a field of several for all of them.
  absl::StatusOr<Neighbors> Nearest(size_t position, size_t k, const index::ViewMatches* matches);
  absl::StatusOr<Neighbors> NearestByVector(size_t position, size_t k, size_t ef,
                                            const index::ViewMatches* matches);
  absl::StatusOr<Neighbors> NearestBySimilarity(size_t k, const index::ViewMatches* matches);
  // Rows that may be among the nearest by similarity: those of the `candidates` vectors nearest to each
  // query vector.
  absl::StatusOr<std::set<uint64_t>> SimilarRows(size_t candidates,
                                                 const index::ViewMatches* matches);
  std::set<uint64_t> AllRows(const index::ViewMatches* matches) const;
  // The sum, over the query vectors, of the distance to the nearest of the record's.
  float SimilarityDistance(const index::RowPlace& place) const;

  // What remains of what was found: without the examples, near enough, diverse, from the offset on.
  absl::StatusOr<Neighbors> Choose(Neighbors found) const;
  absl::StatusOr<Neighbors> Diversify(Neighbors found, size_t count) const;
  size_t CandidatesWanted() const;

  // With group_by: k groups, or all that there are, into `groups_`.
  absl::StatusOr<Neighbors> SearchGroups(bool* whole);
  // Sorts what was found into groups, of which no more than `most` are begun.
  absl::Status Sort(const Neighbors& found, size_t most, bool* whole);
  absl::Status FillGroup(size_t group, bool* whole);

  absl::StatusOr<std::optional<SearchResult>> Assemble(std::vector<Neighbors> found);

  struct Group {
    metadata::Value value;
    Neighbors members;
  };

  const SearchResources& resources_;
  const NamespaceSchema& schema_;
  const FieldSchema& field_;
  const index::VectorSpace& space_;
  const index::SegmentView& view_;
  const SearchQuery& query_;
  const int64_t now_;
  const CallControl& control_;
  const size_t ef_;

  std::vector<hwy::AlignedFreeUniquePtr<float[]>> vectors_;  // of the query
  std::set<uint64_t> excluded_;                              // rows of the examples
  std::optional<index::ViewMatches> matches_;                // with a filter
  std::vector<index::SegmentReport> reports_;
  absl::Duration filter_time_;
  std::vector<Group> groups_;
  std::unordered_map<std::string, size_t> group_of_;  // by key, its place in groups_
};

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_FIELD_SEARCH_H_
