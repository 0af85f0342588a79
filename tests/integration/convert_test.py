"""varve convert: files of vectors in other formats."""

import json
import subprocess

import numpy as np
import pytest

from testutil.varved import VARVE

RNG = np.random.default_rng(41)


def varve(*arguments, code=0):
    done = subprocess.run(
        [VARVE, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    return done


def convert(*arguments, code=0):
    return varve("convert", *arguments, code=code)


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


def test_neighbours_go_to_ivecs_and_back(tmp_path):
    for dtype in ("int32", "int64"):  # int64 is what `varve search --output` writes
        content = RNG.integers(-1, 2**31 - 1, (5_000, 10)).astype(dtype)
        np.save(tmp_path / "a.npy", content)
        convert(tmp_path / "a.npy", tmp_path / "b.ivecs")
        stored = np.fromfile(tmp_path / "b.ivecs", "<i4").reshape(-1, 11)
        assert (stored[:, 0] == 10).all()
        np.testing.assert_array_equal(stored[:, 1:], content)
        convert(tmp_path / "b.ivecs", tmp_path / "c.npy")
        assert np.load(tmp_path / "c.npy").dtype == np.int32
        np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), content)
        convert(tmp_path / "a.npy", tmp_path / "d.jsonl")
        lines = (tmp_path / "d.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == content.tolist()


def test_hdf5_holds_every_type_and_other_datasets_stay(tmp_path):
    path = tmp_path / "all.hdf5"
    parts = {
        "train": RNG.standard_normal((5_000, 7)).astype("f4"),
        "test": (RNG.standard_normal((20, 7)) * 9).astype("f2"),
        "neighbors": RNG.integers(0, 5_000, (20, 3)).astype("i8"),
        "distances": RNG.standard_normal((20, 3)).astype("f4"),
        "bytes": RNG.integers(0, 256, (300, 5), dtype=np.uint8),
        "none": np.empty((0, 4), np.int32),
    }
    for name, content in parts.items():
        np.save(tmp_path / "in.npy", content)
        convert(tmp_path / "in.npy", path, "--dataset", name)
    for name, content in parts.items():
        convert(path, tmp_path / "out.npy", "--dataset", name)
        found = np.load(tmp_path / "out.npy")
        assert found.dtype == content.dtype
        np.testing.assert_array_equal(found, content)
    np.save(tmp_path / "in.npy", parts["train"][:9])
    convert(tmp_path / "in.npy", path)  # train, again
    convert(path, tmp_path / "out.fvecs", "--dataset", "train")
    assert (tmp_path / "out.fvecs").stat().st_size == 9 * (4 + 7 * 4)
    convert(path, tmp_path / "out.ivecs", "--dataset", "neighbors")
    listed = json.loads(varve("--json", "info", path).stdout)["parts"]
    assert {one["dataset"]: (one["element_type"], one["rows"]) for one in listed} == {
        name: (content.dtype.str[1:], 9 if name == "train" else len(content))
        for name, content in parts.items()
    }


def test_an_index_is_built_from_hdf5_and_asked_its_test_set(tmp_path):
    content = RNG.standard_normal((500, 6)).astype("f4")
    for name, part in {"train": content, "test": content[::50]}.items():
        np.save(tmp_path / "in.npy", part)
        convert(tmp_path / "in.npy", tmp_path / "set.hdf5", "--dataset", name)
    varve("build-index", tmp_path / "index", "--input", tmp_path / "set.hdf5")
    varve(
        *("query", tmp_path / "index", "--queries", tmp_path / "set.hdf5", "--k", 1),
        *("--output", tmp_path / "found.npy"),
    )
    assert np.load(tmp_path / "found.npy")[:, 0].tolist() == list(range(0, 500, 50))


def test_float64_becomes_float32(tmp_path):
    content = RNG.standard_normal((300, 5))
    np.save(tmp_path / "a.npy", content)
    for name in ("b.npy", "b.hdf5", "b.fvecs"):
        convert(tmp_path / "a.npy", tmp_path / name)
        convert(tmp_path / name, tmp_path / "c.npy")
        assert np.load(tmp_path / "c.npy").dtype == np.float32
        np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), content.astype("f4"))


def test_a_file_may_be_converted_into_itself(tmp_path):
    content = RNG.standard_normal((10, 3)).astype("f4")
    np.save(tmp_path / "a.npy", content)
    convert(tmp_path / "a.npy", tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), content)


def test_what_cannot_be_is_refused_and_nothing_is_left(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 3), np.float32))
    assert "holds u1" in convert(tmp_path / "a.npy", tmp_path / "b.bvecs", code=1).stderr
    assert "OUT must be" in convert(tmp_path / "a.npy", tmp_path / "b.txt", code=2).stderr
    assert "IN must be" in convert(tmp_path / "a.txt", tmp_path / "b.npy", code=2).stderr
    assert "--dimension" in convert(tmp_path / "a.f32", tmp_path / "b.npy", code=2).stderr
    assert "none.npy" in convert(tmp_path / "none.npy", tmp_path / "b.npy", code=1).stderr
    assert "cannot write" in convert(tmp_path / "a.npy", tmp_path / "no/b.npy", code=1).stderr
    assert "holds i4" in convert(tmp_path / "a.npy", tmp_path / "b.ivecs", code=1).stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy"]


def test_numbers_that_do_not_fit_are_named_and_the_old_file_stays(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1, 2], [3, 2**31]]))
    np.save(tmp_path / "ids.npy", np.array([[1, 2]], np.uint32))
    (tmp_path / "b.ivecs").write_bytes(b"old")
    done = convert(tmp_path / "a.npy", tmp_path / "b.ivecs", code=1)
    assert f"a.npy: {2**31} is beyond int32" in done.stderr
    assert (tmp_path / "b.ivecs").read_bytes() == b"old"
    assert "holds f4" in convert(tmp_path / "a.npy", tmp_path / "b.f32", code=1).stderr
    assert "type u4" in convert(tmp_path / "ids.npy", tmp_path / "b.npy", code=1).stderr
    assert len(list(tmp_path.iterdir())) == 3


def test_hdf5_that_is_something_else_is_refused_and_stays(tmp_path):
    path = tmp_path / "a.hdf5"
    path.write_text("notes")
    np.save(tmp_path / "a.npy", np.ones((2, 3), np.float32))
    assert "is not an HDF5 file" in convert(path, tmp_path / "b.npy", code=1).stderr
    assert "not an HDF5 file" in convert(tmp_path / "a.npy", path, code=1).stderr
    assert path.read_text() == "notes"
    convert(tmp_path / "a.npy", tmp_path / "b.hdf5")
    missing = convert(tmp_path / "b.hdf5", tmp_path / "c.npy", "--dataset", "test", code=1)
    assert "has no dataset test; there are: train" in missing.stderr
    named = convert(tmp_path / "a.npy", tmp_path / "b.hdf5", "--dataset", "a/b", code=1)
    assert "without '/'" in named.stderr
    none = varve("build-index", tmp_path / "index", "--input", tmp_path / "c.hdf5", code=1)
    assert "no such file" in none.stderr
    cut = (tmp_path / "b.hdf5").read_bytes()[:-8]
    (tmp_path / "cut.hdf5").write_bytes(cut)
    assert "cut" in convert(tmp_path / "cut.hdf5", tmp_path / "c.npy", code=1).stderr
    assert not (tmp_path / "c.npy").exists() and not (tmp_path / "index").exists()
