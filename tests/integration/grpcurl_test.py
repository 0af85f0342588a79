"""A client that nobody here wrote: grpcurl, which learns the protocol from reflection alone."""

import base64
import json
import shutil
import subprocess

import numpy as np
import pytest

from testutil.varved import ROOT

WAIT_SECONDS = 60


@pytest.fixture(scope="module")
def grpcurl(shared_varved):
    """Runs grpcurl against the server: grpcurl(method, message), or grpcurl("list")."""
    tool = ROOT / ".tools/bin/grpcurl"
    program = str(tool) if tool.exists() else shutil.which("grpcurl")
    assert program, "grpcurl is neither in .tools/bin nor on PATH: ./dev test puts it there"

    def run(method: str, message: dict | None = None):
        data = [] if message is None else ["-d", json.dumps(message)]
        command = [program, "-plaintext", *data, shared_varved.address, method]
        return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS)

    return run


def answer(run: subprocess.CompletedProcess) -> dict:
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def packed(dtype: str, array: np.ndarray) -> dict:
    data = base64.b64encode(array.tobytes()).decode()
    return {"dtype": dtype, "shape": array.shape, "data": data}


def test_reflection_lists_every_service(grpcurl):
    listed = grpcurl("list")
    assert listed.returncode == 0, listed.stderr
    wanted = {f"varve.v1.{name}Service" for name in ("Namespace", "Ingest", "Query", "Admin")}
    assert wanted | {"grpc.health.v1.Health"} <= set(listed.stdout.split())


def test_health_is_serving(grpcurl):
    assert answer(grpcurl("grpc.health.v1.Health/Check"))["status"] == "SERVING"


def test_a_namespace_is_made_filled_and_searched(grpcurl):
    field = {"dimension": 3, "metric": "METRIC_COSINE"}
    made = answer(
        grpcurl(
            "varve.v1.NamespaceService/CreateNamespace",
            {"namespace": {"name": "by-hand", "fields": [field]}},
        )
    )
    assert made["namespace"]["fields"][0]["element_type"] == "DTYPE_F32"

    vectors = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]], "<f4")
    written = answer(
        grpcurl(
            "varve.v1.IngestService/Upsert",
            {
                "namespace": "by-hand",
                "records": {
                    "ids": {"texts": {"values": ["east", "north", "both"]}},
                    "fields": [{"dense": packed("DTYPE_F32", vectors)}],
                },
            },
        )
    )
    assert written["records_written"] == "3"

    found = answer(
        grpcurl(
            "varve.v1.QueryService/Search",
            {
                "namespace": "by-hand",
                "query": packed("DTYPE_F32", np.array([2, 1, 0], "<f4")),
                "options": {"k": 2},
            },
        )
    )
    assert [hit["id"]["text"] for hit in found["hits"]] == ["both", "east"]
    assert found["hits"][0]["distance"] == pytest.approx(1 - 3 / np.sqrt(10), abs=1e-6)


def test_a_stream_of_batches_is_acknowledged(grpcurl):
    grpcurl(
        "varve.v1.NamespaceService/CreateNamespace",
        {"namespace": {"name": "streamed", "fields": [{"dimension": 1}]}},
    )
    vector = packed("DTYPE_U8", np.array([[7]], "u1"))
    records = {"ids": {"numbers": {"values": ["7"]}}, "fields": [{"dense": vector}]}
    messages = [
        {"open": {"namespace": "streamed", "producer": "hand"}},
        {"batch": {"number": "1", "records": records}},
    ]
    command = grpcurl("varve.v1.IngestService/Ingest", None).args
    run = subprocess.run(
        [*command[:2], "-d", "@", *command[2:]],
        input="\n".join(json.dumps(message) for message in messages),
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
    )
    assert run.returncode == 0, run.stderr
    assert '"window_batches"' in run.stdout
    assert '"records_written": "1"' in run.stdout


def test_an_error_comes_with_its_details_in_words(grpcurl):
    refused = grpcurl("varve.v1.NamespaceService/GetNamespace", {"name": "nowhere"})
    assert refused.returncode != 0
    assert "NotFound" in refused.stderr
    assert '"nowhere"' in refused.stderr
