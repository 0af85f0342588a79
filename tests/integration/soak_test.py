"""64 greedy clients against a small memory budget: it is kept, and nothing that was acknowledged is lost.

VARVE_SOAK_SECONDS makes it longer.
"""

import os
import random
import threading
import time

import grpc

from testutil.api import Api, IngestStream, failure, numbered, opening, records
from testutil.varved import Varved
from testutil.vectors import random_vectors

SECONDS = float(os.environ.get("VARVE_SOAK_SECONDS", 25))
CLIENTS = 64
DIMENSION = 256
ROWS = 500  # half a MB
BUDGET_MIB = 512
NAMESPACES = 4
PATIENT = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}


class Greedy(threading.Thread):
    """Sends batches without waiting for their acknowledgements, and searches in between."""

    def __init__(self, address: str, number: int, until: float):
        super().__init__(daemon=True)
        self.address, self.number, self.until = address, number, until
        self.namespace = f"n{number % NAMESPACES}"
        self.acknowledged = 0
        self.refused = 0
        self.error: BaseException | None = None
        self.open_stream: IngestStream | None = None

    def run(self) -> None:
        try:
            with Api(self.address) as api:
                while time.monotonic() < self.until:
                    self.stream(api)
        except BaseException as error:
            self.error = error

    def leave(self) -> None:
        """Ends what it waits for: the time is over."""
        while self.is_alive():
            if stream := self.open_stream:
                stream.call.cancel()
            self.join(0.1)

    def keys(self, batch: int) -> range:
        first = (self.number << 32) + batch * ROWS
        return range(first, first + ROWS)

    def stream(self, api: Api) -> None:
        """One stream, until the time is over or the server refuses; resumed by the next."""
        try:
            with IngestStream(api.ingest, timeout=10 * SECONDS) as stream:
                self.open_stream = stream
                stream.send(opening(self.namespace, f"p{self.number}"))
                sent = self.acknowledged = stream.receive().last_batch
                while time.monotonic() < self.until:
                    while sent < self.acknowledged + 8:
                        vectors = random_vectors(self.number, ROWS, DIMENSION)
                        stream.send(numbered(sent + 1, records(self.keys(sent + 1), vectors)))
                        sent += 1
                    self.acknowledged = stream.receive().number
                    if random.random() < 0.2:
                        api.search(self.namespace, vectors[0], k=10)
        except grpc.RpcError as error:
            if time.monotonic() >= self.until:
                return
            if error.code() not in PATIENT:
                raise AssertionError(failure(error)) from error
            self.refused += 1
            time.sleep(0.1)


def test_greedy_clients_stay_within_the_memory_budget_and_lose_nothing(tmp_path):
    with Varved(tmp_path, "--memory-budget-mib", str(BUDGET_MIB)) as server:
        with Api(server.address) as api:
            for number in range(NAMESPACES):
                api.create(f"n{number}", DIMENSION, segment_size_threshold=5000)
        until = time.monotonic() + SECONDS
        clients = [Greedy(server.address, number, until) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        most = 0
        while time.monotonic() < until:
            most = max(most, server.memory_bytes())
            time.sleep(0.05)
        for client in clients:
            client.leave()
        assert [client.error for client in clients if client.error] == []
        total = sum(client.acknowledged for client in clients) * ROWS
        print(f"{total} rows, at most {most >> 20} MiB, {sum(c.refused for c in clients)} refusals")
        assert total > 0
        assert most < BUDGET_MIB << 20
        server.kill()
        server.start()
        with Api(server.address) as api:
            for client in clients:
                # All that was acknowledged, and what was under way at most besides.
                opened = api.open(client.namespace, producer=f"p{client.number}").opened
                assert opened.last_batch >= client.acknowledged
                client.committed = opened.last_batch
            for number in range(NAMESPACES):
                wanted = sum(c.committed for c in clients if c.namespace == f"n{number}") * ROWS
                assert api.count(f"n{number}") == wanted
