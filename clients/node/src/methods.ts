import type { Writer } from "protobufjs";
import { varve } from "../generated/varve.js";

import v1 = varve.v1;

/** One call of the protocol: where it is, and how its messages are written and read. */
export interface Method<Request, Response> {
  readonly path: string;
  readonly encode: (request: Request) => Buffer;
  readonly decode: (bytes: Buffer) => Response;
}

function method<Request, Response>(
  path: string,
  request: { encode(message: Request, writer?: Writer): Writer },
  response: { decode(bytes: Uint8Array): Response },
): Method<Request, Response> {
  return {
    path: `/varve.v1.${path}`,
    encode: (message) => request.encode(message).finish() as Buffer,
    decode: (bytes) => response.decode(bytes),
  };
}

export const methods = {
  createNamespace: method("NamespaceService/CreateNamespace", v1.CreateNamespaceRequest, v1.CreateNamespaceResponse),
  getNamespace: method("NamespaceService/GetNamespace", v1.GetNamespaceRequest, v1.GetNamespaceResponse),
  listNamespaces: method("NamespaceService/ListNamespaces", v1.ListNamespacesRequest, v1.ListNamespacesResponse),
  updateNamespace: method("NamespaceService/UpdateNamespace", v1.UpdateNamespaceRequest, v1.UpdateNamespaceResponse),
  deleteNamespace: method("NamespaceService/DeleteNamespace", v1.DeleteNamespaceRequest, v1.DeleteNamespaceResponse),

  ingest: method("IngestService/Ingest", v1.IngestRequest, v1.IngestResponse),
  delete: method("IngestService/Delete", v1.DeleteRequest, v1.DeleteResponse),
  updateMetadata: method("IngestService/UpdateMetadata", v1.UpdateMetadataRequest, v1.UpdateMetadataResponse),

  search: method("QueryService/Search", v1.SearchRequest, v1.SearchResponse),
  searchBatch: method("QueryService/SearchBatch", v1.SearchBatchRequest, v1.SearchBatchResponse),
  get: method("QueryService/Get", v1.GetRequest, v1.GetResponse),
  scan: method("QueryService/Scan", v1.ScanRequest, v1.ScanResponse),
  count: method("QueryService/Count", v1.CountRequest, v1.CountResponse),

  listSegments: method("AdminService/ListSegments", v1.ListSegmentsRequest, v1.ListSegmentsResponse),
  watchIndexing: method("AdminService/WatchIndexing", v1.WatchIndexingRequest, v1.WatchIndexingResponse),
  flush: method("AdminService/Flush", v1.FlushRequest, v1.FlushResponse),
  compact: method("AdminService/Compact", v1.CompactRequest, v1.CompactResponse),
  stats: method("AdminService/Stats", v1.StatsRequest, v1.StatsResponse),
  createSnapshot: method("AdminService/CreateSnapshot", v1.CreateSnapshotRequest, v1.CreateSnapshotResponse),
  listSnapshots: method("AdminService/ListSnapshots", v1.ListSnapshotsRequest, v1.ListSnapshotsResponse),
  verifySnapshot: method("AdminService/VerifySnapshot", v1.VerifySnapshotRequest, v1.VerifySnapshotResponse),
  restoreSnapshot: method("AdminService/RestoreSnapshot", v1.RestoreSnapshotRequest, v1.RestoreSnapshotResponse),
  deleteSnapshot: method("AdminService/DeleteSnapshot", v1.DeleteSnapshotRequest, v1.DeleteSnapshotResponse),
};
