#include "server/engine/namespace.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <thread>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/engine/index_rows.h"
#include "server/engine/record_assembler.h"

namespace varve::engine {
namespace {

static_assert(storage::kNeverExpires == index::kNeverExpires);

// How often a search is repeated on a newer view when records it found are replaced under it.
constexpr int kSearchAttempts = 5;

absl::Status Prefixed(std::string_view prefix, const absl::Status& status) {
  return absl::Status(status.code(), StrCat(prefix, ": ", status.message()));
}

std::vector<storage::FieldNumber> FieldNumbers(const NamespaceSchema& schema) {
  std::vector<storage::FieldNumber> numbers(schema.fields.size());
  std::iota(numbers.begin(), numbers.end(), storage::kDefaultField);
  return numbers;
}

// The columns of a batch as they are stored: the rows that are kept.
class StoredColumns {
 public:
  StoredColumns(const NamespaceSchema& schema, const RecordsView& records,
                const std::vector<std::string_view>& keys, const CheckedBatch& batch, int64_t now) {
    for (const uint32_t row : batch.rows) ids_.push_back(keys[row]);
    widened_.resize(records.fields.size());
    vectors_.resize(records.fields.size());
    for (size_t i = 0; i < records.fields.size(); ++i) {
      AddField(schema, records.fields[i], batch, i);
    }
    if (!records.attributes.empty()) {
      for (const uint32_t row : batch.rows) attributes_.push_back(records.attributes[row]);
    }
    const int64_t by_default = schema.default_ttl == absl::ZeroDuration()
                                   ? storage::kNeverExpires
                                   : now + absl::ToInt64Microseconds(schema.default_ttl);
    if (by_default == storage::kNeverExpires && records.expires_at.empty()) return;
    for (const uint32_t row : batch.rows) {
      const int64_t own = records.expires_at.empty() ? 0 : records.expires_at[row];
      expires_at_.push_back(own == 0 ? by_default : own);
    }
  }
  // Not copyable: the columns point into the object.
  StoredColumns(const StoredColumns&) = delete;
  StoredColumns& operator=(const StoredColumns&) = delete;

  const std::vector<std::string_view>& ids() const { return ids_; }
  uint64_t vector_bytes() const { return vector_bytes_; }
  void SetColumns(storage::Commit* commit) const {
    commit->ids = ids_;
    commit->fields = fields_;
    commit->attributes = attributes_;
    commit->expires_at = expires_at_;
  }

 private:
  void AddField(const NamespaceSchema& schema, const FieldVectorsView& column,
                const CheckedBatch& batch, size_t i) {
    const auto field = std::find_if(schema.fields.begin(), schema.fields.end(),
                                    [&](const FieldSchema& f) { return f.name == column.field; });
    const TensorView stored = InElementType(*field, column.vectors, &widened_[i]);
    const size_t vector_bytes = IndexRows::VectorBytes(*field);
    vectors_[i].reserve(batch.rows.size());
    for (const uint32_t row : batch.rows) {
      const size_t begin = column.has_offsets ? column.offsets[row] : row;
      const size_t end = column.has_offsets ? column.offsets[row + 1] : begin + 1;
      vectors_[i].push_back(
          stored.bytes.substr(begin * vector_bytes, (end - begin) * vector_bytes));
      vector_bytes_ += vectors_[i].back().size();
    }
    fields_.push_back({.field = static_cast<storage::FieldNumber>(field - schema.fields.begin()),
                       .vectors = vectors_[i]});
  }

  std::vector<std::string_view> ids_;
  uint64_t vector_bytes_ = 0;
  std::vector<std::string> widened_;
  std::vector<std::vector<std::string_view>> vectors_;
  std::vector<storage::FieldColumn> fields_;
  std::vector<std::string_view> attributes_;
  std::vector<int64_t> expires_at_;
};

// A limit, and whose it is; 0: none.
struct Bound {
  uint64_t value;
  std::string_view name;
};

Bound LowerOf(const Bound& a, const Bound& b) {
  if (a.value == 0) return b;
  return b.value == 0 || a.value <= b.value ? a : b;
}

// Calls `visit(part, ordinal)` with each row of a view that matches.
template <typename Visit>
void ForEachMatch(const index::SegmentView& view, const index::ViewMatches& matches, Visit visit) {
  for (size_t i = 0; i < view.parts.size(); ++i) {
    const index::RowBitmap& rows = *matches.parts[i].rows;
    for (uint32_t at = rows.Next(0); at < rows.rows(); at = rows.Next(at + 1)) {
      if (!visit(*view.parts[i].segment, at)) return;
    }
  }
}

// Calls `begin(set, done)` for each, and `done` when all are: with the first error if there is one.
template <typename Sets, typename Begin>
void ForAll(const Sets& sets, Begin begin, Namespace::Done done) {
  struct Waiting {
    Mutex mu;
    size_t left ABSL_GUARDED_BY(mu);
    absl::Status status ABSL_GUARDED_BY(mu);
    Namespace::Done done;
  };
  auto waiting = std::make_shared<Waiting>();
  {
    MutexLock lock(&waiting->mu);
    waiting->left = sets.size();
  }
  waiting->done = std::move(done);
  for (const auto& set : sets) {
    begin(*set, [waiting](absl::Status status) {
      {
        MutexLock lock(&waiting->mu);
        waiting->status.Update(status);
        if (--waiting->left > 0) return;
        status = waiting->status;
      }
      waiting->done(std::move(status));
    });
  }
}

}  // namespace

absl::StatusOr<NamespaceSchema> SchemaOf(const storage::NamespaceEntry& entry) {
  VARVE_ASSIGN_OR_RETURN(NamespaceSchema schema, ParseSchema(entry.schema));
  if (entry.state.id_type != 0) schema.id_type = static_cast<IdType>(entry.state.id_type);
  return schema;
}

IndexStats& IndexStats::operator+=(const IndexStats& other) {
  segments += other.segments;
  live_rows += other.live_rows;
  dead_rows += other.dead_rows;
  unindexed_rows += other.unindexed_rows;
  memory_bytes += other.memory_bytes;
  file_bytes += other.file_bytes;
  return *this;
}

Namespace::Namespace(const storage::NamespaceEntry& entry, NamespaceSchema schema,
                     const NamespaceResources& resources, SegmentSets segments)
    : number_(entry.number),
      store_(resources.store),
      search_pool_(resources.search_pool),
      limits_(resources.limits),
      now_(resources.now),
      segments_(std::move(segments)),
      numbers_(FieldNumbers(schema)),
      schema_(std::make_shared<const NamespaceSchema>(std::move(schema))),
      state_(entry.state) {}

absl::StatusOr<std::shared_ptr<Namespace>> Namespace::Open(const storage::NamespaceEntry& entry,
                                                           const NamespaceResources& resources) {
  VARVE_ASSIGN_OR_RETURN(NamespaceSchema schema, SchemaOf(entry));
  SegmentSets sets;
  for (const storage::FieldNumber field : FieldNumbers(schema)) {
    auto set = RecoverSegmentSet(entry, schema, field, resources);
    if (!set.ok()) return Prefixed(StrCat("namespace \"", entry.name, "\""), set.status());
    sets.push_back(*std::move(set));
  }
  return std::shared_ptr<Namespace>(
      new Namespace(entry, std::move(schema), resources, std::move(sets)));
}

Namespace::~Namespace() {
  for (const auto& set : segments_) {
    set->Stop(absl::UnavailableError("the namespace is being closed: try again"));
  }
}

std::shared_ptr<const NamespaceSchema> Namespace::schema() const {
  MutexLock lock(&mu_);
  return schema_;
}

absl::Status Namespace::CheckNotRetired() const {
  if (!retired_.load(std::memory_order_acquire)) return absl::OkStatus();
  return retired_because_;
}

absl::StatusOr<Namespace::Field> Namespace::FindField(std::string_view name) const {
  const auto schema = this->schema();
  for (const storage::FieldNumber number : numbers_) {
    if (schema->fields[number].name == name) return Field{schema, number, segments_[number].get()};
  }
  return absl::InvalidArgumentError(StrCat("there is no vector field \"", name, "\""));
}

absl::Status Namespace::CheckIdType(const IdsView& ids) const {
  const auto schema = this->schema();
  if (ids.size() == 0 || schema->id_type == IdType::kUndecided || schema->id_type == ids.type) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(StrCat("namespace \"", schema->name, "\" has ids of type ",
                                           IdTypeName(schema->id_type),
                                           ", the request's are of type ", IdTypeName(ids.type)));
}

Namespace::Views Namespace::PinAll() const {
  while (true) {
    Views views;
    for (const auto& set : segments_) views.push_back(set->Pin());
    const bool of_one_commit = std::all_of(views.begin(), views.end(), [&](const auto& view) {
      return view->sequence == views.front()->sequence;
    });
    if (of_one_commit) return views;
    std::this_thread::yield();  // a commit is on its way through the fields
  }
}

absl::StatusOr<uint64_t> Namespace::ProducerPosition(std::string_view producer) const {
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  return store_->ProducerPosition(number_, producer);
}

absl::StatusOr<WriteResult> Namespace::Upsert(const RecordsView& records, OnError on_error,
                                              const ProducerBatch& producer_batch) {
  VARVE_RETURN_IF_ERROR(CheckIdType(records.ids));
  const auto schema = this->schema();
  const EncodedIds ids(records.ids);
  VARVE_ASSIGN_OR_RETURN(CheckedBatch batch, CheckBatch(*schema, records, ids.keys(), on_error));
  const StoredColumns columns(*schema, records, ids.keys(), batch, NowMicros());

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
  WriteResult result{.sequence = state_.sequence,
                     .records_written = batch.rows.size(),
                     .vector_bytes = columns.vector_bytes(),
                     .superseded_rows = std::move(batch.superseded),
                     .row_errors = std::move(batch.errors)};
  if (batch.rows.empty() && producer_batch.producer.empty()) return result;

  std::vector<uint64_t> dead_rows;
  VARVE_RETURN_IF_ERROR(store_->FindRows(number_, columns.ids(), &dead_rows));
  std::erase(dead_rows, storage::kNoRow);
  const bool empty = columns.ids().empty();
  storage::Commit commit{
      .namespace_number = number_,
      .state = {.sequence = state_.sequence + 1,
                .next_row = state_.next_row + columns.ids().size(),
                .id_type = empty ? state_.id_type : static_cast<uint8_t>(records.ids.type)},
      .first_row = state_.next_row,
      .dead_rows = dead_rows,
      .namespace_fields = numbers_,
      .producer = producer_batch.producer,
      .producer_batch = producer_batch.number};
  columns.SetColumns(&commit);
  VARVE_RETURN_IF_ERROR(CheckLimits(commit));
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
  VARVE_ASSIGN_OR_RETURN(const uint64_t sequence, CommitDeletion(existing, rows));
  return DeleteResult{.sequence = sequence, .records_deleted = existing.size()};
}

absl::StatusOr<uint64_t> Namespace::CommitDeletion(absl::Span<const std::string_view> keys,
                                                   absl::Span<const uint64_t> rows) {
  if (rows.empty()) return state_.sequence;
  storage::CommitState state = state_;
  ++state.sequence;
  VARVE_RETURN_IF_ERROR(Apply({.namespace_number = number_,
                               .state = state,
                               .first_row = state_.next_row,
                               .deleted_ids = keys,
                               .dead_rows = rows,
                               .namespace_fields = numbers_}));
  return state.sequence;
}

Namespace::Doomed Namespace::FindMatching(const Views& views, const metadata::Filter& filter,
                                          uint64_t before_row, size_t limit) const {
  const int64_t now = NowMicros();
  std::map<uint64_t, std::string_view> found;  // a record is in several fields
  for (const auto& view : views) {
    size_t of_this_field = 0;
    ForEachMatch(*view, Match(*view, filter, now), [&](const index::Segment& segment, uint32_t at) {
      const uint64_t row = segment.row(at);
      if (row >= before_row) return false;
      of_this_field += found.emplace(row, segment.label(at)).second ? 1 : 0;
      return of_this_field < limit;
    });
  }
  Doomed doomed;
  for (const auto& [row, label] : found) {
    if (doomed.rows.size() == limit) break;
    doomed.rows.push_back(row);
    doomed.keys.emplace_back(label);
  }
  return doomed;
}

absl::StatusOr<DeleteResult> Namespace::DeleteMatching(const metadata::Filter& filter,
                                                       const CallControl& control) {
  DeleteResult result;
  uint64_t before_row = 0;
  while (true) {
    VARVE_RETURN_IF_ERROR(control.Check());
    MutexLock lock(&write_mu_);
    VARVE_RETURN_IF_ERROR(CheckNotRetired());
    if (before_row == 0) before_row = state_.next_row;
    const Doomed doomed = FindMatching(PinAll(), filter, before_row, kRecordsPerDeletion);
    const std::vector<std::string_view> keys(doomed.keys.begin(), doomed.keys.end());
    VARVE_ASSIGN_OR_RETURN(result.sequence, CommitDeletion(keys, doomed.rows));
    result.records_deleted += keys.size();
    if (keys.size() < kRecordsPerDeletion) return result;
  }
}

absl::StatusOr<DeletePreview> Namespace::PreviewDelete(const metadata::Filter& filter,
                                                       size_t sample) const {
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  const Views views = PinAll();
  DeletePreview preview{.sequence = views.front()->sequence};
  preview.records = CountMatching(views, &filter);
  const IdType id_type = schema()->id_type;
  preview.sample.type = id_type;
  for (const std::string& key : FindMatching(views, filter, views.front()->next_row, sample).keys) {
    VARVE_RETURN_IF_ERROR(AppendDecodedId(id_type, key, &preview.sample));
  }
  return preview;
}

absl::StatusOr<uint64_t> Namespace::DeleteExpired() {
  Views views = PinAll();
  const int64_t now = NowMicros();
  std::map<uint64_t, std::string_view> expired;
  for (const auto& view : views) {
    for (const index::SegmentView::Part& part : view->parts) {
      if (!part.segment->MayExpire()) continue;
      for (uint32_t i = 0; i < part.visible; ++i) {
        if (part.segment->expires_at(i) > now) continue;
        if (!part.segment->tombstones()->LiveAt(i, view->sequence)) continue;
        if (expired.size() == kRecordsPerDeletion) break;
        expired.emplace(part.segment->row(i), part.segment->label(i));
      }
    }
  }
  if (expired.empty()) return 0;
  std::vector<std::string_view> keys, ids;
  for (const auto& [row, label] : expired) keys.push_back(label);

  MutexLock lock(&write_mu_);
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  // Those that were replaced meanwhile have another row.
  std::vector<uint64_t> rows, doomed;
  VARVE_RETURN_IF_ERROR(store_->FindRows(number_, keys, &rows));
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!expired.contains(rows[i])) continue;
    ids.push_back(keys[i]);
    doomed.push_back(rows[i]);
  }
  VARVE_RETURN_IF_ERROR(CommitDeletion(ids, doomed).status());
  return ids.size();
}

absl::StatusOr<UpdateResult> Namespace::UpdateMetadata(
    const IdsView& ids, absl::Span<const metadata::MergePatch> patches) {
  VARVE_RETURN_IF_ERROR(CheckIdType(ids));
  if (patches.size() != 1 && patches.size() != ids.size()) {
    return absl::InvalidArgumentError(StrCat(patches.size(), " patches for ", ids.size(),
                                             " ids: must be one for each, or one for all"));
  }
  const EncodedIds encoded(ids);
  const auto schema = this->schema();
  UpdateResult result;
  result.missing.type = ids.type;

  MutexLock lock(&write_mu_);
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  VARVE_ASSIGN_OR_RETURN(auto records,
                         store_->ReadRecords(number_, encoded.keys(), {.metadata = true}));
  std::map<uint64_t, storage::StoredRecord> changed;  // an id may come twice
  const int64_t now = NowMicros();
  for (size_t i = 0; i < records.size(); ++i) {
    if (!records[i].has_value() || records[i]->expires_at <= now) {
      VARVE_RETURN_IF_ERROR(AppendDecodedId(ids.type, encoded.keys()[i], &result.missing));
      continue;
    }
    storage::StoredRecord& record =
        changed.emplace(records[i]->row, *std::move(records[i])).first->second;
    auto patched = metadata::ApplyPatch(record.attributes, patches[patches.size() == 1 ? 0 : i]);
    if (!patched.ok()) return Prefixed(StrCat("id ", i), patched.status());
    if (const std::string fault = AttributesFault(*schema, *patched); !fault.empty()) {
      return absl::InvalidArgumentError(StrCat("id ", i, ": ", fault));
    }
    record.attributes = *std::move(patched);
  }
  result.records_updated = changed.size();
  result.sequence = state_.sequence;
  if (changed.empty()) return result;

  std::vector<storage::MetadataUpdate> updates;
  for (const auto& [row, record] : changed) {
    updates.push_back(
        {.row = row, .attributes = record.attributes, .expires_at = record.expires_at});
  }
  storage::CommitState state = state_;
  result.sequence = ++state.sequence;
  VARVE_RETURN_IF_ERROR(Apply({.namespace_number = number_,
                               .state = state,
                               .first_row = state_.next_row,
                               .updates = updates,
                               .namespace_fields = numbers_}));
  return result;
}

absl::Status Namespace::CheckLimits(const storage::Commit& commit) const {
  const auto schema = this->schema();
  const Bound vectors_max =
      LowerOf({schema->limits.vectors.value_or(0), "its max_vectors"},
              {limits_->namespace_vectors, "the server's --max-namespace-vectors"});
  const Bound bytes_max = LowerOf({schema->limits.vector_bytes.value_or(0), "its max_vector_bytes"},
                                  {limits_->namespace_bytes, "the server's --max-namespace-mib"});
  if (vectors_max.value == 0 && bytes_max.value == 0) return absl::OkStatus();
  uint64_t before = 0, after = 0, bytes_before = 0, bytes_after = 0;
  for (const storage::FieldNumber number : numbers_) {
    const uint64_t vector_bytes = IndexRows::VectorBytes(schema->fields[number]);
    const uint64_t live = segments_[number]->Pin()->live_rows;
    uint64_t added = 0;
    for (const storage::FieldColumn& column : commit.fields) {
      if (column.field != number) continue;
      for (const std::string_view vectors : column.vectors) added += vectors.size() / vector_bytes;
    }
    const uint64_t left = live - std::min<uint64_t>(live, commit.dead_rows.size()) + added;
    before += live, after += left;
    bytes_before += live * vector_bytes, bytes_after += left * vector_bytes;
  }
  // What makes it no larger is let pass, also where a limit has been lowered.
  const auto refuse = [&](const Bound& most, std::string_view what, uint64_t has, uint64_t would) {
    if (most.value == 0 || would <= most.value || would <= has) return absl::OkStatus();
    return absl::ResourceExhaustedError(StrCat("namespace \"", schema->name, "\" may hold ",
                                               most.value, " ", what, " (", most.name, "): it has ",
                                               has, " and would have ", would));
  };
  VARVE_RETURN_IF_ERROR(refuse(vectors_max, "vectors", before, after));
  return refuse(bytes_max, "bytes of vectors", bytes_before, bytes_after);
}

absl::Status Namespace::Apply(const storage::Commit& commit) {
  VARVE_RETURN_IF_ERROR(store_->Write(commit));
  state_ = commit.state;
  const auto schema = this->schema();
  if (const auto id_type = static_cast<IdType>(commit.state.id_type);
      commit.state.id_type != 0 && id_type != schema->id_type) {
    NamespaceSchema decided = *schema;
    decided.id_type = id_type;
    MutexLock lock(&mu_);
    schema_ = std::make_shared<const NamespaceSchema>(std::move(decided));
  }
  std::vector<index::MetadataChange> changes;
  for (const storage::MetadataUpdate& update : commit.updates) {
    changes.push_back({.row = update.row, .attributes = update.attributes});
  }
  for (const storage::FieldNumber number : numbers_) {
    IndexRows rows(schema->fields[number]);
    for (const storage::FieldColumn& column : commit.fields) {
      if (column.field != number) continue;
      for (size_t i = 0; i < commit.ids.size(); ++i) {
        rows.Add(commit.first_row + i, commit.ids[i], column.vectors[i],
                 commit.attributes.empty() ? std::string_view() : commit.attributes[i],
                 commit.expires_at.empty() ? index::kNeverExpires : commit.expires_at[i]);
      }
    }
    segments_[number]->Commit(commit.state.sequence, commit.state.next_row, rows.view(),
                              {.dead_rows = commit.dead_rows, .metadata = changes});
  }
  return absl::OkStatus();
}

void Namespace::WhenRoom(absl::AnyInvocable<void()> ready) {
  for (size_t i = 1; i < segments_.size(); ++i) {
    // One behind the other: the last calls it.
    ready = [set = segments_[i], ready = std::move(ready)]() mutable {
      set->WhenRoom(std::move(ready));
    };
  }
  segments_.front()->WhenRoom(std::move(ready));
}

absl::StatusOr<SearchResult> Namespace::Search(const SearchQuery& given,
                                               const CallControl& control) const {
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  VARVE_ASSIGN_OR_RETURN(const Field field, FindField(given.field));
  const SearchResources resources{.store = store_, .number = number_, .pool = search_pool_};
  SearchQuery query = given;
  std::vector<float> of_examples;
  if (query.positive.size() + query.negative.size() > 0) {
    VARVE_RETURN_IF_ERROR(CheckIdType(query.positive));
    VARVE_RETURN_IF_ERROR(CheckIdType(query.negative));
    VARVE_ASSIGN_OR_RETURN(of_examples,
                           QueryOfExamples(resources, field.schema(), field.number, query));
    query.queries = {.dtype = DType::kF32,
                     .rows = 1,
                     .columns = of_examples.size(),
                     .bytes = {reinterpret_cast<const char*>(of_examples.data()),
                               of_examples.size() * sizeof(float)}};
  }
  VARVE_RETURN_IF_ERROR(CheckQuery(field.schema(), query));
  for (int attempt = 0; attempt < kSearchAttempts; ++attempt) {
    const std::shared_ptr<const index::SegmentView> view = field.segments->Pin();
    if (view->sequence < query.min_sequence) {
      return absl::UnavailableError(StrCat("min_sequence ", query.min_sequence,
                                           " is not reached: the last commit is ", view->sequence));
    }
    // After the view: the first commit, if the view shows it, has decided what kind the ids are.
    const auto schema = this->schema();
    FieldSearch search(resources, *schema, schema->fields[field.number], field.segments->space(),
                       *view, query, NowMicros(), control);
    VARVE_ASSIGN_OR_RETURN(std::optional<SearchResult> result, search.Run());
    if (result.has_value()) return *std::move(result);
  }
  return absl::AbortedError(StrCat("the records found were replaced before they could be read, ",
                                   kSearchAttempts, " times; search again"));
}

absl::StatusOr<RecordList> Namespace::Get(const IdsView& ids, const RecordMask& include,
                                          IdList* missing) const {
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  VARVE_RETURN_IF_ERROR(CheckIdType(ids));
  const auto schema = this->schema();
  const RecordAssembler assembler(*schema, include);
  const EncodedIds encoded(ids);
  storage::RecordParts parts = assembler.parts();
  parts.metadata = true;  // says what has expired, too
  VARVE_ASSIGN_OR_RETURN(const auto stored, store_->ReadRecords(number_, encoded.keys(), parts));
  const int64_t now = NowMicros();
  RecordList records;
  records.ids.type = missing->type = ids.type;
  for (size_t i = 0; i < stored.size(); ++i) {
    const bool found = stored[i].has_value() && stored[i]->expires_at > now;
    VARVE_RETURN_IF_ERROR(
        AppendDecodedId(ids.type, encoded.keys()[i], found ? &records.ids : missing));
    if (found) VARVE_RETURN_IF_ERROR(assembler.Append(*stored[i], &records));
  }
  return records;
}

absl::StatusOr<std::unique_ptr<RecordScanner>> Namespace::Scan(std::string_view token,
                                                               ScanRequest request) const {
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  return RecordScanner::Create(*store_, number_, *schema(), std::move(request), token, NowMicros());
}

uint64_t Namespace::Count(const metadata::Filter* filter, uint64_t* sequence) const {
  const Views views = PinAll();
  *sequence = views.front()->sequence;
  return CountMatching(views, filter);
}

uint64_t Namespace::CountMatching(const Views& views, const metadata::Filter* filter) const {
  const bool one_row_each = views.size() == 1 && !schema()->fields.front().multi_vector;
  const index::SegmentView& first = *views.front();
  if (one_row_each && filter == nullptr && !first.MayExpire()) return first.live_rows;
  const metadata::Filter all = metadata::Filter::And({});
  const int64_t now = NowMicros();
  std::vector<index::ViewMatches> matches;
  for (const auto& view : views) {
    matches.push_back(Match(*view, filter == nullptr ? all : *filter, now));
  }
  if (one_row_each) return matches.front().Count();
  std::vector<uint64_t> rows;
  for (size_t i = 0; i < views.size(); ++i) {
    ForEachMatch(*views[i], matches[i], [&](const index::Segment& segment, uint32_t at) {
      if (rows.empty() || rows.back() != segment.row(at)) rows.push_back(segment.row(at));
      return true;
    });
  }
  std::sort(rows.begin(), rows.end());
  return std::unique(rows.begin(), rows.end()) - rows.begin();
}

uint64_t Namespace::sequence() const { return PinAll().front()->sequence; }

uint64_t Namespace::next_row() const { return PinAll().front()->next_row; }

absl::Status Namespace::Update(std::string_view field_name, const IndexOptionsUpdate& index,
                               const NamespaceLimits& limits) {
  MutexLock write_lock(&write_mu_);
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  NamespaceSchema changed = *schema();
  engine::Apply(limits, &changed.limits);
  auto field = std::find_if(changed.fields.begin(), changed.fields.end(),
                            [&](const FieldSchema& f) { return f.name == field_name; });
  if (field != changed.fields.end()) {
    engine::Apply(index, &field->index);
  } else if (!field_name.empty() || index != IndexOptionsUpdate()) {
    return FindField(field_name).status();
  }
  VARVE_RETURN_IF_ERROR(ValidateSchema(changed));
  VARVE_RETURN_IF_ERROR(store_->UpdateSchema(number_, changed.name, SerializeSchema(changed)));
  if (field != changed.fields.end()) {
    segments_[field - changed.fields.begin()]->SetOptions(field->index);
  }
  MutexLock lock(&mu_);
  schema_ = std::make_shared<const NamespaceSchema>(std::move(changed));
  return absl::OkStatus();
}

NamespaceStats Namespace::Stats() const {
  NamespaceStats stats{.index = StatsOfIndex()};
  stats.records = Count(nullptr, &stats.sequence);
  return stats;
}

IndexStats Namespace::StatsOfIndex() const {
  IndexStats stats;
  for (const auto& set : segments_) {
    for (const index::SegmentInfo& segment : set->Segments()) {
      stats += {.segments = 1,
                .live_rows = segment.live_rows,
                .dead_rows = segment.rows - segment.live_rows,
                .memory_bytes = segment.memory_bytes,
                .file_bytes = segment.file_bytes};
    }
  }
  stats.unindexed_rows = IndexingProgress(next_row()).unindexed_rows;
  return stats;
}

absl::StatusOr<std::vector<index::SegmentInfo>> Namespace::ListSegments(
    std::string_view field) const {
  VARVE_RETURN_IF_ERROR(CheckNotRetired());
  VARVE_ASSIGN_OR_RETURN(const Field found, FindField(field));
  return found.segments->Segments();
}

index::IndexingProgress Namespace::IndexingProgress(uint64_t before_row) const {
  index::IndexingProgress sum;
  for (const auto& set : segments_) {
    const index::IndexingProgress progress = set->Progress(before_row);
    sum.total_rows += progress.total_rows;
    sum.unindexed_rows += progress.unindexed_rows;
  }
  return sum;
}

void Namespace::Flush(Done done) {
  ForAll(
      segments_, [](index::SegmentSet& set, Done one) { set.Flush(std::move(one)); },
      std::move(done));
}

void Namespace::Compact(Done done) {
  ForAll(
      segments_, [](index::SegmentSet& set, Done one) { set.Compact(std::move(one)); },
      std::move(done));
}

bool Namespace::Idle() const {
  return std::all_of(segments_.begin(), segments_.end(),
                     [](const auto& set) { return set->Idle(); });
}

bool Namespace::damaged() const {
  return std::any_of(segments_.begin(), segments_.end(),
                     [](const auto& set) { return set->damaged(); });
}

void Namespace::Retire(absl::Status why) {
  {
    MutexLock lock(&write_mu_);
    if (!retired_.load(std::memory_order_relaxed)) retired_because_ = why;
    retired_.store(true, std::memory_order_release);
  }
  for (const auto& set : segments_) set->Stop(why);
}

}  // namespace varve::engine
