#include "server/rpc/ingest_service.h"

#include <grpcpp/support/byte_buffer.h>

#include <utility>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/rpc/ingest_stream.h"
#include "server/rpc/metadata_codec.h"
#include "server/rpc/namespace_limits.h"
#include "server/rpc/record_codec.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/unary_call.h"
#include "server/rpc/write_codec.h"
#include "varve/v1/ingest_service.grpc.pb.h"

namespace varve::server {
namespace {

// Records that a dry run of a deletion names.
constexpr size_t kDeleteSample = 10;

// A unary write: its bytes count against those of ingest from the start to the end.
template <typename Request, typename Response>
class WriteCall : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 protected:
  // The request is parsed and `namespace_` found. Calls Commit(), now or later.
  virtual void Prepare() = 0;
  // Writes, and fills `response_`.
  virtual absl::Status Write() = 0;

  // Commits when the server has room for what is added.
  void EnterAndCommit() {
    const size_t bytes = request().Length();
    if (absl::Status may = PassIngest(*namespace_, bytes); !may.ok()) return End(std::move(may));
    context().gate->Enter(bytes, [this, self = shared_from_this()](absl::Status may) {
      Run(pool(), [this, may = std::move(may)] { may.ok() ? Commit() : End(may); });
    });
  }

  // Writes and ends the call, after the disk has it when the client asked for that. On the pool.
  void Commit() {
    absl::Status status = control().Check();
    if (status.ok()) status = Write();
    if (!status.ok() || !synced_) return Conclude(std::move(status));
    context().engine->SyncAsync([this, self = shared_from_this()](absl::Status sync_status) {
      Run(pool(), [this, sync_status] { Conclude(sync_status); });
    });
  }

  Request parsed_;
  Response response_;
  std::shared_ptr<engine::Namespace> namespace_;
  bool synced_ = false;

 private:
  absl::Status Admit(size_t request_bytes) override {
    VARVE_ASSIGN_OR_RETURN(share_, context().admission->ingest_bytes.TryReserve(request_bytes));
    return absl::OkStatus();
  }

  void Work() override {
    if (absl::Status status = Parse(); !status.ok()) return End(std::move(status));
    Prepare();
  }

  absl::Status Parse() {
    VARVE_RETURN_IF_ERROR(ParseMessage(request(), &parsed_));
    VARVE_ASSIGN_OR_RETURN(synced_, DecodeSynced(parsed_.durability()));
    VARVE_ASSIGN_OR_RETURN(namespace_, context().FindNamespace(parsed_.namespace_()));
    return CheckRequestBytes(*namespace_, request().Length());
  }

  void Conclude(absl::Status status) {
    if (!status.ok()) return End(std::move(status));
    Acknowledging();
    Respond(response_);
  }
  // The write is what the client asked for; it is told now.
  virtual void Acknowledging() {}

  void Released() override {
    share_ = Budget::Share();
    namespace_.reset();
  }

  Budget::Share share_;
};

class UpsertCall final : public WriteCall<v1::UpsertRequest, v1::UpsertResponse> {
 public:
  using WriteCall::WriteCall;

 private:
  void Prepare() override {
    namespace_->WhenRoom([this, self = shared_from_this()] { EnterAndCommit(); });
  }
  absl::Status Write() override {
    VARVE_ASSIGN_OR_RETURN(const engine::OnError on_error, DecodeOnError(parsed_.on_error()));
    DecodedRecords records;
    VARVE_RETURN_IF_ERROR(records.Decode(parsed_.records()));
    VARVE_ASSIGN_OR_RETURN(const auto result, namespace_->Upsert(records.view(), on_error));
    context().metrics->writes.CountBatch(result);
    EncodeWriteResult(result, synced_, &response_);
    return absl::OkStatus();
  }
  void Acknowledging() override {
    context().metrics->writes.CountAcknowledgement(synced_, absl::Now() - begin());
  }
};

class DeleteCall final : public WriteCall<v1::DeleteRequest, v1::DeleteResponse> {
 public:
  using WriteCall::WriteCall;

 private:
  void Prepare() override { Commit(); }
  absl::Status Write() override {
    VARVE_ASSIGN_OR_RETURN(const auto filter, DecodeFilter(parsed_.filter(), "filter"));
    if (filter.has_value() == parsed_.has_ids()) {
      return BadField("filter", parsed_.has_ids() ? "must not be set beside ids"
                                                  : "must be set where ids are not");
    }
    response_.set_durability(EncodeSynced(synced_));
    if (filter.has_value()) return parsed_.dry_run() ? Preview(*filter) : WriteMatching(*filter);
    if (parsed_.dry_run()) return BadField("dry_run", "must be set with a filter alone");
    DecodedIds ids;
    VARVE_RETURN_IF_ERROR(ids.Decode(parsed_.ids(), "ids"));
    VARVE_ASSIGN_OR_RETURN(const auto result, namespace_->Delete(ids.view()));
    Deleted(result);
    return absl::OkStatus();
  }

  absl::Status WriteMatching(const metadata::Filter& filter) {
    context().access->Audit();
    VARVE_ASSIGN_OR_RETURN(const auto result, namespace_->DeleteMatching(filter, control()));
    Deleted(result);
    return absl::OkStatus();
  }

  void Deleted(const engine::DeleteResult& result) {
    context().metrics->writes.deleted_records.Add(result.records_deleted);
    response_.set_sequence(result.sequence);
    response_.set_records_deleted(result.records_deleted);
  }

  absl::Status Preview(const metadata::Filter& filter) {
    VARVE_ASSIGN_OR_RETURN(auto preview, namespace_->PreviewDelete(filter, kDeleteSample));
    response_.set_sequence(preview.sequence);
    response_.set_records_deleted(preview.records);
    EncodeIds(std::move(preview.sample), response_.mutable_sample());
    return absl::OkStatus();
  }
};

class UpdateMetadataCall final
    : public WriteCall<v1::UpdateMetadataRequest, v1::UpdateMetadataResponse> {
 public:
  using WriteCall::WriteCall;

 private:
  void Prepare() override { EnterAndCommit(); }
  absl::Status Write() override {
    DecodedIds ids;
    VARVE_RETURN_IF_ERROR(ids.Decode(parsed_.ids(), "ids"));
    std::vector<metadata::MergePatch> patches;
    for (int i = 0; i < parsed_.patches_size(); ++i) {
      VARVE_ASSIGN_OR_RETURN(auto patch,
                             DecodePatch(parsed_.patches(i), StrCat("patches[", i, "]")));
      patches.push_back(std::move(patch));
    }
    VARVE_ASSIGN_OR_RETURN(auto result, namespace_->UpdateMetadata(ids.view(), patches));
    response_.set_sequence(result.sequence);
    response_.set_durability(EncodeSynced(synced_));
    response_.set_records_updated(result.records_updated);
    context().metrics->writes.updated_records.Add(result.records_updated);
    EncodeIds(std::move(result.missing), response_.mutable_missing());
    return absl::OkStatus();
  }
};

using Grpc = v1::IngestService;
using RawService = Grpc::WithRawCallbackMethod_Ingest<Grpc::WithRawCallbackMethod_Upsert<
    Grpc::WithRawCallbackMethod_Delete<Grpc::WithRawCallbackMethod_UpdateMetadata<Grpc::Service>>>>;

// Picks the handler for a call. Thread-safe.
class IngestServiceImpl final : public RawService {
 public:
  explicit IngestServiceImpl(const ServiceContext& context) : context_(context) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Ingest(
      grpc::CallbackServerContext* rpc) override {
    return StartCall<IngestStream>(CallOrigin{"IngestService.Ingest", *rpc, context_});
  }
  grpc::ServerUnaryReactor* Upsert(grpc::CallbackServerContext* rpc,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override {
    return StartCall<UpsertCall>(CallOrigin{"IngestService.Upsert", *rpc, context_},
                                 context_.write_pool, request, response);
  }
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* rpc,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override {
    return StartCall<DeleteCall>(CallOrigin{"IngestService.Delete", *rpc, context_},
                                 context_.write_pool, request, response);
  }
  grpc::ServerUnaryReactor* UpdateMetadata(grpc::CallbackServerContext* rpc,
                                           const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override {
    return StartCall<UpdateMetadataCall>(CallOrigin{"IngestService.UpdateMetadata", *rpc, context_},
                                         context_.write_pool, request, response);
  }

 private:
  const ServiceContext& context_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewIngestService(const ServiceContext& context) {
  return std::make_unique<IngestServiceImpl>(context);
}

}  // namespace varve::server
