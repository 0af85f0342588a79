#ifndef VARVE_CLIENTS_CPP_VARVE_SCANNER_H_
#define VARVE_CLIENTS_CPP_VARVE_SCANNER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/varve/records.h"

namespace varve::client {

namespace internal {
class Channel;
}  // namespace internal

struct ScanOptions {
  bool include_vectors = false;
  bool include_metadata = false;
  std::vector<std::string> metadata_paths;  // of it only these attributes and objects; none: all
  std::string filter;                       // as SearchOptions::filter
  std::string token;  // Scanner::token() of an earlier scan, to go on after what that one returned
  // When the connection breaks, the scan resumes unless it gets nowhere for so long.
  absl::Duration give_up_after = absl::Seconds(30);
};

// Scanner walks over the records of a namespace in order of id: numbers ascending, text by bytes.
//
// It sees the namespace as it was when the walk began; after a connection that broke it goes on
// where it was, in the namespace as it is then. Not thread-safe. It may outlive its Client.
class Scanner {
 public:
  // Made by Client::Scan.
  Scanner(std::shared_ptr<internal::Channel> channel, std::string_view name_space,
          ScanOptions options);
  ~Scanner();
  Scanner(Scanner&&) noexcept;
  Scanner& operator=(Scanner&&) noexcept;

  // Replaces `page` by further records, a few thousand at most and one at least; false at the end.
  // After an error every later call returns it too.
  absl::StatusOr<bool> Next(Records* page);

  // Where a new scan would go on: after the last page returned. Opaque bytes.
  const std::string& token() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve::client

#endif  // VARVE_CLIENTS_CPP_VARVE_SCANNER_H_
