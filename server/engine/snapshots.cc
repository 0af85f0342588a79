#include "server/engine/snapshots.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/engine/segment_files.h"
#include "storage/data_directory.h"
#include "storage/files.h"

namespace varve::engine {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kInfoFile = "SNAPSHOT";
constexpr size_t kInfoFileBytesMax = size_t{64} << 20;
constexpr size_t kNameBytesMax = 128;

absl::Status CheckName(std::string_view name) {
  const auto allowed = [](char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
  };
  if (!name.empty() && name.size() <= kNameBytesMax && absl::ascii_isalnum(name.front()) &&
      std::all_of(name.begin(), name.end(), allowed)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      StrCat("snapshot name must be 1 to ", kNameBytesMax,
             " letters, digits, '_', '-' or '.', the first a letter or digit; got \"",
             name.substr(0, kNameBytesMax), "\" (", name.size(), " bytes)"));
}

std::string Serialize(const SnapshotInfo& info) {
  Json namespaces = Json::array();
  for (const SnapshotInfo::Part& part : info.namespaces) {
    namespaces.push_back({{"name", part.namespace_name}, {"sequence", part.sequence}});
  }
  const Json json = {{"create_time_us", absl::ToUnixMicros(info.create_time)},
                     {"only_namespace", info.only_namespace},
                     {"namespaces", std::move(namespaces)},
                     {"bytes", info.bytes}};
  return json.dump() + "\n";
}

// DataLoss when it does not parse.
absl::StatusOr<SnapshotInfo> Parse(const std::string& name, const std::string& path,
                                   const std::string& text) {
  SnapshotInfo info{.name = name};
  try {
    const Json json = Json::parse(text);
    info.create_time = absl::FromUnixMicros(json.at("create_time_us").get<int64_t>());
    json.at("only_namespace").get_to(info.only_namespace);
    for (const Json& part : json.at("namespaces")) {
      info.namespaces.push_back({.namespace_name = part.at("name").get<std::string>(),
                                 .sequence = part.at("sequence").get<uint64_t>()});
    }
    json.at("bytes").get_to(info.bytes);
  } catch (const Json::exception& error) {
    return absl::DataLossError(StrCat(path, "/", kInfoFile, ": ", error.what()));
  }
  return info;
}

uint64_t BytesIn(const std::string& path) {
  uint64_t bytes = 0;
  std::error_code ignored;
  for (std::filesystem::recursive_directory_iterator it(path, ignored), end; it != end;
       it.increment(ignored)) {
    if (it->is_regular_file(ignored)) bytes += it->file_size(ignored);
  }
  return bytes;
}

}  // namespace

absl::Status NoSuchSnapshot(std::string_view name) {
  return absl::NotFoundError(StrCat("there is no snapshot \"", name, "\""));
}

std::string Snapshots::Path(std::string_view name) const { return StrCat(directory_, "/", name); }

std::string Snapshots::HiddenPath(std::string_view name) const {
  return StrCat(directory_, "/.", name);
}

absl::Status Snapshots::RemoveLeftovers() {
  MutexLock lock(&mu_);
  VARVE_ASSIGN_OR_RETURN(const auto names, files_.List(directory_));
  for (const std::string& name : names) {
    if (name.front() == '.') VARVE_RETURN_IF_ERROR(files_.RemoveDirectory(Path(name)));
  }
  return absl::OkStatus();
}

absl::StatusOr<SnapshotInfo> Snapshots::Create(
    const std::string& name, std::string_view only_namespace,
    absl::FunctionRef<absl::StatusOr<std::vector<SnapshotInfo::Part>>(const std::string& path)>
        write) {
  VARVE_RETURN_IF_ERROR(CheckName(name));
  MutexLock lock(&mu_);
  if (std::filesystem::exists(Path(name))) {
    return absl::AlreadyExistsError(StrCat("snapshot \"", name, "\" exists already"));
  }
  const std::string hidden = HiddenPath(name);
  const auto make = [&]() -> absl::StatusOr<SnapshotInfo> {
    VARVE_RETURN_IF_ERROR(storage::CreateDirectories(directory_));
    VARVE_RETURN_IF_ERROR(files_.RemoveDirectory(hidden));
    // To the microsecond, as the file keeps it.
    SnapshotInfo info{.name = name,
                      .create_time = absl::FromUnixMicros(absl::ToUnixMicros(absl::Now())),
                      .only_namespace = std::string(only_namespace)};
    VARVE_ASSIGN_OR_RETURN(info.namespaces, write(hidden));
    info.bytes = BytesIn(hidden);
    VARVE_RETURN_IF_ERROR(storage::WriteFileAtomically(hidden, kInfoFile, Serialize(info)));
    VARVE_RETURN_IF_ERROR(files_.Rename(hidden, Path(name)));
    VARVE_RETURN_IF_ERROR(files_.SyncDirectory(directory_));
    return info;
  };
  auto made = make();
  if (!made.ok()) files_.RemoveDirectory(hidden).IgnoreError();
  return made;
}

absl::StatusOr<SnapshotInfo> Snapshots::Read(const std::string& name) const {
  const std::string path = Path(name);
  VARVE_ASSIGN_OR_RETURN(const std::optional<std::string> text,
                         storage::ReadSmallFile(StrCat(path, "/", kInfoFile), kInfoFileBytesMax));
  if (!text.has_value()) return NoSuchSnapshot(name);
  return Parse(name, path, *text);
}

absl::StatusOr<std::vector<SnapshotInfo>> Snapshots::List() const {
  VARVE_ASSIGN_OR_RETURN(const auto names, files_.List(directory_));
  std::vector<SnapshotInfo> found;
  for (const std::string& name : names) {
    if (name.front() == '.') continue;
    auto info = Read(name);
    if (absl::IsNotFound(info.status())) continue;  // not ours, or deleted meanwhile
    VARVE_RETURN_IF_ERROR(info.status());
    found.push_back(*std::move(info));
  }
  std::sort(found.begin(), found.end(), [](const SnapshotInfo& a, const SnapshotInfo& b) {
    return std::tie(a.create_time, a.name) < std::tie(b.create_time, b.name);
  });
  return found;
}

absl::StatusOr<std::string> Snapshots::Find(const std::string& name) const {
  VARVE_RETURN_IF_ERROR(CheckName(name));
  if (!std::filesystem::exists(StrCat(Path(name), "/", kInfoFile))) return NoSuchSnapshot(name);
  return Path(name);
}

absl::Status Snapshots::Delete(const std::string& name) {
  MutexLock lock(&mu_);
  VARVE_ASSIGN_OR_RETURN(const std::string path, Find(name));
  // Nobody who reads it has the lock while we have.
  VARVE_ASSIGN_OR_RETURN(const auto unused, storage::DataDirectory::OpenExisting(path));
  VARVE_RETURN_IF_ERROR(files_.Rename(path, HiddenPath(name)));
  VARVE_RETURN_IF_ERROR(files_.SyncDirectory(directory_));
  return files_.RemoveDirectory(HiddenPath(name));
}

absl::Status LinkSegments(storage::FileSystem* files, const std::string& from,
                          const std::string& to) {
  VARVE_ASSIGN_OR_RETURN(const auto names, files->List(from));
  if (names.empty()) return absl::OkStatus();
  VARVE_RETURN_IF_ERROR(files->CreateDirectory(to));
  for (const std::string& name : names) {
    if (!SegmentFiles::IsSegment(name)) continue;
    VARVE_RETURN_IF_ERROR(files->LinkOrCopy(StrCat(from, "/", name), StrCat(to, "/", name)));
  }
  return files->SyncDirectory(to);
}

}  // namespace varve::engine
