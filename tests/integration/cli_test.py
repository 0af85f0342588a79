"""The command line, verb by verb, against a real server."""

import json

import numpy as np
import pytest

from testutil.files import write_ids, write_vectors
from testutil.vectors import nearest, random_vectors


def test_namespaces_are_created_listed_described_updated_and_deleted(varve, fails, ns):
    made = varve.json(
        *("namespace", "create", ns, "--dimension", 7, "--metric", "cosine", "--m", 24),
        *("--element-type", "i8", "--id-type", "text"),
    )
    assert (made["name"], made["dimension"], made["metric"]) == (ns, 7, "cosine")
    assert (made["element_type"], made["id_type"]) == ("i8", "text")
    assert (made["index"]["m"], made["index"]["ef_search"]) == (24, 64)
    assert made in varve.json("namespace", "list")["namespaces"]
    assert varve.json("namespace", "describe", ns) == made
    assert "metric: cosine\n" in varve("namespace", "describe", ns)
    assert ns in varve("namespace", "list")
    updated = varve.json("namespace", "update", ns, "--ef-search", 99)
    assert updated["index"] == made["index"] | {"ef_search": 99}
    assert varve.json("namespace", "delete", ns) == {"deleted": ns}
    assert ns in fails(1, "namespace", "describe", ns)


# Name of the file, element type of the vectors.
INPUTS = [
    ("v.npy", "f4"),
    ("v.npy", "f2"),
    ("v.npy", "u1"),
    ("v.npy", "i1"),
    ("v.f32", "f4"),
    ("v.fvecs", "f4"),
    ("v.bvecs", "u1"),
]


@pytest.mark.parametrize(("name", "element"), INPUTS)
def test_every_form_of_input_is_ingested_as_it_is(varve, api, ns, tmp_path, name, element):
    vectors = random_vectors(50, 300, 5, element)
    path = write_vectors(tmp_path / name, vectors)
    varve("namespace", "create", ns, "--dimension", 5)
    dimension = ["--dimension", 5] if name.endswith(".f32") else []
    report = varve.json("ingest", ns, "--input", path, "--wait-indexed", *dimension)
    assert (report["complete"], report["rows"], report["sent"]) == (True, 300, 300)
    keys, stored = api.everything(ns)
    assert keys == list(range(300))
    assert np.array_equal(stored, vectors.astype("<f4"))


NUMBERS = [5, 3, 2**63, 2**63 - 1, 0, 77]


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("ids.u64", NUMBERS),
        ("ids.npy", [key for key in NUMBERS if key < 2**63] + [99]),
        ("ids.txt", NUMBERS),
        ("ids.txt", ["b", "ä b", "7", "007", "x" * 512, "北京"]),
    ],
    ids=["u64", "npy", "numbers in text", "texts"],
)
def test_every_form_of_ids_is_taken(varve, api, ns, tmp_path, name, ids):
    vectors = random_vectors(51, len(ids), 3)
    varve("namespace", "create", ns, "--dimension", 3)
    varve(
        *("ingest", ns, "--input", write_vectors(tmp_path / "v.npy", vectors)),
        *("--ids", write_ids(tmp_path / name, ids)),
    )
    keys, stored = api.everything(ns)
    assert set(keys) == set(ids)
    assert np.array_equal(stored, vectors[[ids.index(key) for key in keys]])


@pytest.fixture
def filled(varve, ns, tmp_path):
    """A namespace with five records, ids 0 to 4, and the file of their vectors."""
    path = write_vectors(tmp_path / "filled.npy", random_vectors(52, 5, 6))
    varve("namespace", "create", ns, "--dimension", 6)
    varve("ingest", ns, "--input", path)
    return ns, path


def test_search_writes_ids_and_distances_as_arrays(varve, filled, tmp_path):
    ns, _ = filled
    queries = random_vectors(53, 3, 6)
    path = write_vectors(tmp_path / "q.fvecs", queries)
    output = tmp_path / "found.npy"
    summary = varve.json("search", ns, "--queries", path, "-k", 8, "--output", output)
    assert (summary["queries"], summary["k"], summary["output"]) == (3, 8, str(output))
    found, distances = np.load(output), np.load(tmp_path / "found.distances.npy")
    assert (found.dtype, found.shape) == (np.dtype("<i8"), (3, 8))
    assert (distances.dtype, distances.shape) == (np.dtype("<f4"), (3, 8))
    wanted, measured = nearest("l2", random_vectors(52, 5, 6), queries, 5)
    assert np.array_equal(found[:, :5], wanted)
    assert (found[:, 5:] == -1).all()
    assert np.allclose(distances[:, :5], measured, rtol=1e-5)
    assert np.isinf(distances[:, 5:]).all()


def test_search_of_text_ids_writes_json_lines(varve, ns, tmp_path):
    vectors = random_vectors(54, 4, 2)
    path = write_vectors(tmp_path / "v.npy", vectors)
    names = ["ä", "b", "c", "d"]
    varve("namespace", "create", ns, "--dimension", 2)
    varve("ingest", ns, "--input", path, "--ids", write_ids(tmp_path / "ids", names))
    varve("search", ns, "--queries", path, "-k", 2, "--output", tmp_path / "found.npy")
    lines = (tmp_path / "found.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["ids"][0] for line in lines] == names
    assert np.load(tmp_path / "found.distances.npy").shape == (4, 2)


def test_search_prints_a_table_or_json(varve, filled):
    ns, path = filled
    table = varve("search", ns, "--queries", path, "-k", 1, "--exact").splitlines()
    assert table[0].split() == ["QUERY", "RANK", "ID", "DISTANCE"]
    assert [line.split() for line in table[1:]] == [[f"{q}", "1", f"{q}", "0"] for q in range(5)]
    results = varve.json("search", ns, "--queries", path, "-k", 2, "--ef", 50)["results"]
    assert [query[0] for query in results] == [{"id": q, "distance": 0} for q in range(5)]


def test_get_scan_count_and_delete_agree(varve, filled):
    ns, path = filled
    vectors = np.load(path)
    assert varve.json("count", ns)["count"] == 5
    assert varve("count", ns) == "5\n"
    records = varve.json("scan", ns, "--vectors")["records"]
    assert [record["id"] for record in records] == [0, 1, 2, 3, 4]
    assert np.array_equal(np.array([r["vector"] for r in records], "<f4"), vectors)
    assert varve("scan", ns, "--limit", 2) == '{"id":0}\n{"id":1}\n'
    got = varve.json("get", ns, 3, 1)["records"]
    assert [record["id"] for record in got] == [3, 1]
    assert np.array_equal(np.array([r["vector"] for r in got], "<f4"), vectors[[3, 1]])
    assert varve.json("delete", ns, 1, 2, 99)["deleted"] == 2
    assert varve.json("count", ns)["count"] == 3
    assert [r["id"] for r in varve.json("scan", ns)["records"]] == [0, 3, 4]


def test_get_says_what_is_missing(varve, shared_varved, filled):
    ns, _ = filled
    got = varve.json("get", ns, 1, 7)
    assert ([record["id"] for record in got["records"]], got["missing"]) == ([1], [7])
    done = shared_varved.run("get", ns, "1", "7", timeout=60)
    assert done.stdout.startswith('{"id":1,')
    assert done.stderr == "varve: there are no records [7]\n"


def test_flush_and_compact_say_what_they_left(varve, filled):
    ns, _ = filled
    assert f"flushed {ns}" in varve("flush", ns)
    assert "sealed" in varve("segments", ns)
    assert varve.json("flush", ns)["segments"] == 1
    assert f"compacted {ns}" in varve("compact", ns)
    assert varve.json("compact", ns)["compacted"] == ns
    assert "compacting" in varve("compact", ns, "--no-wait")


def test_compaction_options_are_shown_and_changed(varve, filled):
    ns, _ = filled
    index = varve.json("namespace", "describe", ns)["index"]
    assert (index["tombstone_rebuild_pct"], index["auto_compaction"]) == (20, True)
    varve("namespace", "update", ns, "--tombstone-rebuild-pct", 35, "--auto-compaction", "false")
    index = varve.json("namespace", "describe", ns)["index"]
    assert (index["tombstone_rebuild_pct"], index["auto_compaction"]) == (35, False)
    assert index["quantization"] == "int8"
    varve("namespace", "update", ns, "--quantization", "none")
    assert varve.json("namespace", "describe", ns)["index"]["quantization"] == "none"


def test_segments_and_stats_describe_the_index_and_the_server(varve, filled):
    ns, _ = filled
    (segment,) = varve.json("segments", ns)["segments"]
    assert (segment["state"], segment["rows"], segment["live_rows"]) == ("active", 5, 5)
    assert "active" in varve("segments", ns)
    stats = varve.json("stats", ns)
    assert stats["version"] and stats["resident_bytes"] > 0
    assert stats["namespace"]["records"] == 5
    assert "namespace" not in varve.json("stats")
    assert "records: 5\n" in varve("stats", ns)
