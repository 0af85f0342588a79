// The baseline of ingest: the plainest gRPC server that takes Varve's ingest stream and writes the bytes
// of the vectors into RocksDB's blob files, acknowledged when they are in the write-ahead log. No index, no
// checks, no producers, one commit a batch.
//
//   plain_server DIRECTORY     prints its port, serves until its input ends

#include <grpcpp/grpcpp.h>
#include <rocksdb/db.h>

#include <cstdio>
#include <memory>
#include <string>

#include "varve/v1/ingest_service.grpc.pb.h"

namespace varve::bench {
namespace {

class PlainIngest final : public v1::IngestService::Service {
 public:
  explicit PlainIngest(rocksdb::DB* db) : db_(db) {}

  grpc::Status Ingest(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::IngestResponse, v1::IngestRequest>* stream) override {
    v1::IngestRequest request;
    while (stream->Read(&request)) {
      v1::IngestResponse response;
      if (request.has_open()) {
        v1::IngestOpened* const opened = response.mutable_opened();
        opened->set_window_batches(64);
        opened->set_window_bytes(size_t{64} << 20);
        opened->set_max_message_bytes(size_t{64} << 20);
      } else if (const grpc::Status status = Write(request.batch(), response.mutable_ack());
                 !status.ok()) {
        return status;
      }
      stream->Write(response);
    }
    return grpc::Status::OK;
  }

 private:
  grpc::Status Write(const v1::IngestBatch& batch, v1::IngestAck* ack) {
    const auto& ids = batch.records().ids().numbers().values();
    const std::string& vectors = batch.records().fields(0).dense().data();
    const size_t row_bytes = vectors.size() / ids.size();
    rocksdb::WriteBatch writes;
    for (int i = 0; i < ids.size(); ++i) {
      const uint64_t id = ids[i];
      writes.Put(rocksdb::Slice(reinterpret_cast<const char*>(&id), sizeof(id)),
                 rocksdb::Slice(vectors.data() + i * row_bytes, row_bytes));
    }
    if (const rocksdb::Status status = db_->Write(rocksdb::WriteOptions(), &writes); !status.ok()) {
      return grpc::Status(grpc::StatusCode::INTERNAL, status.ToString());
    }
    ack->set_number(batch.number());
    ack->set_sequence(batch.number());
    ack->set_durability(v1::DURABILITY_APPLIED);
    ack->set_records_written(ids.size());
    return grpc::Status::OK;
  }

  rocksdb::DB* const db_;
};

int Main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "plain_server DIRECTORY\n");
    return 2;
  }
  rocksdb::Options options;
  options.create_if_missing = true;
  options.enable_blob_files = true;
  options.write_buffer_size = size_t{64} << 20;
  options.max_write_buffer_number = 4;
  rocksdb::DB* opened = nullptr;
  if (const rocksdb::Status status = rocksdb::DB::Open(options, argv[1], &opened); !status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  const std::unique_ptr<rocksdb::DB> db(opened);
  PlainIngest service(db.get());
  int port = 0;
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(64 << 20);
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::printf("%d\n", port);
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  server->Shutdown();
  return 0;
}

}  // namespace
}  // namespace varve::bench

int main(int argc, char** argv) { return varve::bench::Main(argc, argv); }
