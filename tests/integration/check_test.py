"""varved check: what an operator sees of a directory that is whole, damaged, mended, or none."""

import json
import subprocess
import time

import pytest

from testutil.api import CALL_SECONDS, Api
from testutil.varved import VARVED, Varved
from testutil.vectors import random_vectors

DIMENSION = 8


@pytest.fixture
def stopped(tmp_path):
    """A server that has stopped; its namespace "n" has three sealed segments and a tail."""
    with Varved(tmp_path) as server, Api(server.address) as api:
        api.create("n", DIMENSION, segment_size_threshold=1000)
        api.upsert("n", range(3_500), random_vectors(1, 3_500, DIMENSION))
        api.wait_indexed("n")
        deadline = time.monotonic() + CALL_SECONDS
        while sum(segment.file_bytes > 0 for segment in api.segments("n")) < 3:
            assert time.monotonic() < deadline
    return server


def check(server: Varved, *flags: str) -> subprocess.CompletedProcess:
    command = [VARVED, "check", "--data-dir", server.directory / "data", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_whole_directory_is_clean(stopped):
    result = check(stopped)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "clean: 1 namespaces, 3500 records, 3 segments\n"


def test_a_damaged_segment_is_named_mended_and_kept(stopped):
    segments = stopped.directory / "data/segments/1"
    path = segments / "2.segment"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    result = check(stopped)
    assert result.returncode == 1
    assert 'INDEX    namespace "n", segment 2: ' in result.stdout
    assert "varved check --repair" in result.stdout
    assert json.loads(check(stopped, "--json").stdout)["clean"] is False

    result = check(stopped, "--repair")
    assert result.returncode == 0
    assert 'repaired namespace "n", segment 2: ' in result.stdout
    assert f"unused   {path}.damaged" in result.stdout
    with stopped, Api(stopped.address) as api:
        assert api.count("n") == 3_500


def test_what_cannot_be_checked_is_an_error_that_says_why(stopped, tmp_path):
    result = check(Varved(tmp_path / "other"))
    assert result.returncode == 2
    assert "other/data: is not a Varve data directory: it has no FORMAT file" in result.stderr
    with stopped:
        result = check(stopped)
        assert result.returncode == 2
        assert f"is in use by process {stopped.process.pid}" in result.stderr
    result = check(stopped, "--what")
    assert result.returncode == 2
