"""Every limit that an operator can set is reached here: what is refused, what goes on, and that it ends."""

import time

import grpc
import numpy as np
import pytest

from testutil import v1
from testutil.api import CALL_SECONDS, Api, fails_with, numbered, records
from testutil.secure import reload
from testutil.varved import Varved
from testutil.vectors import random_vectors

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
DIMENSION = 8
MORE_THAN_THERE_IS = 1 << 39  # MiB


@pytest.fixture
def serve(tmp_path):
    """Starts a server with settings in a file; `change` writes others and has it reload."""
    servers = []
    path = tmp_path / "varved.toml"

    def write(settings: dict) -> None:
        path.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))

    def start(**settings) -> tuple[Varved, Api]:
        write({name.replace("_", "-"): value for name, value in settings.items()})
        server = Varved(tmp_path, "--config", str(path))
        server.start()
        servers.append(server)
        api = Api(server.address)
        servers.append(api)

        def change(**changed) -> None:
            write({name.replace("_", "-"): value for name, value in changed.items()})
            reload(server, "settings read again")

        server.change = change
        return server, api

    yield start
    for one in reversed(servers):
        one.__exit__(None, None, None)


def vectors(rows: int, seed: int = 1) -> np.ndarray:
    return random_vectors(seed, rows, DIMENSION)


def test_writes_stop_at_the_disks_reserve_and_deletions_and_reads_go_on(serve):
    server, api = serve()
    api.create("n", DIMENSION)
    api.upsert("n", range(100), vectors(100))
    stream = api.open("n", producer="p")
    stream.write(1, [100], vectors(1))
    api.admin.CreateSnapshot(v1.CreateSnapshotRequest(name="before"), timeout=CALL_SECONDS)

    server.change(disk_reserve_mib=MORE_THAN_THERE_IS)
    refusal = ("disk of the data directory is nearly full", "--disk-reserve-mib")
    with fails_with(EXHAUSTED, *refusal) as failed:
        api.upsert("n", [200], vectors(1))
    assert failed[0].retry_info.retry_delay.seconds > 0
    with fails_with(EXHAUSTED, *refusal):
        stream.write(2, [101], vectors(1))
    with fails_with(EXHAUSTED, *refusal):
        api.update_metadata("n", [1], {"a": 1})
    with fails_with(EXHAUSTED, *refusal):
        api.admin.CreateSnapshot(v1.CreateSnapshotRequest(namespace="n"), timeout=CALL_SECONDS)
    with fails_with(EXHAUSTED, *refusal):
        request = v1.RestoreSnapshotRequest(name="before", **{"as": "copy"})
        api.admin.RestoreSnapshot(request, timeout=CALL_SECONDS)
    assert api.delete("n", [0]).records_deleted == 1
    assert api.count("n") == 100
    assert len(api.search("n", vectors(1)[0], k=5).hits) == 5

    server.change(disk_reserve_mib=1)
    resumed = api.open("n", producer="p")
    assert resumed.opened.last_batch == 1
    resumed.write(2, [101], vectors(1))
    assert api.count("n") == 101


def test_writes_wait_for_memory_and_pass_when_the_budget_is_raised(serve):
    server, api = serve(memory_budget_mib=8192)
    api.create("n", DIMENSION)
    with api.open("n", producer="p") as stream:
        stream.write(1, [1], vectors(1))
        server.change(memory_budget_mib=1)
        stream.send(numbered(2, records([2], vectors(1))))
        assert api.count("n") == 1, "it waits"
        server.change(memory_budget_mib=8192)
        assert stream.receive().number == 2
    assert api.count("n") == 2


def test_writes_that_wait_too_long_for_memory_are_refused(serve):
    server, api = serve(memory_budget_mib=8192)
    api.create("n", DIMENSION)
    server.change(memory_budget_mib=1)
    with fails_with(EXHAUSTED, "of its budget of 1 MiB", "--memory-budget-mib") as failed:
        api.upsert("n", [1], vectors(1))
    assert failed[0].retry_info.retry_delay.seconds > 0
    assert api.delete("n", [1]).records_deleted == 0
    assert api.count("n") == 0


def test_ingest_beyond_the_rate_waits_and_loses_nothing(serve):
    _, api = serve(max_ingest_mib_per_second=1)
    api.create("n", 256)
    begin = time.monotonic()
    rows, batches = 512, 6  # half a MiB each
    with api.open("n") as stream:
        for number in range(1, batches + 1):
            keys = range(number * rows, (number + 1) * rows)
            stream.send(numbered(number, records(keys, random_vectors(number, rows, 256))))
        acks = stream.finish()
    assert [ack.number for ack in acks] == list(range(1, batches + 1))
    # The first second's worth may pass at once.
    assert time.monotonic() - begin > 1
    assert api.count("n") == rows * batches


def test_streams_beyond_the_limit_are_refused_until_one_ends(serve):
    _, api = serve(max_streams=2)
    api.create("n", DIMENSION)
    with api.open("n") as first, api.open("n"):
        with fails_with(EXHAUSTED, "--max-streams", "limit of 2"):
            api.open("n")
        first.finish()
        with api.open("n") as third:
            third.write(1, [1], vectors(1))


def test_k_and_ef_beyond_the_limits_are_refused(serve):
    server, api = serve(max_k=5, max_ef=50)
    api.create("n", DIMENSION)
    api.upsert("n", range(100), vectors(100))
    query = vectors(1)[0]
    assert len(api.search("n", query, k=5, ef_search=50).hits) == 5
    with fails_with(EXHAUSTED, "options.k", "up to 5 (--max-k)", "asked are 6"):
        api.search("n", query, k=6)
    with fails_with(EXHAUSTED, "options.ef_search", "up to 50 (--max-ef)", "asked are 51"):
        api.search_batch("n", vectors(3), k=5, ef_search=51)
    server.change(max_k=6, max_ef=51)
    assert len(api.search("n", query, k=6, ef_search=51).hits) == 6


def test_namespaces_beyond_the_limit_are_refused_until_one_is_deleted(serve):
    _, api = serve(max_namespaces=2)
    api.create("a", DIMENSION)
    api.create("b", DIMENSION)
    api.admin.CreateSnapshot(v1.CreateSnapshotRequest(name="s", namespace="a"), timeout=CALL_SECONDS)
    with fails_with(EXHAUSTED, "may have 2 namespaces (--max-namespaces)"):
        api.create("c", DIMENSION)
    with fails_with(EXHAUSTED, "--max-namespaces"):
        request = v1.RestoreSnapshotRequest(name="s", **{"as": "c"})
        api.admin.RestoreSnapshot(request, timeout=CALL_SECONDS)
    api.namespaces.DeleteNamespace(v1.DeleteNamespaceRequest(name="b"), timeout=CALL_SECONDS)
    api.create("c", DIMENSION)


def test_a_namespace_takes_as_many_vectors_as_it_may_and_replacements_besides(serve):
    server, api = serve(max_namespace_vectors=100)
    api.create("n", DIMENSION)
    api.upsert("n", range(100), vectors(100))
    with fails_with(EXHAUSTED, 'namespace "n" may hold 100 vectors', "it has 100", "have 101"):
        api.upsert("n", [100], vectors(1))
    api.upsert("n", range(50), vectors(50, seed=2))  # replaced
    with fails_with(EXHAUSTED, "--max-namespace-vectors"):
        api.upsert("n", range(60, 110), vectors(50))
    with api.open("n", producer="p") as stream, fails_with(EXHAUSTED, "batch 1", "have 101"):
        stream.write(1, [100], vectors(1))
    api.delete("n", [99])
    api.upsert("n", [100], vectors(1))
    assert api.count("n") == 100
    server.change(max_namespace_vectors=10)  # what is there stays
    assert api.count("n") == 100
    api.upsert("n", [1], vectors(1, seed=3))
    api.create("other", DIMENSION)
    api.upsert("other", range(10), vectors(10))


def test_a_namespace_takes_as_many_bytes_as_it_may(serve):
    _, api = serve(max_namespace_mib=1)
    api.create("n", 1024)
    api.upsert("n", range(256), random_vectors(1, 256, 1024))
    with fails_with(EXHAUSTED, "may hold 1048576 bytes", "--max-namespace-mib"):
        api.upsert("n", [256], random_vectors(1, 1, 1024))
    api.create("small", 1024, element_type=v1.DTYPE_U8)
    api.upsert("small", range(1024), random_vectors(1, 1024, 1024, "u1"))
