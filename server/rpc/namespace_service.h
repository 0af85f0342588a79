#ifndef VARVE_SERVER_RPC_NAMESPACE_SERVICE_H_
#define VARVE_SERVER_RPC_NAMESPACE_SERVICE_H_

#include <memory>

namespace grpc {
class Service;
}

namespace varve::server {

struct ServiceContext;

// varve.v1.NamespaceService. `context` outlives the service.
std::unique_ptr<grpc::Service> NewNamespaceService(const ServiceContext& context);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_NAMESPACE_SERVICE_H_
