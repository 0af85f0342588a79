"""varve --data-dir: every verb on a data directory itself, without a server."""

import functools
import json
import subprocess

import numpy as np
import pytest

from testutil.files import write_vectors
from testutil.varved import VARVE, Varved
from testutil.vectors import random_vectors

ROWS, DIMENSION = 3_000, 16


def run(directory, *arguments, code=0):
    done = subprocess.run(
        [VARVE, "--data-dir", directory, *map(str, arguments)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    return done


def run_json(directory, *arguments):
    return json.loads(run(directory, "--json", *arguments).stdout)


@pytest.fixture
def vectors(tmp_path):
    content = random_vectors(31, ROWS, DIMENSION)
    return write_vectors(tmp_path / "v.npy", content), content


@pytest.fixture
def built(tmp_path, vectors):
    """A directory with a namespace that was built without a server."""
    directory = tmp_path / "index"
    run(directory, "namespace", "create", "n", "--dimension", DIMENSION)
    run(directory, "ingest", "n", "--input", vectors[0], "--wait-indexed")
    run(directory, "flush", "n")
    return directory


def test_an_index_is_built_searched_and_looked_into(built, vectors, tmp_path):
    found = tmp_path / "found.npy"
    run(built, "search", "n", "--queries", vectors[0], "-k", "1", "--output", found)
    assert np.load(found)[:, 0].tolist() == list(range(ROWS))
    assert run_json(built, "count", "n")["count"] == ROWS
    segments = run_json(built, "segments", "n")["segments"]
    assert sum(segment["live_rows"] for segment in segments if segment["state"] == "sealed") == ROWS
    assert run_json(built, "stats", "n")["namespace"]["unindexed_rows"] == 0


def test_a_server_serves_what_was_built_without_it(built, vectors, tmp_path):
    (tmp_path / "served").mkdir()
    built.rename(tmp_path / "served/data")
    with Varved(tmp_path / "served") as server:
        assert server.json("count", "n")["count"] == ROWS
        segments = server.json("segments", "n")["segments"]
        assert sum(segment["indexed_rows"] for segment in segments) == ROWS  # nothing is built again
        found = server.json("search", "n", "--queries", str(vectors[0]), "-k", "1")["results"]
        assert [one[0]["id"] for one in found] == list(range(ROWS))


def test_a_load_that_was_cut_goes_on_without_a_server(tmp_path, vectors):
    directory = tmp_path / "index"
    run(directory, "namespace", "create", "n", "--dimension", DIMENSION)
    arguments = ["ingest", "n", "--input", vectors[0], "--producer", "p", "--batch-size", "100"]
    assert run_json(directory, *arguments)["sent"] == ROWS
    again = run_json(directory, *arguments)
    assert (again["sent"], again["already_committed"]) == (0, ROWS)


def run_on(verb, directory, *arguments, code=0):
    done = subprocess.run(
        [VARVE, verb, directory, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    return done


build = functools.partial(run_on, "build-index")
query = functools.partial(run_on, "query")


def test_build_index_makes_a_directory_and_goes_on_where_it_was_cut(tmp_path, vectors):
    directory = tmp_path / "index"
    built = build(directory, "--input", vectors[0], "--metric", "cosine", "--m", 8)
    assert "namespace vectors, 3,000 records, 1 segments" in built.stdout
    described = run_json(directory, "namespace", "describe", "vectors")
    assert (described["metric"], described["index"]["m"]) == ("cosine", 8)
    again = build(directory, "--input", vectors[0], "--metric", "cosine", "--m", 8)
    assert "3,000 of 3,000 rows were already committed" in again.stdout


def test_build_index_keeps_the_files_element_type_and_ids(tmp_path):
    content = np.random.default_rng(1).integers(0, 255, (50, 4), dtype=np.uint8)
    np.save(tmp_path / "v.npy", content)
    (tmp_path / "ids.txt").write_text("".join(f"row-{i}\n" for i in range(50)))
    directory = tmp_path / "index"
    build(directory, "--input", tmp_path / "v.npy", "--ids", tmp_path / "ids.txt", "--namespace", "u")
    assert run_json(directory, "namespace", "describe", "u")["element_type"] == "u8"
    assert run_json(directory, "get", "u", "row-7")["records"][0]["vector"] == content[7].tolist()


def test_build_index_refuses_before_it_makes_anything(tmp_path):
    missing = build(tmp_path / "a", "--input", tmp_path / "none.npy", code=1)
    assert "none.npy" in missing.stderr
    assert "--input" in build(tmp_path / "b", code=2).stderr
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_build_index_does_not_go_on_with_an_index_of_another_kind(tmp_path, vectors):
    build(tmp_path / "index", "--input", vectors[0])
    other = build(tmp_path / "index", "--input", vectors[0], "--metric", "cosine", code=1)
    assert "has 16 x f32 under l2, wanted 16 x f32 under cosine" in other.stderr


def test_query_searches_a_directory_and_knows_its_only_namespace(tmp_path, vectors):
    path, content = vectors
    build(tmp_path / "index", "--input", path)
    found = tmp_path / "found.npy"
    query(tmp_path / "index", "--queries", path, "--k", 1, "--output", found)
    assert np.load(found)[:, 0].tolist() == list(range(ROWS))
    build(tmp_path / "index", "--input", path, "--namespace", "other")
    ambiguous = query(tmp_path / "index", "--queries", path, code=1)
    assert "--namespace: other, vectors" in ambiguous.stderr
    query(tmp_path / "index", "--queries", path, "--namespace", "other", "--output", found)
    assert "no namespace" in query(
        tmp_path / "index", "--queries", path, "--namespace", "none", code=1
    ).stderr
    assert "leave out --data-dir" in query(
        tmp_path / "index", "--queries", path, "--data-dir", tmp_path, code=2
    ).stderr


def info(path, *arguments, code=0):
    command = [VARVE, "info", path, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return done


def test_info_tells_what_a_directory_holds(tmp_path, vectors):
    directory = tmp_path / "index"
    build(directory, "--input", vectors[0], "--metric", "dot")
    run(directory, "namespace", "create", "m", "--field", "a:4:l2:u8:multi", "--field", "b:7")
    told = json.loads(info(directory, "--json").stdout)
    assert told["directory"] == str(directory) and told["disk_bytes"] > ROWS * DIMENSION * 4
    empty, built = told["namespaces"]
    assert (empty["name"], empty["records"], len(empty["fields"])) == ("m", 0, 2)
    assert (built["name"], built["records"]) == ("vectors", ROWS)
    (field,) = built["fields"]
    assert (field["dimension"], field["metric"], field["element_type"]) == (DIMENSION, "dot", "f32")
    assert field["rows"] == field["indexed_rows"] == ROWS
    assert field["segments"] == 1 and field["file_bytes"] > ROWS * DIMENSION * 4
    text = info(directory).stdout
    assert "data directory, 2 namespaces" in text and "u8[]" in text and "3,000" in text


def test_info_tells_what_a_file_holds(tmp_path, vectors):
    path, _ = vectors
    told = json.loads(info(path, "--json").stdout)
    assert (told["format"], told["bytes"]) == ("npy", path.stat().st_size)
    assert told["parts"] == [{"element_type": "f4", "rows": ROWS, "dimension": DIMENSION}]
    assert "3,000 x 16 of f4" in info(path).stdout
    (tmp_path / "a.f32").write_bytes(bytes(24))
    assert "--dimension" in info(tmp_path / "a.f32", code=2).stderr
    assert "2 x 3 of f4" in info(tmp_path / "a.f32", "--dimension", 3).stdout
    (tmp_path / "a.txt").write_text("1 2 3")
    assert "wanted a .npy" in info(tmp_path / "a.txt", code=1).stderr
    assert "no such file or directory" in info(tmp_path / "none", code=1).stderr


def test_threads_of_build_index_are_few_or_all(tmp_path, vectors):
    for threads in (0, 1):
        build(tmp_path / f"index-{threads}", "--input", vectors[0], "--threads", threads)
        assert run_json(tmp_path / f"index-{threads}", "count", "vectors")["count"] == ROWS
    assert "--threads" in build(tmp_path / "x", "--input", vectors[0], "--threads", -1, code=2).stderr


READS = [
    ["namespace", "list"],
    ["namespace", "delete", "n"],
    ["count", "n"],
    ["ingest", "n", "--input", "v.npy"],
    ["snapshot", "list"],
    ["stats"],
]


@pytest.mark.parametrize("verb", READS, ids=" ".join)
def test_only_what_makes_a_namespace_makes_a_directory(tmp_path, verb):
    done = run(tmp_path / "none", *verb, code=1)
    assert f"{tmp_path}/none: is not a Varve data directory" in done.stderr
    assert not (tmp_path / "none").exists()


def test_query_and_info_make_no_directory(tmp_path, vectors):
    assert "is not a Varve" in query(tmp_path / "none", "--queries", vectors[0], code=1).stderr
    (tmp_path / "empty").mkdir()
    assert "is not a Varve" in info(tmp_path / "empty", code=1).stderr
    assert not (tmp_path / "none").exists() and not list((tmp_path / "empty").iterdir())


def test_a_directory_that_a_server_has_is_refused(tmp_path):
    with Varved(tmp_path) as server:
        done = run(tmp_path / "data", "namespace", "list", code=1)
        assert f"is in use by process {server.process.pid}" in done.stderr


def test_a_directory_that_is_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    done = run(tmp_path, "namespace", "list", code=1)
    assert "is not a Varve data directory" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
