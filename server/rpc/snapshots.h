#ifndef VARVE_SERVER_RPC_SNAPSHOTS_H_
#define VARVE_SERVER_RPC_SNAPSHOTS_H_

#include "absl/status/status.h"
#include "base/call_control.h"
#include "server/rpc/service_context.h"

namespace varve::v1 {
class CreateSnapshotRequest;
class CreateSnapshotResponse;
class DeleteSnapshotRequest;
class DeleteSnapshotResponse;
class ListSnapshotsRequest;
class ListSnapshotsResponse;
class RestoreSnapshotRequest;
class RestoreSnapshotResponse;
class VerifySnapshotRequest;
class VerifySnapshotResponse;
}  // namespace varve::v1

namespace varve::server {

// AdminService's calls on snapshots, as the protocol says. They read and write files, for minutes if there
// is much to copy: not for a pool that others wait for.
absl::Status CreateSnapshot(const ServiceContext& context, const CallControl& control,
                            const v1::CreateSnapshotRequest& request,
                            v1::CreateSnapshotResponse* response);
absl::Status ListSnapshots(const ServiceContext& context, const CallControl& control,
                           const v1::ListSnapshotsRequest& request,
                           v1::ListSnapshotsResponse* response);
absl::Status VerifySnapshot(const ServiceContext& context, const CallControl& control,
                            const v1::VerifySnapshotRequest& request,
                            v1::VerifySnapshotResponse* response);
absl::Status RestoreSnapshot(const ServiceContext& context, const CallControl& control,
                             const v1::RestoreSnapshotRequest& request,
                             v1::RestoreSnapshotResponse* response);
absl::Status DeleteSnapshot(const ServiceContext& context, const CallControl& control,
                            const v1::DeleteSnapshotRequest& request,
                            v1::DeleteSnapshotResponse* response);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_SNAPSHOTS_H_
