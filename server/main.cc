// varved: the Varve server. Opens the data directory, serves, and drains on SIGTERM or SIGINT.
// `varved check` verifies a data directory instead, `varved health` asks a server how it is.

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/check_command.h"
#include "server/engine/engine.h"
#include "server/health_command.h"
#include "server/http_server.h"
#include "server/log.h"
#include "server/options.h"
#include "server/rpc/server.h"
#include "server/version.h"

// jemalloc's settings, under the name that it looks for. What is freed goes back to the system after
// some seconds even when nothing else is allocated: memory shrinks after deletes as the disk does.
extern "C" const char* malloc_conf = "background_thread:true";

namespace varve::server {
namespace {

// timeout(1) and terminals signal a process and its group: one request may arrive as two signals.
constexpr absl::Duration kSameRequest = absl::Milliseconds(100);

// Turns SIGTERM and SIGINT into something to wait for. The first asks for an orderly stop (before
// the server is ready it ends the process: nothing has been promised yet); the second ends it at
// once. Made before any other thread, so that all of them leave the signals to this one. Lives for
// ever.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    signal(SIGPIPE, SIG_IGN);
    std::thread([this] { Run(); }).detach();
  }

  // From now on the first signal is to be waited for.
  void BeReady() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    ready_ = true;
  }
  void Wait() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    while (received_at_ == absl::InfiniteFuture()) changed_.Wait(&mu_);
  }

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_) {
    for (int number = 0; sigwait(&signals_, &number) == 0;) {
      MutexLock lock(&mu_);
      if (!ready_) {
        Log(LogLevel::kInfo, "stopped before it was ready");
        _exit(0);
      }
      const absl::Time now = absl::Now();
      if (received_at_ != absl::InfiniteFuture() && now - received_at_ > kSameRequest) {
        Log(LogLevel::kWarning, "asked twice to stop: ends at once");
        _exit(1);
      }
      received_at_ = std::min(received_at_, now);
      changed_.SignalAll();
    }
  }

  sigset_t signals_;
  Mutex mu_;
  CondVar changed_;
  bool ready_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time received_at_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
};

// Every connection is a file, and so are the store's.
void RaiseFileLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Readers see the whole file or none: it is renamed into place.
absl::Status WritePortFile(const std::string& path, int grpc_port, int http_port) {
  const std::string temporary = path + ".tmp";
  const std::string text = StrCat("{\"grpc\": ", grpc_port, ", \"http\": ", http_port, "}\n");
  std::FILE* file = std::fopen(temporary.c_str(), "w");
  bool ok = file != nullptr;
  if (ok) {
    ok = std::fputs(text.c_str(), file) >= 0;
    ok = std::fclose(file) == 0 && ok;
  }
  if (ok && std::rename(temporary.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, StrCat("cannot write the port file ", path));
}

absl::StatusOr<std::unique_ptr<engine::Engine>> OpenEngine(const Options& options) {
  const absl::Time begin = absl::Now();
  VARVE_ASSIGN_OR_RETURN(auto opened,
                         engine::Engine::Open({.data_dir = options.data_dir,
                                               .search_threads = options.search_threads,
                                               .index_threads = options.index_threads}));
  Log(LogLevel::kInfo, "data directory open",
      {{"data_dir", options.data_dir},
       {"namespaces", opened->Stats().namespaces},
       {"seconds", absl::ToDoubleSeconds(absl::Now() - begin)}});
  return opened;
}

void AnnounceReady(const Options& options, const Server& grpc, const HttpServer& http) {
  Log(LogLevel::kInfo, "ready",
      {{"address", options.address}, {"grpc_port", grpc.port()}, {"http_port", http.port()}});
  std::printf("varved ready: grpc %s:%d, http %s:%d\n", options.address.c_str(), grpc.port(),
              options.address.c_str(), http.port());
  std::fflush(stdout);
}

absl::Status Serve(const Options& options, StopSignals* signals) {
  // Whoever waits for the file must not find that of an earlier run.
  if (!options.port_file.empty()) unlink(options.port_file.c_str());
  VARVE_ASSIGN_OR_RETURN(const auto engine, OpenEngine(options));
  std::atomic<bool> ready = false;
  VARVE_ASSIGN_OR_RETURN(const auto http, HttpServer::Start(options.address, options.http_port,
                                                            [&ready] { return ready.load(); }));
  VARVE_ASSIGN_OR_RETURN(const auto grpc, Server::Start(options, engine.get()));
  // Before the port file: who finds that may ask at once, and may stop the server at once.
  ready = true;
  signals->BeReady();
  if (!options.port_file.empty()) {
    VARVE_RETURN_IF_ERROR(WritePortFile(options.port_file, grpc->port(), http->port()));
  }
  AnnounceReady(options, *grpc, *http);

  signals->Wait();
  ready = false;
  Log(LogLevel::kInfo, "drain begins", {{"seconds", absl::ToDoubleSeconds(options.drain)}});
  const bool complete = grpc->Drain();
  Log(LogLevel::kInfo, "drain ends", {{"complete", complete}});
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "check") return RunCheck(argc - 1, argv + 1);
  if (command == "health") return RunHealth(argc - 1, argv + 1);
  const ParsedOptions parsed = ParseOptions(argc, argv);
  if (!parsed.options.has_value()) return parsed.exit_code;
  SetLogLevel(parsed.options->log_level);
  StopSignals& signals = *new StopSignals;
  RaiseFileLimit();
  Log(LogLevel::kInfo, "starting",
      {{"version", kVersion}, {"data_dir", parsed.options->data_dir}, {"pid", getpid()}});
  if (absl::Status status = Serve(*parsed.options, &signals); !status.ok()) {
    const std::string error(status.message());
    Log(LogLevel::kError, "cannot serve", {{"error", error}});
    return 1;
  }
  Log(LogLevel::kInfo, "stopped");
  return 0;
}

}  // namespace
}  // namespace varve::server

int main(int argc, char** argv) { return varve::server::Main(argc, argv); }
