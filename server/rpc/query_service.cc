#include "server/rpc/query_service.h"

#include <grpcpp/support/byte_buffer.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "server/rpc/metadata_codec.h"
#include "server/rpc/record_codec.h"
#include "server/rpc/search.h"
#include "server/rpc/unary_call.h"
#include "varve/v1/query_service.grpc.pb.h"

namespace varve::server {
namespace {

constexpr size_t kScanRecordsMax = 4096;
constexpr size_t kScanBytes = size_t{1} << 20;

uint64_t MinSequence(const v1::CountRequest& request) { return request.min_sequence(); }
template <typename Request>
uint64_t MinSequence(const Request& request) {
  return request.options().min_sequence();
}

// A unary call that first waits for the commit it wants to see.
template <typename Request, typename Response>
class SequencedCall final : public FunctionCall<Request, Response> {
 public:
  template <typename... Args>
  explicit SequencedCall(Args&&... args)
      : FunctionCall<Request, Response>(std::forward<Args>(args)...), wait_(this->control()) {}

 private:
  void Execute() override {
    const absl::StatusOr<bool> reached =
        wait_.Reached(this->context(), this->parsed().namespace_(), MinSequence(this->parsed()));
    if (!reached.ok()) return this->End(reached.status());
    if (*reached) return FunctionCall<Request, Response>::Execute();
    this->RunAfter(CommitWait::kPollInterval, this->pool(), [this] { Execute(); });
  }

  const CommitWait wait_;
};

// SearchStream: one request is read, answered, and then the next one is read; gRPC holds what the
// client sends ahead.
class SearchStreamCall final
    : public StreamCall<grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                        grpc::ByteBuffer> {
 public:
  using StreamCall::StreamCall;

  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_) {
    if (!ok) return End(absl::OkStatus());
    {
      MutexLock lock(&mu_);
      reading_ = false;
    }
    absl::StatusOr<Budget::Share> slot = context().admission->calls.TryReserve(1);
    if (!slot.ok()) return End(slot.status());
    slot_ = *std::move(slot);
    Run(context().read_pool, [this] { Parse(); });
  }

  void Drain() override ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    draining_ = true;
    if (reading_) EndDrainedLocked();
  }

 private:
  void Begin() override { Read(); }

  void Read() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    if (ending()) return;
    if (draining_) return EndDrainedLocked();
    reading_ = true;
    StartRead(&request_);
  }

  void EndDrainedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    EndLocked(absl::UnavailableError("the server is shutting down; search on elsewhere or later"));
  }

  void Parse() {
    parsed_.Clear();
    absl::Status status = CheckAccess();
    if (status.ok()) status = ParseMessage(request_, &parsed_);
    request_.Clear();
    if (!status.ok()) return End(std::move(status));
    wait_.emplace(control());
    Answer();
  }

  void Answer() {
    const v1::SearchRequest& search = parsed_.search();
    const absl::StatusOr<bool> reached =
        wait_->Reached(context(), search.namespace_(), search.options().min_sequence());
    if (!reached.ok()) return End(reached.status());
    if (!*reached) {
      return RunAfter(CommitWait::kPollInterval, context().read_pool, [this] { Answer(); });
    }
    absl::StatusOr<grpc::ByteBuffer> answer = MakeAnswer(search);
    slot_ = Budget::Share();
    if (!answer.ok()) return End(answer.status());
    Send(*std::move(answer));
  }

  absl::StatusOr<grpc::ByteBuffer> MakeAnswer(const v1::SearchRequest& search) {
    v1::SearchStreamResponse response;
    VARVE_RETURN_IF_ERROR(server::Search(context(), control(), search, response.mutable_result()));
    const size_t bytes = response.ByteSizeLong();
    VARVE_RETURN_IF_ERROR(CheckAnswerBytes(bytes, context().max_message_bytes));
    VARVE_ASSIGN_OR_RETURN(answer_share_, context().admission->read_bytes.TryReserve(bytes));
    return SerializeMessage(response);
  }

  void Written() override {
    answer_share_ = Budget::Share();
    Read();
  }

  void Released() override {
    slot_ = Budget::Share();
    answer_share_ = Budget::Share();
  }

  // One step runs at a time, and each begins the next: what follows needs no lock.
  grpc::ByteBuffer request_;
  v1::SearchStreamRequest parsed_;
  std::optional<CommitWait> wait_;
  Budget::Share slot_;
  Budget::Share answer_share_;
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
};

// Scan: the next piece is read from the store when the one before has gone out.
class ScanCall final
    : public StreamCall<grpc::ServerWriteReactor<grpc::ByteBuffer>, grpc::ByteBuffer> {
 public:
  ScanCall(const CallOrigin& origin, const grpc::ByteBuffer* request)
      : StreamCall(origin), request_(request) {}

 private:
  void Begin() override {
    Run(context().read_pool, [this] {
      if (absl::Status status = Open(); !status.ok()) return End(std::move(status));
      SendNext();
    });
  }

  absl::Status Open() {
    VARVE_RETURN_IF_ERROR(ParseMessage(*request_, &parsed_));
    VARVE_ASSIGN_OR_RETURN(scanned_, context().FindNamespace(parsed_.namespace_()));
    engine::ScanRequest request{
        .include = {.vectors = parsed_.include_vectors(),
                    .metadata = parsed_.include_metadata(),
                    .paths = {parsed_.metadata_paths().begin(), parsed_.metadata_paths().end()}}};
    VARVE_ASSIGN_OR_RETURN(request.filter, DecodeFilter(parsed_.filter(), "filter"));
    VARVE_ASSIGN_OR_RETURN(scanner_, scanned_->Scan(parsed_.token(), std::move(request)));
    return absl::OkStatus();
  }

  void SendNext() {
    absl::StatusOr<std::optional<grpc::ByteBuffer>> next = MakeNext();
    if (!next.ok()) return End(next.status());
    if (!next->has_value()) return End(absl::OkStatus());
    Send(**std::move(next));
  }

  // Nullopt at the end.
  absl::StatusOr<std::optional<grpc::ByteBuffer>> MakeNext() {
    VARVE_RETURN_IF_ERROR(CheckAccess());
    VARVE_RETURN_IF_ERROR(control().Check());
    if (context().calls->draining()) {
      return absl::UnavailableError(
          "the server is shutting down; scan on from the last next_token later");
    }
    v1::ScanResponse response;
    bool done = false;
    VARVE_ASSIGN_OR_RETURN(
        engine::RecordList records,
        scanner_->Next(kScanRecordsMax, kScanBytes, response.mutable_next_token(), &done));
    if (done && records.ids.size() == 0) return std::nullopt;
    VARVE_RETURN_IF_ERROR(EncodeRecords(std::move(records), response.mutable_records()));
    const size_t bytes = response.ByteSizeLong();
    VARVE_RETURN_IF_ERROR(CheckAnswerBytes(bytes, context().max_message_bytes));
    VARVE_ASSIGN_OR_RETURN(answer_share_, context().admission->read_bytes.TryReserve(bytes));
    return SerializeMessage(response);
  }

  void Written() override {
    answer_share_ = Budget::Share();
    Run(context().read_pool, [this] { SendNext(); });
  }

  void Released() override {
    answer_share_ = Budget::Share();
    scanner_.reset();
    scanned_.reset();
  }

  // One step runs at a time, and each begins the next: no lock is needed.
  const grpc::ByteBuffer* const request_;  // gRPC's; alive until OnDone
  v1::ScanRequest parsed_;
  std::shared_ptr<engine::Namespace> scanned_;
  std::unique_ptr<engine::RecordScanner> scanner_;
  Budget::Share answer_share_;
};

using Grpc = v1::QueryService;
using RawService = Grpc::WithRawCallbackMethod_Search<Grpc::WithRawCallbackMethod_SearchBatch<
    Grpc::WithRawCallbackMethod_SearchStream<Grpc::WithRawCallbackMethod_Get<
        Grpc::WithRawCallbackMethod_Scan<Grpc::WithRawCallbackMethod_Count<Grpc::Service>>>>>>;

// Picks the handler for a call. Thread-safe.
class QueryServiceImpl final : public RawService {
 public:
  explicit QueryServiceImpl(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* Search(grpc::CallbackServerContext* rpc,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override {
    return StartCall<SequencedCall<v1::SearchRequest, v1::SearchResponse>>(
        Origin("QueryService.Search", rpc), context_.read_pool, request, response, &server::Search);
  }
  grpc::ServerUnaryReactor* SearchBatch(grpc::CallbackServerContext* rpc,
                                        const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override {
    return StartCall<SequencedCall<v1::SearchBatchRequest, v1::SearchBatchResponse>>(
        Origin("QueryService.SearchBatch", rpc), context_.read_pool, request, response,
        &server::SearchBatch);
  }
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* SearchStream(
      grpc::CallbackServerContext* rpc) override {
    return StartCall<SearchStreamCall>(Origin("QueryService.SearchStream", rpc));
  }
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request,
                                grpc::ByteBuffer* response) override {
    return StartFunctionCall(Origin("QueryService.Get", rpc), context_.read_pool, request, response,
                             &server::Get);
  }
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Scan(grpc::CallbackServerContext* rpc,
                                                   const grpc::ByteBuffer* request) override {
    return StartCall<ScanCall>(Origin("QueryService.Scan", rpc), request);
  }
  grpc::ServerUnaryReactor* Count(grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override {
    return StartCall<SequencedCall<v1::CountRequest, v1::CountResponse>>(
        Origin("QueryService.Count", rpc), context_.read_pool, request, response, &server::Count);
  }

 private:
  CallOrigin Origin(std::string_view method, grpc::CallbackServerContext* rpc) const {
    return {method, *rpc, context_};
  }

  const ServiceContext& context_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewQueryService(const ServiceContext& context) {
  return std::make_unique<QueryServiceImpl>(context);
}

}  // namespace varve::server
