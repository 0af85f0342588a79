#include "server/rpc/admin_service.h"

#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "server/process_stats.h"
#include "server/rpc/indexing_rate.h"
#include "server/rpc/snapshots.h"
#include "server/rpc/unary_call.h"
#include "server/version.h"
#include "varve/v1/admin_service.grpc.pb.h"

namespace varve::server {
namespace {

// How often WatchIndexing looks, and how long it may say nothing.
constexpr absl::Duration kLookInterval = absl::Milliseconds(100);
constexpr absl::Duration kSilenceMax = absl::Seconds(1);

v1::SegmentState EncodeState(index::SegmentState state) {
  switch (state) {
    case index::SegmentState::kActive:
      return v1::SEGMENT_STATE_ACTIVE;
    case index::SegmentState::kSealing:
      return v1::SEGMENT_STATE_SEALING;
    case index::SegmentState::kSealed:
      return v1::SEGMENT_STATE_SEALED;
    case index::SegmentState::kCompacting:
      return v1::SEGMENT_STATE_COMPACTING;
  }
  return v1::SEGMENT_STATE_UNSPECIFIED;
}

google::protobuf::Duration EncodeDuration(absl::Duration duration) {
  google::protobuf::Duration out;
  out.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  return out;
}

absl::Status ListSegments(const ServiceContext& context, const CallControl&,
                          const v1::ListSegmentsRequest& request,
                          v1::ListSegmentsResponse* response) {
  VARVE_ASSIGN_OR_RETURN(const auto found, context.FindNamespace(request.namespace_()));
  VARVE_ASSIGN_OR_RETURN(const auto segments, found->ListSegments(request.field()));
  for (const index::SegmentInfo& info : segments) {
    v1::Segment* segment = response->add_segments();
    segment->set_id(info.id);
    segment->set_state(EncodeState(info.state));
    segment->set_rows(info.rows);
    segment->set_live_rows(info.live_rows);
    segment->set_dead_rows(info.rows - info.live_rows);
    segment->set_indexed_rows(info.indexed_rows);
    segment->set_memory_bytes(info.memory_bytes);
    segment->set_file_bytes(info.file_bytes);
    segment->set_level(info.level);
  }
  return absl::OkStatus();
}

void EncodeStats(const engine::NamespaceStats& stats, v1::NamespaceStats* out) {
  out->set_records(stats.records);
  out->set_sequence(stats.sequence);
  out->set_segments(stats.index.segments);
  out->set_dead_rows(stats.index.dead_rows);
  out->set_unindexed_rows(stats.index.unindexed_rows);
  out->set_index_memory_bytes(stats.index.memory_bytes);
}

absl::Status Stats(const ServiceContext& context, const CallControl&,
                   const v1::StatsRequest& request, v1::StatsResponse* response) {
  if (!request.namespace_().empty()) {
    VARVE_ASSIGN_OR_RETURN(const auto found, context.FindNamespace(request.namespace_()));
    EncodeStats(found->Stats(), response->mutable_namespace_());
  }
  response->set_version(std::string(kVersion));
  *response->mutable_uptime() = EncodeDuration(absl::Now() - context.start_time);
  // The rest is about all namespaces.
  if (!context.access->CoversAll()) return absl::OkStatus();
  const engine::EngineStats stats = context.engine->Stats();
  response->set_namespaces(stats.namespaces);
  response->set_resident_bytes(ReadProcessStats().resident_bytes);
  response->set_disk_bytes(stats.disk_bytes);
  return absl::OkStatus();
}

// Flush and Compact: has a namespace do something, and answers when it has. Whatever ends the call
// before, ends the waiting alone.
template <typename Request, typename Response>
class UpkeepCall final : public UnaryCall {
 public:
  using Upkeep = void (engine::Namespace::*)(engine::Namespace::Done);

  UpkeepCall(const CallOrigin& origin, const grpc::ByteBuffer* request, grpc::ByteBuffer* response,
             Upkeep upkeep)
      : UnaryCall(origin, origin.context.read_pool, request, response), upkeep_(upkeep) {}

  void Drain() override {
    End(absl::UnavailableError("the server is shutting down; ask again when it is back"));
  }

 private:
  absl::Status Admit(size_t) override {
    VARVE_ASSIGN_OR_RETURN(slot_, context().admission->calls.TryReserve(1));
    return absl::OkStatus();
  }

  void Work() override {
    if (absl::Status status = Ask(); !status.ok()) End(std::move(status));
  }

  absl::Status Ask() {
    Request parsed;
    VARVE_RETURN_IF_ERROR(ParseMessage(request(), &parsed));
    VARVE_ASSIGN_OR_RETURN(const auto found, context().FindNamespace(parsed.namespace_()));
    if (!Waits(parsed)) {
      ((*found).*upkeep_)([](absl::Status) {});
      Respond(Response());
      return absl::OkStatus();
    }
    ((*found).*upkeep_)([this, self = shared_from_this()](absl::Status status) {
      Run(pool(), [this, status = std::move(status)] {
        if (!status.ok()) return End(status);
        Respond(Response());
      });
    });
    return absl::OkStatus();
  }

  static bool Waits(const v1::FlushRequest&) { return true; }
  static bool Waits(const v1::CompactRequest& request) { return request.wait(); }

  void Released() override { slot_ = Budget::Share(); }

  const Upkeep upkeep_;
  Budget::Share slot_;
};

// WatchIndexing: looks at the rows that were there when it began until all of them are indexed. At
// most one message is on its way: a client that does not read is told less, not later.
class WatchIndexingCall final
    : public StreamCall<grpc::ServerWriteReactor<grpc::ByteBuffer>, grpc::ByteBuffer> {
 public:
  WatchIndexingCall(const CallOrigin& origin, const grpc::ByteBuffer* request)
      : StreamCall(origin), request_(request) {}

 private:
  void Begin() override {
    Run(context().read_pool, [this] {
      if (absl::Status status = Open(); !status.ok()) return End(std::move(status));
      Look();
    });
  }

  absl::Status Open() {
    VARVE_RETURN_IF_ERROR(ParseMessage(*request_, &parsed_));
    VARVE_ASSIGN_OR_RETURN(watched_, context().FindNamespace(parsed_.namespace_()));
    before_row_ = watched_->next_row();
    latest_.set_total_rows(watched_->IndexingProgress(before_row_).total_rows);
    return absl::OkStatus();
  }

  void Look() {
    if (absl::Status status = Update(); !status.ok()) return End(std::move(status));
    const bool complete = latest_.indexed_rows() == latest_.total_rows();
    bool sent = false;
    {
      MutexLock lock(&mu_);
      const absl::Time now = absl::Now();
      if (!writing_ && (complete || changed_ || now - last_sent_ >= kSilenceMax)) {
        sent = true;
        writing_ = true;
        changed_ = false;
        last_sent_ = now;
      }
    }
    if (sent) Send(SerializeMessage(latest_));
    if (sent && complete) return End(absl::OkStatus());
    RunAfter(kLookInterval, context().read_pool, [this] { Look(); });
  }

  // Brings `latest_` up to date.
  absl::Status Update() {
    VARVE_RETURN_IF_ERROR(CheckAccess());
    // A deleted namespace may be replaced by another one of its name, and one may be opened anew.
    VARVE_ASSIGN_OR_RETURN(const auto found, context().FindNamespace(parsed_.namespace_()));
    if (found->number() != watched_->number()) {
      return absl::NotFoundError("the namespace has been deleted");
    }
    watched_ = found;
    if (context().calls->draining()) {
      return absl::UnavailableError("the server is shutting down; watch again when it is back");
    }
    const uint64_t unindexed = watched_->IndexingProgress(before_row_).unindexed_rows;
    const uint64_t total = latest_.total_rows();
    // Rows that died meanwhile leave the index: what has been reported done stays done.
    const uint64_t indexed = std::max(latest_.indexed_rows(), total - std::min(unindexed, total));
    changed_ = changed_ || indexed != latest_.indexed_rows() || last_sent_ == absl::InfinitePast();
    rate_.Add(absl::Now(), indexed);
    latest_.set_indexed_rows(indexed);
    latest_.set_rows_per_second(rate_.rows_per_second());
    latest_.clear_remaining();
    if (const auto remaining = rate_.Remaining(total - indexed); remaining.has_value()) {
      *latest_.mutable_remaining() = EncodeDuration(*remaining);
    }
    return absl::OkStatus();
  }

  void Written() override ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    writing_ = false;
  }

  void Released() override { watched_.reset(); }

  // One step runs at a time, and each begins the next: only writing_ needs the lock.
  const grpc::ByteBuffer* const request_;  // gRPC's; alive until OnDone
  v1::WatchIndexingRequest parsed_;
  std::shared_ptr<engine::Namespace> watched_;
  uint64_t before_row_ = 0;
  IndexingRate rate_;
  v1::WatchIndexingResponse latest_;
  bool changed_ = false;
  absl::Time last_sent_ = absl::InfinitePast();
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
};

using Grpc = v1::AdminService;
using RawSnapshots =
    Grpc::WithRawCallbackMethod_CreateSnapshot<Grpc::WithRawCallbackMethod_ListSnapshots<
        Grpc::WithRawCallbackMethod_VerifySnapshot<Grpc::WithRawCallbackMethod_RestoreSnapshot<
            Grpc::WithRawCallbackMethod_DeleteSnapshot<Grpc::Service>>>>>;
using RawService = Grpc::WithRawCallbackMethod_ListSegments<Grpc::WithRawCallbackMethod_Flush<
    Grpc::WithRawCallbackMethod_Compact<Grpc::WithRawCallbackMethod_WatchIndexing<
        Grpc::WithRawCallbackMethod_Stats<RawSnapshots>>>>>;

// Picks the handler for a call. Thread-safe.
class AdminServiceImpl final : public RawService {
 public:
  explicit AdminServiceImpl(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* ListSegments(grpc::CallbackServerContext* rpc,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override {
    return StartFunctionCall({"AdminService.ListSegments", *rpc, context_}, context_.read_pool,
                             request, response, &server::ListSegments);
  }
  grpc::ServerUnaryReactor* Flush(grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override {
    return StartCall<UpkeepCall<v1::FlushRequest, v1::FlushResponse>>(
        CallOrigin{"AdminService.Flush", *rpc, context_}, request, response,
        &engine::Namespace::Flush);
  }
  grpc::ServerUnaryReactor* Compact(grpc::CallbackServerContext* rpc,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override {
    return StartCall<UpkeepCall<v1::CompactRequest, v1::CompactResponse>>(
        CallOrigin{"AdminService.Compact", *rpc, context_}, request, response,
        &engine::Namespace::Compact);
  }
  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchIndexing(
      grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request) override {
    return StartCall<WatchIndexingCall>(CallOrigin{"AdminService.WatchIndexing", *rpc, context_},
                                        request);
  }
  grpc::ServerUnaryReactor* Stats(grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override {
    return StartFunctionCall({"AdminService.Stats", *rpc, context_}, context_.read_pool, request,
                             response, &server::Stats);
  }
  grpc::ServerUnaryReactor* CreateSnapshot(grpc::CallbackServerContext* rpc,
                                           const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override {
    return StartFunctionCall({"AdminService.CreateSnapshot", *rpc, context_},
                             context_.snapshot_pool, request, response, &server::CreateSnapshot);
  }
  grpc::ServerUnaryReactor* ListSnapshots(grpc::CallbackServerContext* rpc,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override {
    return StartFunctionCall({"AdminService.ListSnapshots", *rpc, context_}, context_.read_pool,
                             request, response, &server::ListSnapshots);
  }
  grpc::ServerUnaryReactor* VerifySnapshot(grpc::CallbackServerContext* rpc,
                                           const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override {
    return StartFunctionCall({"AdminService.VerifySnapshot", *rpc, context_},
                             context_.snapshot_pool, request, response, &server::VerifySnapshot);
  }
  grpc::ServerUnaryReactor* RestoreSnapshot(grpc::CallbackServerContext* rpc,
                                            const grpc::ByteBuffer* request,
                                            grpc::ByteBuffer* response) override {
    return StartFunctionCall({"AdminService.RestoreSnapshot", *rpc, context_},
                             context_.snapshot_pool, request, response, &server::RestoreSnapshot);
  }
  grpc::ServerUnaryReactor* DeleteSnapshot(grpc::CallbackServerContext* rpc,
                                           const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override {
    return StartFunctionCall({"AdminService.DeleteSnapshot", *rpc, context_},
                             context_.snapshot_pool, request, response, &server::DeleteSnapshot);
  }

 private:
  const ServiceContext& context_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewAdminService(const ServiceContext& context) {
  return std::make_unique<AdminServiceImpl>(context);
}

}  // namespace varve::server
