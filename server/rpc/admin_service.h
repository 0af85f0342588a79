#ifndef VARVE_SERVER_RPC_ADMIN_SERVICE_H_
#define VARVE_SERVER_RPC_ADMIN_SERVICE_H_

#include <memory>

namespace grpc {
class Service;
}

namespace varve::server {

struct ServiceContext;

// varve.v1.AdminService. `context` outlives the service.
std::unique_ptr<grpc::Service> NewAdminService(const ServiceContext& context);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_ADMIN_SERVICE_H_
