#include "clients/cpp/testing/fake_server.h"

#include <grpcpp/server_builder.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
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

struct FakeNamespace {
  v1::Namespace description;
  std::map<Key, std::vector<float>> records;
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

void AddVectors(const std::vector<const std::vector<float>*>& rows, size_t dimension,
                v1::RecordBatch* batch) {
  v1::Tensor* tensor = batch->add_fields()->mutable_dense();
  tensor->set_dtype(v1::DTYPE_F32);
  tensor->add_shape(rows.size());
  tensor->add_shape(dimension);
  for (const std::vector<float>* row : rows) {
    tensor->mutable_data()->append(reinterpret_cast<const char*>(row->data()),
                                   row->size() * sizeof(float));
  }
}

float SquaredL2(const std::vector<float>& a, const std::vector<float>& b) {
  float sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

std::vector<std::pair<float, Key>> Nearest(const FakeNamespace& space,
                                           const std::vector<float>& query, size_t k) {
  std::vector<std::pair<float, Key>> all;
  for (const auto& [key, vector] : space.records) all.emplace_back(SquaredL2(query, vector), key);
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
      space.description.mutable_fields(0)->mutable_index()->MergeFrom(request->index());
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
    return With(request->namespace_(), [&](FakeNamespace& space) {
      uint64_t deleted = 0;
      for (const Key& key : Keys(request->ids())) deleted += space.records.erase(key);
      response->set_records_deleted(deleted);
      response->set_sequence(++space.sequence);
    });
  }

  // --- QueryService ---

  grpc::Status Search(grpc::ServerContext*, const v1::SearchRequest* request,
                      v1::SearchResponse* response) override {
    return With(request->namespace_(), [&](FakeNamespace& space) {
      for (const auto& [distance, key] :
           Nearest(space, Row(request->query(), 0), request->options().k())) {
        v1::Hit* hit = response->add_hits();
        if (IsText(space)) {
          hit->mutable_id()->set_text(key.second);
        } else {
          hit->mutable_id()->set_number(key.first);
        }
        hit->set_distance(distance);
      }
      response->set_sequence(space.sequence);
    });
  }

  grpc::Status SearchBatch(grpc::ServerContext*, const v1::SearchBatchRequest* request,
                           v1::SearchBatchResponse* response) override {
    return With(request->namespace_(), [&](FakeNamespace& space) {
      const size_t queries = request->queries().shape(0);
      queries_at_once_ = std::max(queries_at_once_, queries);
      for (size_t i = 0; i < queries; ++i) {
        const auto nearest = Nearest(space, Row(request->queries(), i), request->options().k());
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
      std::vector<const std::vector<float>*> vectors;
      const std::vector<Key> keys = Keys(request->ids());
      ids_at_once_ = std::max(ids_at_once_, keys.size());
      for (const Key& key : keys) {
        const auto it = space.records.find(key);
        if (it == space.records.end()) {
          AddKey(key, request->ids().has_texts(), response->mutable_missing());
        } else {
          AddKey(key, IsText(space), response->mutable_records()->mutable_ids());
          vectors.push_back(&it->second);
        }
      }
      if (!request->include_vectors() || vectors.empty()) return;
      AddVectors(vectors, Dimension(space), response->mutable_records());
    });
  }

  grpc::Status Scan(grpc::ServerContext*, const v1::ScanRequest* request,
                    grpc::ServerWriter<v1::ScanResponse>* writer) override {
    bool at_end = false;
    std::string token = request->token();
    for (size_t page = 0; page < options_.scan_pages_per_stream; ++page) {
      v1::ScanResponse response;
      grpc::Status status = With(request->namespace_(), [&](FakeNamespace& space) {
        at_end = !FillPage(space, request->include_vectors(), &token, &response);
      });
      if (!status.ok() || at_end) return status;
      writer->Write(response);
    }
    return {grpc::UNAVAILABLE, "the fake server breaks scans"};
  }

  grpc::Status Count(grpc::ServerContext*, const v1::CountRequest* request,
                     v1::CountResponse* response) override {
    return With(request->namespace_(), [&](FakeNamespace& space) {
      response->set_count(space.records.size());
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

  static size_t Dimension(const FakeNamespace& space) {
    return space.description.fields(0).dimension();
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

  static size_t Apply(const v1::RecordBatch& batch, FakeNamespace* space) {
    const std::vector<Key> keys = Keys(batch.ids());
    if (space->description.id_type() == v1::ID_TYPE_UNSPECIFIED) {
      space->description.set_id_type(batch.ids().has_texts() ? v1::ID_TYPE_TEXT
                                                             : v1::ID_TYPE_NUMBER);
    }
    for (size_t i = 0; i < keys.size(); ++i) {
      space->records[keys[i]] = Row(batch.fields(0).dense(), i);
    }
    return keys.size();
  }

  // The token is the last key: its number, a slash, its text.
  bool FillPage(FakeNamespace& space, bool include_vectors, std::string* token,
                v1::ScanResponse* response) {
    auto it = space.records.begin();
    if (!token->empty()) {
      const size_t slash = token->find('/');
      it = space.records.upper_bound(
          Key(std::strtoull(token->c_str(), nullptr, 10), token->substr(slash + 1)));
    }
    std::vector<const std::vector<float>*> vectors;
    for (; it != space.records.end() && vectors.size() < options_.scan_page; ++it) {
      AddKey(it->first, IsText(space), response->mutable_records()->mutable_ids());
      vectors.push_back(&it->second);
      *token = absl::StrCat(it->first.first, "/", it->first.second);
    }
    response->set_next_token(*token);
    if (include_vectors) AddVectors(vectors, Dimension(space), response->mutable_records());
    return !vectors.empty();
  }

  const FakeServerOptions options_;
  Mutex mu_;
  std::map<std::string, FakeNamespace> namespaces_ ABSL_GUARDED_BY(mu_);
  Mutex fault_mu_;  // held while the fault is asked
  IngestFault fault_ ABSL_GUARDED_BY(fault_mu_);
  size_t queries_at_once_ = 0;  // guarded by mu_, through With()
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

size_t FakeServer::queries_at_once() const { return services_->queries_at_once(); }

size_t FakeServer::ids_at_once() const { return services_->ids_at_once(); }

}  // namespace varve::client::testing
