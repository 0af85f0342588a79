"""Ingest that is interrupted, from either end, resumes with nothing lost and nothing doubled."""

import json
import shlex
import subprocess

import numpy as np
import pytest

from testutil.api import Api
from testutil.files import write_vectors
from testutil.ingest_process import IngestProcess
from testutil.varved import VARVE, Varved
from testutil.vectors import random_vectors

WAIT_SECONDS = 120
ROWS, DIMENSION = 40_000, 4
BATCHES = ROWS // 10
# Many small batches, each fsynced: enough time to be interrupted in.
SLOWLY = ["--batch-size", 10, "--durability", "synced"]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """The file of vectors and what is in it."""
    content = random_vectors(70, ROWS, DIMENSION)
    return write_vectors(tmp_path_factory.mktemp("vectors") / "v.npy", content), content


@pytest.fixture
def server(tmp_path):
    # An address from which no client connects: else a client that looks for the server while it is
    # away could be given the very port that the server is to have again.
    with Varved(tmp_path, host="127.0.0.2") as varved:
        with Api(varved.address) as api:
            api.create("n", DIMENSION)
        yield varved


def start(server: Varved, tmp_path, vectors, *arguments) -> IngestProcess:
    """Begins to ingest and returns when some of it is committed."""
    process = IngestProcess(
        server.address, tmp_path / "ingest.log", "n", "--input", vectors[0], *SLOWLY, *arguments
    )
    with Api(server.address) as api:
        api.count("n", min_sequence=BATCHES // 20)
    return process


def resume(command: str) -> dict:
    """Runs what a failed ingest said to go on with, as a person would paste it."""
    assert shlex.split(command)[0] == str(VARVE)
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, timeout=WAIT_SECONDS, check=True
    )
    return json.loads(done.stdout)


def check_complete(server: Varved, vectors) -> None:
    with Api(server.address) as api:
        keys, stored = api.everything("n")
        assert keys == list(range(ROWS))
        assert np.array_equal(stored, vectors[1])
        stats = api.stats("n").namespace
        # Every batch was committed once: nothing was written twice, not even over itself.
        assert (stats.sequence, stats.dead_rows) == (BATCHES, 0)


@pytest.mark.parametrize("streams", [1, 3])
def test_ctrl_c_ends_ingest_with_a_command_that_resumes_it(server, tmp_path, vectors, streams):
    with start(server, tmp_path, vectors, "--streams", streams) as process:
        assert process.interrupt() == 1
    assert not process.report["complete"]
    assert 0 < process.report["committed"] < ROWS
    last_line = process.log.splitlines()[-1]
    assert "interrupted" in last_line
    assert process.report["resume"] in last_line
    rest = resume(process.report["resume"])
    assert rest["complete"]
    assert process.report["committed"] <= rest["already_committed"] < ROWS
    assert rest["sent"] == ROWS - rest["already_committed"]
    check_complete(server, vectors)


@pytest.mark.parametrize("streams", [1, 3])
def test_a_dead_server_ends_ingest_with_a_command_that_resumes_it(
    server, tmp_path, vectors, streams
):
    with start(server, tmp_path, vectors, "--streams", streams, "--retry-for", 0.5) as process:
        server.kill()
        assert process.wait() == 1
    assert process.report["resume"] in process.log.splitlines()[-1]
    server.start()
    assert resume(process.report["resume"])["complete"]
    check_complete(server, vectors)


@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_server_that_comes_back_is_found_again_and_ingest_completes(
    server, tmp_path, vectors, how, streams
):
    with start(server, tmp_path, vectors, "--streams", streams) as process:
        if how == "killed":
            server.kill()
        else:
            assert server.stop() == 0
        server.start()
        assert process.wait() == 0, process.log
    assert process.report["complete"]
    assert "connection lost" in process.log
    check_complete(server, vectors)


def test_a_killed_client_is_run_again_under_its_producer_and_completes(server, tmp_path, vectors):
    with start(server, tmp_path, vectors, "--producer", "p", "--streams", 3) as process:
        process.kill()
    with start(server, tmp_path, vectors, "--producer", "p", "--streams", 3) as process:
        assert process.wait() == 0, process.log
    assert 0 < process.report["already_committed"] < ROWS
    check_complete(server, vectors)


def test_a_run_under_the_same_producer_sends_nothing_again(server, tmp_path, vectors):
    for sent in (ROWS, 0):
        with start(server, tmp_path, vectors, "--producer", "p") as process:
            assert process.wait() == 0, process.log
        assert (process.report["sent"], process.report["committed"]) == (sent, ROWS)
    check_complete(server, vectors)


def test_the_same_producer_with_another_file_is_another_load(server, tmp_path, vectors):
    with start(server, tmp_path, vectors, "--producer", "p") as process:
        assert process.wait() == 0, process.log
    other = random_vectors(71, ROWS, DIMENSION)
    path = write_vectors(tmp_path / "other.npy", other)
    with start(server, tmp_path, (path, other), "--producer", "p") as process:
        assert process.wait() == 0, process.log
    assert process.report["sent"] == ROWS
    with Api(server.address) as api:
        keys, stored = api.everything("n")
    assert keys == list(range(ROWS))
    assert np.array_equal(stored, other)
