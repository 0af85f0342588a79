#ifndef VARVE_CLIENTS_CPP_TESTING_FAKE_SERVER_H_
#define VARVE_CLIENTS_CPP_TESTING_FAKE_SERVER_H_

#include <grpcpp/server.h>
#include <grpcpp/support/status.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "varve/v1/query_service.pb.h"
#include "varve/v1/record.pb.h"

namespace varve::client::testing {

// Where in an ingest stream a fault can strike.
enum class IngestPoint { kBeforeOpened, kBeforeRead, kBeforeCommit, kBeforeAck, kAfterAck };
inline constexpr IngestPoint kIngestPoints[] = {
    IngestPoint::kBeforeOpened, IngestPoint::kBeforeRead, IngestPoint::kBeforeCommit,
    IngestPoint::kBeforeAck, IngestPoint::kAfterAck};

// Asked at every point, with the number of the batch it is about. A status ends the stream there
// with it; CANCELLED cuts it without a status, as a broken connection does.
using IngestFault = std::function<std::optional<grpc::Status>(IngestPoint point, uint64_t batch)>;

// A batch that was applied.
struct FakeCommit {
  std::string producer;
  uint64_t number = 0;
};

struct FakeServerOptions {
  uint32_t window_batches = 4;
  uint64_t window_bytes = uint64_t{64} << 20;
  // Records per answer of a scan; the stream breaks after so many answers, each time.
  size_t scan_page = 1'000;
  size_t scan_pages_per_stream = SIZE_MAX;
};

// A server that keeps a few records in memory and compares them one by one: enough of the protocol
// to test clients against, with faults where a test wants them. Vectors are float32, metrics
// squared L2, of the first field of a batch; those of others come back as they were sent. Of
// filters it knows `PATH = VALUE`, VALUE being "text" or an integer; anything else is refused at
// its last column. What it does not need it does not check. Thread-safe. The data outlive
// Restart(), as on disk.
class FakeServer {
 public:
  explicit FakeServer(FakeServerOptions options = {});
  ~FakeServer();

  // "127.0.0.1:port"
  std::string target() const;

  // Returns once the fault that was set before is not asked any more.
  void set_ingest_fault(IngestFault fault);
  // Ends every call at once and closes the port.
  void Stop();
  // On the same port.
  void Restart();

  // Everything that was applied, in order.
  std::vector<FakeCommit> commits(const std::string& name_space) const;
  // The options of the last Search or SearchBatch that came, and the last batch of records.
  v1::SearchOptions search_options() const;
  v1::RecordBatch batch() const;
  // Largest SearchBatch and Get that came.
  size_t queries_at_once() const;
  size_t ids_at_once() const;

 private:
  class Services;
  void Start();

  const std::unique_ptr<Services> services_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace varve::client::testing

#endif  // VARVE_CLIENTS_CPP_TESTING_FAKE_SERVER_H_
