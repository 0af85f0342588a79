#include "clients/cpp/testing/fake_server.h"

#include <grpcpp/server_builder.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/mutex.h"
#include "base/tensor.h"
#include "varve/v1/admin_service.grpc.pb.h"
#include "varve/v1/ingest_service.grpc.pb.h"
#include "varve/v1/namespace_service.grpc.pb.h"
#include "varve/v1/query_service.grpc.pb.h"

namespace varve::client::testing {
namespace {

// Ids in an order that is theirs: numbers ascending, then texts by bytes.
using Key = std::pair<uint64_t, std::string>;

// One vector of it is compared; `rest` has a single record's metadata, expire time and further
// fields.
struct FakeRecord {
  std::vector<float> vector;
  v1::RecordBatch rest;
};

struct FakeNamespace {
  v1::Namespace description;
  std::map<Key, FakeRecord> records;
  std::map<std::string, uint64_t> producers;
  std::vector<FakeCommit> commits;
  uint64_t sequence = 0;
};

std::vector<Key> Keys(const v1::Ids& ids) {
  std::vector<Key> keys;
  for (const uint64_t number : ids.numbers().values()) keys.emplace_back(number, "");
  for (const std::string& text : ids.texts().values()) keys.emplace_back(0, text);
  return keys;
}

void AddKey(const Key& key, bool text, v1::Ids* ids) {
  if (text) {
    ids->mutable_texts()->add_values(key.second);
  } else {
    ids->mutable_numbers()->add_values(key.first);
  }
}

std::vector<float> Row(const v1::Tensor& tensor, size_t row) {
  const size_t columns = tensor.shape(tensor.shape_size() - 1);
  const auto dtype = static_cast<DType>(tensor.dtype());
  std::vector<float> values(columns);
  ToFloat32(dtype, tensor.data().data() + row * columns * SizeOf(dtype), columns, values.data());
  return values;
}

// Rows [begin, end) of a tensor.
v1::Tensor Rows(const v1::Tensor& tensor, size_t begin, size_t end) {
  v1::Tensor rows = tensor;
  const size_t row_bytes = tensor.data().size() / std::max<size_t>(1, tensor.shape(0));
  rows.set_shape(0, end - begin);
  rows.set_data(tensor.data().substr(begin * row_bytes, (end - begin) * row_bytes));
  return rows;
}

// Record `i` of a field, as a field of one record.
v1::FieldVectors FieldOf(const v1::FieldVectors& field, size_t i) {
  v1::FieldVectors one;
  one.set_field(field.field());
  if (field.has_ragged()) {
    const uint64_t begin = field.ragged().offsets(i), end = field.ragged().offsets(i + 1);
    *one.mutable_ragged()->mutable_vectors() = Rows(field.ragged().vectors(), begin, end);
    one.mutable_ragged()->add_offsets(0);
    one.mutable_ragged()->add_offsets(end - begin);
  } else {
    *one.mutable_dense() = Rows(field.dense(), i, i + 1);
  }
  return one;
}

FakeRecord RecordOf(const v1::RecordBatch& batch, size_t i) {
  const v1::FieldVectors first = FieldOf(batch.fields(0), i);
  FakeRecord record{.vector = Row(first.has_ragged() ? first.ragged().vectors() : first.dense(), 0),
                    .rest = {}};
  for (const v1::FieldVectors& field : batch.fields()) {
    *record.rest.add_fields() = FieldOf(field, i);
  }
  if (batch.metadata_size() > 0) *record.rest.add_metadata() = batch.metadata(i);
  if (batch.expire_times_size() > 0) {
    *record.rest.add_expire_times() = batch.expire_times(batch.expire_times_size() == 1 ? 0 : i);
  }
  return record;
}

void Append(const v1::Tensor& from, v1::Tensor* to) {
  if (to->shape_size() == 0) {
    *to = from;
    return;
  }
  to->set_shape(0, to->shape(0) + from.shape(0));
  to->mutable_data()->append(from.data());
}

// The fields of records, which all have the same ones.
void AddVectors(const std::vector<const FakeRecord*>& records, v1::RecordBatch* batch) {
  if (records.empty()) return;
  for (int i = 0; i < records.front()->rest.fields_size(); ++i) {
    v1::FieldVectors* to = batch->add_fields();
    to->set_field(records.front()->rest.fields(i).field());
    for (const FakeRecord* record : records) {
      const v1::FieldVectors& from = record->rest.fields(i);
      if (from.has_ragged()) {
        v1::RaggedTensor* ragged = to->mutable_ragged();
        if (ragged->offsets_size() == 0) ragged->add_offsets(0);
        Append(from.ragged().vectors(), ragged->mutable_vectors());
        ragged->add_offsets(ragged->vectors().shape(0));
      } else {
        Append(from.dense(), to->mutable_dense());
      }
    }
  }
}

// What of them was asked for.
template <typename Request>
void AddParts(const std::vector<const FakeRecord*>& records, const Request& request,
              v1::RecordBatch* batch) {
  if (request.include_vectors()) AddVectors(records, batch);
  if (!request.include_metadata()) return;
  bool any_expires = false;
  for (const FakeRecord* record : records) {
    v1::Metadata* metadata = batch->add_metadata();
    if (record->rest.metadata_size() > 0) *metadata = record->rest.metadata(0);
    any_expires = any_expires || record->rest.expire_times_size() > 0;
  }
  for (const FakeRecord* record : records) {
    if (!any_expires) break;
    google::protobuf::Timestamp* time = batch->add_expire_times();
    if (record->rest.expire_times_size() > 0) *time = record->rest.expire_times(0);
  }
}

// RFC 7386.
void Merge(const v1::Metadata& patch, v1::Metadata* metadata) {
  for (const auto& [name, value] : patch.attributes()) {
    if (value.has_null_value()) {
      metadata->mutable_attributes()->erase(name);
    } else if (value.has_object_value()) {
      Merge(value.object_value(), (*metadata->mutable_attributes())[name].mutable_object_value());
    } else {
      (*metadata->mutable_attributes())[name] = value;
    }
  }
}

// A condition on one record.
using Matcher = std::function<bool(const FakeRecord&)>;

// As the server does: INVALID_ARGUMENT names the column.
grpc::Status ParseFilter(const v1::Filter& filter, Matcher* out) {
  *out = [](const FakeRecord&) { return true; };
  if (filter.kind_case() == v1::Filter::KIND_NOT_SET) return grpc::Status::OK;
  const std::string& text = filter.text();
  const size_t sign = text.find(" = ");
  if (sign == std::string::npos) {
    return {grpc::INVALID_ARGUMENT, absl::StrCat("filter: filter, column ", text.size() + 1,
                                                 ": = must follow an attribute, found the end")};
  }
  v1::Value wanted;
  const std::string value = text.substr(sign + 3);
  if (value.front() == '"') {
    wanted.set_string_value(value.substr(1, value.size() - 2));
  } else {
    wanted.set_int64_value(std::strtoll(value.c_str(), nullptr, 10));
  }
  *out = [path = text.substr(0, sign), wanted](const FakeRecord& record) {
    if (record.rest.metadata_size() == 0) return false;
    const auto& attributes = record.rest.metadata(0).attributes();
    const auto it = attributes.find(path);
    return it != attributes.end() && it->second.SerializeAsString() == wanted.SerializeAsString();
  };
  return grpc::Status::OK;
}

float SquaredL2(const std::vector<float>& a, const std::vector<float>& b) {
  float sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

std::vector<std::pair<float, Key>> Nearest(const FakeNamespace& space,
                                           const std::vector<float>& query, size_t k,
                                           const Matcher& matches) {
  std::vector<std::pair<float, Key>> all;
  for (const auto& [key, record] : space.records) {
    if (matches(record)) all.emplace_back(SquaredL2(query, record.vector), key);
  }
  std::sort(all.begin(), all.end());
  all.resize(std::min(all.size(), k));
  return all;
}

void FillDefaults(v1::Namespace* description) {
  description->mutable_create_time()->set_seconds(1'700'000'000);
  for (v1::VectorField& field : *description->mutable_fields()) {
    v1::IndexOptions index;
    index.set_m(16);
    index.set_ef_construction(200);
    index.set_ef_search(64);
    index.set_segment_size_threshold(50'000);
    index.set_parallel_insert_threshold(256);
    index.set_max_unindexed_rows(1'000'000);
    index.set_tombstone_rebuild_pct(20);
    index.set_auto_compaction(true);
    index.MergeFrom(field.index());
    *field.mutable_index() = index;
  }
}

}  // namespace

class FakeServer::Services : public v1::NamespaceService::Service,
                             public v1::IngestService::Service,
                             public v1::QueryService::Service,
                             public v1::AdminService::Service {
 public:
  explicit Services(FakeServerOptions options) : options_(options) {}

  void set_ingest_fault(IngestFault fault) ABSL_LOCKS_EXCLUDED(fault_mu_) {
    MutexLock lock(&fault_mu_);
    fault_ = std::move(fault);
  }

  std::vector<FakeCommit> commits(const std::string& name) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    return namespaces_[name].commits;
  }

  v1::SearchOptions search_options() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    return search_options_;
  }

  v1::RecordBatch batch() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    return batch_;
  }

  size_t queries_at_once() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    return queries_at_once_;
  }

  size_t ids_at_once() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    return ids_at_once_;
  }

  // --- NamespaceService ---

  grpc::Status CreateNamespace(grpc::ServerContext*, const v1::CreateNamespaceRequest* request,
                               v1::CreateNamespaceResponse* response) override {
    MutexLock lock(&mu_);
    const std::string& name = request->namespace_().name();
    if (namespaces_.count(name) != 0) {
      return {grpc::ALREADY_EXISTS, absl::StrCat("namespace ", name, " exists")};
    }
    FakeNamespace& space = namespaces_[name];
    space.description = request->namespace_();
    FillDefaults(&space.description);
    *response->mutable_namespace_() = space.description;
    return grpc::Status::OK;
  }

  grpc::Status GetNamespace(grpc::ServerContext*, const v1::GetNamespaceRequest* request,
                            v1::GetNamespaceResponse* response) override {
    return With(request->name(),
                [&](FakeNamespace& space) { *response->mutable_namespace_() = space.description; });
  }

  // Pages of two, so that clients have to turn them.
  grpc::Status ListNamespaces(grpc::ServerContext*, const v1::ListNamespacesRequest* request,
                              v1::ListNamespacesResponse* response) override {
    MutexLock lock(&mu_);
    auto it = namespaces_.upper_bound(request->page_token());
    for (int i = 0; i < 2 && it != namespaces_.end(); ++i, ++it) {
      *response->add_namespaces() = it->second.description;
    }
    if (it != namespaces_.end()) response->set_next_page_token(std::prev(it)->first);
    return grpc::Status::OK;
  }

  grpc::Status UpdateNamespace(grpc::ServerContext*, const v1::UpdateNamespaceRequest* request,
                               v1::UpdateNamespaceResponse* response) override {
    return With(request->name(), [&](FakeNamespace& space) {
      for (v1::VectorField& field : *space.description.mutable_fields()) {
        if (field.name() == request->field()) field.mutable_index()->MergeFrom(request->index());
      }
      space.description.mutable_limits()->MergeFrom(request->limits());
      *response->mutable_namespace_() = space.description;
    });
  }

  grpc::Status DeleteNamespace(grpc::ServerContext*, const v1::DeleteNamespaceRequest* request,
                               v1::DeleteNamespaceResponse*) override {
    MutexLock lock(&mu_);
    if (namespaces_.erase(request->name()) == 0) return NoSuch(request->name());
    return grpc::Status::OK;
  }

  // --- IngestService ---

  grpc::Status Ingest(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::IngestResponse, v1::IngestRequest>* stream) override {
    v1::IngestRequest request;
    if (!stream->Read(&request)) return grpc::Status::OK;
    const v1::IngestOpen open = request.open();
    uint64_t expected = 0;
    grpc::Status status = With(open.namespace_(), [&](FakeNamespace& space) {
      expected = space.producers[open.producer()] + 1;
    });
    if (!status.ok()) return status;
    if (auto fault = Fault(IngestPoint::kBeforeOpened, expected)) return End(context, *fault);
    v1::IngestResponse opened;
    opened.mutable_opened()->set_last_batch(expected - 1);
    opened.mutable_opened()->set_window_batches(options_.window_batches);
    opened.mutable_opened()->set_window_bytes(options_.window_bytes);
    opened.mutable_opened()->set_max_message_bytes(uint64_t{64} << 20);
    stream->Write(opened);
    for (;; ++expected) {
      if (auto fault = Fault(IngestPoint::kBeforeRead, expected)) return End(context, *fault);
      if (!stream->Read(&request)) return grpc::Status::OK;
      if (auto fault = Fault(IngestPoint::kBeforeCommit, expected)) return End(context, *fault);
      v1::IngestResponse response;
      status = Commit(open, request.batch(), response.mutable_ack());
      if (!status.ok()) return status;
      if (auto fault = Fault(IngestPoint::kBeforeAck, expected)) return End(context, *fault);
      stream->Write(response);
      if (auto fault = Fault(IngestPoint::kAfterAck, expected)) return End(context, *fault);
    }
  }

  grpc::Status Upsert(grpc::ServerContext*, const v1::UpsertRequest* request,
                      v1::UpsertResponse* response) override {
    return With(request->namespace_(), [&](FakeNamespace& space) {
      response->set_records_written(Apply(request->records(), &space));
      response->set_sequence(++space.sequence);
    });
  }

  grpc::Status Delete(grpc::ServerContext*, const v1::DeleteRequest* request,
                      v1::DeleteResponse* response) override {
    Matcher matches;
    grpc::Status status = ParseFilter(request->filter(), &matches);
    if (!status.ok()) return status;
    return With(request->namespace_(), [&](FakeNamespace& space) {
      std::vector<Key> keys = Keys(request->ids());
      if (request->has_filter()) {
        for (const auto& [key, record] : space.records) {
          if (matches(record)) keys.push_back(key);
        }
      }
      uint64_t deleted = 0;
      for (const Key& key : keys) {
        deleted += request->dry_run() ? 1 : space.records.erase(key);
        if (!request->dry_run() || deleted > 10) continue;
        AddKey(key, IsText(space), response->mutable_sample());
      }
      response->set_records_deleted(deleted);
      response->set_sequence(request->dry_run() ? space.sequence : ++space.sequence);
    });
  }

  grpc::Status UpdateMetadata(grpc::ServerContext*, const v1::UpdateMetadataRequest* request,
                              v1::UpdateMetadataResponse* response) override {
    return With(request->namespace_(), [&](FakeNamespace& space) {
      const std::vector<Key> keys = Keys(request->ids());
      ids_at_once_ = std::max(ids_at_once_, keys.size());
      for (size_t i = 0; i < keys.size(); ++i) {
        const auto it = space.records.find(keys[i]);
        if (it == space.records.end()) {
          AddKey(keys[i], request->ids().has_texts(), response->mutable_missing());
          continue;
        }
        v1::RecordBatch& rest = it->second.rest;
        if (rest.metadata_size() == 0) rest.add_metadata();
        Merge(request->patches(request->patches_size() == 1 ? 0 : static_cast<int>(i)),
              rest.mutable_metadata(0));
        response->set_records_updated(response->records_updated() + 1);
      }
      response->set_sequence(++space.sequence);
    });
  }

  // --- QueryService ---

  grpc::Status Search(grpc::ServerContext*, const v1::SearchRequest* request,
                      v1::SearchResponse* response) override {
    Matcher matches;
    grpc::Status status = ParseFilter(request->options().filter(), &matches);
    if (!status.ok()) return status;
    return With(request->namespace_(), [&](FakeNamespace& space) {
      search_options_ = request->options();
      if (request->options().explain()) Explain(response->mutable_explanation());
      std::vector<float> query;
      if (request->has_examples()) {
        query = space.records[Keys(request->examples().positive()).front()].vector;
      } else {
        query = Row(request->query(), 0);
      }
      for (const auto& [distance, key] : Nearest(space, query, request->options().k(), matches)) {
        const FakeRecord& record = space.records[key];
        v1::Hit* hit = response->add_hits();
        if (IsText(space)) {
          hit->mutable_id()->set_text(key.second);
        } else {
          hit->mutable_id()->set_number(key.first);
        }
        hit->set_distance(distance);
        if (request->options().include_vectors()) *hit->mutable_fields() = record.rest.fields();
        if (record.rest.metadata_size() == 0) continue;
        if (request->options().include_metadata()) {
          *hit->mutable_metadata() = record.rest.metadata(0);
        }
        const auto group = record.rest.metadata(0).attributes().find(request->options().group_by());
        if (group != record.rest.metadata(0).attributes().end()) {
          *hit->mutable_group() = group->second;
        }
      }
      response->set_sequence(space.sequence);
    });
  }

  grpc::Status SearchBatch(grpc::ServerContext*, const v1::SearchBatchRequest* request,
                           v1::SearchBatchResponse* response) override {
    Matcher matches;
    grpc::Status status = ParseFilter(request->options().filter(), &matches);
    if (!status.ok()) return status;
    return With(request->namespace_(), [&](FakeNamespace& space) {
      search_options_ = request->options();
      if (request->options().explain()) Explain(response->mutable_explanation());
      const size_t queries = request->queries().shape(0);
      queries_at_once_ = std::max(queries_at_once_, queries);
      for (size_t i = 0; i < queries; ++i) {
        const auto nearest =
            Nearest(space, Row(request->queries(), i), request->options().k(), matches);
        response->add_counts(nearest.size());
        for (const auto& [distance, key] : nearest) {
          AddKey(key, IsText(space), response->mutable_ids());
          response->add_distances(distance);
        }
      }
      response->set_sequence(space.sequence);
    });
  }

  grpc::Status Get(grpc::ServerContext*, const v1::GetRequest* request,
                   v1::GetResponse* response) override {
    return With(request->namespace_(), [&](FakeNamespace& space) {
      std::vector<const FakeRecord*> records;
      const std::vector<Key> keys = Keys(request->ids());
      ids_at_once_ = std::max(ids_at_once_, keys.size());
      for (const Key& key : keys) {
        const auto it = space.records.find(key);
        if (it == space.records.end()) {
          AddKey(key, request->ids().has_texts(), response->mutable_missing());
        } else {
          AddKey(key, IsText(space), response->mutable_records()->mutable_ids());
          records.push_back(&it->second);
        }
      }
      AddParts(records, *request, response->mutable_records());
    });
  }

  grpc::Status Scan(grpc::ServerContext*, const v1::ScanRequest* request,
                    grpc::ServerWriter<v1::ScanResponse>* writer) override {
    Matcher matches;
    grpc::Status parsed = ParseFilter(request->filter(), &matches);
    if (!parsed.ok()) return parsed;
    bool at_end = false;
    std::string token = request->token();
    for (size_t page = 0; page < options_.scan_pages_per_stream; ++page) {
      v1::ScanResponse response;
      grpc::Status status = With(request->namespace_(), [&](FakeNamespace& space) {
        at_end = !FillPage(space, *request, matches, &token, &response);
      });
      if (!status.ok() || at_end) return status;
      writer->Write(response);
    }
    return {grpc::UNAVAILABLE, "the fake server breaks scans"};
  }

  grpc::Status Count(grpc::ServerContext*, const v1::CountRequest* request,
                     v1::CountResponse* response) override {
    Matcher matches;
    grpc::Status status = ParseFilter(request->filter(), &matches);
    if (!status.ok()) return status;
    return With(request->namespace_(), [&](FakeNamespace& space) {
      response->set_count(std::count_if(space.records.begin(), space.records.end(),
                                        [&](const auto& entry) { return matches(entry.second); }));
      response->set_sequence(space.sequence);
    });
  }

  // --- AdminService ---

  grpc::Status ListSegments(grpc::ServerContext*, const v1::ListSegmentsRequest* request,
                            v1::ListSegmentsResponse* response) override {
    return With(request->namespace_(), [&](FakeNamespace& space) {
      v1::Segment* segment = response->add_segments();
      segment->set_id(1);
      segment->set_state(v1::SEGMENT_STATE_ACTIVE);
      segment->set_rows(space.records.size());
      segment->set_live_rows(space.records.size());
    });
  }

  grpc::Status Flush(grpc::ServerContext*, const v1::FlushRequest* request,
                     v1::FlushResponse*) override {
    return With(request->namespace_(), [](FakeNamespace&) {});
  }

  grpc::Status Compact(grpc::ServerContext*, const v1::CompactRequest* request,
                       v1::CompactResponse*) override {
    return With(request->namespace_(), [](FakeNamespace&) {});
  }

  grpc::Status WatchIndexing(grpc::ServerContext*, const v1::WatchIndexingRequest* request,
                             grpc::ServerWriter<v1::WatchIndexingResponse>* writer) override {
    return With(request->namespace_(), [&](FakeNamespace& space) {
      v1::WatchIndexingResponse response;
      response.set_total_rows(space.records.size());
      for (const size_t indexed : {space.records.size() / 2, space.records.size()}) {
        response.set_indexed_rows(indexed);
        writer->Write(response);
      }
    });
  }

  grpc::Status Stats(grpc::ServerContext*, const v1::StatsRequest* request,
                     v1::StatsResponse* response) override {
    response->set_version("fake");
    response->mutable_uptime()->set_seconds(90);
    if (request->namespace_().empty()) return grpc::Status::OK;
    return With(request->namespace_(), [&](FakeNamespace& space) {
      response->mutable_namespace_()->set_records(space.records.size());
      response->mutable_namespace_()->set_sequence(space.sequence);
    });
  }

 private:
  static grpc::Status NoSuch(const std::string& name) {
    return {grpc::NOT_FOUND, absl::StrCat("namespace ", name, " does not exist")};
  }

  static bool IsText(const FakeNamespace& space) {
    return space.description.id_type() == v1::ID_TYPE_TEXT;
  }

  static void Explain(v1::Explanation* explanation) {
    v1::SegmentExplanation* segment = explanation->add_segments();
    segment->set_segment_id(1);
    segment->set_rows(1'000);
    segment->set_plan(v1::SEARCH_PLAN_FILTERED_WALK);
    segment->set_estimated_selectivity(0.25);
    segment->set_selectivity(0.2);
    segment->set_distances(1'234);
    segment->mutable_time()->set_nanos(1'500'000);
    explanation->mutable_filter_time()->set_nanos(250'000);
  }

  template <typename Body>
  grpc::Status With(const std::string& name, Body body) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    const auto it = namespaces_.find(name);
    if (it == namespaces_.end()) return NoSuch(name);
    body(it->second);
    return grpc::Status::OK;
  }

  std::optional<grpc::Status> Fault(IngestPoint point, uint64_t batch)
      ABSL_LOCKS_EXCLUDED(fault_mu_) {
    MutexLock lock(&fault_mu_);
    return fault_ ? fault_(point, batch) : std::nullopt;
  }

  static grpc::Status End(grpc::ServerContext* context, const grpc::Status& status) {
    if (status.error_code() == grpc::CANCELLED) context->TryCancel();
    return status;
  }

  grpc::Status Commit(const v1::IngestOpen& open, const v1::IngestBatch& batch, v1::IngestAck* ack)
      ABSL_LOCKS_EXCLUDED(mu_) {
    grpc::Status status;
    const grpc::Status found = With(open.namespace_(), [&](FakeNamespace& space) {
      uint64_t& position = space.producers[open.producer()];
      if (batch.number() > position + 1) {
        status = {grpc::FAILED_PRECONDITION, absl::StrCat("gap: wanted ", position + 1)};
        return;
      }
      ack->set_number(batch.number());
      ack->set_durability(open.durability());
      ack->set_duplicate(batch.number() <= position);
      if (!ack->duplicate()) {
        position = batch.number();
        space.commits.push_back({open.producer(), batch.number()});
        ack->set_records_written(Apply(batch.records(), &space));
        ++space.sequence;
      }
      ack->set_sequence(space.sequence);
    });
    return found.ok() ? status : found;
  }

  size_t Apply(const v1::RecordBatch& batch, FakeNamespace* space) {
    batch_ = batch;
    const std::vector<Key> keys = Keys(batch.ids());
    if (space->description.id_type() == v1::ID_TYPE_UNSPECIFIED) {
      space->description.set_id_type(batch.ids().has_texts() ? v1::ID_TYPE_TEXT
                                                             : v1::ID_TYPE_NUMBER);
    }
    for (size_t i = 0; i < keys.size(); ++i) {
      space->records[keys[i]] = RecordOf(batch, i);
    }
    return keys.size();
  }

  // The token is the last key: its number, a slash, its text.
  bool FillPage(FakeNamespace& space, const v1::ScanRequest& request, const Matcher& matches,
                std::string* token, v1::ScanResponse* response) {
    auto it = space.records.begin();
    if (!token->empty()) {
      const size_t slash = token->find('/');
      it = space.records.upper_bound(
          Key(std::strtoull(token->c_str(), nullptr, 10), token->substr(slash + 1)));
    }
    const auto begin = it;
    std::vector<const FakeRecord*> records;
    for (; it != space.records.end() && records.size() < options_.scan_page; ++it) {
      *token = absl::StrCat(it->first.first, "/", it->first.second);
      if (!matches(it->second)) continue;
      AddKey(it->first, IsText(space), response->mutable_records()->mutable_ids());
      records.push_back(&it->second);
    }
    response->set_next_token(*token);
    AddParts(records, request, response->mutable_records());
    return it != begin;
  }

  const FakeServerOptions options_;
  Mutex mu_;
  std::map<std::string, FakeNamespace> namespaces_ ABSL_GUARDED_BY(mu_);
  Mutex fault_mu_;  // held while the fault is asked
  IngestFault fault_ ABSL_GUARDED_BY(fault_mu_);
  // Guarded by mu_, through With().
  v1::SearchOptions search_options_;
  v1::RecordBatch batch_;
  size_t queries_at_once_ = 0;
  size_t ids_at_once_ = 0;
};

FakeServer::FakeServer(FakeServerOptions options) : services_(std::make_unique<Services>(options)) {
  Start();
}

FakeServer::~FakeServer() { Stop(); }

std::string FakeServer::target() const { return absl::StrCat("127.0.0.1:", port_); }

void FakeServer::set_ingest_fault(IngestFault fault) {
  services_->set_ingest_fault(std::move(fault));
}

void FakeServer::Start() {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(64 << 20);
  builder.AddListeningPort(target(), grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(static_cast<v1::NamespaceService::Service*>(services_.get()));
  builder.RegisterService(static_cast<v1::IngestService::Service*>(services_.get()));
  builder.RegisterService(static_cast<v1::QueryService::Service*>(services_.get()));
  builder.RegisterService(static_cast<v1::AdminService::Service*>(services_.get()));
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) std::abort();
}

void FakeServer::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
}

void FakeServer::Restart() {
  Stop();
  Start();
}

std::vector<FakeCommit> FakeServer::commits(const std::string& name_space) const {
  return services_->commits(name_space);
}

v1::SearchOptions FakeServer::search_options() const { return services_->search_options(); }

v1::RecordBatch FakeServer::batch() const { return services_->batch(); }

size_t FakeServer::queries_at_once() const { return services_->queries_at_once(); }

size_t FakeServer::ids_at_once() const { return services_->ids_at_once(); }

}  // namespace varve::client::testing
