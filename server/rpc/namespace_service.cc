#include "server/rpc/namespace_service.h"

#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "server/log.h"
#include "server/rpc/schema_mapping.h"
#include "server/rpc/unary_call.h"
#include "varve/v1/namespace_service.grpc.pb.h"

namespace varve::server {
namespace {

constexpr uint32_t kPageSizeMax = 1000;

absl::Status CreateNamespace(const ServiceContext& context, const CallControl&,
                             const v1::CreateNamespaceRequest& request,
                             v1::CreateNamespaceResponse* response) {
  VARVE_ASSIGN_OR_RETURN(engine::NamespaceSchema schema, DecodeNamespace(request.namespace_()));
  VARVE_ASSIGN_OR_RETURN(schema, context.CreateNamespace(std::move(schema)));
  Log(LogLevel::kInfo, "namespace created", {{"namespace", schema.name}});
  *response->mutable_namespace_() = EncodeNamespace(schema);
  return absl::OkStatus();
}

absl::Status GetNamespace(const ServiceContext& context, const CallControl&,
                          const v1::GetNamespaceRequest& request,
                          v1::GetNamespaceResponse* response) {
  VARVE_ASSIGN_OR_RETURN(const auto found, context.FindNamespace(request.name()));
  *response->mutable_namespace_() = EncodeNamespace(*found->schema());
  return absl::OkStatus();
}

// A page token is the name of the last namespace on the page before.
absl::Status ListNamespaces(const ServiceContext& context, const CallControl&,
                            const v1::ListNamespacesRequest& request,
                            v1::ListNamespacesResponse* response) {
  const uint32_t wanted = request.page_size() == 0 ? kPageSizeMax : request.page_size();
  const size_t page_size = std::min(wanted, kPageSizeMax);
  std::vector<engine::NamespaceSchema> schemas =
      context.ListNamespaces(request.page_token(), page_size + 1);
  if (schemas.size() > page_size) {
    schemas.resize(page_size);
    response->set_next_page_token(schemas.back().name);
  }
  for (const engine::NamespaceSchema& schema : schemas) {
    *response->add_namespaces() = EncodeNamespace(schema);
  }
  return absl::OkStatus();
}

absl::Status UpdateNamespace(const ServiceContext& context, const CallControl&,
                             const v1::UpdateNamespaceRequest& request,
                             v1::UpdateNamespaceResponse* response) {
  VARVE_ASSIGN_OR_RETURN(const auto found, context.FindNamespace(request.name()));
  VARVE_RETURN_IF_ERROR(found->Update(request.field(), DecodeIndexOptions(request.index()),
                                      DecodeLimits(request.limits())));
  *response->mutable_namespace_() = EncodeNamespace(*found->schema());
  return absl::OkStatus();
}

absl::Status DeleteNamespace(const ServiceContext& context, const CallControl&,
                             const v1::DeleteNamespaceRequest& request,
                             v1::DeleteNamespaceResponse*) {
  VARVE_RETURN_IF_ERROR(context.DeleteNamespace(request.name()));
  Log(LogLevel::kInfo, "namespace deleted", {{"namespace", request.name()}});
  return absl::OkStatus();
}

using Grpc = v1::NamespaceService;
using RawService =
    Grpc::WithRawCallbackMethod_CreateNamespace<Grpc::WithRawCallbackMethod_GetNamespace<
        Grpc::WithRawCallbackMethod_ListNamespaces<Grpc::WithRawCallbackMethod_UpdateNamespace<
            Grpc::WithRawCallbackMethod_DeleteNamespace<Grpc::Service>>>>>;

// Picks the function for a call. Thread-safe.
class NamespaceServiceImpl final : public RawService {
 public:
  explicit NamespaceServiceImpl(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* CreateNamespace(grpc::CallbackServerContext* rpc,
                                            const grpc::ByteBuffer* request,
                                            grpc::ByteBuffer* response) override {
    return StartFunctionCall({"NamespaceService.CreateNamespace", *rpc, context_},
                             context_.write_pool, request, response, &server::CreateNamespace);
  }
  grpc::ServerUnaryReactor* GetNamespace(grpc::CallbackServerContext* rpc,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override {
    return StartFunctionCall({"NamespaceService.GetNamespace", *rpc, context_}, context_.read_pool,
                             request, response, &server::GetNamespace);
  }
  grpc::ServerUnaryReactor* ListNamespaces(grpc::CallbackServerContext* rpc,
                                           const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override {
    return StartFunctionCall({"NamespaceService.ListNamespaces", *rpc, context_},
                             context_.read_pool, request, response, &server::ListNamespaces);
  }
  grpc::ServerUnaryReactor* UpdateNamespace(grpc::CallbackServerContext* rpc,
                                            const grpc::ByteBuffer* request,
                                            grpc::ByteBuffer* response) override {
    return StartFunctionCall({"NamespaceService.UpdateNamespace", *rpc, context_},
                             context_.write_pool, request, response, &server::UpdateNamespace);
  }
  grpc::ServerUnaryReactor* DeleteNamespace(grpc::CallbackServerContext* rpc,
                                            const grpc::ByteBuffer* request,
                                            grpc::ByteBuffer* response) override {
    return StartFunctionCall({"NamespaceService.DeleteNamespace", *rpc, context_},
                             context_.write_pool, request, response, &server::DeleteNamespace);
  }

 private:
  const ServiceContext& context_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewNamespaceService(const ServiceContext& context) {
  return std::make_unique<NamespaceServiceImpl>(context);
}

}  // namespace varve::server
