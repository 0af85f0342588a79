#include "server/http_server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "base/str_cat.h"

namespace varve::server {
namespace {

constexpr size_t kThreads = 4;
constexpr time_t kReadTimeoutSeconds = 5;
constexpr size_t kPayloadBytesMax = 64 << 10;

// The library's default also sets SO_REUSEPORT, with which two servers would share a port
// unnoticed.
void SetSocketOptions(socket_t socket) {
  const int yes = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
}

class HttplibServer : public HttpServer {
 public:
  explicit HttplibServer(Sources sources) : sources_(std::move(sources)) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    server_.set_socket_options(SetSocketOptions);
    server_.set_read_timeout(kReadTimeoutSeconds);
    server_.set_payload_max_length(kPayloadBytesMax);
    // One request a connection: idle connections then cannot occupy the few threads.
    server_.set_keep_alive_max_count(1);
    server_.Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("ok\n", "text/plain");
    });
    server_.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
      const bool ready = sources_.ready();
      response.status = ready ? 200 : 503;
      response.set_content(ready ? "ready\n" : "not ready\n", "text/plain");
    });
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(sources_.metrics(), "text/plain; version=0.0.4; charset=utf-8");
    });
  }

  ~HttplibServer() override {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }

  // False when the address cannot be listened on.
  bool Listen(const std::string& address, int port) {
    if (port == 0) {
      port_ = server_.bind_to_any_port(address);
    } else {
      port_ = server_.bind_to_port(address, port) ? port : -1;
    }
    if (port_ <= 0) return false;
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // stop() is lost on a server whose thread has not got there yet.
    while (!server_.is_running()) std::this_thread::yield();
    return true;
  }

  int port() const override { return port_; }

 private:
  const Sources sources_;
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address, int port,
                                                              Sources sources) {
  auto server = std::make_unique<HttplibServer>(std::move(sources));
  if (!server->Listen(address, port)) {
    return absl::UnavailableError(StrCat(
        "cannot listen for HTTP on ", address, " port ", port,
        ": the port is in use, or the address is not one of this machine (see --http-port and "
        "--http-address)"));
  }
  return server;
}

}  // namespace varve::server
