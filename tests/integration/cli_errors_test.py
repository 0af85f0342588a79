"""What the command line says when something is wrong: one line, and an exit code."""

import os
import socket
import subprocess

import numpy as np
import pytest

from testutil.files import write_ids, write_vectors
from testutil.varved import VARVE
from testutil.vectors import random_vectors

WAIT_SECONDS = 60
VECTORS = random_vectors(60, 4, 3)

USAGE_ERRORS = [
    [],
    ["frobnicate"],
    ["namespace", "create", "n"],
    ["namespace", "create", "n", "--dimension", "many"],
    ["namespace", "create", "n", "--dimension", "3", "--metric", "hamming"],
    ["namespace", "update", "n"],
    ["ingest", "n"],
    ["ingest", "n", "--input", "v.csv"],
    ["ingest", "n", "--input", "v.f32"],
    ["ingest", "n", "--input", "v.npy", "--batch-size", "0"],
    ["ingest", "n", "--input", "v.npy", "--streams", "0"],
    ["ingest", "n", "--input", "v.npy", "--durability", "hopeful"],
    ["search", "n"],
    ["search", "n", "--queries", "q.npy", "-k", "0"],
    ["search", "n", "--queries", "q.npy", "--output", "found.csv"],
    ["get", "n"],
    ["count"],
]


@pytest.mark.parametrize("arguments", USAGE_ERRORS, ids=" ".join)
def test_a_wrong_command_line_exits_with_2_and_points_to_help(fails, arguments):
    assert "--help" in fails(2, *arguments)


def test_help_and_nothing_else_succeeds_without_a_server():
    for arguments in (["--help"], ["ingest", "--help"], ["namespace", "create", "--help"]):
        done = subprocess.run([VARVE, *arguments], capture_output=True, timeout=WAIT_SECONDS)
        assert done.returncode == 0 and b"Usage" in done.stdout


def test_where_nobody_answers_it_is_said_what_to_look_at():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        command = [VARVE, "--server", address, "namespace", "list"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert done.returncode == 1
    assert address in done.stderr
    assert "is varved running there (--server)? --data-dir DIR works without one" in done.stderr
    assert done.stderr.count("\n") == 1


def npy(array, size=None):
    """A maker of v.npy, cut short if `size` says so."""

    def make(folder):
        path = folder / "v.npy"
        np.save(path, array)
        os.truncate(path, size or path.stat().st_size)
        return path

    return make


def raw(name, content):
    def make(folder):
        path = folder / name
        path.write_bytes(content)
        return path

    return make


WITH_NAN = VECTORS.copy()
WITH_NAN[2, 1] = np.nan

# What is wrong with the file of vectors -> its maker, words of the error.
BAD_VECTORS = {
    "it does not exist": (lambda folder: folder / "gone.npy", ["gone.npy"]),
    "it is empty": (raw("v.npy", b""), ["v.npy"]),
    "it is not npy": (raw("v.npy", b"hello, world" * 20), ["not a .npy file"]),
    "it is cut short": (npy(VECTORS, 170), ["v.npy", "cut short"]),
    "its header is cut short": (npy(VECTORS, 50), ["v.npy", "cut short"]),
    "float64": (npy(VECTORS.astype("f8")), ["f8", "f4"]),
    "strings": (npy(np.array([["a"], ["b"]])), ["v.npy"]),
    "big-endian": (npy(VECTORS.astype(">f4")), ["big-endian"]),
    "Fortran order": (npy(np.asfortranarray(VECTORS)), ["Fortran"]),
    "one dimension": (npy(VECTORS[0]), ["(3,)"]),
    "three dimensions": (npy(VECTORS.reshape(2, 2, 3)), ["(2, 2, 3)"]),
    "another dimension": (npy(VECTORS[:, :2]), ["dimension 2", "3"]),
    "NaN": (npy(WITH_NAN), ["row 2", "finite"]),
    "a length that is no dimension": (raw("v.fvecs", b"\xff" * 16), ["-1"]),
    "rows of unequal length": (
        raw("v.bvecs", b"\3\0\0\0abc" + b"\2\0\0\0abc"),
        ["row 1", "2", "3"],
    ),
    "fvecs cut short": (raw("v.fvecs", b"\3\0\0\0abc"), ["7 bytes"]),
}


@pytest.fixture
def space(varve, ns):
    varve("namespace", "create", ns, "--dimension", 3)
    return ns


@pytest.mark.parametrize("case", BAD_VECTORS)
def test_a_bad_file_of_vectors_is_named_and_nothing_is_written(varve, fails, space, tmp_path, case):
    make, words = BAD_VECTORS[case]
    line = fails(1, "ingest", space, "--input", make(tmp_path))
    assert all(word in line for word in words), line
    assert varve("count", space) == "0\n"


@pytest.mark.parametrize("case", ["it is not npy", "float64", "another dimension", "NaN"])
def test_a_bad_file_of_queries_is_named(fails, space, tmp_path, case):
    make, _ = BAD_VECTORS[case]
    fails(1, "search", space, "--queries", make(tmp_path))


# What is wrong with the file of ids -> its name, its content, words of the error.
BAD_IDS = {
    "too few": ("ids.txt", b"1\n2\n3\n", ["3 ids", "4 rows"]),
    "too many": ("ids.u64", bytes(40), ["5 ids", "4 rows"]),
    "cut short": ("ids.u64", bytes(31), ["31 bytes"]),
    "an empty line": ("ids.txt", b"a\n\nc\nd\n", ["line 2"]),
    "too long": ("ids.txt", b"a\nb\nc\n" + b"x" * 513, ["line 4", "513", "512"]),
    "not UTF-8": ("ids.txt", b"a\n\xff\nc\nd\n", ["line 2", "UTF-8"]),
    "not there": (None, b"", ["gone"]),
}


@pytest.mark.parametrize("case", BAD_IDS)
def test_a_bad_file_of_ids_is_named_and_nothing_is_written(varve, fails, space, tmp_path, case):
    name, content, words = BAD_IDS[case]
    ids = tmp_path / (name or "gone")
    if name:
        ids.write_bytes(content)
    vectors = write_vectors(tmp_path / "v.npy", VECTORS)
    line = fails(1, "ingest", space, "--input", vectors, "--ids", ids)
    assert all(word in line for word in words), line
    assert varve("count", space) == "0\n"


def test_ids_of_the_other_kind_are_refused(varve, fails, space, tmp_path):
    vectors = write_vectors(tmp_path / "v.npy", VECTORS)
    varve("ingest", space, "--input", vectors)
    texts = write_ids(tmp_path / "ids.txt", ["a", "b", "c", "d"])
    assert "numbers" in fails(1, "ingest", space, "--input", vectors, "--ids", texts)
    assert "numbers" in fails(1, "get", space, "a")


def test_vectors_of_another_element_type_are_refused_before_any_is_sent(varve, fails, ns, tmp_path):
    varve("namespace", "create", ns, "--dimension", 3, "--element-type", "u8")
    line = fails(1, "ingest", ns, "--input", write_vectors(tmp_path / "v.npy", VECTORS))
    assert "f32" in line and "u8" in line


def test_with_skip_bad_rows_are_listed_and_the_others_written(varve, space, tmp_path):
    path = write_vectors(tmp_path / "v.npy", WITH_NAN)
    report = varve.json("ingest", space, "--input", path, "--on-error", "skip")
    assert (report["complete"], report["skipped"]) == (True, 1)
    assert report["first_skipped"][0]["row"] == 2
    assert [record["id"] for record in varve.json("scan", space)["records"]] == [0, 1, 3]


@pytest.mark.parametrize("server", ["127.0.0.1:1", "nowhere.invalid:7780", "no address"])
def test_a_server_that_cannot_be_reached_is_an_error_that_names_it(fails, server):
    assert server.split(":")[0] in fails(1, "count", "n", server=server)


def test_results_that_cannot_be_written_are_an_error(varve, fails, shared_varved, space, tmp_path):
    path = write_vectors(tmp_path / "v.npy", VECTORS)
    varve("ingest", space, "--input", path)
    output = tmp_path / "no" / "such" / "folder.npy"
    assert str(output) in fails(1, "search", space, "--queries", path, "--output", output)
    command = [VARVE, "--server", shared_varved.address, "scan", space]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=WAIT_SECONDS)
    assert done.returncode == 1
    assert b"cannot write" in done.stderr
