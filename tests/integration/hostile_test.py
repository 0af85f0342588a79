"""Clients that send garbage, lie, or just hold on: they get errors, everyone else is served.

One server with small budgets meets them all; its peak memory is checked after each of them.
"""

import contextlib
import re
import socket
import time

import grpc
import numpy as np
import pytest

from testutil import v1
from testutil.api import Api, numbered, opening, records, tensor
from testutil.raw_http2 import RawConnection, framed
from testutil.varved import Varved

MIB = 1 << 20
BUDGET_MIB = 64
# Three budgets, and what a process, its connections and a small index need besides.
RESIDENT_MIB_MAX = 3 * BUDGET_MIB + 192
PROMPT_SECONDS = 5
ROWS = 20_000

RESOURCE_EXHAUSTED, INVALID_ARGUMENT = 8, 3


def resident_mib(server: Varved, peak=False) -> float:
    with open(f"/proc/{server.process.pid}/status") as status:
        name = "VmHWM" if peak else "VmRSS"
        return int(re.search(rf"{name}:\s+(\d+) kB", status.read())[1]) / 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    budgets = ("ingest-budget", "read-budget", "wire-memory")
    flags = [f"--{name}-mib={BUDGET_MIB}" for name in budgets]
    varved = Varved(tmp_path_factory.mktemp("hostile"), *flags, "--log-level=warning")
    varved.start()
    with Api(varved.address) as api:
        api.create("n", 4)
        vectors = np.random.default_rng(40).standard_normal((ROWS, 4), "<f4")
        api.upsert("n", range(ROWS), vectors)
        api.wait_indexed("n")
    yield varved
    assert varved.stop() == 0, varved.log


@pytest.fixture(autouse=True)
def others_are_served(server):
    """After every test a new client is served promptly, and memory has stayed within its budget."""
    yield
    began = time.monotonic()
    with Api(server.address) as api:
        api.upsert("n", [0], [[1, 2, 3, 4]])
        assert api.search("n", [1, 2, 3, 4], k=1).hits[0].id.number == 0
        assert api.count("n") == ROWS
    assert time.monotonic() - began < PROMPT_SECONDS
    assert resident_mib(server, peak=True) < RESIDENT_MIB_MAX


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 5000,
        np.random.default_rng(41).bytes(100_000),
        b"",
    ],
    ids=["HTTP/1", "TLS", "a preface and then rubbish", "random bytes", "nothing"],
)
def test_garbage_on_the_port_closes_that_connection_alone(server, garbage):
    for _ in range(20):
        connection = socket.create_connection(("127.0.0.1", server.grpc_port), PROMPT_SECONDS)
        with contextlib.closing(connection), contextlib.suppress(OSError):  # closed: as good
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass


METHODS = ["IngestService/Ingest", "IngestService/Upsert", "QueryService/SearchBatch"]


@pytest.mark.parametrize("method", METHODS)
def test_a_claim_of_two_gibibytes_takes_no_memory(server, method):
    before = resident_mib(server)
    with RawConnection(server.grpc_port) as connection:
        for claim in (0x7FFFFFFF, 0xFFFFFFFF) * 50:
            stream = connection.call(method)
            connection.send(stream, framed(b"x" * 100, length=claim))
        with Api(server.address) as api:
            assert api.count("n") == ROWS
        assert resident_mib(server) < before + 16


@pytest.mark.parametrize("method", METHODS)
def test_a_message_that_does_not_end_is_cut_off(server, method):
    with RawConnection(server.grpc_port) as connection:
        stream = connection.call(method)
        connection.send(stream, framed(b"", length=0x7FFFFFFF))
        assert connection.pour(stream, most=1 << 31) < 2 * BUDGET_MIB * MIB


def test_a_message_over_the_limit_is_refused(server):
    with RawConnection(server.grpc_port) as connection:
        stream = connection.call("IngestService/Ingest")
        length = BUDGET_MIB * MIB + 1
        connection.send(stream, framed(b"", length=length))
        connection.pour(stream, most=length)
        assert connection.status(stream) in (RESOURCE_EXHAUSTED, None)


def test_many_messages_of_which_half_is_sent_stay_within_memory(server):
    connections = [RawConnection(server.grpc_port) for _ in range(4)]
    try:
        for connection in connections:
            # The server may cut the whole connection: as good.
            with contextlib.suppress(OSError):
                for _ in range(25):
                    stream = connection.call("IngestService/Ingest")
                    connection.send(stream, framed(b"", length=60 * MIB))
                    connection.pour(stream, most=30 * MIB, patience=0.05)
        with Api(server.address) as api:
            assert api.count("n") == ROWS
    finally:
        for connection in connections:
            connection.drop()


def test_two_thousand_idle_streams_hold_nobody_up(server):
    connections = [RawConnection(server.grpc_port) for _ in range(4)]
    try:
        for connection in connections:
            for number in range(500):
                stream = connection.call("IngestService/Ingest")
                if number % 2:
                    opened = opening("n", producer=f"idle {number}")
                    connection.send(stream, framed(opened.SerializeToString()))
        with Api(server.address) as api, api.open("n", producer="busy") as stream:
            vectors = np.ones((1000, 4), "<f4")
            for number in range(1, 21):
                stream.send(numbered(number, records(range(1000), vectors)))
            assert len(stream.finish()) == 20
    finally:
        for connection in connections:
            connection.socket.close()


def test_more_streams_than_a_connection_may_have_are_refused_or_wait(server):
    """The server announces its limit; gRPC's own clients queue beyond it."""
    with Api(server.address) as api:
        calls = [
            api.query.Count.future(v1.CountRequest(namespace="n"), timeout=60) for _ in range(3000)
        ]
        codes = {call.code() for call in calls}
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert grpc.StatusCode.OK in codes


def test_connections_that_break_amid_a_message_leave_nothing_behind(server):
    batch = numbered(1, records(range(10**6, 10**6 + 1000), np.ones((1000, 4), "<f4")))
    whole = framed(opening("n").SerializeToString()) + framed(batch.SerializeToString())
    for cut in range(1, len(whole), len(whole) // 40):
        connection = RawConnection(server.grpc_port)
        connection.send(connection.call("IngestService/Ingest"), whole[:cut])
        connection.drop()


def test_compressed_messages_are_refused_however_they_unpack(server):
    with RawConnection(server.grpc_port) as connection:
        stream = connection.call("IngestService/Upsert")
        connection.send(stream, framed(b"\x1f\x8b" + bytes(1000), compressed=True), end=True)
        assert connection.status(stream) != 0
    with grpc.insecure_channel(server.address, compression=grpc.Compression.Gzip) as channel:
        bomb = v1.UpsertRequest(namespace="x" * (500 * MIB // 10))
        with pytest.raises(grpc.RpcError) as caught:
            v1.IngestServiceStub(channel).Upsert(bomb, timeout=60)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_every_truncation_of_a_message_is_an_error(server):
    whole = v1.UpsertRequest(
        namespace="n", records=records([10**7, 10**7 + 1], [[1, 2, 3, 4], [5, 6, 7, 8]])
    ).SerializeToString()
    with Api(server.address) as api:
        upsert = api.channel.unary_unary("/varve.v1.IngestService/Upsert")
        for length in range(len(whole)):
            with pytest.raises(grpc.RpcError) as caught:
                upsert(whole[:length], timeout=60)
            assert caught.value.code() in (
                grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.NOT_FOUND,
            )


def mutations(valid: bytes, seed: int, count: int):
    """The message with some bytes changed, cut out or doubled."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        data = bytearray(valid)
        for _ in range(random.integers(1, 6)):
            place = int(random.integers(0, len(data))) if data else 0
            match random.integers(0, 3):
                case 0:
                    data[place : place + 1] = random.bytes(1)
                case 1:
                    del data[place : place + int(random.integers(1, 9))]
                case 2:
                    data[place:place] = data[place : place + int(random.integers(1, 9))]
        yield bytes(data)


def test_messages_with_bytes_changed_are_answered_somehow(server):
    query = tensor([1, 2, 3, 4])
    messages = {
        "QueryService/Search": v1.SearchRequest(
            namespace="n", query=query, options=v1.SearchOptions(k=3, ef_search=10)
        ),
        "QueryService/SearchBatch": v1.SearchBatchRequest(
            namespace="n", queries=tensor(np.ones((2, 4), "<f4")), options=v1.SearchOptions(k=3)
        ),
        "QueryService/Get": v1.GetRequest(namespace="n", ids={"numbers": {"values": [1, 2]}}),
        "AdminService/ListSegments": v1.ListSegmentsRequest(namespace="n"),
        "NamespaceService/GetNamespace": v1.GetNamespaceRequest(name="n"),
    }
    with Api(server.address) as api:
        for position, (method, message) in enumerate(messages.items()):
            call = api.channel.unary_unary(f"/varve.v1.{method}")
            futures = [
                call.future(data, timeout=5)
                for data in mutations(message.SerializeToString(), 42 + position, 300)
            ]
            codes = {future.code() for future in futures}
            assert codes <= {
                grpc.StatusCode.OK,
                grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.NOT_FOUND,
                grpc.StatusCode.DEADLINE_EXCEEDED,  # a min_sequence that will not come
            }


def test_a_client_that_never_reads_its_acknowledgements_is_read_no_further(server):
    """Its batches beyond the window stay in its own hands."""
    with RawConnection(server.grpc_port, window=0) as connection, Api(server.address) as api:
        before = api.stats("n").namespace.sequence
        stream = connection.call("IngestService/Ingest")
        connection.send(stream, framed(opening("n").SerializeToString()))
        for number in range(1, 200):
            batch = numbered(number, records([0], [[1, 2, 3, 4]]))
            connection.send(stream, framed(batch.SerializeToString()))
        assert api.count("n") == ROWS
        assert api.stats("n").namespace.sequence - before < 100


def test_answers_that_nobody_takes_are_bounded(server):
    """Each answer is some 5 MB; twenty of them are far beyond the budget."""
    request = v1.SearchBatchRequest(
        namespace="n",
        queries=tensor(np.ones((40, 4), "<f4")),
        options=v1.SearchOptions(k=10_000, exact=True),
    )
    with RawConnection(server.grpc_port, window=0) as connection:
        for _ in range(20):
            stream = connection.call("QueryService/SearchBatch")
            connection.send(stream, framed(request.SerializeToString()), end=True)
        with Api(server.address) as api:
            assert len(api.search("n", [1, 2, 3, 4], k=10).hits) == 10


def test_shapes_that_lie_about_what_follows_are_refused(server):
    most = (1 << 64) - 1
    lies = [[1 << 63, 4], [1 << 62, 4], [4, 1 << 62], [most, most], [1 << 32, 1 << 32], [0, 4]]
    with Api(server.address) as api:
        for shape in lies:
            batch = records([1], [[1, 2, 3, 4]])
            batch.fields[0].dense.ClearField("shape")
            batch.fields[0].dense.shape.extend(shape)
            with pytest.raises(grpc.RpcError) as caught:
                api.ingest.Upsert(v1.UpsertRequest(namespace="n", records=batch), timeout=60)
            assert caught.value.code().value[0] == INVALID_ARGUMENT
            query = v1.SearchBatchRequest(
                namespace="n", queries=batch.fields[0].dense, options=v1.SearchOptions(k=1)
            )
            with pytest.raises(grpc.RpcError) as caught:
                api.query.SearchBatch(query, timeout=60)
            assert caught.value.code().value[0] == INVALID_ARGUMENT
