#include "server/key_command.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/rpc/api_keys.h"

namespace varve::server {
namespace {

enum ExitCode { kDone = 0, kFailed = 1, kUsage = 2 };

struct Words {
  std::string id;
  std::string scope;
  std::vector<std::string> namespaces = {"*"};
  std::string expires;
  std::string file;
};

absl::StatusOr<ApiKey> MakeEntry(const Words& words, std::string_view key) {
  ApiKey entry{.id = words.id, .hash = HashKey(key), .namespaces = words.namespaces};
  VARVE_ASSIGN_OR_RETURN(entry.scope, ParseScope(words.scope));
  if (!words.expires.empty()) {
    VARVE_ASSIGN_OR_RETURN(entry.expires, ParseExpiry(words.expires));
  }
  // What the server would refuse is refused here.
  VARVE_RETURN_IF_ERROR(ParseApiKeys(FormatApiKeys({entry})).status());
  return entry;
}

absl::Status Errno(std::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, StrCat(what, " ", path));
}

absl::Status WriteAndSync(int file, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = write(file, text.data(), text.size());
    if (written < 0) return Errno("cannot write", path);
    text.remove_prefix(static_cast<size_t>(written));
  }
  return fsync(file) == 0 ? absl::OkStatus() : Errno("cannot sync", path);
}

// Replaces a file by way of `temporary`, which must not be there: so two that write at the same time
// cannot lose what the other wrote. The file keeps its owner, because varved may run as another user
// than who makes keys.
class Replacement {
 public:
  explicit Replacement(std::string path) : path_(std::move(path)), temporary_(path_ + ".new") {}
  ~Replacement() {
    if (file_ < 0) return;
    close(file_);
    if (!done_) unlink(temporary_.c_str());
  }

  absl::Status Begin() {
    file_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file_ >= 0) return absl::OkStatus();
    if (errno != EEXIST) return Errno("cannot make", temporary_);
    return absl::AbortedError(StrCat(temporary_,
                                     " is there: another varved key is at work; remove "
                                     "the file if there is none"));
  }

  absl::Status Finish(std::string_view text) {
    struct stat present = {};
    if (stat(path_.c_str(), &present) == 0 && fchown(file_, present.st_uid, present.st_gid) != 0) {
      return Errno("cannot keep the owner of", path_);
    }
    VARVE_RETURN_IF_ERROR(WriteAndSync(file_, text, temporary_));
    if (rename(temporary_.c_str(), path_.c_str()) != 0) return Errno("cannot replace", path_);
    done_ = true;
    return absl::OkStatus();
  }

 private:
  const std::string path_;
  const std::string temporary_;
  int file_ = -1;
  bool done_ = false;
};

// Adds the entry to the file, which is made if it is not there.
absl::Status Append(const ApiKey& entry, const std::string& path) {
  Replacement replacement(path);
  VARVE_RETURN_IF_ERROR(replacement.Begin());
  absl::StatusOr<std::vector<ApiKey>> keys = ReadApiKeys(path);
  if (absl::IsNotFound(keys.status())) keys.emplace();
  VARVE_RETURN_IF_ERROR(keys.status());
  keys->push_back(entry);
  const std::string text = FormatApiKeys(*keys);
  if (absl::Status status = ParseApiKeys(text).status(); !status.ok()) {
    return absl::InvalidArgumentError(StrCat(path, ": ", status.message()));
  }
  return replacement.Finish(text);
}

// The key goes to standard output alone, so that it can be piped to where it is kept.
absl::Status MakeAndPrint(const Words& words) {
  const std::string key = MakeKey();
  VARVE_ASSIGN_OR_RETURN(const ApiKey entry, MakeEntry(words, key));
  if (words.file.empty()) {
    std::fprintf(stderr, "entry for the file of keys:\n%s\n", FormatApiKey(entry).c_str());
  } else {
    VARVE_RETURN_IF_ERROR(Append(entry, words.file));
  }
  std::printf("%s\n", key.c_str());
  return absl::OkStatus();
}

}  // namespace

int RunKey(int argc, const char* const* argv) {
  Words words;
  CLI::App app("Makes an API key, prints it once, and adds its entry to a file of keys",
               "varved key");
  app.add_option("--id", words.id, "Name of the key, for logs and for people")->required();
  app.add_option("--scope", words.scope, "What it may do: read, write or admin")
      ->required()
      ->check(CLI::IsMember({"read", "write", "admin"}));
  app.add_option("--namespace", words.namespaces,
                 "Namespace it is for, or the beginning of names and *; can be given several times")
      ->capture_default_str();
  app.add_option("--expires", words.expires,
                 "When it ends, such as 2027-01-31T00:00:00Z; never if not given");
  app.add_option("--file", words.file,
                 "File of keys to add the entry to; without it the entry is printed");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  const absl::Status status = MakeAndPrint(words);
  if (status.ok()) return kDone;
  std::fprintf(stderr, "varved key: %s\n", std::string(status.message()).c_str());
  return kFailed;
}

}  // namespace varve::server
