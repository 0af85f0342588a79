#ifndef VARVE_SERVER_RPC_QUERY_SERVICE_H_
#define VARVE_SERVER_RPC_QUERY_SERVICE_H_

#include <memory>

namespace grpc {
class Service;
}

namespace varve::server {

struct ServiceContext;

// varve.v1.QueryService. `context` outlives the service.
std::unique_ptr<grpc::Service> NewQueryService(const ServiceContext& context);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_QUERY_SERVICE_H_
