#ifndef VARVE_SERVER_RPC_SERVER_FIXTURE_H_
#define VARVE_SERVER_RPC_SERVER_FIXTURE_H_

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/channel_arguments.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/engine/engine.h"
#include "server/options.h"
#include "server/rpc/error_details.pb.h"
#include "server/rpc/server.h"
#include "storage/temporary_directory.h"
#include "varve/v1/admin_service.grpc.pb.h"
#include "varve/v1/ingest_service.grpc.pb.h"
#include "varve/v1/namespace_service.grpc.pb.h"
#include "varve/v1/query_service.grpc.pb.h"

namespace varve::server {

inline constexpr uint32_t kDimension = 4;

// `count` records with ids from `first` on; the vector of id i is [i, 1, 2, 3, ...].
v1::RecordBatch MakeRecords(uint64_t first, uint64_t count, uint32_t dimension = kDimension);
// The vector of an id as a query.
v1::Tensor MakeQuery(uint64_t id);

// The ErrorInfo.metadata of an error under a key; empty when there is none.
std::string ErrorMetadata(const grpc::Status& status, const std::string& key);

MATCHER_P2(StatusIs, code, message, "") {
  *result_listener << "code " << arg.error_code() << ": " << arg.error_message();
  return arg.error_code() == code && testing::Value(arg.error_message(), message);
}
inline auto IsOk() { return StatusIs(grpc::StatusCode::OK, testing::_); }

// An engine and a server over a temporary directory, with a real client. The options may be changed
// before Start().
class ServerFixture : public testing::Test {
 protected:
  ServerFixture();
  ~ServerFixture() override;

  void Start();
  // A connection of its own to the server.
  std::shared_ptr<grpc::Channel> Connect(grpc::ChannelArguments arguments = {});
  // As SIGTERM does, without the process. True when nothing had to be cancelled.
  bool Stop();

  void CreateNamespace(const std::string& name, const v1::IndexOptions& index = {},
                       uint32_t dimension = kDimension);
  // Writes records with one unary call; returns the sequence.
  uint64_t Upsert(const std::string& name, const v1::RecordBatch& records);
  uint64_t Count(const std::string& name);

  const storage::TemporaryDirectory directory_;
  Options options_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::NamespaceService::Stub> namespaces_;
  std::unique_ptr<v1::IngestService::Stub> ingest_;
  std::unique_ptr<v1::QueryService::Stub> query_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
};

// The client's side of one ingest stream.
class IngestClient {
 public:
  explicit IngestClient(v1::IngestService::Stub* stub) : stream_(stub->Ingest(&context_)) {}
  ~IngestClient();

  // Opens, and returns the answer; an empty one when the stream has ended.
  v1::IngestOpened Open(const v1::IngestOpen& open);
  v1::IngestOpened Open(const std::string& name, const std::string& producer = "");
  // False when the stream has ended.
  bool Send(uint64_t number, const v1::RecordBatch& records);
  bool Send(const v1::IngestRequest& request) { return stream_->Write(request); }
  // The next acknowledgement; number 0 when the stream has ended.
  v1::IngestAck ReadAck();
  void HalfClose() { stream_->WritesDone(); }
  void Cancel() { context_.TryCancel(); }
  // Reads to the end; how the stream ended.
  grpc::Status Finish();

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::IngestRequest, v1::IngestResponse>> stream_;
  bool finished_ = false;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_SERVER_FIXTURE_H_
