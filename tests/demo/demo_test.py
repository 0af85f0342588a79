"""./dev demo, as a person runs it, and the recall it prints."""

import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from testutil.varved import ROOT
from vector_set import BadSet, VectorSet


def run_demo(*arguments, cwd=ROOT) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "demo/demo.py", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def write_set(folder: pathlib.Path, base, queries, neighbors, metric=None) -> pathlib.Path:
    folder.mkdir(exist_ok=True)
    np.save(folder / "base.npy", base)
    np.save(folder / "queries.npy", queries)
    np.save(folder / "neighbors.npy", np.asarray(neighbors, dtype=np.int32))
    if metric is not None:
        (folder / "set.json").write_text(json.dumps({"metric": metric}))
    return folder


@pytest.fixture
def line(tmp_path) -> VectorSet:
    """Rows at 0, 1, 1, 2 and 3 on a line; one query at 0."""
    base = np.array([[0], [1], [1], [2], [3]], dtype=np.uint8)
    return VectorSet(write_set(tmp_path / "line", base, base[:1], [[0, 1, 2, 3, 4]]))


def test_the_true_neighbours_have_recall_one(line):
    assert line.recall(np.array([[0, 1, 2]])) == 1


def test_of_rows_at_equal_distance_any_will_do(line):
    assert line.recall(np.array([[0, 2]])) == 1


def test_a_row_that_is_too_far_does_not_count(line):
    assert line.recall(np.array([[0, 4]])) == 0.5


def test_a_row_found_twice_counts_once(line):
    assert line.recall(np.array([[0, 0]])) == 0.5


def test_a_missing_result_does_not_count(line):
    assert line.recall(np.array([[0, -1]])) == 0.5


@pytest.mark.parametrize(("metric", "nearest"), [("l2", 0), ("cosine", 1), ("dot", 2)])
def test_each_metric_has_its_own_nearest_row(tmp_path, metric, nearest):
    base = np.array([[1, 1], [3, 0], [9, 9]], dtype=np.float32)
    query = np.array([[1, 0]], dtype=np.float32)
    vectors = VectorSet(write_set(tmp_path / "set", base, query, [[nearest]], metric))
    recalls = [vectors.recall(np.array([[row]])) for row in range(3)]
    assert recalls == [float(row == nearest) for row in range(3)]


def test_a_set_whose_parts_do_not_fit_is_refused(tmp_path):
    base, queries = np.zeros((4, 3), np.float32), np.zeros((2, 5), np.float32)
    with pytest.raises(BadSet, match="dimension 3, queries.npy 5"):
        VectorSet(write_set(tmp_path / "a", base, queries, [[0], [1]]))
    with pytest.raises(BadSet, match="a row for each of 2 queries"):
        VectorSet(write_set(tmp_path / "b", base, queries[:, :3], [[0]]))
    with pytest.raises(BadSet, match="metric must be"):
        VectorSet(write_set(tmp_path / "c", base, queries[:, :3], [[0], [1]], "hamming"))
    with pytest.raises(BadSet, match="found float64"):
        VectorSet(write_set(tmp_path / "d", base.astype(float), queries[:, :3], [[0], [1]]))


def test_the_demo_runs_and_finds_what_is_there():
    run = run_demo()
    assert run.returncode == 0, run.stderr
    recalls = re.findall(r"recall@10 ([\d.]+) at default settings, ([\d.]+) with --exact", run.stdout)
    assert len(recalls) == 2
    for default, exact in recalls:
        assert float(default) >= 0.97
        assert float(exact) == 1
    assert len(re.findall(r"latency   p50 [\d.]+ ms, p99 [\d.]+ ms", run.stdout)) == 2
    assert len(re.findall(r"^    -> ", run.stdout, re.MULTILINE)) == 9


def test_the_demo_takes_a_folder_relative_to_where_it_is_run(tmp_path):
    rows = np.random.default_rng(1).integers(-128, 128, (40, 8), dtype=np.int8)
    order = np.argsort(-(rows[:3].astype(int) @ rows.T.astype(int)), axis=1, kind="stable")
    write_set(tmp_path / "small", rows, rows[:3], order[:, :10], "dot")
    run = run_demo("--data", "small", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "small: 40 x 8 int8, metric dot, 3 queries" in run.stdout
    assert "recall@10 1.0000 at default settings, 1.0000 with --exact" in run.stdout


def test_a_folder_without_a_set_is_named(tmp_path):
    run = run_demo("--data", tmp_path)
    assert run.returncode == 1
    assert run.stderr == f"./dev demo: {tmp_path}/base.npy: No such file or directory\n"
