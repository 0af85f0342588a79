// varved: the Varve server. Opens the data directory, serves, reloads on SIGHUP, and drains on SIGTERM
// or SIGINT. Other commands: `varved check` verifies a data directory, `varved adopt` takes namespaces
// into one, `varved key` makes an API key, `varved health` asks a server how it is.

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
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/adopt_command.h"
#include "server/check_command.h"
#include "server/engine/engine.h"
#include "server/health_command.h"
#include "server/http_server.h"
#include "server/key_command.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/options.h"
#include "server/reloader.h"
#include "server/rpc/security.h"
#include "server/rpc/server.h"
#include "server/version.h"

// jemalloc's settings, under the name that it looks for. What is freed goes back to the system after
// some seconds even when nothing else is allocated: memory shrinks after deletes as the disk does.
extern "C" const char* malloc_conf = "background_thread:true";

namespace varve::server {
namespace {

// timeout(1) and terminals signal a process and its group: one request may arrive as two signals.
constexpr absl::Duration kSameRequest = absl::Milliseconds(100);

// How often the files of keys and certificates are looked at: whoever replaces them need not be able
// to send a signal.
constexpr absl::Duration kLookAtFiles = absl::Seconds(10);

// Turns SIGTERM, SIGINT and SIGHUP into something to wait for. The first of SIGTERM or SIGINT asks
// for an orderly stop (before the server is ready it ends the process: nothing has been promised
// yet); the second ends it at once. SIGHUP asks for a reload. Made before any other thread, so that
// all of them leave the signals to this one. Lives for ever.
class Signals {
 public:
  enum class Request { kNone, kReload, kStop };

  Signals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    signal(SIGPIPE, SIG_IGN);
    std::thread([this] { Run(); }).detach();
  }

  // From now on the first signal is to be waited for.
  void BeReady() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    ready_ = true;
  }
  // What is asked for; kNone when nothing was until `timeout` had passed.
  Request Wait(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mu_) {
    const auto deadline = absl::ToChronoTime(absl::Now() + timeout);
    MutexLock lock(&mu_);
    while (received_at_ == absl::InfiniteFuture() && !reload_) {
      if (!changed_.WaitUntil(&mu_, deadline)) break;
    }
    if (received_at_ != absl::InfiniteFuture()) return Request::kStop;
    return std::exchange(reload_, false) ? Request::kReload : Request::kNone;
  }

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_) {
    for (int number = 0; sigwait(&signals_, &number) == 0;) {
      MutexLock lock(&mu_);
      if (number == SIGHUP) {
        reload_ = true;
        changed_.SignalAll();
        continue;
      }
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
  bool reload_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time received_at_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
};

// Every connection is a file, and so are the store's.
void RaiseFileLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void WarnOfDoubtfulSettings(const Options& options) {
  for (const std::string& name : UnknownVariables(environ)) {
    Log(LogLevel::kWarning, "a variable of the environment is no setting", {{"variable", name}});
  }
  if (IsLoopback(options.address)) return;
  if (options.tls_cert.empty()) {
    Log(LogLevel::kWarning,
        "--allow-insecure: whoever is on the way can read and change all that clients and server "
        "send each other, keys too",
        {{"address", options.address}});
  }
  if (options.api_keys.empty()) {
    Log(LogLevel::kWarning,
        "--allow-insecure: whoever reaches the port may read and write everything",
        {{"address", options.address}});
  }
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
                                               .memory_bytes = options.memory_budget_bytes,
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
      {{"address", options.address},
       {"grpc_port", grpc.port()},
       {"http_address", options.http_address},
       {"http_port", http.port()},
       {"tls", !options.tls_cert.empty()},
       {"client_certificates", !options.tls_client_ca.empty()},
       {"api_keys", !options.api_keys.empty()}});
  std::printf("varved ready: grpc %s:%d, http %s:%d\n", options.address.c_str(), grpc.port(),
              options.http_address.c_str(), http.port());
  std::fflush(stdout);
}

enum class End { kStop, kReopen };

// Serves until it is asked to stop, or the data directory has to be opened anew.
End RunUntilStopped(Signals* signals, const Reloader& reloader, engine::Engine* engine,
                    Server* grpc) {
  while (true) {
    switch (signals->Wait(kLookAtFiles)) {
      case Signals::Request::kStop:
        return End::kStop;
      case Signals::Request::kReload:
        reloader.Reload(grpc);
        break;
      case Signals::Request::kNone:
        grpc->ReloadChangedSecurity();
        if (engine->NeedsReopening()) return End::kReopen;
        break;
    }
  }
}

// The ports are in `options` afterwards.
absl::StatusOr<End> ServeOnce(Options* given, Signals* signals, const Reloader& reloader) {
  const Options& options = *given;
  // Whoever waits for the file must not find that of an earlier run.
  if (!options.port_file.empty()) unlink(options.port_file.c_str());
  // Before the data directory: a file that is wrong must not leave a new one behind.
  VARVE_ASSIGN_OR_RETURN(auto security, Security::Open(options));
  VARVE_ASSIGN_OR_RETURN(const auto engine, OpenEngine(options));
  VARVE_ASSIGN_OR_RETURN(const auto grpc,
                         Server::Start(options, std::move(security), engine.get()));
  std::atomic<bool> ready = false;
  // Last, so that whoever asks it finds all that it tells of.
  VARVE_ASSIGN_OR_RETURN(
      const auto http, HttpServer::Start(options.http_address, options.http_port,
                                         {.ready = [&ready] { return ready.load(); },
                                          .metrics = [&] { return MetricsText(*engine, *grpc); }}));
  // Before the port file: who finds that may ask at once, and may stop the server at once.
  ready = true;
  signals->BeReady();
  if (!options.port_file.empty()) {
    VARVE_RETURN_IF_ERROR(WritePortFile(options.port_file, grpc->port(), http->port()));
  }
  AnnounceReady(options, *grpc, *http);

  given->port = grpc->port();
  given->http_port = http->port();
  const End end = RunUntilStopped(signals, reloader, engine.get(), grpc.get());
  ready = false;
  Log(LogLevel::kInfo, "drain begins", {{"seconds", absl::ToDoubleSeconds(options.drain)}});
  const bool complete = grpc->Drain();
  Log(LogLevel::kInfo, "drain ends", {{"complete", complete}});
  return end;
}

// After some errors of the disk the record store can only be opened anew. Until the disk works again it is
// read; then all of it is done again, on the same ports.
absl::Status Serve(Options options, Signals* signals, const Reloader& reloader) {
  while (true) {
    VARVE_ASSIGN_OR_RETURN(const End end, ServeOnce(&options, signals, reloader));
    if (end == End::kStop) return absl::OkStatus();
    Log(LogLevel::kWarning, "the disk works again: the data directory is opened anew");
  }
}

int Main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "check") return RunCheck(argc - 1, argv + 1);
  if (command == "adopt") return RunAdopt(argc - 1, argv + 1);
  if (command == "key") return RunKey(argc - 1, argv + 1);
  if (command == "health") return RunHealth(argc - 1, argv + 1);
  const ParsedOptions parsed = ParseOptions(argc, argv);
  if (!parsed.options.has_value()) return parsed.exit_code;
  SetLogLevel(parsed.options->log_level);
  Signals& signals = *new Signals;
  RaiseFileLimit();
  Log(LogLevel::kInfo, "starting",
      {{"version", kVersion}, {"data_dir", parsed.options->data_dir}, {"pid", getpid()}});
  WarnOfDoubtfulSettings(*parsed.options);
  const Reloader reloader(argc, argv, *parsed.options);
  if (absl::Status status = Serve(*parsed.options, &signals, reloader); !status.ok()) {
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
