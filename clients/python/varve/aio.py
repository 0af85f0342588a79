"""The client for asyncio: the same methods, to be awaited.

    async with varve.aio.Client("127.0.0.1:7780") as client:
        ns = client.namespace("shoes")
        hits = await ns.search(query, k=10)
        async for records in ns.scan():
            ...
        async with ns.writer() as writer:
            await writer.add(ids, vectors)
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Concatenate, Optional, ParamSpec, TypeVar, Union

import grpc
import grpc.aio

from varve import _channel, _operations, _streams, errors
from varve._credentials import Tls
from varve._pipeline import pipeline_async as pipeline
from varve._retry import Retry
from varve.client import _signed
from varve.ingest import Writer as BlockingWriter
from varve.ingest import ingest_all
from varve.results import IndexingProgress, IngestResult, Records
from varve.v1 import admin_service_pb2 as admin
from varve.v1 import query_service_pb2 as query_service

__all__ = ["Client", "Namespace", "Writer", "pipeline"]

P = ParamSpec("P")
T = TypeVar("T")


def _of_client(
    operation: Callable[P, _operations.Operation[T]],
) -> Callable[Concatenate["Client", P], Awaitable[T]]:
    @functools.wraps(operation)
    async def method(self: "Client", *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(operation(*args, **kwargs), self.timeout)

    return _signed(method, operation, drop=0)


def _of_namespace(
    operation: Callable[Concatenate[str, P], _operations.Operation[T]],
) -> Callable[Concatenate["Namespace", P], Awaitable[T]]:
    @functools.wraps(operation)
    async def method(self: "Namespace", *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._client._run(
            operation(self.name, *args, **kwargs), self.timeout, patience=self._patience
        )

    return _signed(method, operation, drop=1)


class Client:
    """varve.Client for asyncio. For the tasks of one event loop."""

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
        self._grpc = _channel.connect(address, api_key, tls, grpc.aio)
        # Ingest is threads and queues already: it runs beside the event loop, on a channel of its own.
        self._blocking_grpc = _channel.connect(address, api_key, tls)

    def namespace(self, name: str) -> "Namespace":
        """A handle of a namespace; asks nothing of the server."""
        return Namespace(self, name, self.timeout)

    async def create_namespace(self, name: str, *args: Any, **kwargs: Any) -> "Namespace":
        await self._run(_operations.create_namespace(name, *args, **kwargs), self.timeout)
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

    async def restore_snapshot(self, *args: Any, **kwargs: Any) -> "Namespace":
        return self.namespace(
            await self._run(_operations.restore_snapshot(*args, **kwargs), self.timeout)
        )

    restore_snapshot.__doc__ = _operations.restore_snapshot.__doc__
    restore_snapshot = _signed(restore_snapshot, _operations.restore_snapshot, drop=0)

    async def close(self) -> None:
        """Ends the connection, and with it every call that is under way (Cancelled)."""
        await self._grpc.close()
        self._blocking_grpc.close()

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"varve.aio.Client({self.address!r})"

    async def _run(
        self,
        operation: _operations.Operation[T],
        timeout: Optional[float],
        patience: Optional[float] = None,
    ) -> T:
        try:
            request = next(operation)
            while True:
                answer = await self._call(request, patience if request.waits else timeout)
                request = operation.send(answer)
        except StopIteration as stop:
            return stop.value

    async def _call(self, request: _operations.Request, timeout: Optional[float]) -> Any:
        call = self._grpc.unary_unary(
            request.method, response_deserializer=request.response.FromString
        )
        try:
            return await call(request.body, timeout=timeout)
        except grpc.RpcError as error:
            raise errors.from_grpc(error) from None
        except grpc.aio.UsageError as error:
            raise errors.Cancelled(f"the client is closed: {error}") from None


class Namespace:
    """varve.Namespace for asyncio."""

    def __init__(
        self,
        client: Client,
        name: str,
        timeout: Optional[float],
        patience: Optional[float] = None,
    ):
        self.name = name
        self.timeout = timeout
        self._patience = patience
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
    search = _of_namespace(_operations.search)
    search_batch = _of_namespace(_operations.search_batch)
    get = _of_namespace(_operations.get)
    count = _of_namespace(_operations.count)
    stats = _of_namespace(_operations.stats)
    segments = _of_namespace(_operations.segments)
    flush = _of_namespace(_operations.flush)
    compact = _of_namespace(_operations.compact)

    async def ingest(
        self, ids: Any, vectors: Any = None, metadata: Any = None, **options: Any
    ) -> IngestResult:
        writers: list[BlockingWriter] = []
        channel = self._client._blocking_grpc
        run = functools.partial(
            ingest_all, writers.append, channel, self.name, ids, vectors, metadata, **options
        )
        try:
            return await asyncio.to_thread(run)
        except asyncio.CancelledError:
            for writer in writers:
                await asyncio.to_thread(writer.cancel)
            raise

    ingest.__doc__ = ingest_all.__doc__
    ingest = _signed(ingest, ingest_all, drop=3)

    def writer(self, **options: Any) -> "Writer":
        return Writer(self._client._blocking_grpc, self.name, options)

    def scan(
        self,
        *,
        filter: Any = None,
        include_vectors: bool = True,
        include_metadata: Any = True,
        retry_for: float = 30.0,
    ) -> AsyncIterator[Records]:
        return self._scan(filter, include_vectors, include_metadata, retry_for)

    scan.__doc__ = _streams.scan.__doc__

    async def _scan(
        self, filter: Any, include_vectors: bool, include_metadata: Any, retry_for: float
    ) -> AsyncIterator[Records]:
        call = self._client._grpc.unary_stream(
            _streams.SCAN,
            request_serializer=query_service.ScanRequest.SerializeToString,
            response_deserializer=query_service.ScanResponse.FromString,
        )
        request = _streams.scan_request(
            self.name, filter, include_vectors, include_metadata, b""
        )
        retry = Retry(retry_for)
        while True:
            answers = call(request)
            try:
                async for answer in answers:
                    retry.on_progress()
                    request.token = answer.next_token
                    records = _operations.records_from(
                        answer.records, include_metadata is not False
                    )
                    if len(records) > 0:
                        yield records
                return
            except grpc.RpcError as broken:
                await asyncio.sleep(_streams.retry_pause(retry, errors.from_grpc(broken)))
            finally:
                answers.cancel()

    async def watch_indexing(self) -> AsyncIterator[IndexingProgress]:
        """How far indexing is, whenever that changes; ends when every record written before is indexed."""
        call = self._client._grpc.unary_stream(
            _streams.WATCH,
            request_serializer=admin.WatchIndexingRequest.SerializeToString,
            response_deserializer=admin.WatchIndexingResponse.FromString,
        )
        answers = call(admin.WatchIndexingRequest(namespace=self.name))
        try:
            async for answer in answers:
                yield _streams.indexing_from(answer)
        except grpc.RpcError as error:
            raise errors.from_grpc(error) from None
        finally:
            answers.cancel()

    async def wait_indexed(self) -> None:
        """Returns when every record written before is indexed."""
        async for _ in self.watch_indexing():
            pass

    def __repr__(self) -> str:
        return f"varve.aio.Namespace({self.name!r} at {self._client.address!r})"


class Writer:
    """varve.Writer for asyncio: an async context manager whose add() and finish() are awaited. A task that is
    cancelled in one of them cancels the writer."""

    def __init__(self, channel: _channel.Channel, namespace: str, options: dict[str, Any]):
        self._open = functools.partial(BlockingWriter, channel, namespace, **options)
        self._writer: Optional[BlockingWriter] = None

    async def __aenter__(self) -> "Writer":
        self._writer = await asyncio.to_thread(self._open)
        return self

    async def __aexit__(self, kind: Any, *_: Any) -> None:
        try:
            if kind is None:
                await self.finish()
        finally:
            await asyncio.to_thread(self._opened().cancel)

    async def add(
        self, ids: Any, vectors: Any, metadata: Any = None, *, expire_time: Any = None
    ) -> None:
        """As varve.Writer.add()."""
        add = functools.partial(
            self._opened().add, ids, vectors, metadata, expire_time=expire_time
        )
        await self._run(add)

    async def finish(self) -> IngestResult:
        """As varve.Writer.finish()."""
        return await self._run(self._opened().finish)

    @property
    def result(self) -> IngestResult:
        return self._opened().result

    def _opened(self) -> BlockingWriter:
        if self._writer is None:
            raise errors.FailedPrecondition('a writer is opened by "async with"')
        return self._writer

    async def _run(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except asyncio.CancelledError:
            await asyncio.to_thread(self._opened().cancel)
            raise
