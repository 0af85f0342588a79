#ifndef VARVE_SERVER_RPC_UNARY_CALL_H_
#define VARVE_SERVER_RPC_UNARY_CALL_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include "base/status_macros.h"
#include "server/rpc/message_codec.h"
#include "server/rpc/reactor_base.h"

namespace varve::server {

// A call with one request and one answer, whose work is done by the threads of a pool.
class UnaryCall : public Call<grpc::ServerUnaryReactor> {
 public:
  UnaryCall(const CallOrigin& origin, ThreadPool* pool, const grpc::ByteBuffer* request,
            grpc::ByteBuffer* response)
      : Call(origin), pool_(pool), request_(request), response_(response) {}

 protected:
  // Reserves what the call takes of the server, or says no. On a gRPC thread.
  virtual absl::Status Admit(size_t request_bytes) = 0;
  // On the pool. Calls End() or Respond(), now or after it has waited for something.
  virtual void Work() = 0;

  ThreadPool* pool() const { return pool_; }
  const grpc::ByteBuffer& request() const { return *request_; }

  // Ends the call with an answer. On the pool.
  void Respond(const google::protobuf::Message& answer) {
    const size_t bytes = answer.ByteSizeLong();
    absl::Status status = CheckAnswerBytes(bytes, context().max_message_bytes);
    if (status.ok()) status = AdmitAnswer(bytes);
    if (status.ok()) *response_ = SerializeMessage(answer);
    End(std::move(status));
  }
  // Reserves what the answer takes until the client has it.
  virtual absl::Status AdmitAnswer(size_t /*bytes*/) { return absl::OkStatus(); }

 private:
  void Begin() final {
    if (absl::Status status = Admit(request_->Length()); !status.ok()) return End(status);
    Run(pool_, [this] { Work(); });
  }

  ThreadPool* const pool_;
  const grpc::ByteBuffer* const request_;  // gRPC's, as response_; alive until OnDone
  grpc::ByteBuffer* const response_;
};

// The usual call: a function makes the answer. Until it is made the call counts against the
// server's calls, so that the pool's queue is bounded; its bytes count until the client has taken
// them.
template <typename Request, typename Response>
class FunctionCall : public UnaryCall {
 public:
  using Function = absl::Status (*)(const ServiceContext& context, const CallControl& control,
                                    const Request& request, Response* response);

  FunctionCall(const CallOrigin& origin, ThreadPool* pool, const grpc::ByteBuffer* request,
               grpc::ByteBuffer* response, Function function)
      : UnaryCall(origin, pool, request, response), function_(function) {}

 protected:
  // The request is parsed.
  virtual void Execute() {
    Response response;
    absl::Status status = control().Check();
    if (status.ok()) status = function_(context(), control(), parsed_, &response);
    if (!status.ok()) return End(std::move(status));
    Respond(response);
  }
  const Request& parsed() const { return parsed_; }

  void Released() override {
    slot_ = Budget::Share();
    request_share_ = Budget::Share();
    answer_share_ = Budget::Share();
  }

 private:
  absl::Status Admit(size_t request_bytes) override {
    VARVE_ASSIGN_OR_RETURN(slot_, context().admission->calls.TryReserve(1));
    VARVE_ASSIGN_OR_RETURN(request_share_,
                           context().admission->read_bytes.TryReserve(request_bytes));
    return absl::OkStatus();
  }
  absl::Status AdmitAnswer(size_t bytes) override {
    slot_ = Budget::Share();
    request_share_ = Budget::Share();
    VARVE_ASSIGN_OR_RETURN(answer_share_, context().admission->read_bytes.TryReserve(bytes));
    return absl::OkStatus();
  }
  void Work() override {
    if (absl::Status status = ParseMessage(request(), &parsed_); !status.ok()) return End(status);
    Execute();
  }

  const Function function_;
  Request parsed_;
  Budget::Share slot_;
  Budget::Share request_share_;
  Budget::Share answer_share_;
};

template <typename Request, typename Response>
grpc::ServerUnaryReactor* StartFunctionCall(const CallOrigin& origin, ThreadPool* pool,
                                            const grpc::ByteBuffer* request,
                                            grpc::ByteBuffer* response,
                                            absl::Status (*function)(const ServiceContext&,
                                                                     const CallControl&,
                                                                     const Request&, Response*)) {
  return StartCall<FunctionCall<Request, Response>>(origin, pool, request, response, function);
}

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_UNARY_CALL_H_
