"""Every limit that an operator can set is reached here: what is refused, what goes on, and that it ends."""

import time

import grpc
import numpy as np
import pytest

from testutil import v1
from testutil.api import CALL_SECONDS, Api, fails_with, numbered, records, tensor
from testutil.metrics import wait_for
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


def test_writes_stop_when_the_data_directory_is_full_until_there_is_room(serve):
    server, api = serve()
    api.create("n", 1024)
    api.upsert("n", range(1024), random_vectors(1, 1024, 1024))  # 4 MiB, and the log of it
    server.change(max_data_mib=2)
    with fails_with(EXHAUSTED, "data directory takes", "may take 2 MiB", "--max-data-mib") as failed:
        api.upsert("n", [2000], random_vectors(2, 1, 1024))
    assert failed[0].retry_info.retry_delay.seconds > 0
    assert api.delete("n", [0]).records_deleted == 1
    assert api.count("n") == 1023
    server.change(max_data_mib=1000)
    api.upsert("n", [2000], random_vectors(2, 1, 1024))


def test_writes_wait_for_memory_and_pass_when_the_budget_is_raised(serve):
    server, api = serve(memory_budget_mib=8192)
    api.create("n", DIMENSION)
    with api.open("n", producer="p") as stream:
        stream.write(1, [1], vectors(1))
        server.change(memory_budget_mib=1)
        stream.send(numbered(2, records([2], vectors(1))))
        wait_for(server, "varve_writes_waiting", 1)
        assert api.count("n") == 1
        server.change(memory_budget_mib=8192)
        assert stream.receive().number == 2
    assert api.count("n") == 2
    wait_for(server, "varve_writes_waiting", 0)


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


def limits_of(api: Api, namespace: str) -> v1.NamespaceLimits:
    request = v1.GetNamespaceRequest(name=namespace)
    return api.namespaces.GetNamespace(request, timeout=CALL_SECONDS).namespace.limits


def test_a_namespaces_limits_are_kept_and_change_alone(serve):
    server, api = serve()
    api.create("n", DIMENSION, limits=v1.NamespaceLimits(max_k=5, max_vectors=0))
    assert limits_of(api, "n") == v1.NamespaceLimits(max_k=5)
    assert api.set_limits("n", max_streams=2) == v1.NamespaceLimits(max_k=5, max_streams=2)
    server.kill()
    server.start()
    with Api(server.address) as again:
        assert limits_of(again, "n") == v1.NamespaceLimits(max_k=5, max_streams=2)
        assert again.set_limits("n", max_k=0) == v1.NamespaceLimits(max_streams=2)


def test_the_lower_of_a_namespaces_limit_and_the_servers_counts(serve):
    _, api = serve(max_namespace_vectors=10, max_k=10)
    for name, limit in (("below", 5), ("above", 20)):
        limits = v1.NamespaceLimits(max_vectors=limit, max_k=limit)
        api.create(name, DIMENSION, limits=limits)
    api.upsert("below", range(5), vectors(5))
    with fails_with(EXHAUSTED, "may hold 5 vectors (its max_vectors)", "would have 6"):
        api.upsert("below", [5], vectors(1))
    with fails_with(EXHAUSTED, "options.k", "this namespace takes up to 5 (max_k)", "asked are 6"):
        api.search("below", vectors(1)[0], k=6)
    api.upsert("above", range(10), vectors(10))
    with fails_with(EXHAUSTED, "may hold 10 vectors", "--max-namespace-vectors"):
        api.upsert("above", [10], vectors(1))
    with fails_with(EXHAUSTED, "options.k", "up to 10 (--max-k)"):
        api.search("above", vectors(1)[0], k=11)


def test_a_namespaces_limits_of_bytes_effort_and_requests_hold_for_it_alone(serve):
    _, api = serve()
    own = v1.NamespaceLimits(max_vector_bytes=100 * 4 * DIMENSION, max_ef_search=50)
    api.create("n", DIMENSION, limits=own)
    api.create("free", DIMENSION)
    for name in ("n", "free"):
        api.upsert(name, range(100), vectors(100))
    with fails_with(EXHAUSTED, "may hold 3200 bytes of vectors (its max_vector_bytes)"):
        api.upsert("n", [100], vectors(1))
    with fails_with(EXHAUSTED, "options.ef_search", "up to 50 (max_ef_search)", "asked are 51"):
        api.search("n", vectors(1)[0], ef_search=51)
    api.set_limits("n", max_request_bytes=200, max_vector_bytes=0)
    refusal = ("takes requests of 200 bytes (max_request_bytes)",)
    with fails_with(EXHAUSTED, *refusal):
        api.upsert("n", range(10), vectors(10))
    with fails_with(EXHAUSTED, *refusal):
        api.delete("n", range(300))
    with fails_with(EXHAUSTED, *refusal):
        api.search_batch("n", vectors(10))
    assert len(api.search("n", vectors(1)[0], k=5).hits) == 5
    with api.open("n") as stream, fails_with(EXHAUSTED, "batch 1", *refusal):
        assert stream.opened.max_message_bytes == 200
        stream.write(1, range(10), vectors(10))
    assert api.count("n") == 100
    api.upsert("free", range(100, 200), vectors(100))


def test_a_namespaces_streams_beyond_its_limit_are_refused_until_one_ends(serve):
    _, api = serve()
    api.create("n", DIMENSION, limits=v1.NamespaceLimits(max_streams=1))
    api.create("free", DIMENSION)
    with api.open("n") as first, api.open("free"):
        with fails_with(EXHAUSTED, 'namespace "n" is at its limit of 1', "max_streams") as failed:
            api.open("n")
        assert failed[0].retry_info.retry_delay.nanos > 0
        first.finish()
        with api.open("n") as second:
            second.write(1, [1], vectors(1))


def test_a_namespaces_searches_beyond_its_limit_are_refused_and_others_go_on(serve):
    _, api = serve(search_threads=2)
    for name, limits in (("n", v1.NamespaceLimits(max_searches=1)), ("free", None)):
        api.create(name, DIMENSION, limits=limits)
        api.upsert(name, range(5000), vectors(5000))

    def searches(name: str) -> list[grpc.StatusCode | None]:
        """What became of a few slow searches at once."""
        request = v1.SearchBatchRequest(
            namespace=name,
            queries=tensor(vectors(2000)),
            options=v1.SearchOptions(k=1, exact=True),
        )
        sent = [api.query.SearchBatch.future(request, timeout=CALL_SECONDS) for _ in range(6)]
        return [one.exception() and one.exception().code() for one in sent]

    assert set(searches("free")) == {None}
    for _ in range(50):  # until two happen to be worked on at once
        outcomes = searches("n")
        assert set(outcomes) <= {None, EXHAUSTED} and None in outcomes
        if EXHAUSTED in outcomes:
            break
    assert EXHAUSTED in outcomes
    api.search("n", vectors(1)[0])


def test_a_namespaces_rate_holds_its_streams_back_and_refuses_other_writes(serve):
    _, api = serve()
    rows, batches = 256, 5  # a quarter of a MiB each
    api.create("n", 256, limits=v1.NamespaceLimits(max_ingest_bytes_per_second=rows * 1024))
    api.create("free", 256)
    begin = time.monotonic()
    with api.open("n") as stream:
        for number in range(1, batches + 1):
            keys = range(number * rows, (number + 1) * rows)
            stream.send(numbered(number, records(keys, random_vectors(number, rows, 256))))
        stream.receive()
        with fails_with(EXHAUSTED, "max_ingest_bytes_per_second", "retry in") as failed:
            while True:  # until the stream has got as much as it may
                api.upsert("n", range(rows), random_vectors(9, rows, 256))
        delay = failed[0].retry_info.retry_delay
        assert delay.seconds > 0 or delay.nanos > 0
        api.upsert("free", range(rows), random_vectors(9, rows, 256))
        acks = stream.finish()
    assert [ack.number for ack in acks] == list(range(2, batches + 1))
    assert time.monotonic() - begin > 1


def test_a_stream_that_waits_for_its_namespaces_rate_goes_on_when_that_is_raised(serve):
    _, api = serve()
    api.create("n", 256, limits=v1.NamespaceLimits(max_ingest_bytes_per_second=1))
    with api.open("n") as stream:
        stream.write(1, range(256), random_vectors(1, 256, 256))  # three days' worth
        stream.send(numbered(2, records([1000], random_vectors(1, 1, 256))))
        api.set_limits("n", max_ingest_bytes_per_second=0)
        assert stream.receive().number == 2
    assert api.count("n") == 257


def test_a_server_that_stops_does_not_wait_for_a_namespaces_rate(serve):
    server, api = serve(drain_seconds=3600)
    api.create("n", 256, limits=v1.NamespaceLimits(max_ingest_bytes_per_second=1))
    with api.open("n") as stream:
        stream.write(1, range(256), random_vectors(1, 256, 256))  # three days' worth
        stream.send(numbered(2, records([1000], random_vectors(1, 1, 256))))
        assert server.stop() == 0
        with fails_with(grpc.StatusCode.UNAVAILABLE, "not acknowledged must be sent again"):
            stream.receive()


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
