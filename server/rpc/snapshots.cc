#include "server/rpc/snapshots.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/engine/check.h"
#include "server/engine/engine.h"
#include "varve/v1/admin_service.pb.h"

namespace varve::server {
namespace {

void Encode(const engine::SnapshotInfo& info, v1::Snapshot* out) {
  out->set_name(info.name);
  const int64_t micros = absl::ToUnixMicros(info.create_time);
  out->mutable_create_time()->set_seconds(micros / 1'000'000);
  out->mutable_create_time()->set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
  out->set_only_namespace(info.only_namespace);
  for (const engine::SnapshotInfo::Part& part : info.namespaces) {
    v1::SnapshotNamespace* const one = out->add_namespaces();
    one->set_namespace_(part.namespace_name);
    one->set_sequence(part.sequence);
  }
  out->set_bytes(info.bytes);
}

// To a key for some namespaces, a snapshot that is not of one of them alone does not exist.
bool MaySee(const ServiceContext& context, const engine::SnapshotInfo& info) {
  if (context.access->CoversAll()) return true;
  return !info.only_namespace.empty() && context.access->Covers(info.only_namespace);
}

absl::StatusOr<std::vector<engine::SnapshotInfo>> Visible(const ServiceContext& context) {
  VARVE_ASSIGN_OR_RETURN(auto all, context.engine->snapshots().List());
  std::erase_if(all, [&](const engine::SnapshotInfo& info) { return !MaySee(context, info); });
  return all;
}

absl::StatusOr<engine::SnapshotInfo> Find(const ServiceContext& context, const std::string& name) {
  VARVE_RETURN_IF_ERROR(context.engine->snapshots().Find(name).status());
  VARVE_ASSIGN_OR_RETURN(const auto all, Visible(context));
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& info) { return info.name == name; });
  if (found == all.end()) return engine::NoSuchSnapshot(name);
  return *found;
}

// The only namespace of a snapshot.
absl::StatusOr<std::string> OnlyNamespace(const engine::SnapshotInfo& info) {
  if (info.namespaces.size() == 1) return info.namespaces.front().namespace_name;
  return absl::InvalidArgumentError(StrCat("namespace: must be named, snapshot \"", info.name,
                                           "\" has ", info.namespaces.size()));
}

// What takes a key to all namespaces, or to the one named.
absl::Status CheckMayCopy(const ServiceContext& context, const std::string& name) {
  if (name.empty() && !context.access->CoversAll()) {
    return absl::PermissionDeniedError(
        "a snapshot of all namespaces takes a key for all of them: name one");
  }
  if (!name.empty() && !context.access->Covers(name)) return engine::NoSuchNamespace(name);
  return absl::OkStatus();
}

}  // namespace

absl::Status CreateSnapshot(const ServiceContext& context, const CallControl& control,
                            const v1::CreateSnapshotRequest& request,
                            v1::CreateSnapshotResponse* response) {
  const std::string name =
      request.name().empty() ? absl::FormatTime("%Y%m%dT%H%M%SZ", absl::Now(), absl::UTCTimeZone())
                             : request.name();
  VARVE_RETURN_IF_ERROR(CheckMayCopy(context, request.namespace_()));
  // That of one namespace copies its records; that of all takes hardly any room.
  if (!request.namespace_().empty()) VARVE_RETURN_IF_ERROR(context.gate->CheckDisk());
  VARVE_ASSIGN_OR_RETURN(const auto info,
                         context.engine->CreateSnapshot(name, request.namespace_(), control));
  Encode(info, response->mutable_snapshot());
  return absl::OkStatus();
}

absl::Status ListSnapshots(const ServiceContext& context, const CallControl& /*control*/,
                           const v1::ListSnapshotsRequest& /*request*/,
                           v1::ListSnapshotsResponse* response) {
  VARVE_ASSIGN_OR_RETURN(const auto all, Visible(context));
  for (const engine::SnapshotInfo& info : all) Encode(info, response->add_snapshots());
  return absl::OkStatus();
}

absl::Status VerifySnapshot(const ServiceContext& context, const CallControl& control,
                            const v1::VerifySnapshotRequest& request,
                            v1::VerifySnapshotResponse* response) {
  VARVE_RETURN_IF_ERROR(Find(context, request.name()).status());
  VARVE_ASSIGN_OR_RETURN(const std::string path, context.engine->snapshots().Find(request.name()));
  VARVE_ASSIGN_OR_RETURN(const engine::CheckReport report, engine::CheckSnapshot(path, control));
  for (const std::string& what : report.record_damage) response->add_record_damage(what);
  for (const std::string& what : report.index_damage) response->add_index_damage(what);
  response->set_namespaces(report.namespaces);
  response->set_records(report.records);
  response->set_segments(report.segments);
  return absl::OkStatus();
}

absl::Status RestoreSnapshot(const ServiceContext& context, const CallControl& control,
                             const v1::RestoreSnapshotRequest& request,
                             v1::RestoreSnapshotResponse* response) {
  VARVE_RETURN_IF_ERROR(context.gate->CheckDisk());
  VARVE_ASSIGN_OR_RETURN(const engine::SnapshotInfo info, Find(context, request.name()));
  std::string name = request.namespace_();
  if (name.empty()) {
    VARVE_ASSIGN_OR_RETURN(name, OnlyNamespace(info));
  }
  const std::string& as = request.as().empty() ? name : request.as();
  VARVE_ASSIGN_OR_RETURN(const std::string path, context.engine->snapshots().Find(request.name()));
  VARVE_RETURN_IF_ERROR(context.AdoptNamespace(path, name, as, control));
  VARVE_ASSIGN_OR_RETURN(const auto restored, context.FindNamespace(as));
  response->set_namespace_(as);
  response->set_sequence(restored->sequence());
  return absl::OkStatus();
}

absl::Status DeleteSnapshot(const ServiceContext& context, const CallControl& /*control*/,
                            const v1::DeleteSnapshotRequest& request,
                            v1::DeleteSnapshotResponse* /*response*/) {
  VARVE_RETURN_IF_ERROR(Find(context, request.name()).status());
  return context.engine->snapshots().Delete(request.name());
}

}  // namespace varve::server
