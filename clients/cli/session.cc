#include "clients/cli/session.h"

#include <utility>

#include "absl/strings/cord.h"
#include "base/status_macros.h"

namespace varve::cli {
namespace {

constexpr char kUsagePayload[] = "varve.dev/usage";
// An exact search through a large namespace takes its time; Ctrl-C is there for those who do not.
constexpr absl::Duration kCallTimeout = absl::Minutes(10);

}  // namespace

Session::~Session() {
  if (options_.interrupt != nullptr) options_.interrupt->SetHandler(nullptr);
}

absl::StatusOr<client::Client*> Session::client() {
  if (client_ == nullptr) {
    if (!local.data_dir.empty()) {
      VARVE_ASSIGN_OR_RETURN(local_server_, options_.open_local(local));
    }
    VARVE_ASSIGN_OR_RETURN(client_,
                           client::Client::Connect(local_server_ ? local_server_->target : server,
                                                   {.timeout = kCallTimeout}));
    if (options_.interrupt != nullptr) {
      options_.interrupt->SetHandler([client = client_.get()] { client->CancelAll(); });
    }
  }
  return client_.get();
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
