"""Client and Namespace: the server's calls, one after the other. varve.aio has the same for asyncio."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, Optional, ParamSpec, TypeVar, Union

import grpc

from varve import _channel, _operations, _streams, errors
from varve._credentials import Tls
from varve.ingest import Writer, ingest_all
from varve.results import IndexingProgress, IngestResult, NamespaceInfo, Records

P = ParamSpec("P")
T = TypeVar("T")


def _of_client(
    operation: Callable[P, _operations.Operation[T]],
) -> Callable[Concatenate["Client", P], T]:
    """A method of Client that runs an operation."""

    @functools.wraps(operation)
    def method(self: "Client", *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(operation(*args, **kwargs), self.timeout)

    return _signed(method, operation, drop=0)


def _of_namespace(
    operation: Callable[Concatenate[str, P], _operations.Operation[T]],
) -> Callable[Concatenate["Namespace", P], T]:
    """A method of Namespace that runs an operation."""

    @functools.wraps(operation)
    def method(self: "Namespace", *args: P.args, **kwargs: P.kwargs) -> T:
        return self._client._run(
            operation(self.name, *args, **kwargs), self.timeout, patience=self._patience
        )

    return _signed(method, operation, drop=1)


def _signed(method: Any, operation: Any, drop: int) -> Any:
    """The method with the operation's signature, `self` in the place of what is dropped."""
    signature = inspect.signature(operation)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [own, *list(signature.parameters.values())[drop:]]
    method.__signature__ = signature.replace(parameters=parameters)
    return method


class Client:
    """Speaks to one Varve server. The connection is made by the first call, and made again by later ones when
    it broke. Thread-safe; share one per server. A context manager: leaving it closes the connection.

        with varve.Client("127.0.0.1:7780") as client:
            ns = client.create_namespace("shoes", 384, metric="cosine")

    `timeout`: seconds a call may take; None: as long as it takes. Streams (ingest, scan, watch) have none.

    `tls`: True encrypts the connection, and the system's authorities vouch for the server; a Tls says more.
    `api_key` goes with every call, for servers that ask for one; without it the environment's VARVE_API_KEY,
    if there is one; "": none. Without `tls` everybody on the way to the server can read it.

    Errors are varve.Error and its subclasses, with the server's code and words: Unavailable when it cannot be
    reached, DeadlineExceeded when it takes longer. No call is retried behind your back, save that ingest
    and scan resume.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:7780",
        *,
        timeout: Optional[float] = _channel.DEFAULT_TIMEOUT,
        api_key: Optional[str] = None,
        tls: Union[bool, Tls, None] = None,
    ):
        self.address = _channel.check_address(address)
        self.timeout = _channel.check_timeout(timeout)
        self._grpc = _channel.connect(address, api_key, tls)

    def namespace(self, name: str) -> "Namespace":
        """A handle of a namespace; asks nothing of the server."""
        return Namespace(self, name, self.timeout)

    def create_namespace(self, name: str, *args: Any, **kwargs: Any) -> "Namespace":
        self._run(_operations.create_namespace(name, *args, **kwargs), self.timeout)
        return self.namespace(name)

    create_namespace.__doc__ = _operations.create_namespace.__doc__
    create_namespace = _signed(create_namespace, _operations.create_namespace, drop=0)

    list_namespaces = _of_client(_operations.list_namespaces)
    delete_namespace = _of_client(_operations.delete_namespace)
    stats = _of_client(_operations.server_stats)

    create_snapshot = _of_client(_operations.create_snapshot)
    list_snapshots = _of_client(_operations.list_snapshots)
    verify_snapshot = _of_client(_operations.verify_snapshot)
    delete_snapshot = _of_client(_operations.delete_snapshot)

    def restore_snapshot(self, *args: Any, **kwargs: Any) -> "Namespace":
        return self.namespace(
            self._run(_operations.restore_snapshot(*args, **kwargs), self.timeout)
        )

    restore_snapshot.__doc__ = _operations.restore_snapshot.__doc__
    restore_snapshot = _signed(restore_snapshot, _operations.restore_snapshot, drop=0)

    def close(self) -> None:
        """Ends the connection, and with it every call that is under way (Cancelled)."""
        self._grpc.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"varve.Client({self.address!r})"

    def _run(
        self,
        operation: _operations.Operation[T],
        timeout: Optional[float],
        patience: Optional[float] = None,
    ) -> T:
        """`timeout`: of each call; `patience`: of those that wait for work in the background."""
        try:
            request = next(operation)
            while True:
                answer = self._call(request, patience if request.waits else timeout)
                request = operation.send(answer)
        except StopIteration as stop:
            return stop.value

    def _call(self, request: _operations.Request, timeout: Optional[float]) -> Any:
        call = self._grpc.unary_unary(
            request.method, response_deserializer=request.response.FromString
        )
        try:
            return call(request.body, timeout=timeout)
        except grpc.RpcError as error:
            raise errors.from_grpc(error) from None
        except ValueError as error:  # gRPC's for a channel that is closed
            raise errors.Cancelled(f"the client is closed: {error}") from None


class Namespace:
    """One namespace of a server: a handle that holds its name and the client. Thread-safe."""

    def __init__(
        self,
        client: Client,
        name: str,
        timeout: Optional[float],
        patience: Optional[float] = None,
    ):
        self.name = name
        self.timeout = timeout
        self._patience = patience  # timeout of calls that wait for work in the background
        self._client = client

    def with_timeout(self, timeout: Optional[float]) -> "Namespace":
        """The same namespace; calls by this handle may take `timeout` seconds, or with None as long as they
        take."""
        _channel.check_timeout(timeout)
        return Namespace(self._client, self.name, timeout, patience=timeout)

    describe = _of_namespace(_operations.describe)
    update_index = _of_namespace(_operations.update_index)
    update_limits = _of_namespace(_operations.update_limits)

    upsert = _of_namespace(_operations.upsert)
    delete = _of_namespace(_operations.delete)
    update_metadata = _of_namespace(_operations.update_metadata)

    def ingest(self, ids: Any, vectors: Any = None, metadata: Any = None, **options: Any) -> IngestResult:
        channel = self._client._grpc
        return ingest_all(lambda _: None, channel, self.name, ids, vectors, metadata, **options)

    ingest.__doc__ = ingest_all.__doc__
    ingest = _signed(ingest, ingest_all, drop=3)

    def writer(
        self,
        *,
        producer: Optional[str] = None,
        durability: str = "applied",
        on_error: str = "fail",
        batch_size: Optional[int] = None,
        streams: int = 1,
        retry_for: float = 30.0,
    ) -> Writer:
        """A Writer of this namespace; the options are those of ingest().

        With a `producer` the batches of all runs under that name are numbered on from the first: whoever
        opens it again must add the same records in the same order; those that are committed are passed
        over.
        """
        return Writer(
            self._client._grpc,
            self.name,
            producer=producer,
            durability=durability,
            on_error=on_error,
            batch_size=batch_size,
            streams=streams,
            retry_for=retry_for,
        )

    search = _of_namespace(_operations.search)
    search_batch = _of_namespace(_operations.search_batch)
    get = _of_namespace(_operations.get)
    count = _of_namespace(_operations.count)

    def scan(self, **options: Any) -> Iterator[Records]:
        return _streams.scan(self._client._grpc, self.name, **options)

    scan.__doc__ = _streams.scan.__doc__
    scan = _signed(scan, _streams.scan, drop=2)

    stats = _of_namespace(_operations.stats)
    segments = _of_namespace(_operations.segments)
    flush = _of_namespace(_operations.flush)
    compact = _of_namespace(_operations.compact)

    def watch_indexing(self) -> Iterator[IndexingProgress]:
        """How far indexing is, whenever that changes; ends when every record written before is indexed.

        Searching does not need it: what is not indexed yet is compared one by one.
        """
        return _streams.watch_indexing(self._client._grpc, self.name)

    def wait_indexed(self, *, progress: bool = True) -> None:
        """Returns when every record written before is indexed. `progress`: on standard error."""
        _streams.wait_indexed(self._client._grpc, self.name, progress)

    def __repr__(self) -> str:
        return f"varve.Namespace({self.name!r} at {self._client.address!r})"

    def _repr_html_(self) -> str:
        info: NamespaceInfo = self.describe()
        return f"{info._repr_html_()}{self.count():,} records"
