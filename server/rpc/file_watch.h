#ifndef VARVE_SERVER_RPC_FILE_WATCH_H_
#define VARVE_SERVER_RPC_FILE_WATCH_H_

#include <string>
#include <vector>

namespace varve::server {

// Notices that files have been replaced or written to. Not thread-safe.
class FileWatch {
 public:
  // Empty paths are left out.
  explicit FileWatch(std::vector<std::string> paths);

  // Whether one of them differs from what the last call, or the constructor, found.
  bool Changed();

 private:
  std::string Look() const;

  std::vector<std::string> paths_;
  std::string seen_;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_FILE_WATCH_H_
