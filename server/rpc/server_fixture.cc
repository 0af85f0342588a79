#include "server/rpc/server_fixture.h"

#include <grpcpp/create_channel.h>

#include <numeric>
#include <utility>

#include "server/rpc/security.h"

namespace varve::server {
namespace {

void AppendVector(uint64_t id, uint32_t dimension, std::string* bytes) {
  std::vector<float> vector(dimension);
  std::iota(vector.begin(), vector.end(), 0.0f);
  vector[0] = static_cast<float>(id);
  bytes->append(reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float));
}

}  // namespace

v1::RecordBatch MakeRecords(uint64_t first, uint64_t count, uint32_t dimension) {
  v1::RecordBatch batch;
  v1::Tensor* tensor = batch.add_fields()->mutable_dense();
  tensor->set_dtype(v1::DTYPE_F32);
  tensor->add_shape(count);
  tensor->add_shape(dimension);
  for (uint64_t id = first; id < first + count; ++id) {
    batch.mutable_ids()->mutable_numbers()->add_values(id);
    AppendVector(id, dimension, tensor->mutable_data());
  }
  return batch;
}

v1::Tensor MakeQuery(uint64_t id) {
  v1::Tensor query;
  query.set_dtype(v1::DTYPE_F32);
  query.add_shape(kDimension);
  AppendVector(id, kDimension, query.mutable_data());
  return query;
}

std::string ErrorMetadata(const grpc::Status& status, const std::string& key) {
  rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  for (const google::protobuf::Any& any : details.details()) {
    rpc::ErrorInfo info;
    if (any.type_url() != "type.googleapis.com/google.rpc.ErrorInfo") continue;
    EXPECT_TRUE(info.ParseFromString(any.value()));
    const auto found = info.metadata().find(key);
    if (found != info.metadata().end()) return found->second;
  }
  return "";
}

ServerFixture::ServerFixture() {
  options_.data_dir = directory_.path() + "/data";
  options_.port = 0;
}

ServerFixture::~ServerFixture() {
  server_.reset();
  engine_.reset();
}

void ServerFixture::Start() {
  auto engine = engine::Engine::Open({.data_dir = options_.data_dir});
  ASSERT_TRUE(engine.ok()) << engine.status();
  engine_ = *std::move(engine);
  auto security = Security::Open(options_);
  ASSERT_TRUE(security.ok()) << security.status();
  auto server = Server::Start(options_, *std::move(security), engine_.get());
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  channel_ = Connect();
  namespaces_ = v1::NamespaceService::NewStub(channel_);
  ingest_ = v1::IngestService::NewStub(channel_);
  query_ = v1::QueryService::NewStub(channel_);
  admin_ = v1::AdminService::NewStub(channel_);
}

std::shared_ptr<grpc::Channel> ServerFixture::Connect(grpc::ChannelArguments arguments) {
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->port()),
                                   grpc::InsecureChannelCredentials(), arguments);
}

bool ServerFixture::Stop() {
  const bool complete = server_->Drain();
  server_.reset();
  engine_.reset();
  return complete;
}

void ServerFixture::CreateNamespace(const std::string& name, const v1::IndexOptions& index,
                                    uint32_t dimension) {
  v1::CreateNamespaceRequest request;
  request.mutable_namespace_()->set_name(name);
  v1::VectorField* field = request.mutable_namespace_()->add_fields();
  field->set_dimension(dimension);
  *field->mutable_index() = index;
  grpc::ClientContext context;
  v1::CreateNamespaceResponse response;
  ASSERT_THAT(namespaces_->CreateNamespace(&context, request, &response), IsOk());
}

uint64_t ServerFixture::Upsert(const std::string& name, const v1::RecordBatch& records) {
  v1::UpsertRequest request;
  request.set_namespace_(name);
  *request.mutable_records() = records;
  grpc::ClientContext context;
  v1::UpsertResponse response;
  EXPECT_THAT(ingest_->Upsert(&context, request, &response), IsOk());
  return response.sequence();
}

uint64_t ServerFixture::Count(const std::string& name) {
  v1::CountRequest request;
  request.set_namespace_(name);
  grpc::ClientContext context;
  v1::CountResponse response;
  EXPECT_THAT(query_->Count(&context, request, &response), IsOk());
  return response.count();
}

IngestClient::~IngestClient() {
  if (finished_) return;
  context_.TryCancel();
  Finish();
}

v1::IngestOpened IngestClient::Open(const v1::IngestOpen& open) {
  v1::IngestRequest request;
  *request.mutable_open() = open;
  v1::IngestResponse response;
  if (stream_->Write(request)) stream_->Read(&response);
  return response.opened();
}

v1::IngestOpened IngestClient::Open(const std::string& name, const std::string& producer) {
  v1::IngestOpen open;
  open.set_namespace_(name);
  open.set_producer(producer);
  return Open(open);
}

bool IngestClient::Send(uint64_t number, const v1::RecordBatch& records) {
  v1::IngestRequest request;
  request.mutable_batch()->set_number(number);
  *request.mutable_batch()->mutable_records() = records;
  return stream_->Write(request);
}

v1::IngestAck IngestClient::ReadAck() {
  v1::IngestResponse response;
  if (!stream_->Read(&response)) return {};
  return response.ack();
}

grpc::Status IngestClient::Finish() {
  finished_ = true;
  v1::IngestResponse ignored;
  while (stream_->Read(&ignored)) {
  }
  return stream_->Finish();
}

}  // namespace varve::server
