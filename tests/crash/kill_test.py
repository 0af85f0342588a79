"""kill -9 of the server, and of the client, at random moments while known content is ingested.

Whatever was acknowledged is there afterwards, nothing is there twice, every byte is the source's, and
records and segments agree. Segments are small, so that kills meet sealing, merging and rebuilding.
--seed and --kills decide what is done, but not at which instruction a kill hits: to see a failure
again may take several runs.
"""

import contextlib
import functools
import json
import random
import subprocess
import threading

import grpc
import numpy as np
import pytest

from testutil import v1
from testutil.api import CALL_SECONDS, Api, array, id_list
from testutil.files import write_ids, write_vectors
from testutil.ingest_process import IngestProcess
from testutil.varved import VARVED, Varved
from testutil.vectors import random_vectors

# A kill comes at most so long after what is killed has begun.
LIFE_SECONDS_MAX = 0.4
STARTING_SECONDS_MAX = 0.15
# How often the server is killed while it starts, too.
START_IS_KILLED = 0.25
OTHER_IDS = 60
# What a call ends with when the server is killed under it.
GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class Load:
    """A namespace and files of known content for it, of random size and form."""

    def __init__(self, dice: random.Random, number: int, folder):
        self.namespace = f"load-{number}"
        self.batch_rows = dice.choice([1, 7, 50])
        self.batches = dice.randrange(500, 2500)
        self.rows = self.batches * self.batch_rows - dice.randrange(self.batch_rows)
        self.dimension = dice.choice([3, 16, 128]) if self.batch_rows < 50 else 8
        self.texts = dice.random() < 0.5
        self.streams = dice.choice([1, 1, 3])
        self.durability = dice.choice(["applied", "synced"])
        numbers = dice.sample(range(10**6, 10**9), self.rows)
        self.ids = [f"row-{n}" for n in numbers] if self.texts else numbers
        self.vectors = random_vectors(dice.randrange(2**32), self.rows, self.dimension)
        self._folder = folder / self.namespace
        self._folder.mkdir()
        self._input = write_vectors(self._folder / "vectors.npy", self.vectors)
        self._ids = write_ids(self._folder / "ids.txt", self.ids)

    def __str__(self) -> str:
        return (
            f"{self.namespace}: {self.rows} rows of {self.dimension} in batches of "
            f"{self.batch_rows}, {self.durability}, {self.streams} streams, "
            f"{'text' if self.texts else 'numeric'} ids"
        )

    def ingest(self, address: str) -> IngestProcess:
        return IngestProcess(
            address,
            self._folder / "ingest.log",
            *(self.namespace, "--input", self._input, "--ids", self._ids),
            *("--producer", "killed", "--batch-size", self.batch_rows),
            *("--streams", self.streams, "--durability", self.durability),
        )

    def check(self, server: Varved, others: "OtherWriter | None" = None) -> None:
        """Exactly the source, and what the other writer is known to have written, is there."""
        wanted = dict(zip(self.ids, self.vectors, strict=True)) | (others.known if others else {})
        with Api(server.address) as api:
            keys, vectors = api.everything(self.namespace)
            assert keys == sorted(wanted)
            assert vectors.tobytes() == b"".join(wanted[key].tobytes() for key in keys)
            assert api.count(self.namespace) == len(wanted)
            # A batch that was applied twice would have left its mark here.
            commits = self.batches + (others.commits if others else 0)
            assert api.stats(self.namespace).namespace.sequence == commits


class OtherWriter:
    """Upserts and deletes a few ids of a load's namespace by unary calls, one at a time, and knows
    what must be there: all that was acknowledged; of the call that a kill cut off, all or nothing.
    """

    def __init__(self, dice: random.Random, load: Load):
        self.known: dict = {}  # the records that are there
        self.commits = 0
        self.namespace = load.namespace
        self.unexpected: grpc.RpcError | None = None
        self._dice = dice
        self._load = load
        self._ids = [f"other-{n}" if load.texts else n for n in range(OTHER_IDS)]
        self._cut_off: dict = {}  # id -> the vector it may have now; None: none

    def write_until_cut_off(self, api: Api) -> None:
        """Makes one call after the other; returns when one fails because the server is gone."""
        while True:
            call = self._next_call(api)
            try:
                call()
            except grpc.RpcError as error:
                self.unexpected = error if error.code() not in GONE else None
                return
            self._settle()

    def _next_call(self, api: Api):
        keys = self._dice.sample(self._ids, self._dice.randrange(1, 6))
        durability = self._dice.choice([v1.DURABILITY_APPLIED, v1.DURABILITY_SYNCED])
        if self._dice.random() < 0.3:
            self._cut_off = dict.fromkeys(keys)
            return functools.partial(api.delete, self._load.namespace, keys, durability)
        vectors = random_vectors(self._dice.randrange(2**32), len(keys), self._load.dimension)
        self._cut_off = dict(zip(keys, vectors, strict=True))
        return functools.partial(
            api.upsert, self._load.namespace, keys, vectors, durability=durability
        )

    def check(self, api: Api) -> None:
        """After a restart: what was acknowledged is there; the call cut off, all or nothing."""
        assert self.unexpected is None
        reply = api.get(self._load.namespace, self._ids)
        fields = reply.records.fields
        vectors = array(fields[0].dense) if fields else []
        found = dict(zip(id_list(reply.records.ids), vectors, strict=True))
        after = self._after()
        if self._cut_off and not same(found, self.known) and same(found, after):
            self._settle()
        self._cut_off = {}
        assert same(found, self.known)

    def _after(self) -> dict:
        """What is there once the present call has had its effect."""
        changed = self.known | self._cut_off
        return {key: vector for key, vector in changed.items() if vector is not None}

    def _settle(self) -> None:
        """The present call has had its effect. One that changes nothing is no commit."""
        after = self._after()
        self.commits += not same(after, self.known)
        self.known, self._cut_off = after, {}


def same(left: dict, right: dict) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[k], right[k]) for k in left)


@pytest.fixture
def kills(pytestconfig) -> int:
    return pytestconfig.getoption("--kills")


@pytest.fixture
def dice(pytestconfig, kills) -> random.Random:
    seed = pytestconfig.getoption("--seed")
    print(f"again: pytest tests/crash --kills {kills} --seed {seed}")
    return random.Random(seed)


@pytest.fixture
def server(tmp_path):
    # An address from which no client connects: else a client that looks for the server while it is
    # away could be given the very port that the server is to have again.
    with Varved(tmp_path, "--log-level=warning", host="127.0.0.2") as varved:
        yield varved


def new_load(dice: random.Random, number: int, server: Varved) -> Load:
    load = Load(dice, number, server.directory)
    print(load)
    with Api(server.address) as api:
        api.create(load.namespace, load.dimension, segment_size_threshold=1000)
    return load


def kill_while_starting(dice: random.Random, server: Varved) -> None:
    server.launch()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.process.wait(dice.uniform(0, STARTING_SECONDS_MAX))
    server.kill()


def compact_until_cut_off(api: Api, namespace: str) -> None:
    with contextlib.suppress(grpc.RpcError):
        while True:
            request = v1.CompactRequest(namespace=namespace, wait=True)
            api.admin.Compact(request, timeout=CALL_SECONDS)


def check_directory(server: Varved) -> None:
    """Stops the server: all that is on its disk agrees."""
    assert server.stop() == 0
    command = [VARVED, "check", "--data-dir", server.directory / "data", "--json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert report["clean"]


def kill_and_restart(dice: random.Random, server: Varved, process: IngestProcess, others) -> int:
    """One life of the server, beside a client that ingests. Returns how often it was killed."""
    with Api(server.address) as api:
        threads = [
            threading.Thread(target=others.write_until_cut_off, args=(api,)),
            threading.Thread(target=compact_until_cut_off, args=(api, others.namespace)),
        ]
        for thread in threads:
            thread.start()
        ended = process.ends_within(dice.uniform(0, LIFE_SECONDS_MAX))
        server.kill()
        for thread in threads:
            thread.join(CALL_SECONDS)
    killed = 0 if ended else 1
    if dice.random() < START_IS_KILLED:
        kill_while_starting(dice, server)
        killed += 1
    server.start()
    with Api(server.address) as api:
        others.check(api)
    return killed


def test_killing_the_server_loses_nothing_acknowledged_and_doubles_nothing(server, dice, kills):
    killed, loads = 0, []
    while killed < kills:
        load = new_load(dice, len(loads), server)
        others = OtherWriter(random.Random(dice.random()), load)
        loads.append((load, others))
        complete = False
        while not complete:
            with load.ingest(server.address) as process:
                while killed < kills and not process.ends_within(0):
                    killed += kill_and_restart(dice, server, process, others)
                complete = process.wait() == 0
            # It waits for a server that goes away amid ingest, not for one that was away before.
            assert complete or f"varve: server {server.address}" in process.log, process.log
        load.check(server, others)
    check_directory(server)
    server.start()
    for load, others in loads:
        load.check(server, others)
    print(f"{killed} kills of the server in {len(loads)} loads")


def test_killing_the_client_loses_nothing_and_doubles_nothing(server, dice, kills):
    killed, loads = 0, 0
    while killed < kills:
        load = new_load(dice, loads, server)
        loads += 1
        complete = False
        while not complete:
            with load.ingest(server.address) as process:
                if killed == kills or process.ends_within(dice.uniform(0, LIFE_SECONDS_MAX)):
                    assert process.wait() == 0, process.log
                    complete = True
                else:
                    process.kill()
                    killed += 1
        load.check(server)
        with load.ingest(server.address) as process:
            assert process.wait() == 0, process.log
        assert process.report["sent"] == 0
    print(f"{killed} kills of the client in {loads} loads")
