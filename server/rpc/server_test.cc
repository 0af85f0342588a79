#include "server/rpc/server.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "server/rpc/security.h"
#include "server/rpc/server_fixture.h"

namespace varve::server {
namespace {

using testing::_;
using testing::HasSubstr;

class ServerTest : public ServerFixture {
 protected:
  // The answer of grpc.health.v1.Health/Check, whose messages are small enough to write by hand.
  grpc::Status CheckHealth(const std::string& service, int* serving_status) {
    const grpc::Slice request("\x0a" + std::string(1, static_cast<char>(service.size())) + service);
    grpc::ByteBuffer response;
    const grpc::Status status =
        Call("/grpc.health.v1.Health/Check", grpc::ByteBuffer(&request, 1), &response);
    std::vector<grpc::Slice> slices;
    if (!status.ok() || !response.Dump(&slices).ok() || slices.empty()) return status;
    *serving_status = slices[0].size() == 2 ? slices[0].begin()[1] : 0;
    return status;
  }

  grpc::Status Call(const std::string& method, const grpc::ByteBuffer& request,
                    grpc::ByteBuffer* response) {
    grpc::GenericStub stub(channel_);
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    grpc::CompletionQueue queue;
    auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
    call->StartCall();
    grpc::Status status;
    call->Finish(response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue.Next(&tag, &ok));
    return status;
  }

  // Drains on a thread, and returns when draining has begun.
  std::future<bool> BeginDrain() {
    auto drained = std::async(std::launch::async, [this] { return server_->Drain(); });
    while (server_->serving()) std::this_thread::yield();
    return drained;
  }
};

constexpr int kServing = 1;
constexpr int kNotServing = 2;

TEST_F(ServerTest, HealthIsServedForEveryService) {
  Start();
  for (const char* service : {"", "varve.v1.AdminService", "varve.v1.IngestService",
                              "varve.v1.NamespaceService", "varve.v1.QueryService"}) {
    int status = 0;
    EXPECT_THAT(CheckHealth(service, &status), IsOk()) << service;
    EXPECT_EQ(status, kServing) << service;
  }
  int status = 0;
  EXPECT_THAT(CheckHealth("varve.v9.Nothing", &status), StatusIs(grpc::StatusCode::NOT_FOUND, _));
}

TEST_F(ServerTest, TwoServersDoNotShareAPort) {
  Start();
  Options same_port = options_;
  same_port.port = server_->port();
  auto security = Security::Open(same_port);
  ASSERT_TRUE(security.ok()) << security.status();
  const auto second = Server::Start(same_port, *std::move(security), engine_.get());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(std::to_string(server_->port())));
}

TEST_F(ServerTest, AnUnknownMethodIsUnimplemented) {
  Start();
  grpc::ByteBuffer response;
  EXPECT_THAT(Call("/varve.v1.QueryService/Guess", grpc::ByteBuffer(), &response),
              StatusIs(grpc::StatusCode::UNIMPLEMENTED, _));
}

TEST_F(ServerTest, CompressedMessagesAreRefused) {
  Start();
  CreateNamespace("docs");
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  v1::UpsertRequest request;
  request.set_namespace_("docs");
  *request.mutable_records() = MakeRecords(0, 1000);
  v1::UpsertResponse response;
  EXPECT_THAT(ingest_->Upsert(&context, request, &response),
              StatusIs(grpc::StatusCode::UNIMPLEMENTED, HasSubstr("ompression")));
}

TEST_F(ServerTest, DrainingKeepsWhatIsAcknowledgedAndSaysHowToGoOn) {
  Start();
  CreateNamespace("docs");
  IngestClient client(ingest_.get());
  client.Open("docs", "loader");
  uint64_t acknowledged = 0;
  for (; acknowledged < 5; ++acknowledged) {
    client.Send(acknowledged + 1, MakeRecords(acknowledged * 10, 10));
    ASSERT_EQ(client.ReadAck().number(), acknowledged + 1);
  }
  std::thread sender([&client] {
    for (uint64_t number = 6; client.Send(number, MakeRecords(number * 10 - 10, 10)); ++number) {
    }
  });
  auto drained = BeginDrain();
  while (const uint64_t number = client.ReadAck().number()) {
    ASSERT_EQ(number, acknowledged + 1);
    acknowledged = number;
  }
  sender.join();
  const grpc::Status status = client.Finish();
  EXPECT_THAT(status, StatusIs(grpc::StatusCode::UNAVAILABLE, HasSubstr("resume")));
  EXPECT_THAT(status.error_details(), HasSubstr("google.rpc.RetryInfo"));
  EXPECT_TRUE(drained.get());

  server_.reset();
  engine_.reset();
  Start();
  IngestClient again(ingest_.get());
  EXPECT_EQ(again.Open("docs", "loader").last_batch(), acknowledged);
  EXPECT_EQ(Count("docs"), acknowledged * 10);
}

// A scan whose first message is larger than the 64 KiB that the client takes unread, so that it is
// stuck until the client is told to read.
class SlowScan {
 public:
  explicit SlowScan(std::shared_ptr<grpc::Channel> channel)
      : stub_(v1::QueryService::NewStub(std::move(channel))) {
    v1::ScanRequest request;
    request.set_namespace_("wide");
    request.set_include_vectors(true);
    scan_ = stub_->Scan(&context_, request);
    scan_->WaitForInitialMetadata();  // goes out with the first message
  }
  grpc::Status ReadToTheEnd() {
    v1::ScanResponse response;
    while (scan_->Read(&response)) {
    }
    return scan_->Finish();
  }

 private:
  const std::unique_ptr<v1::QueryService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::ScanResponse>> scan_;
};

class SlowClientTest : public ServerTest {
 protected:
  void StartWithSlowScan() {
    Start();
    CreateNamespace("wide", {}, 65'000);
    Upsert("wide", MakeRecords(0, 40, 65'000));
    grpc::ChannelArguments small_window;
    small_window.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    small_window.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 64 << 10);
    scan_ = std::make_unique<SlowScan>(Connect(small_window));
  }

  std::unique_ptr<SlowScan> scan_;
};

TEST_F(SlowClientTest, WhileDrainingHealthSaysSoAndCallsAreRefused) {
  options_.drain = absl::Minutes(1);
  StartWithSlowScan();
  auto drained = BeginDrain();
  for (const char* service : {"", "varve.v1.QueryService"}) {
    int status = 0;
    EXPECT_THAT(CheckHealth(service, &status), IsOk());
    EXPECT_EQ(status, kNotServing);
  }
  v1::CountRequest count;
  count.set_namespace_("wide");
  grpc::ClientContext context;
  v1::CountResponse counted;
  EXPECT_THAT(query_->Count(&context, count, &counted),
              StatusIs(grpc::StatusCode::UNAVAILABLE, HasSubstr("shutting down")));
  EXPECT_THAT(scan_->ReadToTheEnd(),
              StatusIs(grpc::StatusCode::UNAVAILABLE, HasSubstr("next_token")));
  EXPECT_TRUE(drained.get());
}

TEST_F(SlowClientTest, DrainingIsBoundedWhateverClientsDo) {
  options_.drain = absl::Milliseconds(100);
  StartWithSlowScan();
  EXPECT_FALSE(Stop());
  EXPECT_FALSE(scan_->ReadToTheEnd().ok());
}

TEST_F(ServerTest, DrainingEndsIdleStreamsAndWaits) {
  options_.drain = absl::Minutes(1);
  Start();
  CreateNamespace("docs");
  IngestClient idle(ingest_.get());
  idle.Open("docs", "loader");
  grpc::ClientContext search_context;
  auto searches = query_->SearchStream(&search_context);
  v1::SearchStreamRequest search;
  search.mutable_search()->set_namespace_("docs");
  *search.mutable_search()->mutable_query() = MakeQuery(1);
  search.mutable_search()->mutable_options()->set_k(1);
  v1::SearchStreamResponse found;
  ASSERT_TRUE(searches->Write(search) && searches->Read(&found));
  auto waiting = std::async(std::launch::async, [this] {
    v1::CountRequest count;
    count.set_namespace_("docs");
    count.set_min_sequence(1000);
    grpc::ClientContext context;
    v1::CountResponse counted;
    return query_->Count(&context, count, &counted);
  });
  EXPECT_TRUE(Stop());
  EXPECT_THAT(idle.Finish(), StatusIs(grpc::StatusCode::UNAVAILABLE, HasSubstr("resume")));
  EXPECT_THAT(searches->Finish(), StatusIs(grpc::StatusCode::UNAVAILABLE, _));
  EXPECT_THAT(waiting.get(), StatusIs(grpc::StatusCode::UNAVAILABLE, _));
}

TEST_F(ServerTest, ThousandsOfIdleStreamsAreFine) {
  Start();
  CreateNamespace("docs");
  constexpr int kStreams = 3000;
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReaderWriter<v1::IngestRequest, v1::IngestResponse>>>
      streams;
  for (int i = 0; i < kStreams; ++i) {
    if (i % 500 == 0) channels.push_back(Connect());
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    streams.push_back(v1::IngestService::NewStub(channels.back())->Ingest(contexts.back().get()));
    v1::IngestRequest open;
    open.mutable_open()->set_namespace_("docs");
    ASSERT_TRUE(streams.back()->Write(open));
  }
  for (auto& stream : streams) {
    v1::IngestResponse opened;
    ASSERT_TRUE(stream->Read(&opened));
  }
  EXPECT_EQ(Upsert("docs", MakeRecords(0, 10)), 1);
  EXPECT_TRUE(Stop());
  for (auto& stream : streams) {
    EXPECT_THAT(stream->Finish(), StatusIs(grpc::StatusCode::UNAVAILABLE, _));
  }
}

}  // namespace
}  // namespace varve::server
