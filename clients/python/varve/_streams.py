"""Calls whose answers come in a stream."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Optional, Union

import grpc

from varve import _operations, errors
from varve._channel import Channel
from varve._retry import Retry
from varve.filters import Filter, to_filter
from varve.progress import Progress
from varve.results import IndexingProgress, Records
from varve.v1 import admin_service_pb2 as admin
from varve.v1 import query_service_pb2 as query_service

SCAN = "/varve.v1.QueryService/Scan"
WATCH = "/varve.v1.AdminService/WatchIndexing"


def scan_request(
    namespace: str,
    filter: Optional[Filter],
    include_vectors: bool,
    include_metadata: Union[bool, Sequence[str]],
    token: bytes,
) -> query_service.ScanRequest:
    return query_service.ScanRequest(
        namespace=namespace,
        token=token,
        filter=to_filter(filter),
        include_vectors=include_vectors,
        include_metadata=include_metadata is not False,
        metadata_paths=() if isinstance(include_metadata, bool) else include_metadata,
    )


def scan(
    channel: Channel,
    namespace: str,
    *,
    filter: Optional[Filter] = None,
    include_vectors: bool = True,
    include_metadata: Union[bool, Sequence[str]] = True,
    retry_for: float = 30.0,
) -> Iterator[Records]:
    """All records, or those that satisfy a filter, in order of id: Records of a few thousand at a time.

    Sees the namespace as it was when it began. After a broken connection it goes on behind the last
    record it had, with the namespace as it is then; it gives up after `retry_for` seconds without
    progress.
    """
    call = channel.unary_stream(
        SCAN,
        request_serializer=query_service.ScanRequest.SerializeToString,
        response_deserializer=query_service.ScanResponse.FromString,
    )
    request = scan_request(namespace, filter, include_vectors, include_metadata, b"")
    retry = Retry(retry_for)
    while True:
        answers = call(request)
        try:
            for answer in answers:
                retry.on_progress()
                request.token = answer.next_token
                if answer.records.ids.WhichOneof("kind") is None:
                    continue  # with a filter there may be none, and more to come
                records = _operations.records_from(answer.records, include_metadata is not False)
                if len(records) > 0:
                    yield records
            return
        except grpc.RpcError as broken:
            pause = retry_pause(retry, errors.from_grpc(broken))
            time.sleep(pause)
        finally:
            answers.cancel()  # when the caller stops in between


def retry_pause(retry: Retry, error: errors.Error) -> float:
    """How long to wait before going on after an error; raises it when that is of no use."""
    if not errors.is_transient(error) or isinstance(error, errors.ResourceExhausted):
        raise error from None
    pause = retry.on_failure(time.monotonic())
    if pause is None:
        raise error from None
    return pause


def watch_indexing(channel: Channel, namespace: str) -> Iterator[IndexingProgress]:
    call = channel.unary_stream(
        WATCH,
        request_serializer=admin.WatchIndexingRequest.SerializeToString,
        response_deserializer=admin.WatchIndexingResponse.FromString,
    )
    answers = call(admin.WatchIndexingRequest(namespace=namespace))
    try:
        for answer in answers:
            yield indexing_from(answer)
    except grpc.RpcError as error:
        raise errors.from_grpc(error) from None
    finally:
        answers.cancel()


def indexing_from(answer: admin.WatchIndexingResponse) -> IndexingProgress:
    remaining = answer.remaining.ToTimedelta() if answer.HasField("remaining") else None
    return IndexingProgress(
        answer.indexed_rows, answer.total_rows, answer.rows_per_second, remaining
    )


def wait_indexed(channel: Channel, namespace: str, shown: bool) -> None:
    bar: Optional[Progress] = None
    done = 0
    try:
        for progress in watch_indexing(channel, namespace):
            bar = bar or Progress(shown, f"index {namespace}", progress.total_rows)
            bar.advance(progress.indexed_rows - done)
            done = progress.indexed_rows
    finally:
        if bar is not None:
            bar.close()
