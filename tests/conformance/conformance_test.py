"""Every client against a real server: the golden cases of cases.json, cut connections and restarts."""

import base64
import itertools
import json
import pathlib
import threading

import numpy as np
import pytest

from conformance.drivers import DRIVERS, SMALL_CLIENTS, SMALL_OPERATIONS, Driver
from testutil.proxy import CuttingProxy
from testutil.varved import Varved

CASES = json.loads((pathlib.Path(__file__).parent / "cases.json").read_text())
TYPES = {"f32": "<f4", "f16": "<f2", "u8": "u1", "i8": "i1"}
TOLERANCE = 1e-5
_numbers = itertools.count(1)


def plays(name: str, case: dict) -> bool:
    """Whether a client has all operations of a case."""
    operations = {step["do"]["op"] for step in case["steps"]}
    return name not in SMALL_CLIENTS or operations <= SMALL_OPERATIONS


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        pairs = [(name, case) for name in DRIVERS for case in CASES if plays(name, case)]
        ids = [f"{name}-{case['name'].replace(' ', '-')}" for name, case in pairs]
        metafunc.parametrize("driver, case", pairs, indirect=["driver"], ids=ids)
    elif "driver" in metafunc.fixturenames:
        metafunc.parametrize("driver", DRIVERS, indirect=True)


@pytest.fixture(scope="module")
def driver(request):
    with Driver(request.param) as started:
        yield started


@pytest.fixture
def space():
    return f"case-{next(_numbers)}"


def tensor(values, dtype: str = "f32") -> dict:
    if dtype == "bf16":  # the upper half of a float32
        array = (np.asarray(values, "<f4").view("<u4") >> 16).astype("<u2")
    else:
        array = np.asarray(values, TYPES[dtype])
    data = base64.b64encode(array.tobytes()).decode()
    return {"dtype": dtype, "shape": list(array.shape), "data": data}


def values(given: dict) -> list:
    array = np.frombuffer(base64.b64decode(given["data"]), TYPES[given["dtype"]])
    return array.reshape(given["shape"]).tolist()


def filled(part, space: str):
    """A case's request with the namespace's name, and tensors as they are sent."""
    if isinstance(part, dict):
        if "values" in part:
            return tensor(part["values"], part.get("dtype", "f32"))
        return {name: filled(one, space) for name, one in part.items()}
    if isinstance(part, list):
        return [filled(one, space) for one in part]
    return space if part == "$namespace" else part


def check(found, wanted, where: str) -> None:
    """What a case names must be there and equal; of numbers with a fraction, nearly."""
    if isinstance(wanted, dict):
        assert isinstance(found, dict), f"{where}: {found!r}"
        if "values" in wanted:
            found, wanted = {"values": values(found), "dtype": found["dtype"]}, wanted
        for name, one in wanted.items():
            if name == "contains":
                for text in one:
                    assert text in found["message"], f"{where}: {text!r} is not in {found['message']!r}"
                continue
            assert name in found, f"{where}: no {name!r} in {found!r}"
            check(found[name], one, f"{where}.{name}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), f"{where}: {found!r}, wanted {wanted!r}"
        for i, one in enumerate(wanted):
            check(found[i], one, f"{where}[{i}]")
    elif isinstance(wanted, float):
        assert abs(found - wanted) <= TOLERANCE, f"{where}: {found!r}, wanted {wanted!r}"
    else:
        assert found == wanted, f"{where}: {found!r}, wanted {wanted!r}"


def test_a_golden_case(driver, shared_varved, space, case):
    driver.ok("connect", address=shared_varved.address)
    for number, step in enumerate(case["steps"]):
        request = filled(step["do"], space)
        if request["op"] in ("create_namespace", "delete_namespace"):
            request.setdefault("name", space)
        elif request["op"] not in ("connect", "list_namespaces"):
            request.setdefault("namespace", space)
        found = driver.ask(request)
        check(found, step.get("expect", {"ok": {}}), f"step {number} ({request['op']})")


# Enough batches that some are under way whenever something breaks.
ROWS, DIMENSION, REPEAT, BATCH_ROWS = 500, 64, 60, 250


def ingest_many(driver: Driver, space: str) -> dict:
    vectors = np.random.default_rng(1).standard_normal((ROWS, DIMENSION), dtype=np.float32)
    return driver.ok(
        "ingest_many",
        namespace=space,
        ids={"numbers": [str(i) for i in range(ROWS)]},
        vectors=tensor(vectors),
        repeat=REPEAT,
        batch_rows=BATCH_ROWS,
        producer="p",
    )


def check_complete(server: Varved, space: str) -> None:
    """Everything is there, once: as many commits as there were batches."""
    assert server.json("count", space)["count"] == ROWS * REPEAT
    stats = server.json("stats", space)["namespace"]
    assert stats["sequence"] == ROWS * REPEAT // BATCH_ROWS
    assert stats["dead_rows"] == 0


def test_ingest_survives_connections_that_are_cut(driver, shared_varved, space):
    with CuttingProxy(shared_varved.address, bytes_until_cut=1_500_000, cuts=4) as proxy:
        driver.ok("connect", address=proxy.address)
        driver.ok("create_namespace", name=space, dimension=DIMENSION)
        done = ingest_many(driver, space)
        assert proxy.cuts_left == 0, "the connection was not cut as often as it should"
    assert done["row_errors"] == []
    check_complete(shared_varved, space)


def test_ingest_survives_a_server_that_is_killed_and_started_again(driver, tmp_path, space):
    # An address from which no client connects: else one that looks for the server while it is away could
    # be given the very port that the server is to have again.
    with Varved(tmp_path, host="127.0.0.2") as server:
        driver.ok("connect", address=server.address)
        driver.ok("create_namespace", name=space, dimension=DIMENSION)
        answers = []
        ingest = threading.Thread(target=lambda: answers.append(ingest_many(driver, space)))
        ingest.start()
        while server.json("count", space)["count"] < ROWS * REPEAT // 10 and ingest.is_alive():
            pass
        server.kill()
        server.start()
        ingest.join()
        assert answers and answers[0]["row_errors"] == []
        check_complete(server, space)


def test_a_server_that_is_not_there_is_unavailable(driver, space):
    driver.ok("connect", address="127.0.0.1:1")
    error = driver.error("count", namespace=space)
    assert error["code"] == "UNAVAILABLE", error
