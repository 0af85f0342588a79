"""varve convert: files of vectors in other formats."""

import json
import subprocess

import numpy as np
import pytest

from testutil.varved import VARVE

RNG = np.random.default_rng(41)


def convert(*arguments, code=0):
    done = subprocess.run(
        [VARVE, "convert", *map(str, arguments)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
@pytest.mark.parametrize("rows", [0, 1, 5_000])  # more than are read at once
def test_vectors_are_the_same_in_every_format(tmp_path, dtype, rows):
    content = (RNG.standard_normal((rows, 7)) * 50).astype(dtype)
    np.save(tmp_path / "a.npy", content)
    done = convert(tmp_path / "a.npy", tmp_path / "b.f32")
    assert f"{rows:,} x 7" in done.stdout
    assert (tmp_path / "b.f32").read_bytes() == content.astype("<f4").tobytes()
    convert(tmp_path / "b.f32", tmp_path / "c.npy", "--dimension", 7)
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), content.astype("f4"))
    convert(tmp_path / "a.npy", tmp_path / "d.jsonl")
    lines = (tmp_path / "d.jsonl").read_text().splitlines()
    found = np.array([json.loads(line) for line in lines], "f4").reshape(rows, 7)
    np.testing.assert_array_equal(found, content.astype("f4"))
    if rows > 0:  # a file of these without rows does not say how many elements they would have
        convert(tmp_path / "a.npy", tmp_path / "e.fvecs")
        convert(tmp_path / "e.fvecs", tmp_path / "f.npy")
        np.testing.assert_array_equal(np.load(tmp_path / "f.npy"), content.astype("f4"))


def test_bytes_stay_bytes(tmp_path):
    content = RNG.integers(0, 256, (300, 5), dtype=np.uint8)
    np.save(tmp_path / "a.npy", content)
    convert(tmp_path / "a.npy", tmp_path / "b.bvecs")
    convert(tmp_path / "b.bvecs", tmp_path / "c.npy")
    found = np.load(tmp_path / "c.npy")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, content)


def test_a_file_may_be_converted_into_itself(tmp_path):
    content = RNG.standard_normal((10, 3)).astype("f4")
    np.save(tmp_path / "a.npy", content)
    convert(tmp_path / "a.npy", tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), content)


def test_what_cannot_be_is_refused_and_nothing_is_left(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 3), np.float32))
    assert "holds u8" in convert(tmp_path / "a.npy", tmp_path / "b.bvecs", code=1).stderr
    assert "OUT must be" in convert(tmp_path / "a.npy", tmp_path / "b.txt", code=2).stderr
    assert "IN must be" in convert(tmp_path / "a.txt", tmp_path / "b.npy", code=2).stderr
    assert "--dimension" in convert(tmp_path / "a.f32", tmp_path / "b.npy", code=2).stderr
    assert "none.npy" in convert(tmp_path / "none.npy", tmp_path / "b.npy", code=1).stderr
    assert "cannot write" in convert(tmp_path / "a.npy", tmp_path / "no/b.npy", code=1).stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy"]
