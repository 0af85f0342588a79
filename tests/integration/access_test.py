"""Who may call what: every RPC of the protocol with every kind of key, against a real server."""

import itertools

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from testutil import v1
from testutil.api import CALL_SECONDS, Api, failure, fails_with, ids, opening, records, tensor
from testutil.secure import Keys
from testutil.varved import Varved

SCOPES = ("read", "write", "admin")
DIMENSION = 2
SERVICES = [
    descriptor_pool.Default().FindServiceByName(f"varve.v1.{name}")
    for name in ("AdminService", "IngestService", "NamespaceService", "QueryService")
]


def batch() -> v1.RecordBatch:
    return records([1, 2], [[0.0, 1.0], [1.0, 0.0]])


def search(name: str) -> v1.SearchRequest:
    return v1.SearchRequest(
        namespace=name, query=tensor([0.0, 1.0]), options=v1.SearchOptions(k=1)
    )


def search_batch(name: str) -> v1.SearchBatchRequest:
    queries = tensor([[0.0, 1.0]])
    return v1.SearchBatchRequest(
        namespace=name, queries=queries, options=v1.SearchOptions(k=1)
    )


def snapshot_of(name: str) -> str:
    return f"{name}-snapshot"


def schema(name: str) -> v1.Namespace:
    return v1.Namespace(name=name, fields=[v1.VectorField(dimension=DIMENSION)])


# Of every RPC: the scope that it takes, and a request that works in a namespace of that name. Of
# those about no one namespace the request says so by NOT_NAMED.
NOT_NAMED = "NOT_NAMED"
CALLS = {
    "AdminService.Compact": ("admin", lambda n: v1.CompactRequest(namespace=n)),
    "AdminService.CreateSnapshot": (
        "admin",
        lambda n: v1.CreateSnapshotRequest(name=f"{n}-{next(_numbers)}", namespace=n),
    ),
    "AdminService.DeleteSnapshot": (
        "admin",
        lambda n: v1.DeleteSnapshotRequest(name=snapshot_of(n)),
    ),
    "AdminService.Flush": ("admin", lambda n: v1.FlushRequest(namespace=n)),
    "AdminService.ListSegments": ("read", lambda n: v1.ListSegmentsRequest(namespace=n)),
    "AdminService.ListSnapshots": ("admin", NOT_NAMED),
    "AdminService.RestoreSnapshot": (
        "admin",
        lambda n: v1.RestoreSnapshotRequest(name=snapshot_of(n), **{"as": f"{n}-restored"}),
    ),
    "AdminService.Stats": ("read", lambda n: v1.StatsRequest(namespace=n)),
    "AdminService.VerifySnapshot": (
        "admin",
        lambda n: v1.VerifySnapshotRequest(name=snapshot_of(n)),
    ),
    "AdminService.WatchIndexing": ("read", lambda n: v1.WatchIndexingRequest(namespace=n)),
    "IngestService.Delete": ("write", lambda n: v1.DeleteRequest(namespace=n, ids=ids([1]))),
    "IngestService.Ingest": ("write", opening),
    "IngestService.UpdateMetadata": (
        "write",
        lambda n: v1.UpdateMetadataRequest(namespace=n, ids=ids([1]), patches=[v1.Metadata()]),
    ),
    "IngestService.Upsert": ("write", lambda n: v1.UpsertRequest(namespace=n, records=batch())),
    "NamespaceService.CreateNamespace": (
        "admin",
        lambda n: v1.CreateNamespaceRequest(namespace=schema(n + "-made")),
    ),
    "NamespaceService.DeleteNamespace": ("admin", lambda n: v1.DeleteNamespaceRequest(name=n)),
    "NamespaceService.GetNamespace": ("read", lambda n: v1.GetNamespaceRequest(name=n)),
    "NamespaceService.ListNamespaces": ("read", NOT_NAMED),
    "NamespaceService.UpdateNamespace": (
        "admin",
        lambda n: v1.UpdateNamespaceRequest(name=n, index=v1.IndexOptions(ef_search=99)),
    ),
    "QueryService.Count": ("read", lambda n: v1.CountRequest(namespace=n)),
    "QueryService.Get": ("read", lambda n: v1.GetRequest(namespace=n, ids=ids([1]))),
    "QueryService.Scan": ("read", lambda n: v1.ScanRequest(namespace=n)),
    "QueryService.Search": ("read", search),
    "QueryService.SearchBatch": ("read", search_batch),
    "QueryService.SearchStream": ("read", lambda n: v1.SearchStreamRequest(search=search(n))),
}
METHODS = {
    f"{service.name}.{method.name}": method for service in SERVICES for method in service.methods
}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    keys = Keys(tmp_path_factory.mktemp("keys"))
    for scope in SCOPES:
        keys.add(scope, scope)
        keys.add(f"{scope}-of-others", scope, "other", "others-*")
    keys.add("expired", "admin", expires="2020-01-01T00:00:00Z")
    return keys


@pytest.fixture(scope="module")
def server(tmp_path_factory, keys):
    server = Varved(
        tmp_path_factory.mktemp("varved"), "--api-keys", str(keys.path), "--log-level", "debug"
    )
    with server:
        yield server
    for key in [*keys.of.values(), "not-a-key-of-this-server"]:
        assert key not in server.log


@pytest.fixture(scope="module")
def apis(server, keys):
    """An Api by the id of its key."""
    by_id = {name: Api(server.address, key) for name, key in keys.of.items()}
    by_id |= {"unknown": Api(server.address, "not-a-key-of-this-server")}
    by_id |= {"none": Api(server.address)}
    yield by_id
    for api in by_id.values():
        api.channel.close() if api.channel is api._connection else api.__exit__()


@pytest.fixture
def space(apis):
    """A namespace with two records in it, of which there is a snapshot."""
    name = f"access-{next(_numbers)}"
    apis["admin"].create(name, DIMENSION)
    apis["admin"].upsert(name, [1, 2], [[0.0, 1.0], [1.0, 0.0]])
    request = v1.CreateSnapshotRequest(name=snapshot_of(name), namespace=name)
    apis["admin"].admin.CreateSnapshot(request, timeout=CALL_SECONDS)
    return name


def call(api: Api, name: str, space: str) -> list:
    """Makes the call and returns its answers."""
    method = METHODS[name]
    services = {"Admin": api.admin, "Ingest": api.ingest, "Query": api.query}
    stub = services.get(name.split("Service")[0], api.namespaces)
    make = CALLS[name][1]
    request = getattr(v1, method.input_type.name)() if make is NOT_NAMED else make(space)
    if method.client_streaming:
        request = iter([request])
    answer = getattr(stub, method.name)(request, timeout=CALL_SECONDS)
    return list(answer) if method.server_streaming else [answer]


def refusal(api: Api, name: str, space: str):
    """How the call fails; None when it does not."""
    try:
        call(api, name, space)
    except grpc.RpcError as error:
        return failure(error)
    return None


def test_every_rpc_is_in_the_table():
    assert set(CALLS) == set(METHODS), "say in CALLS what scope the RPC takes"


@pytest.mark.parametrize("name", CALLS)
def test_a_call_takes_its_scope_or_a_higher_one(name, apis, space):
    wanted = CALLS[name][0]
    for scope in SCOPES:
        found = refusal(apis[scope], name, space)
        if SCOPES.index(scope) >= SCOPES.index(wanted):
            assert found is None, f"{scope}: {found}"
            if name == "NamespaceService.CreateNamespace":
                break
        else:
            assert found.code == grpc.StatusCode.PERMISSION_DENIED, f"{scope}: {found}"
            assert f"takes a key of scope {wanted}" in found.message
            assert f"API key {scope} has scope {scope}" in found.message
            assert found.error_info.metadata["scope"] == wanted


@pytest.mark.parametrize("name", CALLS)
def test_a_call_without_a_valid_key_is_refused(name, apis, space):
    for key, words in (
        ("none", "asks for an API key"),
        ("unknown", "is not known"),
        ("expired", "API key expired expired at 2020-01-01"),
    ):
        found = refusal(apis[key], name, space)
        assert found is not None, key
        assert found.code == grpc.StatusCode.UNAUTHENTICATED, found
        assert words in found.message
    # Nothing was done: the records are as they were.
    assert apis["read"].count(space) == 2


@pytest.mark.parametrize("name", [n for n in CALLS if CALLS[n][1] is not NOT_NAMED])
def test_a_namespace_beyond_the_key_looks_like_one_that_does_not_exist(name, apis, space):
    scope = CALLS[name][0]
    hidden = refusal(apis[f"{scope}-of-others"], name, space)
    if name == "NamespaceService.CreateNamespace":
        assert hidden.code == grpc.StatusCode.PERMISSION_DENIED
        assert "is for the namespaces other, others-*" in hidden.message
        return
    absent = refusal(apis[scope], name, "absent")
    assert hidden.code == grpc.StatusCode.NOT_FOUND
    assert (hidden.code, hidden.message.replace(space, "absent")) == (absent.code, absent.message)
    assert hidden.error_info == absent.error_info
    assert apis["read"].count(space) == 2


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dTpw", "bearer {key} "])
def test_a_malformed_header_is_unauthenticated(server, header, keys):
    with Api(server.address) as api, fails_with(grpc.StatusCode.UNAUTHENTICATED):
        metadata = [("authorization", header.format(key=keys.of["read"]))]
        api.query.Count(v1.CountRequest(namespace="n"), metadata=metadata, timeout=CALL_SECONDS)


def test_two_headers_are_refused_and_the_scheme_is_in_any_case(server, keys):
    good = ("authorization", f"bEARER {keys.of['read']}")
    with Api(server.address) as api:
        request = v1.ListNamespacesRequest()
        api.namespaces.ListNamespaces(request, metadata=[good], timeout=CALL_SECONDS)
        with fails_with(grpc.StatusCode.UNAUTHENTICATED):
            api.namespaces.ListNamespaces(request, metadata=[good, good], timeout=CALL_SECONDS)


def test_snapshots_of_more_than_the_keys_namespaces_are_for_keys_to_all(apis, space):
    admin, other = apis["admin"].admin, apis["admin-of-others"]
    whole = f"all-{next(_numbers)}"
    admin.CreateSnapshot(v1.CreateSnapshotRequest(name=whole), timeout=CALL_SECONDS)
    with fails_with(grpc.StatusCode.PERMISSION_DENIED):
        other.admin.CreateSnapshot(v1.CreateSnapshotRequest(), timeout=CALL_SECONDS)
    with fails_with(grpc.StatusCode.NOT_FOUND):
        request = v1.RestoreSnapshotRequest(name=whole, namespace=space, **{"as": "others-x"})
        other.admin.RestoreSnapshot(request, timeout=CALL_SECONDS)
    apis["admin"].create("others-snapped", DIMENSION)
    of_one = f"one-{next(_numbers)}"
    request = v1.CreateSnapshotRequest(name=of_one, namespace="others-snapped")
    other.admin.CreateSnapshot(request, timeout=CALL_SECONDS)
    listed = other.admin.ListSnapshots(v1.ListSnapshotsRequest(), timeout=CALL_SECONDS)
    assert [snapshot.name for snapshot in listed.snapshots] == [of_one]
    with fails_with(grpc.StatusCode.PERMISSION_DENIED):
        request = v1.RestoreSnapshotRequest(name=of_one, **{"as": "mine"})
        other.admin.RestoreSnapshot(request, timeout=CALL_SECONDS)
    apis["admin"].namespaces.DeleteNamespace(
        v1.DeleteNamespaceRequest(name="others-snapped"), timeout=CALL_SECONDS
    )


def test_lists_leave_out_what_the_key_does_not_cover(apis):
    for name in ("others-1", "others-2", "others-3", "other", "mine-1", "otherwise", "p", "z"):
        apis["admin"].create(name, DIMENSION)
    listed, token = [], ""
    while True:
        request = v1.ListNamespacesRequest(page_size=2, page_token=token)
        page = apis["read-of-others"].namespaces.ListNamespaces(request, timeout=CALL_SECONDS)
        listed.append([namespace.name for namespace in page.namespaces])
        token = page.next_page_token
        if not token:
            break
    assert listed == [["other", "others-1"], ["others-2", "others-3"]]


def test_figures_of_the_server_are_for_keys_of_all_namespaces(apis):
    apis["admin"].create("others-stats", DIMENSION)
    whole, part = apis["read"].stats(), apis["read-of-others"].stats("others-stats")
    assert whole.namespaces > 0 and whole.resident_bytes > 0 and whole.disk_bytes > 0
    assert part.version == whole.version and part.HasField("namespace")
    assert (part.namespaces, part.resident_bytes, part.disk_bytes) == (0, 0, 0)


def test_health_needs_no_key_and_reflection_is_not_there(server):
    with Api(server.address) as api:
        status = api.health.Check(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS).status
        assert status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(api.channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        with fails_with(grpc.StatusCode.UNIMPLEMENTED):
            list(stub.ServerReflectionInfo(iter([request]), timeout=CALL_SECONDS))
