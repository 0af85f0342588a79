"""A TCP proxy that breaks connections, as networks do."""

import socket
import threading


class CuttingProxy:
    """Stands before `server` ("host:port") at `address`. Every connection is cut, without a farewell, once so
    many bytes came from the client, `cuts` times in all; later ones live. A context manager."""

    def __init__(self, server: str, bytes_until_cut: int, cuts: int):
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._bytes_until_cut = bytes_until_cut
        self._lock = threading.Lock()
        self._cuts_left = cuts
        self._open: list[socket.socket] = []
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def cuts_left(self) -> int:
        with self._lock:
            return self._cuts_left

    def __enter__(self) -> "CuttingProxy":
        return self

    def __exit__(self, *_) -> None:
        with self._lock:
            self._closed = True
            for one in [self._listener, *self._open]:
                _cut(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
            except OSError:
                with self._lock:
                    if self._closed:
                        return
                client.close()  # the server is away
                continue
            with self._lock:
                self._open += [client, server]
                budget = self._bytes_until_cut if self._cuts_left > 0 else None
            threading.Thread(target=self._pump, args=(client, server, budget), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, None), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, budget: int | None) -> None:
        try:
            while data := source.recv(1 << 16):
                if budget is not None and (budget := budget - len(data)) < 0:
                    with self._lock:
                        self._cuts_left -= 1
                    break
                target.sendall(data)
        except OSError:
            pass
        _cut(source)
        _cut(target)


def _cut(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    one.close()
