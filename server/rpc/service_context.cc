#include "server/rpc/service_context.h"

#include <utility>

#include "base/status_macros.h"

namespace varve::server {

ServiceContext ServiceContext::ForCall(CallAccess* access_of_call) const {
  ServiceContext copy = *this;
  copy.access = access_of_call;
  return copy;
}

absl::StatusOr<std::shared_ptr<engine::Namespace>> ServiceContext::FindNamespace(
    std::string_view name) const {
  if (!access->Covers(name)) return engine::NoSuchNamespace(name);
  return engine->FindNamespace(name);
}

std::vector<engine::NamespaceSchema> ServiceContext::ListNamespaces(std::string_view after,
                                                                    size_t limit) const {
  return engine->ListNamespaces(after, limit,
                                [this](std::string_view name) { return access->Covers(name); });
}

absl::Status ServiceContext::DeleteNamespace(std::string_view name) const {
  if (!access->Covers(name)) return engine::NoSuchNamespace(name);
  return engine->DeleteNamespace(name);
}

absl::StatusOr<engine::NamespaceSchema> ServiceContext::CreateNamespace(
    engine::NamespaceSchema schema) const {
  VARVE_RETURN_IF_ERROR(access->CheckMayMake(schema.name));
  return engine->CreateNamespace(std::move(schema));
}

absl::Status ServiceContext::AdoptNamespace(const std::string& data_dir, const std::string& name,
                                            const std::string& as,
                                            const CallControl& control) const {
  VARVE_RETURN_IF_ERROR(access->CheckMayMake(as));
  return engine->AdoptNamespace(data_dir, name, as, control).status();
}

}  // namespace varve::server
