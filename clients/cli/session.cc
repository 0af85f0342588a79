#include "clients/cli/session.h"

#include <cstdlib>
#include <fstream>
#include <utility>

#include "absl/strings/cord.h"
#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::cli {
namespace {

constexpr char kUsagePayload[] = "varve.dev/usage";
// An exact search through a large namespace takes its time; Ctrl-C is there for those who do not.
constexpr absl::Duration kCallTimeout = absl::Minutes(10);

// The first line of the file if one is given, else what the environment has. No option takes the key
// itself: a command line can be seen by everybody on the machine.
absl::StatusOr<std::string> ApiKey(const std::string& path) {
  if (path.empty()) {
    const char* key = std::getenv("VARVE_API_KEY");
    return key == nullptr ? "" : key;
  }
  std::ifstream file(path);
  std::string key;
  if (std::getline(file, key) && !key.empty()) return key;
  return absl::InvalidArgumentError(StrCat("cannot read an API key from ", path));
}

}  // namespace

Session::~Session() {
  if (options_.interrupt != nullptr) options_.interrupt->SetHandler(nullptr);
}

absl::StatusOr<client::Client*> Session::client() {
  if (client_ == nullptr) {
    VARVE_ASSIGN_OR_RETURN(client_, Connect());
    if (options_.interrupt != nullptr) {
      options_.interrupt->SetHandler([client = client_.get()] { client->CancelAll(); });
    }
  }
  return client_.get();
}

absl::StatusOr<std::unique_ptr<client::Client>> Session::Connect() {
  client::ClientOptions options{.timeout = kCallTimeout};
  if (!local.data_dir.empty()) {
    VARVE_ASSIGN_OR_RETURN(local_server_, options_.open_local(local));
    return client::Client::Connect(local_server_->target, options);
  }
  options.tls = tls;
  VARVE_ASSIGN_OR_RETURN(options.api_key, ApiKey(api_key_file));
  return client::Client::Connect(server, options);
}

absl::Status Session::WorkOn(LocalOptions directory) {
  if (!local.data_dir.empty()) return UsageError("DIR is the directory; leave out --data-dir");
  local = std::move(directory);
  return absl::OkStatus();
}

bool Session::interrupted() const {
  return options_.interrupt != nullptr && options_.interrupt->happened();
}

void Session::PrintJson(const Json& document) { out() << ToText(document) << "\n"; }

absl::Status UsageError(std::string_view message) {
  absl::Status status(absl::StatusCode::kInvalidArgument,
                      absl::string_view(message.data(), message.size()));
  status.SetPayload(kUsagePayload, absl::Cord());
  return status;
}

bool IsUsageError(const absl::Status& status) {
  return status.GetPayload(kUsagePayload).has_value();
}

}  // namespace varve::cli
