"""Documents to vectors to a namespace, with all stages at work at once and little in memory."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import dataclasses
import threading
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional, Union


from varve.errors import InvalidArgument

_END = object()


@dataclasses.dataclass(frozen=True)
class Document:
    """What a source yields: `id` makes the ids of its chunks, `content` is what is chunked."""

    id: str
    content: Any
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A part of a document that gets a vector of its own; `metadata` is added to the document's."""

    content: Any
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class PipelineError(Exception):
    """A stage failed. `stage`: "source", "chunk", "embed" or "sink"; `documents`: the ids of those it was at
    work on; the cause is chained (`__cause__`)."""

    def __init__(self, stage: str, documents: Sequence[str], cause: BaseException):
        of = f" of {', '.join(map(repr, documents[:3]))}" if documents else ""
        more = f" and {len(documents) - 3} more" if len(documents) > 3 else ""
        super().__init__(f"{stage}{of}{more}: {cause}")
        self.stage = stage
        self.documents = list(documents)


@dataclasses.dataclass(frozen=True)
class PipelineResult:
    documents: int  # that got through
    chunks: int  # that were given to the sink
    failures: list[PipelineError]  # with on_error="skip"


@dataclasses.dataclass
class _Batch:
    """Chunks that are embedded together."""

    ids: list[str] = dataclasses.field(default_factory=list)
    contents: list[Any] = dataclasses.field(default_factory=list)
    metadata: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    documents: list[str] = dataclasses.field(default_factory=list)
    vectors: Any = None

    def __len__(self) -> int:
        return len(self.ids)


class _Stopped(Exception):
    """Another stage has failed: there is nothing left to do."""


class _Pipe:
    """A bounded queue between two threads; stop() sends both home."""

    def __init__(self, size: int):
        self._size = size
        self._changed = threading.Condition()
        self._items: collections.deque[Any] = collections.deque()
        self._stopped = False

    def put(self, item: Any) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._items) < self._size)
            if self._stopped:
                raise _Stopped
            self._items.append(item)
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Any]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._items)
                if self._stopped:
                    raise _Stopped
                item = self._items.popleft()
                self._changed.notify_all()
            if item is _END:
                return
            yield item

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


def pipeline(
    source: Iterable[Any],
    *,
    embed: Callable[[list[Any]], Any],
    sink: Any,
    chunk: Optional[Callable[[Any], Iterable[Any]]] = None,
    batch: int = 64,
    buffer: int = 4,
    on_error: str = "raise",
) -> PipelineResult:
    """Chunks, embeds and indexes documents; the three run side by side, with bounded buffers between them,
    so that memory holds what is in the buffers however much there is.

    `source` yields Document, or tuples (id, content) or (id, content, metadata). `chunk` makes of a
    document's content its parts: Chunk, or content alone; without it a document is one chunk. `embed` is
    given a list of up to `batch` contents and returns their vectors: shape [contents, dimension], or for a
    multi-vector field one matrix for each. `sink`: a Writer, by this call alone; it is finished at the end.
    `buffer`: batches that may wait between two stages.

    Ids are text: the document's id, "#" and the chunk's number, so that a second run replaces what the first
    one wrote. The metadata of a chunk has its document's id as "document" too: where a document may come
    again with fewer chunks, delete by that before.

    `on_error`: "raise" ends with a PipelineError that names the documents; "skip" leaves out the chunks that
    failed (others of the same documents stay), and lists the failures in the result. A failing source or
    sink always raises. What was committed before stays.
    """
    if on_error not in ("raise", "skip"):
        raise InvalidArgument(f"on_error must be raise or skip, is {on_error!r}")
    if batch < 1 or buffer < 1:
        raise InvalidArgument(f"batch and buffer must be at least 1, are {batch} and {buffer}")
    return _Run(chunk, embed, sink, batch, buffer, on_error == "skip").run(source)


class _Run:
    """One run of a pipeline: a thread for chunking, one for embedding, and the caller's for the sink."""

    def __init__(self, chunk, embed, sink, batch: int, buffer: int, skips: bool):
        self._chunk = chunk
        self._embed = embed
        self._sink = sink
        self._batch = batch
        self._skips = skips
        self._chunked = _Pipe(buffer)
        self._embedded = _Pipe(buffer)
        self._lock = threading.Lock()
        self._failures: list[PipelineError] = []  # guarded by _lock, as all below
        self._end: Optional[PipelineError] = None
        self._documents = 0

    def run(self, source: Iterable[Any]) -> PipelineResult:
        threads = [
            threading.Thread(target=self._stage, args=arguments, daemon=True)
            for arguments in (
                ("source", self._chunk_all, source, self._chunked),
                ("embed", self._embed_all, self._chunked, self._embedded),
            )
        ]
        for thread in threads:
            thread.start()
        chunks = 0
        try:
            for done in self._embedded:
                self._write(done)
                chunks += len(done)
            self._finish()
        except _Stopped:
            pass
        except BaseException:
            self._sink.cancel()
            raise
        finally:
            self._stop()
            for thread in threads:
                thread.join()
        if self._end is not None:
            self._sink.cancel()
            raise self._end from self._end.__cause__
        failed = {document for failure in self._failures for document in failure.documents}
        return PipelineResult(self._documents - len(failed), chunks, self._failures)

    def _stage(self, name: str, work: Callable[..., None], source: Any, out: _Pipe) -> None:
        try:
            work(source, out)
            out.put(_END)
        except _Stopped:
            pass
        except BaseException as error:  # whatever it is: the other threads must not wait for this one
            with contextlib.suppress(_Stopped):
                self._fail(name, [], error, last=True)

    def _fail(self, stage: str, documents: Sequence[str], cause: BaseException, last: bool) -> None:
        """Notes a failure; raises _Stopped when it ends the pipeline."""
        failure = PipelineError(stage, list(dict.fromkeys(documents)), cause)
        failure.__cause__ = cause
        with self._lock:
            if self._skips and not last:
                self._failures.append(failure)
                return
            self._end = self._end or failure
        self._stop()
        raise _Stopped

    def _stop(self) -> None:
        self._chunked.stop()
        self._embedded.stop()

    def _chunk_all(self, source: Iterable[Any], out: _Pipe) -> None:
        batch = _Batch()
        for given in source:  # what it raises is the source's failure
            document = given if isinstance(given, Document) else Document(*given)
            with self._lock:
                self._documents += 1
            try:
                chunks = [document.content] if self._chunk is None else self._chunk(document.content)
                for number, one in enumerate(chunks):
                    one = one if isinstance(one, Chunk) else Chunk(one)
                    batch.ids.append(f"{document.id}#{number}")
                    batch.contents.append(one.content)
                    batch.metadata.append(
                        {**document.metadata, **one.metadata, "document": document.id}
                    )
                    batch.documents.append(document.id)
                    if len(batch) == self._batch:
                        out.put(batch)
                        batch = _Batch()
            except _Stopped:
                raise
            except Exception as error:
                self._fail("chunk", [document.id], error, last=False)
        if len(batch) > 0:
            out.put(batch)

    def _embed_all(self, source: Iterable[_Batch], out: _Pipe) -> None:
        for batch in source:
            try:
                batch.vectors = self._embed(batch.contents)
                if len(batch.vectors) != len(batch):
                    raise InvalidArgument(
                        f"embed must return one vector for each content: {len(batch)}, "
                        f"returned {len(batch.vectors)}"
                    )
            except Exception as error:
                self._fail("embed", batch.documents, error, last=False)
                continue
            batch.contents = []
            out.put(batch)

    def _write(self, batch: _Batch) -> None:
        try:
            self._sink.add(batch.ids, batch.vectors, batch.metadata)
        except InvalidArgument as error:
            self._fail("sink", batch.documents, error, last=False)
        except Exception as error:
            self._fail("sink", batch.documents, error, last=True)

    def _finish(self) -> None:
        try:
            self._sink.finish()
        except Exception as error:
            self._fail("sink", [], error, last=True)


async def pipeline_async(
    source: Union[Iterable[Any], AsyncIterable[Any]], *, embed: Callable[[list[Any]], Any], sink: Any,
    chunk: Optional[Callable[[Any], Iterable[Any]]] = None, **options: Any,
) -> PipelineResult:
    """pipeline() for asyncio: `source` may be an async iterable, `embed` an async function, and `sink` is an
    aio.Writer. The event loop is free meanwhile; a task that is cancelled stops the pipeline."""
    loop = asyncio.get_running_loop()
    lock = threading.Lock()
    waited_for: set[concurrent.futures.Future[Any]] = set()
    stopped = False

    def wait(awaitable: Any) -> Any:
        """In a stage's thread: what the event loop makes of it. CancelledError once it is stopped."""
        future = asyncio.run_coroutine_threadsafe(awaitable, loop)
        with lock:
            waited_for.add(future)
            if stopped:
                future.cancel()
        try:
            return future.result()
        finally:
            with lock:
                waited_for.discard(future)

    def blocking_source() -> Iterator[Any]:
        if not isinstance(source, AsyncIterable):
            yield from source
            return
        items = source.__aiter__()
        while True:
            item = wait(_next(items))
            if item is _END:
                return
            yield item

    def blocking_embed(contents: list[Any]) -> Any:
        vectors = embed(contents)
        return wait(vectors) if asyncio.iscoroutine(vectors) else vectors

    writer = sink._opened()
    run = asyncio.to_thread(
        pipeline, blocking_source(), embed=blocking_embed, sink=writer, chunk=chunk, **options
    )
    try:
        return await run
    except asyncio.CancelledError:
        with lock:
            stopped = True
            for future in waited_for:
                future.cancel()
        await asyncio.to_thread(writer.cancel)
        raise


async def _next(items: Any) -> Any:
    return await anext(items, _END)
