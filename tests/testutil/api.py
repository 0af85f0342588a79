"""Short ways to speak varve.v1 in tests: arrays in, arrays out, a timeout on every call.

Element types are numpy's own; bfloat16, which numpy lacks, is written as uint16 holding its bits.
"""

import contextlib
import dataclasses
import datetime
import queue

import grpc
import numpy as np
from google.protobuf import timestamp_pb2
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2_grpc
from grpc_status import rpc_status

from testutil import v1

# A bound on every call that should succeed at once; machines may be busy.
CALL_SECONDS = 60

DTYPES = {
    np.dtype("<f4"): v1.DTYPE_F32,
    np.dtype("<f2"): v1.DTYPE_F16,
    np.dtype("<u2"): v1.DTYPE_BF16,
    np.dtype("u1"): v1.DTYPE_U8,
    np.dtype("i1"): v1.DTYPE_I8,
}
ELEMENTS = {number: dtype for dtype, number in DTYPES.items()}
METRICS = {"l2": v1.METRIC_L2, "cosine": v1.METRIC_COSINE, "dot": v1.METRIC_DOT}


def tensor(array) -> v1.Tensor:
    """The array as it is; lists become float32."""
    array = np.asarray(array) if isinstance(array, np.ndarray) else np.asarray(array, "<f4")
    return v1.Tensor(dtype=DTYPES[array.dtype], shape=array.shape, data=array.tobytes())


def array(message: v1.Tensor) -> np.ndarray:
    return np.frombuffer(message.data, ELEMENTS[message.dtype]).reshape(message.shape)


def ids(values) -> v1.Ids:
    """Text if the first value is, else numbers."""
    values = list(values)
    if values and isinstance(values[0], str):
        return v1.Ids(texts=v1.TextIds(values=values))
    return v1.Ids(numbers=v1.NumberIds(values=values))


def id_list(message: v1.Ids) -> list:
    kind = message.WhichOneof("kind")
    return list(getattr(message, kind).values) if kind else []


def records(keys, vectors, rows=None, **columns) -> v1.RecordBatch:
    """`rows`: a dict of metadata for each; `columns`: further members of the batch. `vectors` may be a
    dict of arrays, or of (array, offsets), by field."""
    by_field = vectors if isinstance(vectors, dict) else {"": vectors}
    fields = []
    for name, given in by_field.items():
        if isinstance(given, tuple):
            ragged = v1.RaggedTensor(vectors=tensor(given[0]), offsets=given[1])
            fields.append(v1.FieldVectors(field=name, ragged=ragged))
        else:
            fields.append(v1.FieldVectors(field=name, dense=tensor(given)))
    listed = [metadata(row) for row in rows or []]
    return v1.RecordBatch(ids=ids(keys), fields=fields, metadata=listed, **columns)


def value(given) -> v1.Value:
    """None, bool, int, float, str, datetime, list or dict as an attribute's value."""
    if given is None:
        return v1.Value(null_value=0)
    if isinstance(given, bool):
        return v1.Value(bool_value=given)
    if isinstance(given, int):
        return v1.Value(int64_value=given)
    if isinstance(given, float):
        return v1.Value(double_value=given)
    if isinstance(given, str):
        return v1.Value(string_value=given)
    if isinstance(given, datetime.datetime):
        return v1.Value(timestamp_value=timestamp(given))
    if isinstance(given, list):
        return v1.Value(list_value=v1.ListValue(values=[value(one) for one in given]))
    return v1.Value(object_value=metadata(given))


def metadata(given: dict) -> v1.Metadata:
    return v1.Metadata(attributes={name: value(one) for name, one in given.items()})


def plain(message: v1.Metadata) -> dict:
    """Metadata as a dict again."""

    def convert(one: v1.Value):
        kind = one.WhichOneof("kind")
        if kind == "list_value":
            return [convert(element) for element in one.list_value.values]
        if kind == "object_value":
            return plain(one.object_value)
        if kind == "timestamp_value":
            return one.timestamp_value.ToDatetime(datetime.timezone.utc)
        return getattr(one, kind)

    return {name: convert(one) for name, one in message.attributes.items()}


def timestamp(when: datetime.datetime) -> timestamp_pb2.Timestamp:
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(when)
    return message


def opening(namespace: str, producer="", durability=0, on_error=0) -> v1.IngestRequest:
    return v1.IngestRequest(
        open=v1.IngestOpen(
            namespace=namespace, producer=producer, durability=durability, on_error=on_error
        )
    )


def numbered(number: int, batch: v1.RecordBatch) -> v1.IngestRequest:
    return v1.IngestRequest(batch=v1.IngestBatch(number=number, records=batch))


@dataclasses.dataclass
class Failure:
    """What a failed call said, with its google.rpc details unpacked."""

    code: grpc.StatusCode
    message: str
    bad_request: error_details_pb2.BadRequest | None = None
    error_info: error_details_pb2.ErrorInfo | None = None
    retry_info: error_details_pb2.RetryInfo | None = None


def failure(error: grpc.RpcError) -> Failure:
    result = Failure(error.code(), error.details())
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        for name, kind in (
            ("bad_request", error_details_pb2.BadRequest),
            ("error_info", error_details_pb2.ErrorInfo),
            ("retry_info", error_details_pb2.RetryInfo),
        ):
            if detail.Is(kind.DESCRIPTOR):
                message = kind()
                detail.Unpack(message)
                setattr(result, name, message)
    return result


@contextlib.contextmanager
def fails_with(code: grpc.StatusCode, *words: str):
    """The block must fail so, with all the words in its message. Yields a list for the error."""
    caught: list[Failure] = []
    try:
        yield caught
    except grpc.RpcError as error:
        caught.append(failure(error))
    assert caught, f"succeeded, should have failed with {code}"
    assert caught[0].code == code, caught[0]
    for word in words:
        assert word in caught[0].message, f"{word!r} is not in {caught[0].message!r}"


class IngestStream:
    """One Ingest call, message by message. A context manager: leaving it cancels the call."""

    def __init__(self, stub: v1.IngestServiceStub, timeout: float = CALL_SECONDS):
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        self.call = stub.Ingest(iter(self._requests.get, None), timeout=timeout)

    def __enter__(self) -> "IngestStream":
        return self

    def __exit__(self, *_) -> None:
        self._requests.put(None)
        self.call.cancel()

    def send(self, *requests: v1.IngestRequest) -> None:
        for request in requests:
            self._requests.put(request)

    def receive(self) -> v1.IngestAck | v1.IngestOpened:
        """The next answer; raises the error that the stream ended with, or StopIteration."""
        response = next(self.call)
        return getattr(response, response.WhichOneof("message"))

    def write(self, number: int, keys, vectors) -> v1.IngestAck:
        """Sends one batch and waits for its acknowledgement."""
        self.send(numbered(number, records(keys, vectors)))
        return self.receive()

    def finish(self) -> list[v1.IngestAck]:
        """Says that no more comes, and returns the acknowledgements that were still to come."""
        self._requests.put(None)
        return [response.ack for response in self.call]


class _WithKey(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Sends an API key with every call, over connections that are not encrypted too."""

    def __init__(self, key: str):
        self._header = ("authorization", f"Bearer {key}")

    def _intercept(self, go_on, details, request):
        metadata = [*(details.metadata or []), self._header]
        return go_on(details._replace(metadata=metadata), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_stream = _intercept


class Api:
    """The services of one server over a channel of their own. A context manager.

    The channel has gRPC's default limits: what needs larger ones would not work for others either.
    """

    def __init__(self, address: str, key: str = "", credentials=None):
        # Without its own pool a channel shares connections with others that are alike.
        options = [("grpc.use_local_subchannel_pool", 1)]
        if credentials is None:
            self._connection = grpc.insecure_channel(address, options)
        else:
            self._connection = grpc.secure_channel(address, credentials, options)
        self.channel = self._connection
        if key:
            self.channel = grpc.intercept_channel(self.channel, _WithKey(key))
        self.namespaces = v1.NamespaceServiceStub(self.channel)
        self.ingest = v1.IngestServiceStub(self.channel)
        self.query = v1.QueryServiceStub(self.channel)
        self.admin = v1.AdminServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_) -> None:
        self._connection.close()

    def create(
        self, name: str, dimension: int, metric="l2", element_type=0, id_type=0, limits=None, **index
    ) -> v1.Namespace:
        field = v1.VectorField(
            dimension=dimension,
            metric=METRICS[metric],
            element_type=element_type,
            index=v1.IndexOptions(**index),
        )
        namespace = v1.Namespace(name=name, fields=[field], id_type=id_type, limits=limits)
        request = v1.CreateNamespaceRequest(namespace=namespace)
        return self.namespaces.CreateNamespace(request, timeout=CALL_SECONDS).namespace

    def set_limits(self, namespace: str, **limits) -> v1.NamespaceLimits:
        request = v1.UpdateNamespaceRequest(name=namespace, limits=v1.NamespaceLimits(**limits))
        updated = self.namespaces.UpdateNamespace(request, timeout=CALL_SECONDS)
        return updated.namespace.limits

    def open(self, namespace: str, producer="", durability=0, on_error=0) -> IngestStream:
        """An opened stream; what `opened` said is in its attribute of that name."""
        stream = IngestStream(self.ingest)
        stream.send(opening(namespace, producer, durability, on_error))
        stream.opened = stream.receive()
        return stream

    def upsert(
        self, namespace: str, keys, vectors, rows=None, durability=0, on_error=0, **columns
    ) -> v1.UpsertResponse:
        request = v1.UpsertRequest(
            namespace=namespace,
            records=records(keys, vectors, rows, **columns),
            durability=durability,
            on_error=on_error,
        )
        return self.ingest.Upsert(request, timeout=CALL_SECONDS)

    def delete(self, namespace: str, keys, durability=0) -> v1.DeleteResponse:
        request = v1.DeleteRequest(namespace=namespace, ids=ids(keys), durability=durability)
        return self.ingest.Delete(request, timeout=CALL_SECONDS)

    def delete_matching(self, namespace: str, text: str, dry_run=False) -> v1.DeleteResponse:
        request = v1.DeleteRequest(
            namespace=namespace, filter=v1.Filter(text=text), dry_run=dry_run
        )
        return self.ingest.Delete(request, timeout=CALL_SECONDS)

    def update_metadata(self, namespace: str, keys, *patches: dict) -> v1.UpdateMetadataResponse:
        request = v1.UpdateMetadataRequest(
            namespace=namespace, ids=ids(keys), patches=[metadata(patch) for patch in patches]
        )
        return self.ingest.UpdateMetadata(request, timeout=CALL_SECONDS)

    def search(self, namespace: str, query, k=10, timeout=CALL_SECONDS, **options):
        if isinstance(options.get("filter"), str):
            options["filter"] = v1.Filter(text=options["filter"])
        request = v1.SearchRequest(
            namespace=namespace, query=tensor(query), options=v1.SearchOptions(k=k, **options)
        )
        return self.query.Search(request, timeout=timeout)

    def search_batch(self, namespace: str, queries, k=10, timeout=CALL_SECONDS, **options):
        request = v1.SearchBatchRequest(
            namespace=namespace, queries=tensor(queries), options=v1.SearchOptions(k=k, **options)
        )
        return self.query.SearchBatch(request, timeout=timeout)

    def get(self, namespace: str, keys, include_vectors=True, **options) -> v1.GetResponse:
        request = v1.GetRequest(
            namespace=namespace, ids=ids(keys), include_vectors=include_vectors, **options
        )
        return self.query.Get(request, timeout=CALL_SECONDS)

    def count(self, namespace: str, text="", min_sequence=0) -> int:
        chosen = v1.Filter(text=text) if text else None
        request = v1.CountRequest(namespace=namespace, filter=chosen, min_sequence=min_sequence)
        return self.query.Count(request, timeout=CALL_SECONDS).count

    def scan(self, namespace: str, token=b"", include_vectors=True, text="", **options):
        request = v1.ScanRequest(
            namespace=namespace,
            token=token,
            include_vectors=include_vectors,
            filter=v1.Filter(text=text) if text else None,
            **options,
        )
        return self.query.Scan(request, timeout=CALL_SECONDS)

    def everything(self, namespace: str) -> tuple[list, np.ndarray | None]:
        """Every id, in the order of the scan, and every vector."""
        keys, vectors = [], []
        for part in self.scan(namespace):
            keys += id_list(part.records.ids)
            vectors.append(array(part.records.fields[0].dense))
        return keys, np.concatenate(vectors) if vectors else None

    def compact(self, namespace: str) -> None:
        request = v1.CompactRequest(namespace=namespace, wait=True)
        self.admin.Compact(request, timeout=CALL_SECONDS)

    def flush(self, namespace: str) -> None:
        self.admin.Flush(v1.FlushRequest(namespace=namespace), timeout=CALL_SECONDS)

    def wait_indexed(self, namespace: str) -> v1.WatchIndexingResponse:
        """Waits until all that is committed is indexed; returns the last report."""
        request = v1.WatchIndexingRequest(namespace=namespace)
        return list(self.admin.WatchIndexing(request, timeout=CALL_SECONDS))[-1]

    def segments(self, namespace: str) -> list[v1.Segment]:
        request = v1.ListSegmentsRequest(namespace=namespace)
        return list(self.admin.ListSegments(request, timeout=CALL_SECONDS).segments)

    def stats(self, namespace="") -> v1.StatsResponse:
        return self.admin.Stats(v1.StatsRequest(namespace=namespace), timeout=CALL_SECONDS)
