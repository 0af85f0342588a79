"""Data directories that earlier builds wrote are opened, read, written to and whole; later ones are refused."""

import json
import pathlib
import subprocess
import tarfile

import numpy as np
import pytest

from compat.content import DIMENSION, LIVE, NAMESPACE, PRODUCER, expected
from testutil.api import Api, numbered, records
from testutil.varved import VARVED, Varved
from testutil.vectors import nearest, random_vectors

DATA = pathlib.Path(__file__).parent / "data"
WAIT_SECONDS = 60


@pytest.fixture(params=sorted(path.name for path in DATA.glob("*.tar.gz")))
def directory(request, tmp_path):
    with tarfile.open(DATA / request.param) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def check(directory: pathlib.Path) -> dict:
    command = [VARVED, "check", "--data-dir", directory / "data", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def test_there_is_a_directory_of_every_version():
    written = {json.loads(_format(path))["version"] for path in DATA.glob("*.tar.gz")}
    newest = max(written)
    assert written == set(range(1, newest + 1))


def _format(path: pathlib.Path) -> str:
    with tarfile.open(path) as archive:
        return archive.extractfile("data/FORMAT").read().decode()


def test_an_earlier_versions_directory_is_all_there_and_can_be_written_to(directory):
    queries = random_vectors(99, 20, DIMENSION)
    with Varved(directory) as server, Api(server.address) as api:
        keys, vectors = api.everything(NAMESPACE)
        assert keys == LIVE
        np.testing.assert_array_equal(vectors, expected())
        ids, _ = nearest("l2", expected(), queries, 10)
        wanted = [[LIVE[i] for i in row] for row in ids]
        for query, neighbours in zip(queries, wanted):
            hits = api.search(NAMESPACE, query, k=10, exact=True).hits
            assert [hit.id.number for hit in hits] == neighbours
            found = {hit.id.number for hit in api.search(NAMESPACE, query, k=10).hits}
            assert len(found & set(neighbours)) >= 8
        with api.open(NAMESPACE, producer=PRODUCER) as stream:
            assert stream.opened.last_batch == 3
            rows = records([10_000], random_vectors(5, 1, DIMENSION), [{"later": True}])
            stream.send(numbered(4, rows))
            stream.receive()
        assert api.count(NAMESPACE, "later = true") == 1
        server.run("compact", NAMESPACE)
        assert api.count(NAMESPACE) == len(LIVE) + 1
    report = check(directory)
    assert report["clean"]
    assert report["records"] == len(LIVE) + 1


def test_a_later_versions_directory_is_refused_and_left_alone(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "FORMAT").write_text('{"format": "varve", "version": 99}')
    command = [VARVED, "--data-dir", data, "--port", "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert result.returncode == 1
    assert "format version 99" in result.stderr
    assert "start the newer Varve" in result.stderr
    assert [path.name for path in data.iterdir()] == ["FORMAT"]
