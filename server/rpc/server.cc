#include "server/rpc/server.h"

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "base/thread_pool.h"
#include "server/log.h"
#include "server/process_stats.h"
#include "server/rpc/admin_service.h"
#include "server/rpc/admission.h"
#include "server/rpc/call_tracker.h"
#include "server/rpc/ingest_service.h"
#include "server/rpc/namespace_service.h"
#include "server/rpc/query_service.h"
#include "server/rpc/security.h"
#include "server/rpc/service_context.h"
#include "server/rpc/write_gate.h"

namespace varve::server {
namespace {

// Calls on one connection at a time; a client with more opens another connection or waits.
constexpr int kCallsPerConnectionMax = 1000;
// Reflection is served by gRPC's own blocking threads.
constexpr int kBlockingThreadsMax = 16;
// A connection that is silent is asked whether it lives; one that does not answer is closed.
constexpr int kKeepaliveMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
// Clients may ask as often without being taken for attackers.
constexpr int kClientPingIntervalMs = 5'000;
constexpr int kHandshakeTimeoutMs = 20'000;

// A server that stops says so for at least so long, even when nothing keeps it.
constexpr absl::Duration kLameDuck = absl::Milliseconds(100);
// What refusals under way get to reach their clients when the server stops answering.
constexpr absl::Duration kLastRefusals = absl::Milliseconds(100);

constexpr const char* kServiceNames[] = {"", "varve.v1.AdminService", "varve.v1.IngestService",
                                         "varve.v1.NamespaceService", "varve.v1.QueryService"};

size_t ThreadsOrCores(int threads) {
  return threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
}

std::string HostAndPort(const std::string& address, int port) {
  const bool is_ipv6 = absl::StrContains(address, ":");
  return is_ipv6 ? StrCat("[", address, "]:", port) : StrCat(address, ":", port);
}

void Configure(const Options& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  grpc::ResourceQuota quota("varved");
  quota.Resize(options.wire_memory_bytes).SetMaxThreads(kBlockingThreadsMax);
  builder->SetResourceQuota(quota);
  // Vectors hardly compress, and a small message that unpacks into a huge one would pass every
  // limit.
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  for (const auto& [name, value] :
       {std::pair{GRPC_ARG_ALLOW_REUSEPORT, 0},
        std::pair{GRPC_ARG_MAX_CONCURRENT_STREAMS, kCallsPerConnectionMax},
        std::pair{GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs},
        std::pair{GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs},
        std::pair{GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
        std::pair{GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kClientPingIntervalMs},
        std::pair{GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs}}) {
    builder->AddChannelArgument(name, value);
  }
}

WriteLimits ToWriteLimits(const Options& options) {
  return {.memory_bytes = options.memory_budget_bytes,
          .disk_reserve_bytes = options.disk_reserve_bytes,
          .data_bytes = options.max_data_bytes,
          .bytes_per_second = options.max_ingest_bytes_per_second};
}

MachineProbes Probes(engine::Engine* engine) {
  return {.memory_used = ProcessMemoryBytes,
          .disk_free = [engine]() -> absl::StatusOr<uint64_t> {
            VARVE_ASSIGN_OR_RETURN(const auto space, engine->DiskSpace());
            return space.available;
          },
          .data_used = [engine] { return engine->DataBytes(); },
          .relieve = [engine] { engine->ReleaseMemory(); }};
}

// What gRPC says about connections, in the server's own form. It calls an error whatever a client
// does wrong, and repeats what its callers are told: of use for debugging only.
void LogForGrpc(gpr_log_func_args* args) {
  Log(LogLevel::kDebug, "grpc", {{"file", args->file}, {"detail", args->message}});
}

// Must be known before a server is built; all of it holds for the whole process.
void SetUpGrpc() {
  static const bool done = [] {
    gpr_set_log_function(LogForGrpc);
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)done;
}

// Reflection is a service of gRPC's own, which asks nobody for a key.
class WithoutReflection final : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const auto& plugin) {
      return dynamic_cast<grpc::reflection::ProtoServerReflectionPlugin*>(plugin.get()) != nullptr;
    });
  }
};

class ServerImpl final : public Server {
 public:
  ServerImpl(const Options& options, engine::Engine* engine, std::unique_ptr<Security> security)
      : drain_(options.drain),
        security_(std::move(security)),
        admission_{
            .ingest_bytes = {"bytes of batches under way (--ingest-budget-mib)",
                             options.ingest_budget_bytes, &write_pool_},
            .read_bytes = {"bytes of searches and answers (--read-budget-mib)",
                           options.read_budget_bytes, &write_pool_},
            .calls = {"calls at a time (--max-calls)", options.max_calls, &write_pool_},
            .streams = {"ingest streams at a time (--max-streams)", options.max_streams,
                        &write_pool_},
        },
        read_pool_("varve-read", ThreadsOrCores(options.search_threads)),
        // At least two, so that one slow write does not hold up every other namespace.
        write_pool_("varve-write", std::max<size_t>(2, ThreadsOrCores(0))),
        snapshot_pool_("varve-snapshot", 1),
        engine_(*engine),
        gate_({}, Probes(engine), &write_pool_),
        context_{.engine = engine,
                 .admission = &admission_,
                 .calls = &calls_,
                 .read_pool = &read_pool_,
                 .write_pool = &write_pool_,
                 .snapshot_pool = &snapshot_pool_,
                 .gate = &gate_,
                 .limits = &request_limits_,
                 .metrics = &metrics_,
                 .max_message_bytes = options.max_message_bytes,
                 .slow_query = options.slow_query,
                 .start_time = absl::Now(),
                 .keys = security_->keys()} {
    ApplyLimits(options);
  }

  ~ServerImpl() override {
    if (grpc_ != nullptr) Drain();
  }

  absl::Status Listen(const Options& options) {
    SetUpGrpc();
    grpc::ServerBuilder builder;
    Configure(options, &builder);
    const std::string address = HostAndPort(options.address, options.port);
    builder.AddListeningPort(address, security_->credentials(), &port_);
    if (security_->keys() != nullptr) builder.SetOption(std::make_unique<WithoutReflection>());
    services_.push_back(NewAdminService(context_));
    services_.push_back(NewIngestService(context_));
    services_.push_back(NewNamespaceService(context_));
    services_.push_back(NewQueryService(context_));
    for (const auto& service : services_) builder.RegisterService(service.get());
    grpc_ = builder.BuildAndStart();
    if (grpc_ == nullptr || port_ == 0) {
      return absl::UnavailableError(
          StrCat("cannot listen for gRPC on ", address,
                 ": the port is in use, or the address is not one of this machine (see --port)"));
    }
    for (const char* name : kServiceNames) {
      grpc_->GetHealthCheckService()->SetServingStatus(name, true);
    }
    return absl::OkStatus();
  }

  const ServerMetrics& metrics() const override { return metrics_; }
  const Admission& admission() const override { return admission_; }
  const WriteGate& gate() const override { return gate_; }
  const Security& security() const override { return *security_; }
  int port() const override { return port_; }
  bool serving() const override { return !calls_.draining(); }
  void ReloadSecurity() override { security_->Reload(); }
  void ReloadChangedSecurity() override { security_->ReloadChanged(); }
  void ApplyLimits(const Options& options) override {
    gate_.SetLimits(ToWriteLimits(options));
    request_limits_.k = options.max_k;
    request_limits_.ef_search = options.max_ef;
    engine_.limits().namespaces = options.max_namespaces;
    engine_.limits().namespace_vectors = options.max_namespace_vectors;
    engine_.limits().namespace_bytes = options.max_namespace_bytes;
  }

  bool Drain() override ABSL_LOCKS_EXCLUDED(drain_mu_) {
    MutexLock lock(&drain_mu_);
    if (drained_.has_value()) return *drained_;
    const absl::Time begin = absl::Now();
    const absl::Time deadline = begin + drain_;
    grpc_->GetHealthCheckService()->SetServingStatus(false);
    calls_.Drain();
    gate_.Drain();
    // gRPC goes on answering meanwhile: health checks see NOT_SERVING, late calls a clear refusal.
    drained_ = calls_.WaitUntilIdle(deadline);
    absl::SleepFor(std::min(deadline, begin + kLameDuck) - absl::Now());
    // What is left then, and what nobody counts (watches of health, reflection), is cancelled.
    grpc_->Shutdown(absl::ToChronoTime(absl::Now() + kLastRefusals));
    grpc_->Wait();
    return *drained_;
  }

 private:
  const absl::Duration drain_;
  const std::unique_ptr<Security> security_;
  ServerMetrics metrics_;
  CallTracker calls_;
  // Destroyed from the last to the first: gRPC and its calls, then the threads that run what is
  // left of their work, then the budgets whose shares that work holds.
  Admission admission_;
  ThreadPool read_pool_;
  ThreadPool write_pool_;
  ThreadPool snapshot_pool_;
  engine::Engine& engine_;
  WriteGate gate_;
  RequestLimits request_limits_;
  const ServiceContext context_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> grpc_;
  int port_ = 0;
  Mutex drain_mu_;
  std::optional<bool> drained_ ABSL_GUARDED_BY(drain_mu_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Options& options,
                                                      std::unique_ptr<Security> security,
                                                      engine::Engine* engine) {
  auto server = std::make_unique<ServerImpl>(options, engine, std::move(security));
  if (absl::Status status = server->Listen(options); !status.ok()) return status;
  return server;
}

}  // namespace varve::server
