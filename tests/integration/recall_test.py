"""Recall at default settings, and exactness, on real data streamed in by the command line.

On the sets in the repository, and on every folder named with --data.
"""

import copy
import pathlib

import numpy as np
import pytest
from vector_set import VectorSet

from testutil.varved import ROOT, Varved

RECALL_AT_10_MIN = 0.97
EXACT_QUERIES_MAX = 1000  # they take long in a large set
SECONDS_MAX = 1800  # for folders of any size; those in the repository take a few


def pytest_generate_tests(metafunc):
    own = sorted(path.parent for path in (ROOT / "demo/data").glob("*/set.json"))
    folders = own + metafunc.config.getoption("--data")
    metafunc.parametrize("folder", folders, ids=lambda folder: folder.name, scope="module")


@pytest.fixture(scope="module")
def loaded(folder: pathlib.Path, tmp_path_factory):
    """The set, and a server that has it indexed as a namespace."""
    data = VectorSet(folder)
    with Varved(tmp_path_factory.mktemp("recall")) as server:
        dimension = str(data.base.shape[1])
        server.run("namespace", "create", "n", "--dimension", dimension, "--metric", data.metric)
        base = str(data.base_path)
        server.run("ingest", "n", "--input", base, "--wait-indexed", timeout=SECONDS_MAX)
        yield data, server


def search(server: Varved, queries: pathlib.Path, k: int, *flags: str):
    """The ids and distances that `varve search --output` writes."""
    output = server.directory / "found.npy"
    server.run(
        *("search", "n", "--queries", str(queries), "-k", str(k)),
        *("--output", str(output), *flags),
        timeout=SECONDS_MAX,
    )
    return np.load(output), np.load(output.with_suffix(".distances.npy"))


def test_recall_at_default_settings_is_high(loaded, record_property):
    data, server = loaded
    found, _ = search(server, data.queries_path, 10)
    recall = data.recall(found)
    record_property("recall@10", recall)
    print(f"{data}: recall@10 {recall:.4f}")
    assert recall >= RECALL_AT_10_MIN


def test_exact_search_equals_the_ground_truth_ties_aside(loaded):
    data, server = copy.copy(loaded[0]), loaded[1]
    data.queries = data.queries[:EXACT_QUERIES_MAX]
    data.neighbors = data.neighbors[:EXACT_QUERIES_MAX]
    k = min(100, data.neighbors.shape[1])
    queries = server.directory / "queries.npy"
    np.save(queries, data.queries)
    found, distances = search(server, queries, k, "--exact")
    assert data.recall(found) == 1
    assert (np.diff(distances, axis=1) >= 0).all()


def test_every_vector_is_stored_as_it_was_sent(loaded):
    data, server = loaded
    rows = list(range(0, len(data.base), max(1, len(data.base) // 50)))
    records = server.json("get", "n", *map(str, rows))["records"]
    assert [record["id"] for record in records] == rows
    stored = np.array([record["vector"] for record in records], "<f4")
    assert np.array_equal(stored, data.base[rows].astype("<f4"))
