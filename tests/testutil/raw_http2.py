"""An HTTP/2 client without manners: sends what no gRPC library would."""

import select
import socket
import struct
import time

import h2.config
import h2.connection
import h2.events
import h2.settings

WAIT_SECONDS = 60
_POUR_BYTES = 1 << 18


def framed(message: bytes, length: int | None = None, compressed: bool = False) -> bytes:
    """A message with gRPC's five bytes before it, which claim `length` if that is given."""
    return struct.pack(">BI", compressed, len(message) if length is None else length) + message


class RawConnection:
    """One connection. Sends at once and reads only when told to. A context manager.

    `window` is how many bytes of every answer the server may send before this end makes room, which
    it never does.
    """

    def __init__(self, port: int, window: int = 65_535):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_SECONDS)
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._http.initiate_connection()
        self._http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self._headers: dict[int, dict[str, str]] = {}
        self._ended: set[int] = set()
        self._settled = False
        self._flush()
        while not self._settled:
            if not self._read(WAIT_SECONDS):
                raise TimeoutError("the server sends no settings")

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def call(self, method: str) -> int:
        """Begins a call such as "QueryService/Search" and returns its stream's number."""
        stream = self._http.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", f"/varve.v1.{method}"),
            (":authority", "127.0.0.1"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        self._http.send_headers(stream, headers)
        self._flush()
        return stream

    def send(self, stream: int, data: bytes, end: bool = False) -> None:
        """Sends as much of `data` as the server's windows have room for now."""
        room = self._http.local_flow_control_window(stream)
        data, complete = data[:room], len(data) <= room
        step = self._http.max_outbound_frame_size
        for first in range(0, len(data), step):
            self._http.send_data(stream, data[first : first + step])
        if end and complete:
            self._http.end_stream(stream)
        self._flush()

    def pour(self, stream: int, most: int, patience: float = WAIT_SECONDS) -> int:
        """Sends zeros as fast as the server takes them, until it ends the call, or `most` bytes are
        sent, or it has taken none for `patience` seconds. Returns how many were sent.
        """
        sent = 0
        while stream not in self._ended and sent < most:
            step = min(self._http.local_flow_control_window(stream), most - sent, _POUR_BYTES)
            if step > 0:
                self.send(stream, bytes(step))
                sent += step
                self._read(0)
            elif not self._read(patience):
                break
        return sent

    def status(self, stream: int) -> int | None:
        """Waits for the call's end and returns its grpc-status; None when it was cut off (RST)."""
        deadline = time.monotonic() + WAIT_SECONDS
        while stream not in self._ended:
            if not self._read(deadline - time.monotonic()):
                raise TimeoutError(f"call {stream} did not end")
        status = self._headers.get(stream, {}).get("grpc-status")
        return None if status is None else int(status)

    def drop(self) -> None:
        """Breaks the connection without a word (RST)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _flush(self) -> None:
        self.socket.sendall(self._http.data_to_send())

    def _read(self, patience: float) -> bool:
        """Handles what the server sends; False when nothing came in time."""
        if not select.select([self.socket], [], [], max(0, patience))[0]:
            return False
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed the connection")
        for event in self._http.receive_data(data):
            self._note(event)
        self._flush()
        return True

    def _note(self, event) -> None:
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self._settled = True
        elif isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            headers = self._headers.setdefault(event.stream_id, {})
            headers.update((bytes(k).decode(), bytes(v).decode()) for k, v in event.headers)
        elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
            self._ended.add(event.stream_id)
        elif isinstance(event, h2.events.ConnectionTerminated):
            raise ConnectionError(f"the server said GOAWAY ({event.error_code})")
