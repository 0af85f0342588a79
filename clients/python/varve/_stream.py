"""One ingest stream that survives broken connections and restarts of the server."""

from __future__ import annotations

import collections
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Optional

import grpc

from varve import _wire, errors
from varve._channel import Channel
from varve._retry import Retry
from varve.v1 import ingest_service_pb2 as ingest

_METHOD = "/varve.v1.IngestService/Ingest"
# How long the server may take to end a stream in which all is said.
_CLOSE_SECONDS = 5.0


@dataclasses.dataclass
class Batch:
    """One batch, from the call that brings it to its acknowledgement."""

    records: _wire.Parts  # a RecordBatch message; may be the caller's own memory
    rows: int
    first_row: int  # its first row's position in all that was given
    ids: Any  # for row errors
    borrowed: Any = None  # the columns whose memory `records` holds
    number: int = 0

    def request(self) -> bytes:
        head = ingest.IngestBatch(number=self.number).SerializeToString()
        batch = _wire.Parts(head).nest(2, self.records)
        return _wire.Parts().nest(2, batch).join()


class ResumableStream:
    """A queue of batches that are not acknowledged, between three threads: the caller fills it with put();
    gRPC's own thread takes from it what it sends; the runner keeps a stream going, one after another,
    and empties the queue as acknowledgements come. Whatever changes is signalled through one condition.

    After a broken connection it reconnects (with growing, jittered pauses), asks the server for the last
    batch it has, and sends again only what comes after. Batches are numbered on from the producer's last.
    `on_ack(batch, ack)` runs on the runner's thread, in order; `ack` is None when the commit was learned
    on reconnecting.

    With `repeats` the caller brings all the producer's batches, from the first on, cut as before; those
    that are committed are passed over.
    """

    def __init__(
        self,
        channel: Channel,
        opening: ingest.IngestOpen,
        repeats: bool,
        give_up_after: float,
        on_ack: Callable[[Batch, Optional[ingest.IngestAck]], None],
    ):
        self._call = channel.stream_stream(
            _METHOD, response_deserializer=ingest.IngestResponse.FromString
        )
        self._opening = ingest.IngestRequest(open=opening).SerializeToString()
        self._producer = opening.producer
        self._repeats = repeats
        self._give_up_after = give_up_after
        self._on_ack = on_ack
        self._changed = threading.Condition()

        # All below is guarded by _changed. Batches not acknowledged, oldest first; the first _sent of them
        # are on their way in the present stream.
        self._queue: collections.deque[Batch] = collections.deque()
        self._sent = 0
        self._queue_bytes = 0
        self._next_number = 1
        self._committed = 0
        self._last_batch = 0
        self._window_batches = 1
        self._window_bytes = 0
        self._message_bytes_max = 0
        # The present stream. gRPC's thread may still hold the requests of the one before: what it asks is asked
        # in the name of an attempt, and a past one gets nothing.
        self._attempt = object()
        self._present: Optional[grpc.Call] = None
        self._open = self._ended = False
        self._fault: Optional[errors.Error] = None  # why we ended the present stream ourselves
        self._retry = Retry(give_up_after)
        self._ever_open = self._finishing = self._stopped = False
        self._end: Optional[errors.Error] = None  # what it ended with; meaningful once _over
        self._over = False

        self._runner = threading.Thread(target=self._run, name="varve-ingest", daemon=True)
        self._runner.start()

    # --- The caller's side ---

    def wait_until_open(self) -> None:
        """Raises what the first attempts ended with."""
        with self._changed:
            self._changed.wait_for(lambda: self._ever_open or self._over)
            if not self._ever_open:
                assert self._end is not None
                raise self._end

    def put(self, batch: Batch) -> bool:
        """Takes the next batch; waits while more is unacknowledged than the server allows. False: an earlier
        run has committed it. Raises what the stream ended with."""
        size = batch.records.size
        with self._changed:
            if size > self._message_bytes_max:
                raise errors.ResourceExhausted(
                    f"a batch of {batch.rows} records has {size} bytes; at most "
                    f"{self._message_bytes_max} are taken"
                )
            self._changed.wait_for(lambda: self._over or self._has_room(size))
            if self._over:
                raise self._end or errors.FailedPrecondition("the writer is finished")
            batch.number = self._next_number
            self._next_number += 1
            if batch.number <= self._last_batch:
                return False
            self._queue.append(batch)
            self._queue_bytes += size
            self._changed.notify_all()
            return True

    def finish(self) -> None:
        """Waits until all is acknowledged. Raises what the stream ended with."""
        with self._changed:
            self._finishing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over)
        self._runner.join()
        if self._end is not None:
            raise self._end

    def stop(self) -> None:
        """Drops what is not acknowledged. After finish() it does nothing."""
        with self._changed:
            self._stopped = True
            if self._present is not None:
                self._present.cancel()
            self._changed.notify_all()
        self._runner.join()

    # --- The runner's thread ---

    def _run(self) -> None:
        try:
            while self._ready_for_another(self._run_stream()):
                pass
        except BaseException as error:  # a fault of ours must not leave the caller waiting
            with self._changed:
                self._finish_with(errors.Error(f"ingest failed: {error!r}", "INTERNAL"))
            raise

    def _run_stream(self) -> errors.Error:
        """Opens a stream and works it until it ends; returns why it ended."""
        with self._changed:
            self._open = self._ended = False
            self._fault = None
            self._sent = 0
            if self._stopped:
                return errors.Cancelled("ingest was cancelled")
            attempt = self._attempt = object()
            try:
                call = self._present = self._call(self._requests(attempt))
            except ValueError:  # gRPC's for a channel that is closed
                self._stopped = True
                return errors.Cancelled("the client is closed")
        try:
            for response in call:
                self._on_response(response)
            ended: errors.Error = errors.Unavailable("the server ended the stream")
        except grpc.RpcError as error:
            ended = errors.from_grpc(error)
        except errors.Error as error:
            call.cancel()
            ended = error
        with self._changed:
            self._present = None
            self._ended = True
            self._changed.notify_all()
            return self._fault or ended

    def _requests(self, attempt: object) -> Iterator[bytes]:
        """What is sent in one stream; gRPC's thread asks for one after the other."""
        yield self._opening
        if not self._wait_until_open(attempt):
            return
        while True:
            batch = self._next_to_send(attempt)
            if batch is None:
                break
            yield batch.request()
        # gRPC half-closes when this returns; a server that does not end the stream then is left.
        closing = threading.Timer(_CLOSE_SECONDS, self._end_present, [attempt])
        closing.daemon = True
        closing.start()

    def _is_over(self, attempt: object) -> bool:
        return attempt is not self._attempt or self._ended

    def _end_present(self, attempt: object) -> None:
        with self._changed:
            if not self._is_over(attempt) and self._present is not None:
                self._present.cancel()

    def _wait_until_open(self, attempt: object) -> bool:
        with self._changed:
            if self._is_over(attempt):
                return False
            deadline = self._retry.on_attempt(time.monotonic())
            while not self._open and not self._is_over(attempt):
                left = deadline - time.monotonic()
                if left <= 0:
                    self._fault = errors.Unavailable("the server does not answer")
                    if self._present is not None:
                        self._present.cancel()
                    return False
                self._changed.wait(left)
            return not self._is_over(attempt)

    def _next_to_send(self, attempt: object) -> Optional[Batch]:
        with self._changed:
            while not self._is_over(attempt):
                if self._sent < len(self._queue):
                    self._sent += 1
                    return self._queue[self._sent - 1]
                if self._finishing and not self._queue:
                    return None
                self._changed.wait()
            return None

    def _ready_for_another(self, error: errors.Error) -> bool:
        with self._changed:
            # A stream that ended after its last acknowledgement did all it was for, however it ended.
            if self._finishing and self._ever_open and not self._queue:
                self._finish_with(None)
                return False
            if self._stopped:
                self._finish_with(errors.Cancelled("ingest was cancelled"))
                return False
            if not errors.is_transient(error):
                self._finish_with(error)
                return False
            pause = self._retry.on_failure(time.monotonic())
            if pause is None:
                self._finish_with(
                    errors.Unavailable(
                        f"gave up after {self._give_up_after:g} s: {error.message}"
                    )
                )
                return False
            self._changed.wait_for(lambda: self._stopped, timeout=pause)
            return True

    def _finish_with(self, error: Optional[errors.Error]) -> None:
        if error is not None and self._ever_open:
            error = errors.make(
                error.code, f"ingest ended after batch {self._committed}: {error.message}"
            )
        self._end = error
        self._over = True
        self._changed.notify_all()

    def _on_response(self, response: ingest.IngestResponse) -> None:
        kind = response.WhichOneof("message")
        if kind == "opened":
            self._on_opened(response.opened)
        elif kind == "ack":
            self._on_acknowledged(response.ack)
        else:
            raise errors.make("UNIMPLEMENTED", "the server answers with what this client does not know")

    def _on_opened(self, opened: ingest.IngestOpened) -> None:
        unheard = []
        with self._changed:
            if self._open:
                raise errors.FailedPrecondition("the server opened the stream twice")
            self._retry.on_connected(time.monotonic())
            if not self._ever_open:
                self._last_batch = self._committed = opened.last_batch
                self._next_number = 1 if self._repeats else self._last_batch + 1
            self._check_position(opened.last_batch)
            while self._queue and self._queue[0].number <= opened.last_batch:
                unheard.append(self._pop())
            # An idle writer has nothing to make progress with.
            if unheard or not self._queue:
                self._retry.on_progress()
            self._window_batches = max(1, opened.window_batches)
            self._window_bytes = opened.window_bytes
            self._message_bytes_max = opened.max_message_bytes
            self._ever_open = self._open = True
            self._changed.notify_all()
        for batch in unheard:
            self._on_ack(batch, None)

    def _check_position(self, last_batch: int) -> None:
        if last_batch < self._committed:
            raise errors.FailedPrecondition(
                f"the server acknowledged batch {self._committed} of producer {self._producer} and now "
                f"knows only {last_batch}: the namespace is not the one it was"
            )
        if last_batch >= max(self._next_number, self._last_batch + 1):
            raise errors.FailedPrecondition(
                f"batch {last_batch} of producer {self._producer} is committed, but this writer got to "
                f"{self._next_number - 1} only: another one uses the name"
            )

    def _on_acknowledged(self, ack: ingest.IngestAck) -> None:
        with self._changed:
            if self._sent == 0 or self._queue[0].number != ack.number:
                raise errors.FailedPrecondition(
                    f"the server acknowledged batch {ack.number} where "
                    + (f"{self._queue[0].number} was to come" if self._sent else "none was sent")
                )
            self._sent -= 1
            batch = self._pop()
            self._retry.on_progress()
            self._changed.notify_all()
        self._on_ack(batch, ack)

    def _pop(self) -> Batch:
        batch = self._queue.popleft()
        self._committed = batch.number
        self._queue_bytes -= batch.records.size
        return batch

    def _has_room(self, size: int) -> bool:
        if not self._queue:
            return True  # a batch larger than the window goes alone
        fits = self._queue_bytes + size <= self._window_bytes
        return len(self._queue) < self._window_batches and fits
