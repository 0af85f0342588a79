#ifndef VARVE_CLIENTS_CPP_TESTING_CUTTING_PROXY_H_
#define VARVE_CLIENTS_CPP_TESTING_CUTTING_PROXY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"

namespace varve::client::testing {

// CuttingProxy forwards TCP connections to a server on loopback and cuts each of them after some
// number of bytes, wherever in a message that is: acknowledgements on their way are lost.
// Thread-safe.
class CuttingProxy {
 public:
  // `next_limit` says after how many bytes, both ways together, the next connection is cut.
  CuttingProxy(uint16_t server_port, std::function<size_t()> next_limit);
  ~CuttingProxy();
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  // "127.0.0.1:port"
  std::string target() const;
  // Connections cut so far.
  size_t cuts() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Accept();
  void Forward(int client, size_t limit);

  const uint16_t server_port_;
  const std::function<size_t()> next_limit_;
  int listener_ = -1;
  int stop_pipe_[2] = {-1, -1};  // readable once the proxy stops
  uint16_t port_ = 0;
  mutable Mutex mu_;
  size_t cuts_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::thread> connections_;  // the acceptor's until it is joined
  std::thread acceptor_;
};

}  // namespace varve::client::testing

#endif  // VARVE_CLIENTS_CPP_TESTING_CUTTING_PROXY_H_
