#ifndef VARVE_CLIENTS_CLI_SESSION_H_
#define VARVE_CLIENTS_CLI_SESSION_H_

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/json.h"
#include "clients/cpp/varve/client.h"

namespace varve::cli {

// A server inside this process, over one data directory, for as long as `alive` is held.
struct LocalServer {
  std::string target;  // "127.0.0.1:port"
  std::shared_ptr<void> alive;
};

// The data directory that a verb works on itself, without a server.
struct LocalOptions {
  std::string data_dir;   // empty: none
  bool make = false;      // if it is not there
  int index_threads = 0;  // 0: one per core
};

// What one run of the program has: its words, its streams, and the options that every verb shares.
struct SessionOptions {
  std::vector<std::string> command_line;  // the program's name first
  std::ostream* out = nullptr;            // results
  std::ostream* err = nullptr;            // errors and progress
  bool err_is_terminal = false;
  Interrupt* interrupt = nullptr;  // nullptr: none is heard
  // Opens the data directory of --data-dir.
  std::function<absl::StatusOr<LocalServer>(const LocalOptions&)> open_local;
};

// Session is what a verb works with. One thread uses it. All it is given must outlive it.
class Session {
 public:
  explicit Session(SessionOptions options) : options_(std::move(options)) {}
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Set from --server, --data-dir and --json before a verb runs.
  std::string server = "127.0.0.1:7780";
  LocalOptions local;  // instead of `server`, if it names a directory
  bool json = false;

  // Set from --tls and its like, before a verb runs. Not for `local`.
  std::optional<client::TlsOptions> tls;
  std::string api_key_file;  // empty: the key is VARVE_API_KEY, if that is set

  // The connection to `server`, or to a server in this process over a data directory; an interrupt cancels
  // its calls. InvalidArgument: `server` is no address, or a file cannot be read. Otherwise what
  // opening the directory met.
  absl::StatusOr<client::Client*> client();

  // For a verb that names a directory itself, instead of --data-dir. UsageError: both are named.
  absl::Status WorkOn(LocalOptions directory);

  const std::vector<std::string>& command_line() const { return options_.command_line; }
  std::ostream& out() { return *options_.out; }
  std::ostream& err() { return *options_.err; }
  bool err_is_terminal() const { return options_.err_is_terminal; }
  bool interrupted() const;

  // What a failed job adds to its error: how to go on.
  void set_resume_hint(std::string hint) { resume_hint_ = std::move(hint); }
  const std::string& resume_hint() const { return resume_hint_; }

  // The filter that a call was given, to be shown where the server finds it wrong.
  void set_filter(std::string filter) { filter_ = std::move(filter); }
  const std::string& filter() const { return filter_; }

  // Prints the one document that --json promises.
  void PrintJson(const Json& document);

 private:
  absl::StatusOr<std::unique_ptr<client::Client>> Connect();

  const SessionOptions options_;
  std::string resume_hint_;
  std::string filter_;
  std::optional<LocalServer> local_server_;
  std::unique_ptr<client::Client> client_;  // ends before the server it may speak to
};

// What a verb does once the command line is understood.
using Action = std::function<absl::Status(Session&)>;

// The error of a command line that cannot be right, whatever the server says: exit code 2.
absl::Status UsageError(std::string_view message);
bool IsUsageError(const absl::Status& status);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_SESSION_H_
