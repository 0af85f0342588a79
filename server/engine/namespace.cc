#include "server/engine/namespace.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::engine {
namespace {

// How often a search is repeated on a newer view when records it found are replaced under it.
constexpr int kSearchAttempts = 5;

absl::Status Prefixed(std::string_view prefix, const absl::Status& status) {
  return absl::Status(status.code(), StrCat(prefix, ": ", status.message()));
}

// The vector bytes of a RecordList, or DataLoss when a stored vector has another size.
absl::Status AppendVector(const FieldSchema& field, std::string_view vector, RecordList* records) {
  const size_t wanted = field.dimension * SizeOf(field.element_type);
  if (vector.size() != wanted) {
    return absl::DataLossError(
        StrCat("a stored vector has ", vector.size(), " bytes, wanted ", wanted));
  }
  records->vectors.append(vector);
  return absl::OkStatus();
}

// A scan token: the kind of id, then the last id of the scan so far.
constexpr char kNumberToken = 'n';
constexpr char kTextToken = 't';

class RecordScanner final : public Namespace::Scanner {
 public:
  RecordScanner(std::unique_ptr<storage::RecordStore::Cursor> cursor, IdType id_type,
                FieldSchema field, bool include_vectors)
      : cursor_(std::move(cursor)),
        id_type_(id_type),
        field_(std::move(field)),
        include_vectors_(include_vectors) {}

  absl::StatusOr<RecordList> Next(size_t max_records, size_t max_bytes,
                                  std::string* token) override {
    RecordList records{.dtype = field_.element_type, .dimension = field_.dimension};
    records.ids.type = id_type_;
    size_t bytes = 0;
    while (records.ids.size() < max_records && (bytes == 0 || bytes < max_bytes)) {
      VARVE_ASSIGN_OR_RETURN(const bool found, cursor_->Next(&record_));
      if (!found) break;
      VARVE_RETURN_IF_ERROR(AppendDecodedId(id_type_, record_.id, &records.ids));
      if (include_vectors_) {
        VARVE_RETURN_IF_ERROR(AppendVector(field_, record_.vector, &records));
      }
      bytes += record_.id.size() + record_.vector.size();
      *token = StrCat(std::string_view(id_type_ == IdType::kText ? &kTextToken : &kNumberToken, 1),
                      record_.id);
    }
    return records;
  }

 private:
  const std::unique_ptr<storage::RecordStore::Cursor> cursor_;
  const IdType id_type_;
  const FieldSchema field_;
  const bool include_vectors_;
  storage::StoredRecord record_;
};

// The id at which a token says to go on; empty for the start.
absl::StatusOr<std::string_view> TokenId(std::string_view token, IdType id_type) {
  if (token.empty()) return token;
  const std::string_view id = token.substr(1);
  const bool number = token[0] == kNumberToken && id_type == IdType::kNumber && id.size() == 8;
  const bool text = token[0] == kTextToken && id_type == IdType::kText && !id.empty() &&
                    id.size() <= kTextIdBytesMax;
  if (!number && !text) {
    return absl::InvalidArgumentError("token: not one that a scan of this namespace gave");
  }
  return id;
}

}  // namespace

absl::StatusOr<NamespaceSchema> SchemaOf(const storage::NamespaceEntry& entry) {
  VARVE_ASSIGN_OR_RETURN(NamespaceSchema schema, ParseSchema(entry.schema));
  if (entry.state.id_type != 0) schema.id_type = static_cast<IdType>(entry.state.id_type);
  return schema;
}

absl::StatusOr<std::shared_ptr<Namespace>> Namespace::Open(const storage::NamespaceEntry& entry,
                                                           const NamespaceResources& resources) {
  VARVE_ASSIGN_OR_RETURN(NamespaceSchema schema, SchemaOf(entry));
  auto segments = RecoverSegmentSet(entry, schema.fields[0], resources);
  if (!segments.ok()) {
    return Prefixed(StrCat("namespace \"", entry.name, "\""), segments.status());
  }
  return std::shared_ptr<Namespace>(
      new Namespace(entry, std::move(schema), resources, *std::move(segments)));
}

Namespace::~Namespace() {
  segments_->Stop(absl::UnavailableError("the namespace is being closed: try again"));
}

NamespaceSchema Namespace::schema() const {
  MutexLock lock(&mu_);
  return schema_;
}

absl::Status Namespace::CheckNotRetired() const {
  if (!retired_.load(std::memory_order_acquire)) return absl::OkStatus();
  return retired_because_;
}

absl::StatusOr<FieldSchema> Namespace::FindField(std::string_view name) const {
  MutexLock lock(&mu_);
  for (const FieldSchema& field : schema_.fields) {
    if (field.name == name) return field;
  }
  return absl::InvalidArgumentError(StrCat("there is no vector field \"", name, "\""));
}

absl::Status Namespace::CheckIdType(const IdsView& ids) const {
  MutexLock lock(&mu_);
  if (ids.size() == 0 || schema_.id_type == IdType::kUndecided || schema_.id_type == ids.type) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(StrCat("namespace \"", schema_.name, "\" has ids of type ",
                                           IdTypeName(schema_.id_type),
                                           ", the request's are of type ", IdTypeName(ids.type)));
}

absl::StatusOr<uint64_t> Namespace::ProducerPosition(std::string_view producer) const {
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  return store_->ProducerPosition(number_, producer);
}

absl::StatusOr<WriteResult> Namespace::Upsert(const RecordsView& records, OnError on_error,
                                              const ProducerBatch& producer_batch) {
  VARVE_RETURN_IF_ERROR(CheckIdType(records.ids));
  VARVE_ASSIGN_OR_RETURN(const FieldSchema field, FindField(records.field));
  const EncodedIds ids(records.ids);
  VARVE_ASSIGN_OR_RETURN(CheckedBatch batch, CheckBatch(field, records, ids.keys(), on_error));
  std::string widened;
  RecordsView stored = records;
  stored.vectors = InElementType(field, records.vectors, &widened);

  MutexLock lock(&write_mu_);
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  VARVE_RETURN_IF_ERROR(CheckIdType(records.ids));  // another first batch may have decided
  if (!producer_batch.producer.empty()) {
    VARVE_ASSIGN_OR_RETURN(const uint64_t last,
                           store_->ProducerPosition(number_, producer_batch.producer));
    if (producer_batch.number <= last) {
      return WriteResult{.sequence = state_.sequence, .duplicate = true};
    }
    if (producer_batch.number != last + 1) {
      return absl::FailedPreconditionError(StrCat("producer \"", producer_batch.producer,
                                                  "\": the next batch is ", last + 1, ", got ",
                                                  producer_batch.number));
    }
  }
  return CommitBatch(stored, ids.keys(), std::move(batch), producer_batch);
}

absl::StatusOr<WriteResult> Namespace::CommitBatch(const RecordsView& records,
                                                   const std::vector<std::string_view>& keys,
                                                   CheckedBatch batch,
                                                   const ProducerBatch& producer_batch) {
  WriteResult result{.sequence = state_.sequence,
                     .records_written = batch.rows.size(),
                     .superseded_rows = std::move(batch.superseded),
                     .row_errors = std::move(batch.errors)};
  if (batch.rows.empty() && producer_batch.producer.empty()) return result;

  std::vector<std::string_view> ids, vectors;
  ids.reserve(batch.rows.size());
  vectors.reserve(batch.rows.size());
  for (uint32_t row : batch.rows) {
    ids.push_back(keys[row]);
    vectors.push_back(records.vectors.row(row));
  }
  std::vector<uint64_t> dead_rows;
  VARVE_RETURN_IF_ERROR(store_->FindRows(number_, ids, &dead_rows));
  std::erase(dead_rows, storage::kNoRow);

  const auto id_type = ids.empty() ? state_.id_type : static_cast<uint8_t>(records.ids.type);
  const storage::Commit commit{.namespace_number = number_,
                               .state = {.sequence = state_.sequence + 1,
                                         .next_row = state_.next_row + ids.size(),
                                         .id_type = id_type},
                               .first_row = state_.next_row,
                               .ids = ids,
                               .vectors = vectors,
                               .dead_rows = dead_rows,
                               .producer = producer_batch.producer,
                               .producer_batch = producer_batch.number};
  VARVE_RETURN_IF_ERROR(Apply(commit));
  result.sequence = commit.state.sequence;
  return result;
}

absl::StatusOr<DeleteResult> Namespace::Delete(const IdsView& ids) {
  VARVE_RETURN_IF_ERROR(CheckIdType(ids));
  const EncodedIds encoded(ids);
  std::vector<std::string_view> keys = encoded.keys();
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());

  MutexLock lock(&write_mu_);
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  std::vector<uint64_t> rows;
  VARVE_RETURN_IF_ERROR(store_->FindRows(number_, keys, &rows));
  std::vector<std::string_view> existing;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (rows[i] != storage::kNoRow) existing.push_back(keys[i]);
  }
  std::erase(rows, storage::kNoRow);
  if (existing.empty()) return DeleteResult{.sequence = state_.sequence};

  storage::CommitState state = state_;
  ++state.sequence;
  VARVE_RETURN_IF_ERROR(Apply({.namespace_number = number_,
                               .state = state,
                               .first_row = state_.next_row,
                               .deleted_ids = existing,
                               .dead_rows = rows}));
  return DeleteResult{.sequence = state.sequence, .records_deleted = existing.size()};
}

absl::Status Namespace::Apply(const storage::Commit& commit) {
  VARVE_RETURN_IF_ERROR(store_->Write(commit));
  state_ = commit.state;
  {
    MutexLock lock(&mu_);
    if (commit.state.id_type != 0) schema_.id_type = static_cast<IdType>(commit.state.id_type);
  }
  std::vector<uint64_t> rows(commit.ids.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = commit.first_row + i;
  segments_->Commit(commit.state.sequence, commit.state.next_row,
                    {.rows = rows, .labels = commit.ids, .vectors = commit.vectors},
                    commit.dead_rows);
  return absl::OkStatus();
}

void Namespace::WhenRoom(absl::AnyInvocable<void()> ready) {
  segments_->WhenRoom(std::move(ready));
}

absl::StatusOr<SearchResult> Namespace::Search(const SearchQuery& query,
                                               const CallControl& control) const {
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  VARVE_ASSIGN_OR_RETURN(const FieldSchema field, FindField(query.field));
  if (query.k < 1 || query.k > kResultsMax) {
    return absl::InvalidArgumentError(StrCat("k must be 1 to ", kResultsMax, ", is ", query.k));
  }
  const uint32_t ef = query.ef_search.value_or(field.index.ef_search);
  if (ef < 1 || ef > kEfMax) {
    return absl::InvalidArgumentError(StrCat("ef_search must be 1 to ", kEfMax, ", is ", ef));
  }
  VARVE_RETURN_IF_ERROR(CheckVectors(field, query.queries, "query"));
  const index::SearchParams params{.k = query.k, .ef = ef, .exact = query.exact};
  for (int attempt = 0; attempt < kSearchAttempts; ++attempt) {
    const std::shared_ptr<const index::SegmentView> view = segments_->Pin();
    if (view->sequence < query.min_sequence) {
      return absl::UnavailableError(StrCat("min_sequence ", query.min_sequence,
                                           " is not reached: the last commit is ", view->sequence));
    }
    VARVE_ASSIGN_OR_RETURN(std::optional<SearchResult> result,
                           SearchView(*view, query, params, control));
    if (result.has_value()) return *std::move(result);
  }
  return absl::AbortedError(
      StrCat("the records found were replaced before their vectors could be read, ",
             kSearchAttempts, " times; search again"));
}

absl::StatusOr<std::vector<index::Neighbor>> Namespace::SearchOne(
    const index::SegmentView& view, const SearchQuery& query, size_t position,
    const index::SearchParams& params, const CallControl& control) const {
  const auto vector =
      segments_->space().LoadQuery(query.queries.dtype, query.queries.row(position).data());
  return index::SearchView(segments_->space(), view, vector.get(), params, control);
}

absl::StatusOr<std::optional<SearchResult>> Namespace::SearchView(
    const index::SegmentView& view, const SearchQuery& query, const index::SearchParams& params,
    const CallControl& control) const {
  using Neighbors = std::vector<index::Neighbor>;
  std::vector<absl::StatusOr<Neighbors>> found(query.queries.rows, Neighbors());
  search_pool_->ParallelFor(
      found.size(), [&](size_t i) { found[i] = SearchOne(view, query, i, params, control); });

  const NamespaceSchema schema = this->schema();
  SearchResult result{.sequence = view.sequence};
  result.records.ids.type = schema.id_type;
  result.records.dtype = schema.fields[0].element_type;
  result.records.dimension = schema.fields[0].dimension;
  std::vector<uint64_t> rows;
  for (const absl::StatusOr<Neighbors>& neighbors : found) {
    VARVE_RETURN_IF_ERROR(neighbors.status());
    result.counts.push_back(neighbors->size());
    for (const index::Neighbor& neighbor : *neighbors) {
      result.distances.push_back(neighbor.distance);
      rows.push_back(neighbor.row);
      VARVE_RETURN_IF_ERROR(AppendDecodedId(schema.id_type, neighbor.label, &result.records.ids));
    }
  }
  if (!query.include_vectors) return result;
  VARVE_ASSIGN_OR_RETURN(auto vectors, store_->ReadVectors(number_, rows));
  for (const std::optional<std::string>& vector : vectors) {
    if (!vector.has_value()) return std::nullopt;
    VARVE_RETURN_IF_ERROR(AppendVector(schema.fields[0], *vector, &result.records));
  }
  return result;
}

absl::StatusOr<RecordList> Namespace::Get(const IdsView& ids, bool include_vectors,
                                          IdList* missing) const {
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  VARVE_RETURN_IF_ERROR(CheckIdType(ids));
  VARVE_ASSIGN_OR_RETURN(const FieldSchema field, FindField(""));
  const EncodedIds encoded(ids);
  VARVE_ASSIGN_OR_RETURN(const auto stored,
                         store_->ReadRecords(number_, encoded.keys(), include_vectors));
  RecordList records{.dtype = field.element_type, .dimension = field.dimension};
  records.ids.type = missing->type = ids.type;
  for (size_t i = 0; i < stored.size(); ++i) {
    IdList* list = stored[i].has_value() ? &records.ids : missing;
    VARVE_RETURN_IF_ERROR(AppendDecodedId(ids.type, encoded.keys()[i], list));
    if (stored[i].has_value() && include_vectors) {
      VARVE_RETURN_IF_ERROR(AppendVector(field, stored[i]->vector, &records));
    }
  }
  return records;
}

absl::StatusOr<std::unique_ptr<Namespace::Scanner>> Namespace::Scan(std::string_view token,
                                                                    bool include_vectors) const {
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  const NamespaceSchema schema = this->schema();
  VARVE_ASSIGN_OR_RETURN(const std::string_view after, TokenId(token, schema.id_type));
  VARVE_ASSIGN_OR_RETURN(auto cursor, store_->ScanById(number_, after, include_vectors));
  return std::make_unique<RecordScanner>(std::move(cursor), schema.id_type, schema.fields[0],
                                         include_vectors);
}

uint64_t Namespace::Count(uint64_t* sequence) const {
  const std::shared_ptr<const index::SegmentView> view = segments_->Pin();
  *sequence = view->sequence;
  return view->live_rows;
}

uint64_t Namespace::sequence() const { return segments_->Pin()->sequence; }

uint64_t Namespace::next_row() const { return segments_->Pin()->next_row; }

absl::Status Namespace::UpdateIndexOptions(std::string_view field_name,
                                           const IndexOptionsUpdate& update) {
  MutexLock write_lock(&write_mu_);
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  NamespaceSchema changed = schema();
  auto field = std::find_if(changed.fields.begin(), changed.fields.end(),
                            [&](const FieldSchema& f) { return f.name == field_name; });
  if (field == changed.fields.end()) return FindField(field_name).status();
  engine::Apply(update, &field->index);
  VARVE_RETURN_IF_ERROR(ValidateSchema(changed));
  VARVE_RETURN_IF_ERROR(store_->UpdateSchema(number_, changed.name, SerializeSchema(changed)));
  segments_->SetOptions(field->index);
  MutexLock lock(&mu_);
  schema_ = std::move(changed);
  return absl::OkStatus();
}

NamespaceStats Namespace::Stats() const {
  const std::shared_ptr<const index::SegmentView> view = segments_->Pin();
  NamespaceStats stats{.records = view->live_rows, .sequence = view->sequence};
  for (const index::SegmentInfo& segment : segments_->Segments()) {
    ++stats.segments;
    stats.dead_rows += segment.rows - segment.live_rows;
    stats.index_memory_bytes += segment.memory_bytes;
  }
  stats.unindexed_rows = segments_->Progress(view->next_row).unindexed_rows;
  return stats;
}

absl::StatusOr<std::vector<index::SegmentInfo>> Namespace::ListSegments(
    std::string_view field) const {
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  VARVE_RETURN_IF_ERROR(FindField(field).status());
  return segments_->Segments();
}

index::IndexingProgress Namespace::IndexingProgress(uint64_t before_row) const {
  return segments_->Progress(before_row);
}

void Namespace::Flush(Done done) { segments_->Flush(std::move(done)); }

void Namespace::Compact(Done done) { segments_->Compact(std::move(done)); }

void Namespace::Retire(absl::Status why) {
  {
    MutexLock lock(&write_mu_);
    if (!retired_.load(std::memory_order_relaxed)) retired_because_ = why;
    retired_.store(true, std::memory_order_release);
  }
  segments_->Stop(std::move(why));
}

}  // namespace varve::engine
