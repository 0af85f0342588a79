#include "server/engine/field_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "metadata/attributes.h"
#include "server/engine/batch.h"
#include "server/engine/index_rows.h"
#include "server/engine/record_assembler.h"

namespace varve::engine {
namespace {

// Candidates for each result that diversity chooses among.
constexpr uint32_t kDiverseCandidates = 4;
// Records that a round of grouping looks at, for each group wanted.
constexpr size_t kRecordsPerGroup = 4;
constexpr size_t kGroupRecordsMin = 100;

absl::Status CheckLimits(const FieldSchema& field, const SearchQuery& query) {
  if (query.k < 1 || query.k > kResultsMax) {
    return absl::InvalidArgumentError(StrCat("k must be 1 to ", kResultsMax, ", is ", query.k));
  }
  if (uint64_t{query.offset} + query.k > kResultsMax) {
    return absl::InvalidArgumentError(StrCat("offset + k must be at most ", kResultsMax, ", is ",
                                             uint64_t{query.offset} + query.k));
  }
  const uint32_t ef = query.ef_search.value_or(field.index.ef_search);
  if (ef < 1 || ef > kEfMax) {
    return absl::InvalidArgumentError(StrCat("ef_search must be 1 to ", kEfMax, ", is ", ef));
  }
  if (query.max_distance.has_value() && std::isnan(*query.max_distance)) {
    return absl::InvalidArgumentError("max_distance must be a number, is none");
  }
  if (!query.group_by.empty()) {
    VARVE_RETURN_IF_ERROR(metadata::CheckPath(query.group_by));
    if (query.group_size < 1 || query.group_size > kGroupSizeMax) {
      return absl::InvalidArgumentError(
          StrCat("group_size must be 1 to ", kGroupSizeMax, ", is ", query.group_size));
    }
    if (query.diversity.has_value() || query.offset > 0) {
      return absl::InvalidArgumentError("group_by does not go with diversity or offset");
    }
  }
  if (!query.diversity.has_value()) return absl::OkStatus();
  const Diversity& diversity = *query.diversity;
  if (!(diversity.weight >= 0 && diversity.weight <= 1)) {
    return absl::InvalidArgumentError(
        StrCat("diversity.weight must be 0 to 1, is ", diversity.weight));
  }
  if (diversity.candidates > kResultsMax) {
    return absl::InvalidArgumentError(StrCat("diversity.candidates must be at most ", kResultsMax,
                                             ", is ", diversity.candidates));
  }
  if (field.multi_vector) {
    return absl::InvalidArgumentError(
        StrCat("field \"", field.name, "\" has several vectors for each record: no diversity"));
  }
  return absl::OkStatus();
}

bool Nearer(const index::Neighbor& a, const index::Neighbor& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
}

// Adds the vectors of some records to a sum, each of length 1 under cosine. `what` names them in errors.
absl::Status AddVectors(const SearchResources& resources, const FieldSchema& field,
                        storage::FieldNumber number, const IdsView& ids, std::string_view what,
                        double weight, std::vector<double>* sum) {
  if (ids.size() == 0) return absl::OkStatus();
  const EncodedIds encoded(ids);
  VARVE_ASSIGN_OR_RETURN(const auto records,
                         resources.store->ReadRecords(resources.number, encoded.keys(),
                                                      {.fields = absl::MakeConstSpan(&number, 1)}));
  std::vector<float> vector(field.dimension);
  for (size_t i = 0; i < records.size(); ++i) {
    if (!records[i].has_value() || records[i]->vectors[0].empty()) {
      return absl::NotFoundError(StrCat(what, " example ", i, " does not exist",
                                        records[i].has_value() ? " in this field" : ""));
    }
    if (records[i]->vectors[0].size() != IndexRows::VectorBytes(field)) {
      return absl::DataLossError(StrCat("the stored vector of ", what, " example ", i, " has ",
                                        records[i]->vectors[0].size(), " bytes"));
    }
    ToFloat32(field.element_type, records[i]->vectors[0].data(), field.dimension, vector.data());
    double squares = 0;
    for (const float element : vector) squares += static_cast<double>(element) * element;
    const double length = field.metric == index::Metric::kCosine ? std::sqrt(squares) : 1;
    for (size_t j = 0; j < vector.size(); ++j) {
      (*sum)[j] += weight * vector[j] / (length * static_cast<double>(ids.size()));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckQuery(const FieldSchema& field, const SearchQuery& query) {
  VARVE_RETURN_IF_ERROR(CheckLimits(field, query));
  if (field.multi_vector && (query.queries.rows < 1 || query.queries.rows > kQueryVectorsMax)) {
    return absl::InvalidArgumentError(StrCat("a query of field \"", field.name,
                                             "\" must have 1 to ", kQueryVectorsMax,
                                             " vectors, has ", query.queries.rows));
  }
  return CheckVectors(field, query.queries, "query");
}

absl::StatusOr<std::vector<float>> QueryOfExamples(const SearchResources& resources,
                                                   const FieldSchema& field,
                                                   storage::FieldNumber number,
                                                   const SearchQuery& query) {
  if (field.multi_vector) {
    return absl::InvalidArgumentError(
        StrCat("field \"", field.name, "\" has several vectors for each record: no examples"));
  }
  if (query.positive.size() == 0) {
    return absl::InvalidArgumentError("examples.positive must have at least one id");
  }
  std::vector<double> sum(field.dimension);
  const bool away = query.negative.size() > 0;
  VARVE_RETURN_IF_ERROR(
      AddVectors(resources, field, number, query.positive, "positive", away ? 2 : 1, &sum));
  VARVE_RETURN_IF_ERROR(AddVectors(resources, field, number, query.negative, "negative", -1, &sum));
  return std::vector<float>(sum.begin(), sum.end());
}

FieldSearch::FieldSearch(const SearchResources& resources, const NamespaceSchema& schema,
                         const FieldSchema& field, const index::VectorSpace& space,
                         const index::SegmentView& view, const SearchQuery& query, int64_t now,
                         const CallControl& control)
    : resources_(resources),
      schema_(schema),
      field_(field),
      space_(space),
      view_(view),
      query_(query),
      now_(now),
      control_(control),
      ef_(query.ef_search.value_or(field.index.ef_search)) {
  for (size_t i = 0; i < query.queries.rows; ++i) {
    vectors_.push_back(space.LoadQuery(query.queries.dtype, query.queries.row(i).data()));
  }
}

absl::StatusOr<std::optional<SearchResult>> FieldSearch::Run() {
  if (query_.filter.has_value()) {
    const absl::Time begin = absl::Now();
    matches_ = Match(view_, *query_.filter, now_);
    filter_time_ = absl::Now() - begin;
  }
  for (const IdsView& examples : {query_.positive, query_.negative}) {
    if (examples.size() == 0) continue;
    std::vector<uint64_t> rows;
    VARVE_RETURN_IF_ERROR(
        resources_.store->FindRows(resources_.number, EncodedIds(examples).keys(), &rows));
    excluded_.insert(rows.begin(), rows.end());
  }
  if (!query_.group_by.empty()) {
    bool whole = true;
    VARVE_ASSIGN_OR_RETURN(Neighbors found, SearchGroups(&whole));
    if (!whole) return std::nullopt;
    return Assemble({std::move(found)});
  }
  const size_t queries = field_.multi_vector ? 1 : vectors_.size();
  std::vector<absl::StatusOr<Neighbors>> found(queries, Neighbors());
  const auto* matches = matches_.has_value() ? &*matches_ : nullptr;
  const auto search = [&](size_t i) { found[i] = Nearest(i, CandidatesWanted(), matches); };
  if (queries == 1) {
    search(0);
  } else {
    resources_.pool->ParallelFor(queries, search);
  }
  std::vector<Neighbors> chosen;
  for (absl::StatusOr<Neighbors>& neighbors : found) {
    VARVE_RETURN_IF_ERROR(neighbors.status());
    VARVE_ASSIGN_OR_RETURN(Neighbors kept, Choose(*std::move(neighbors)));
    chosen.push_back(std::move(kept));
  }
  return Assemble(std::move(chosen));
}

size_t FieldSearch::CandidatesWanted() const {
  size_t wanted = size_t{query_.offset} + query_.k;
  if (query_.diversity.has_value()) {
    const uint32_t candidates = query_.diversity->candidates;
    wanted = std::max<size_t>(wanted, candidates > 0 ? candidates : wanted * kDiverseCandidates);
  }
  return std::min<size_t>(wanted, kResultsMax) + excluded_.size();
}

absl::StatusOr<FieldSearch::Neighbors> FieldSearch::Nearest(size_t position, size_t k,
                                                            const index::ViewMatches* matches) {
  if (field_.multi_vector) return NearestBySimilarity(k, matches);
  return NearestByVector(position, k, ef_, matches);
}

absl::StatusOr<FieldSearch::Neighbors> FieldSearch::NearestByVector(
    size_t position, size_t k, size_t ef, const index::ViewMatches* matches) {
  const index::SearchParams params{
      .k = k, .ef = ef, .exact = query_.exact, .now = now_, .matches = matches};
  // The first round of the first query is the one to be explained.
  auto* const reports = position == 0 && reports_.empty() ? &reports_ : nullptr;
  return index::SearchView(space_, view_, vectors_[position].get(), params, control_, reports);
}

absl::StatusOr<FieldSearch::Neighbors> FieldSearch::NearestBySimilarity(
    size_t k, const index::ViewMatches* matches) {
  size_t vectors = 0;
  for (const index::SegmentView::Part& part : view_.parts) vectors += part.visible;
  std::set<uint64_t> rows;
  for (size_t candidates = std::max(ef_, k);; candidates *= 2) {
    const bool all = query_.exact || candidates >= vectors || candidates > kResultsMax;
    if (all) {
      rows = AllRows(matches);
    } else {
      VARVE_ASSIGN_OR_RETURN(rows, SimilarRows(candidates, matches));
    }
    if (all || rows.size() >= k) break;
  }
  Neighbors neighbors;
  for (const uint64_t row : rows) {
    VARVE_RETURN_IF_ERROR(control_.Check());
    const index::RowPlace place = view_.Find(row);
    neighbors.push_back({.distance = SimilarityDistance(place),
                         .row = row,
                         .label = place.segment->label(place.begin)});
  }
  const auto end = neighbors.begin() + static_cast<ptrdiff_t>(std::min(k, neighbors.size()));
  std::partial_sort(neighbors.begin(), end, neighbors.end(), Nearer);
  neighbors.erase(end, neighbors.end());
  return neighbors;
}

absl::StatusOr<std::set<uint64_t>> FieldSearch::SimilarRows(size_t candidates,
                                                            const index::ViewMatches* matches) {
  std::vector<absl::StatusOr<Neighbors>> found(vectors_.size(), Neighbors());
  resources_.pool->ParallelFor(found.size(), [&](size_t i) {
    found[i] = NearestByVector(i, candidates, candidates, matches);
  });
  std::set<uint64_t> rows;
  for (const absl::StatusOr<Neighbors>& neighbors : found) {
    VARVE_RETURN_IF_ERROR(neighbors.status());
    for (const index::Neighbor& neighbor : *neighbors) rows.insert(neighbor.row);
  }
  return rows;
}

std::set<uint64_t> FieldSearch::AllRows(const index::ViewMatches* matches) const {
  std::set<uint64_t> rows;
  for (size_t i = 0; i < view_.parts.size(); ++i) {
    const index::Segment& segment = *view_.parts[i].segment;
    for (uint32_t at = 0; at < view_.parts[i].visible; ++at) {
      const bool there = matches != nullptr ? matches->parts[i].rows->Test(at)
                                            : segment.IsThere(at, view_.sequence, now_);
      if (there) rows.insert(segment.row(at));
    }
  }
  return rows;
}

float FieldSearch::SimilarityDistance(const index::RowPlace& place) const {
  double sum = 0;
  for (const auto& vector : vectors_) {
    float nearest = std::numeric_limits<float>::infinity();
    for (uint32_t i = place.begin; i < place.end; ++i) {
      nearest = std::min(nearest, space_.RawDistance(vector.get(), place.segment->vector(i)));
    }
    sum += space_.Report(nearest);
  }
  return static_cast<float>(sum);
}

absl::StatusOr<FieldSearch::Neighbors> FieldSearch::Choose(Neighbors found) const {
  std::erase_if(found, [&](const index::Neighbor& neighbor) {
    return excluded_.contains(neighbor.row) ||
           (query_.max_distance.has_value() && neighbor.distance > *query_.max_distance);
  });
  const size_t wanted = size_t{query_.offset} + query_.k;
  if (query_.diversity.has_value()) {
    VARVE_ASSIGN_OR_RETURN(found, Diversify(std::move(found), wanted));
  }
  if (found.size() > wanted) found.resize(wanted);
  found.erase(found.begin(), found.begin() + static_cast<ptrdiff_t>(
                                                 std::min<size_t>(query_.offset, found.size())));
  return found;
}

absl::StatusOr<FieldSearch::Neighbors> FieldSearch::Diversify(Neighbors found, size_t count) const {
  const auto vector_of = [&](const index::Neighbor& neighbor) {
    const index::RowPlace place = view_.Find(neighbor.row);
    return place.segment->vector(place.begin);
  };
  const float weight = query_.diversity->weight;
  std::vector<float> apart(found.size(), std::numeric_limits<float>::infinity());
  index::RowReader reader(space_);
  Neighbors chosen;
  while (chosen.size() < count && !found.empty()) {
    VARVE_RETURN_IF_ERROR(control_.Check());
    size_t best = 0;
    float best_score = std::numeric_limits<float>::infinity();
    for (size_t i = 0; i < found.size(); ++i) {
      // From the first one nothing is chosen yet to be apart from.
      const float score =
          chosen.empty() ? found[i].distance : (1 - weight) * found[i].distance - weight * apart[i];
      if (score < best_score) best = i, best_score = score;
    }
    chosen.push_back(found[best]);
    found.erase(found.begin() + static_cast<ptrdiff_t>(best));
    apart.erase(apart.begin() + static_cast<ptrdiff_t>(best));
    const float* const last = reader.Read(vector_of(chosen.back()));
    for (size_t i = 0; i < found.size(); ++i) {
      const float distance = space_.Report(space_.RawDistance(last, vector_of(found[i])));
      apart[i] = std::min(apart[i], distance);
    }
  }
  return chosen;
}

absl::StatusOr<FieldSearch::Neighbors> FieldSearch::SearchGroups(bool* whole) {
  const size_t round =
      std::min<size_t>(std::max(kGroupRecordsMin, kRecordsPerGroup * query_.k), kResultsMax);
  // Each round looks beyond the groups that are known.
  while (groups_.size() < query_.k && *whole) {
    std::vector<metadata::Filter> conditions = {metadata::Filter::Exists(query_.group_by)};
    if (query_.filter.has_value()) conditions.push_back(*query_.filter);
    std::vector<metadata::Value> known;
    for (const Group& group : groups_) known.push_back(group.value);
    if (!known.empty()) {
      conditions.push_back(metadata::Filter::Not(metadata::Filter::In(query_.group_by, known)));
    }
    const index::ViewMatches matches =
        Match(view_, metadata::Filter::And(std::move(conditions)), now_);
    VARVE_ASSIGN_OR_RETURN(Neighbors found, Nearest(0, round + excluded_.size(), &matches));
    const bool last_round = found.size() < round + excluded_.size();
    std::erase_if(found, [&](const index::Neighbor& neighbor) {
      return excluded_.contains(neighbor.row) ||
             (query_.max_distance.has_value() && neighbor.distance > *query_.max_distance);
    });
    const size_t before = groups_.size();
    VARVE_RETURN_IF_ERROR(Sort(found, query_.k, whole));
    if (last_round || groups_.size() == before) break;
  }
  Neighbors members;
  for (size_t i = 0; i < groups_.size() && *whole; ++i) {
    if (groups_[i].members.size() < query_.group_size) VARVE_RETURN_IF_ERROR(FillGroup(i, whole));
    members.insert(members.end(), groups_[i].members.begin(), groups_[i].members.end());
  }
  return members;
}

absl::Status FieldSearch::Sort(const Neighbors& found, size_t most, bool* whole) {
  std::vector<uint64_t> rows;
  for (const index::Neighbor& neighbor : found) rows.push_back(neighbor.row);
  VARVE_ASSIGN_OR_RETURN(const auto records,
                         resources_.store->ReadRows(resources_.number, rows, {.metadata = true}));
  for (size_t i = 0; i < found.size(); ++i) {
    if (!records[i].has_value()) {
      *whole = false;
      return absl::OkStatus();
    }
    metadata::AttributeReader reader(records[i]->attributes);
    metadata::AttributeView attribute;
    while (reader.Next(&attribute) && attribute.path() != query_.group_by) {
    }
    if (attribute.path() != query_.group_by || attribute.size() == 0) continue;
    attribute.ForEach([&](const metadata::ValueView& value) {
      const std::string key = StrCat(static_cast<int>(value.type), ToString(value));
      if (groups_.size() < most && group_of_.emplace(key, groups_.size()).second) {
        groups_.push_back({metadata::Value(value), {}});
      }
      if (const auto group = group_of_.find(key); group != group_of_.end()) {
        Neighbors& members = groups_[group->second].members;
        if (members.size() < query_.group_size) members.push_back(found[i]);
      }
      return false;  // the first element says which group it is
    });
  }
  return absl::OkStatus();
}

absl::Status FieldSearch::FillGroup(size_t group, bool* whole) {
  std::vector<metadata::Filter> conditions = {
      metadata::Filter::In(query_.group_by, {groups_[group].value})};
  if (query_.filter.has_value()) conditions.push_back(*query_.filter);
  const index::ViewMatches matches =
      Match(view_, metadata::Filter::And(std::move(conditions)), now_);
  VARVE_ASSIGN_OR_RETURN(Neighbors found,
                         Nearest(0, query_.group_size + excluded_.size(), &matches));
  std::erase_if(found, [&](const index::Neighbor& neighbor) {
    return excluded_.contains(neighbor.row) ||
           (query_.max_distance.has_value() && neighbor.distance > *query_.max_distance);
  });
  groups_[group].members.clear();
  return Sort(found, groups_.size(), whole);
}

absl::StatusOr<std::optional<SearchResult>> FieldSearch::Assemble(std::vector<Neighbors> found) {
  SearchResult result{.sequence = view_.sequence, .filter_time = filter_time_};
  for (size_t i = 0; i < reports_.size(); ++i) {
    SegmentExplanation explained{.report = reports_[i],
                                 .estimated_matches = static_cast<double>(reports_[i].rows),
                                 .matches = reports_[i].rows};
    if (matches_.has_value()) {
      explained.estimated_matches = matches_->parts[i].estimate;
      explained.matches = matches_->parts[i].count;
    }
    result.explanation.push_back(explained);
  }
  result.records.ids.type = schema_.id_type;
  std::vector<uint64_t> rows;
  for (const Neighbors& neighbors : found) {
    result.counts.push_back(neighbors.size());
    for (const index::Neighbor& neighbor : neighbors) {
      result.distances.push_back(neighbor.distance);
      rows.push_back(neighbor.row);
      VARVE_RETURN_IF_ERROR(AppendDecodedId(schema_.id_type, neighbor.label, &result.records.ids));
    }
  }
  for (const Group& group : groups_) {
    result.groups.insert(result.groups.end(), group.members.size(), group.value);
  }
  if (!query_.include.vectors && !query_.include.metadata) return result;
  const RecordAssembler assembler(schema_, query_.include);
  VARVE_ASSIGN_OR_RETURN(const auto stored,
                         resources_.store->ReadRows(resources_.number, rows, assembler.parts()));
  for (const std::optional<storage::StoredRecord>& record : stored) {
    if (!record.has_value()) return std::nullopt;
    VARVE_RETURN_IF_ERROR(assembler.Append(*record, &result.records));
  }
  return result;
}

}  // namespace varve::engine
