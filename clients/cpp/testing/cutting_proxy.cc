#include "clients/cpp/testing/cutting_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"

namespace varve::client::testing {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void Check(bool ok) {
  if (!ok) std::abort();  // a test cannot go on without sockets
}

// What has been sent is thrown away too, as when a machine disappears.
void CloseHard(int fd) {
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  close(fd);
}

// Moves what is there, `limit` bytes at most, from one socket to the other. 0: the sender closed.
size_t Move(int from, int to, size_t limit) {
  char buffer[4096];
  const ssize_t got = recv(from, buffer, std::min(limit, sizeof(buffer)), 0);
  for (ssize_t sent = 0; sent < got;) {
    const ssize_t n = send(to, buffer + sent, got - sent, MSG_NOSIGNAL);
    if (n <= 0) return 0;
    sent += n;
  }
  return got > 0 ? got : 0;
}

}  // namespace

CuttingProxy::CuttingProxy(uint16_t server_port, std::function<size_t()> next_limit)
    : server_port_(server_port), next_limit_(std::move(next_limit)) {
  listener_ = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  Check(bind(listener_, generic, size) == 0 && listen(listener_, 64) == 0);
  Check(getsockname(listener_, generic, &size) == 0 && pipe(stop_pipe_) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

CuttingProxy::~CuttingProxy() {
  Check(write(stop_pipe_[1], "x", 1) == 1);
  acceptor_.join();
  for (std::thread& connection : connections_) connection.join();
  close(listener_);
  close(stop_pipe_[0]);
  close(stop_pipe_[1]);
}

std::string CuttingProxy::target() const { return absl::StrCat("127.0.0.1:", port_); }

size_t CuttingProxy::cuts() const {
  MutexLock lock(&mu_);
  return cuts_;
}

void CuttingProxy::Accept() {
  for (;;) {
    pollfd waits[] = {{stop_pipe_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
    poll(waits, 2, -1);
    if (waits[0].revents != 0) return;
    const int client = accept(listener_, nullptr, nullptr);
    if (client < 0) continue;
    connections_.emplace_back([this, client, limit = next_limit_()] { Forward(client, limit); });
  }
}

void CuttingProxy::Forward(int client, size_t limit) {
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = Loopback(server_port_);
  size_t left = limit;
  if (connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    while (left > 0) {
      pollfd waits[] = {{stop_pipe_[0], POLLIN, 0}, {client, POLLIN, 0}, {server, POLLIN, 0}};
      poll(waits, 3, -1);
      if (waits[0].revents != 0) break;
      const bool upwards = waits[1].revents != 0;
      const size_t moved = upwards ? Move(client, server, left) : Move(server, client, left);
      if (moved == 0) break;
      left -= moved;
    }
  }
  CloseHard(client);
  CloseHard(server);
  MutexLock lock(&mu_);
  if (left == 0) ++cuts_;
}

}  // namespace varve::client::testing
