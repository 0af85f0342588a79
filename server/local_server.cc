#include "server/local_server.h"

#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/engine/engine.h"
#include "server/log.h"
#include "server/options.h"
#include "server/rpc/security.h"
#include "server/rpc/server.h"

namespace varve::server {
namespace {

class EngineServer final : public LocalServer {
 public:
  EngineServer(std::unique_ptr<engine::Engine> engine, std::unique_ptr<Server> server)
      : engine_(std::move(engine)), server_(std::move(server)) {}

  std::string target() const override { return StrCat("127.0.0.1:", server_->port()); }

 private:
  const std::unique_ptr<engine::Engine> engine_;
  const std::unique_ptr<Server> server_;  // ends before what it serves
};

}  // namespace

absl::StatusOr<std::unique_ptr<LocalServer>> LocalServer::Open(const LocalServerOptions& options) {
  SetLogLevel(LogLevel::kError);
  VARVE_ASSIGN_OR_RETURN(auto engine,
                         engine::Engine::Open({.data_dir = options.data_dir,
                                               .must_exist = options.must_exist,
                                               .index_threads = options.index_threads}));
  const Options serving = {.data_dir = options.data_dir, .port = 0};
  VARVE_ASSIGN_OR_RETURN(auto security, Security::Open(serving));
  VARVE_ASSIGN_OR_RETURN(auto server, Server::Start(serving, std::move(security), engine.get()));
  return std::make_unique<EngineServer>(std::move(engine), std::move(server));
}

}  // namespace varve::server
