"""Streaming records into a namespace: Writer, and what ns.ingest() does with it."""

from __future__ import annotations

import dataclasses
import mmap
import pickle
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Optional

import numpy as np

from varve import _arrays, _operations, _values, _wire
from varve._channel import Channel
from varve._stream import Batch, ResumableStream
from varve.errors import Error, FailedPrecondition, InvalidArgument
from varve.progress import Progress
from varve.results import IngestResult, RowError
from varve.v1 import ingest_service_pb2 as ingest

_PRODUCER_BYTES_MAX = 256
_ID_BYTES = 16  # of one id, estimated
_METADATA_BYTES = 256  # of one record's, estimated; a batch that turns out larger is cut


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Some records, column by column. Slices share memory with it."""

    ids: _arrays.Ids
    columns: dict[str, _arrays.Column]
    metadata: Any  # as _values.as_metadata gives it
    expire_times: list[int]  # none, one for all or one for each

    @classmethod
    def of(cls, ids: Any, vectors: Any, metadata: Any, expire_time: Any) -> "_Rows":
        ids = _arrays.as_ids(ids)
        rows = len(ids)
        return cls(
            ids,
            _arrays.as_columns(vectors, rows),
            _values.as_metadata(metadata, rows),
            _operations.as_expire_times(expire_time, rows),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def slice(self, begin: int, end: int) -> "_Rows":
        one_for_all = len(self.expire_times) == 1
        return _Rows(
            self.ids[begin:end],
            {name: column[begin:end] for name, column in self.columns.items()},
            _values.slice_metadata(self.metadata, begin, end),
            self.expire_times if one_for_all else self.expire_times[begin:end],
        )

    def copy(self) -> "_Rows":
        def copied(column: _arrays.Column) -> _arrays.Column:
            if isinstance(column, _arrays.Ragged):
                return _arrays.Ragged(column.vectors.copy(), column.offsets.copy())
            return column.copy()

        metadata = self.metadata
        if isinstance(metadata, Mapping):
            metadata = {name: column[:] for name, column in metadata.items()}
            metadata = {
                name: column.copy() if isinstance(column, np.ndarray) else column
                for name, column in metadata.items()
            }
        columns = {name: copied(column) for name, column in self.columns.items()}
        return _Rows(self.ids[:], columns, metadata, self.expire_times)

    def is_like(self, other: "_Rows") -> bool:
        """Whether the two can go in one batch as they are."""

        def form(rows: _Rows) -> tuple:
            vectors = [
                (name, isinstance(column, _arrays.Ragged), _matrix(column).dtype,
                 _matrix(column).shape[1])
                for name, column in rows.columns.items()
            ]
            by_column = isinstance(rows.metadata, Mapping)
            metadata = sorted(rows.metadata) if by_column else rows.metadata is None
            return (type(rows.ids), vectors, by_column, metadata)

        return form(self) == form(other)

    @classmethod
    def joined(cls, parts: list["_Rows"]) -> "_Rows":
        """Several that are alike, as one."""
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        metadata: Any = first.metadata
        if isinstance(metadata, Mapping):
            metadata = {
                name: _joined_column([part.metadata[name] for part in parts]) for name in metadata
            }
        elif metadata is not None:
            metadata = [one for part in parts for one in part.metadata]
        return cls(
            _arrays.join_ids([part.ids for part in parts]),
            {
                name: _arrays.join_columns([part.columns[name] for part in parts])
                for name in first.columns
            },
            metadata,
            _joined_times(parts),
        )

    def bytes_per_row(self) -> float:
        vectors = sum(_arrays.row_bytes(column) for column in self.columns.values())
        return vectors + _ID_BYTES + (0 if self.metadata is None else _METADATA_BYTES)

    def fingerprint(self) -> int:
        """Of all there is: other records, or these in another order, have another."""
        crc = 0
        for column in self.columns.values():
            arrays = [_matrix(column)]
            if isinstance(column, _arrays.Ragged):
                arrays.append(column.offsets)
            for array in arrays:
                crc = zlib.crc32(f"{array.dtype}{array.shape}".encode(), crc)
                for begin in range(0, len(array), 4096):
                    crc = zlib.crc32(np.ascontiguousarray(array[begin : begin + 4096]).data, crc)
        rest = (list(self.columns), self.ids, self.metadata, self.expire_times)
        return zlib.crc32(pickle.dumps(rest), crc)


def _matrix(column: _arrays.Column) -> np.ndarray:
    return column.vectors if isinstance(column, _arrays.Ragged) else column


def _joined_column(parts: list[Any]) -> Any:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return [value for part in parts for value in part]


def _joined_times(parts: list[_Rows]) -> list[int]:
    if all(part.expire_times == parts[0].expire_times for part in parts):
        if len(parts[0].expire_times) <= 1:
            return parts[0].expire_times
    times = []
    for part in parts:
        each = part.expire_times or [0]
        times += each if len(each) == len(part) else each * len(part)
    return times


def _release_pages(array: np.ndarray) -> None:
    """Gives the memory of a mapped file's pages back; they are read again if they are wanted again."""
    holder: Any = array
    while isinstance(holder, np.ndarray) and not isinstance(holder.base, mmap.mmap):
        holder = holder.base
    # Pages that are copied on write would lose what was written.
    if not isinstance(holder, np.memmap) or holder.mode not in ("r", "r+"):
        return
    mapped: Any = holder.base
    start = np.frombuffer(mapped, np.uint8).__array_interface__["data"][0]
    begin = array.__array_interface__["data"][0] - start
    first = begin // mmap.PAGESIZE * mmap.PAGESIZE
    length = begin + array.nbytes - first
    if array.flags.c_contiguous and length > 0:
        mapped.madvise(mmap.MADV_DONTNEED, first, length)


class Writer:
    """Streams records into a namespace in the background: each is committed exactly once, in the order it
    was added, whatever happens to the connection and the server.

        with ns.writer() as writer:
            for ids, vectors in source:
                writer.add(ids, vectors)
        print(writer.result)

    Records are gathered into batches of `batch_size` rows (by default as many as a message of 4 MiB holds)
    and sent while more are added; add() waits while more is unacknowledged than the server allows
    (16 MiB), so memory stays bounded. After a broken connection the writer reconnects and resumes by
    itself; it gives up after `retry_for` seconds without progress.

    Leaving the context finishes it: all is committed then, or an error raised, whose message names the
    last batch that is committed for certain. Left by an exception it drops what is not acknowledged.

    Not for several threads at once.
    """

    def __init__(
        self,
        channel: Channel,
        namespace: str,
        *,
        producer: Optional[str] = None,
        durability: str = "applied",
        on_error: str = "fail",
        batch_size: Optional[int] = None,
        streams: int = 1,
        retry_for: float = 30.0,
        progress: Optional[Progress] = None,
        borrows: bool = False,
    ):
        if batch_size is not None and batch_size < 1:
            raise InvalidArgument(f"batch_size must be at least 1, is {batch_size}")
        if not 1 <= streams <= 64:
            raise InvalidArgument(f"streams must be 1 to 64, is {streams}")
        name = uuid.uuid4().hex if producer is None else producer
        if not 1 <= len(name.encode()) <= _PRODUCER_BYTES_MAX - len("/63"):
            raise InvalidArgument(
                f"producer must have 1 to {_PRODUCER_BYTES_MAX - 3} bytes, has {len(name.encode())}"
            )
        self._batch_size = batch_size
        self._borrows = borrows  # the memory given to add() stays as it is until the writer is finished
        self._progress = progress or Progress(False, "", None)
        self._begin = time.monotonic()
        self._rows = self._resumed = self._batches = 0
        self._pending: list[_Rows] = []
        self._pending_rows = 0
        self._failure: Optional[BaseException] = None  # rows were given that will not be sent
        self._done: Optional[IngestResult] = None
        self._counts = threading.Lock()  # guards what acknowledgements count
        self._written = self._sequence = 0
        self._errors: list[RowError] = []
        self._streams: list[ResumableStream] = []
        for i in range(streams):
            opening = ingest.IngestOpen(
                namespace=namespace,
                producer=name if streams == 1 else f"{name}/{i}",
                durability=_operations.durability_number(durability),
                on_error=_operations.on_error_number(on_error),
            )
            self._streams.append(
                ResumableStream(channel, opening, True, retry_for, self._on_acknowledged)
            )
        try:
            for stream in self._streams:
                stream.wait_until_open()
        except BaseException:
            self.cancel()
            raise

    def add(
        self,
        ids: Any,
        vectors: Any,
        metadata: Any = None,
        *,
        expire_time: _operations.ExpireTime = None,
    ) -> None:
        """Adds records; the arguments are those of ns.ingest(), and free again when it returns.

        Waits while the server cannot follow. InvalidArgument: these records are wrong, and none of them is
        taken; the writer goes on. Any other error is the one the writer ended with.
        """
        rows = _Rows.of(ids, vectors, metadata, expire_time)
        self.add_rows(dataclasses.replace(rows, metadata=_values.checked(rows.metadata)))

    def add_rows(self, rows: _Rows) -> None:
        """Adds records that are checked already."""
        if self._done is not None:
            raise FailedPrecondition("add() after finish()")
        self._check_whole()
        if len(rows) == 0:
            return
        if self._batch_size is None:
            fitting = _operations.MESSAGE_BYTES // rows.bytes_per_row()
            self._batch_size = max(1, int(fitting))
        if self._pending and not self._pending[0].is_like(rows):
            self._send_pending()
        begin = 0
        while begin < len(rows):
            end = min(len(rows), begin + self._batch_size - self._pending_rows)
            self._pending.append(rows.slice(begin, end))
            self._pending_rows += end - begin
            begin = end
            if self._pending_rows == self._batch_size:
                self._send_pending()
        if self._pending and not self._borrows:
            self._pending[-1] = self._pending[-1].copy()

    def flush(self) -> None:
        """Sends what was added, though the last batch is not full. Does not wait for it to be committed."""
        self._send_pending()

    def finish(self) -> IngestResult:
        """Sends what is left and waits until all is committed. Raises what the stream ended with."""
        if self._done is None:
            self._check_whole()
            self._send_pending()
            error: Optional[Error] = None
            for stream in self._streams:
                try:
                    stream.finish()
                except Error as one:
                    error = error or one
            self._progress.close()
            if error is not None:
                raise error
            self._done = self._result()
        return self._done

    def cancel(self) -> None:
        """Drops what is not acknowledged. After finish() it does nothing."""
        self._pending.clear()
        self._pending_rows = 0
        for stream in self._streams:
            stream.stop()
        self._progress.close()

    @property
    def result(self) -> IngestResult:
        """What is committed so far; of a finished writer, all."""
        return self._done or self._result()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.cancel()

    # --- Cutting ---

    def _check_whole(self) -> None:
        """Whoever went on after a failure would miss the rows that were to be sent then."""
        if self._failure is not None:
            raise FailedPrecondition(f"the writer ended with: {self._failure}") from self._failure

    def _send_pending(self) -> None:
        if not self._pending:
            return
        try:
            self._send(_Rows.joined(self._pending))
        except BaseException as error:
            self._failure = error
            raise
        self._pending = []
        self._pending_rows = 0

    def _send(self, rows: _Rows) -> None:
        """Sends rows as one batch, or as several if they turn out too large for a message."""
        first = self._rows
        records = _operations.batch_parts(
            rows.ids, rows.columns, rows.metadata, rows.expire_times, first
        )
        if records.size > _operations.MESSAGE_BYTES and len(rows) > 1:
            half = len(rows) // 2
            self._send(rows.slice(0, half))
            self._send(rows.slice(half, len(rows)))
            return
        if not self._borrows:
            records = _wire.Parts(records.join())
        batch = Batch(records, len(rows), first, rows.ids, rows.columns if self._borrows else None)
        self._rows += len(rows)
        stream = self._streams[self._batches % len(self._streams)]
        self._batches += 1
        if not stream.put(batch):
            with self._counts:
                self._resumed += len(rows)
                self._progress.advance(len(rows))

    # --- On the streams' threads ---

    def _on_acknowledged(self, batch: Batch, ack: Optional[ingest.IngestAck]) -> None:
        with self._counts:
            self._progress.advance(batch.rows)
            if ack is not None:
                self._written += ack.records_written
                self._sequence = max(self._sequence, ack.sequence)
                self._errors += _operations.row_errors_from(
                    ack.row_errors, batch.ids, batch.first_row
                )
            else:
                self._written += batch.rows
        for column in (batch.borrowed or {}).values():
            _release_pages(_matrix(column))

    def _result(self) -> IngestResult:
        with self._counts:
            return IngestResult(
                rows=self._rows,
                records_written=self._written,
                rows_resumed=self._resumed,
                batches=self._batches,
                sequence=self._sequence,
                row_errors=sorted(self._errors, key=lambda error: error.row),
                seconds=time.monotonic() - self._begin,
            )


def ingest_all(
    opened: Callable[[Writer], None],
    channel: Channel,
    namespace: str,
    ids: Any,
    vectors: Any = None,
    metadata: Any = None,
    *,
    expire_time: _operations.ExpireTime = None,
    producer: Optional[str] = None,
    durability: str = "applied",
    on_error: str = "fail",
    batch_size: Optional[int] = None,
    streams: int = 1,
    retry_for: float = 30.0,
    progress: bool = True,
) -> IngestResult:
    """Streams records into the namespace and returns when all are committed, each exactly once.

    `ids`: whole numbers of 0 to 2^64 - 1, or texts of 1 to 512 bytes: an array, a list or a range. A record
    whose id exists is replaced; of several with one id the last wins.

    `vectors`: shape [rows, dimension], one row for each id: float32, float16, bfloat16 (of ml_dtypes), uint8
    or int8 go as they lie in memory, other numbers as float32. A memory-mapped array (np.load(...,
    mmap_mode="r")) is read piece by piece. For a multi-vector field one matrix for each record, or Ragged;
    for named fields a dict of all these by field.

    `metadata`: one dict for each record (or None), or columns: a dict, or a table of pandas, with one value
    for each record by attribute; None and NaN there mean that the record has none. Columns are quicker.

    Instead of ids and vectors, `ids` may be an iterable of chunks: tuples of arguments of Writer.add().

    `expire_time`: one datetime for all, or one (or None) for each. `producer`: a name of this ingest: begun
    again with the same data under the same name it goes on where it ended. `durability`: "applied" survives
    a killed server, "synced" power loss too. `on_error="skip"` leaves out bad rows and lists them in the
    result. `batch_size`: rows per batch, by default as many as 4 MiB hold. `streams`: connections side by
    side. `retry_for`: seconds without progress after which it gives up. `progress`: on standard error.

    InvalidArgument names the row and the field; what came before that batch is committed.
    """
    options: dict[str, Any] = {
        "durability": durability,
        "on_error": on_error,
        "batch_size": batch_size,
        "streams": streams,
        "retry_for": retry_for,
    }
    if vectors is None:
        chunks: Iterable[Any] = iter(ids)
        with Writer(
            channel,
            namespace,
            producer=producer,
            progress=Progress(progress, f"ingest {namespace}", None),
            **options,
        ) as writer:
            opened(writer)
            for chunk in chunks:
                writer.add(*chunk) if not isinstance(chunk, Mapping) else writer.add(**chunk)
        return writer.result
    rows = _Rows.of(ids, vectors, metadata, expire_time)
    if producer is not None:
        producer = f"{producer}-{rows.fingerprint():08x}-{batch_size or 0}"
    with Writer(
        channel,
        namespace,
        producer=producer,
        progress=Progress(progress, f"ingest {namespace}", len(rows)),
        borrows=True,
        **options,
    ) as writer:
        opened(writer)
        writer.add_rows(rows)
    return writer.result
