"""Import and export, of every format, and what they say of files that are wrong."""

import csv
import datetime
import gzip
import json
import os
import pathlib
import subprocess
import sys

import h5py
import ml_dtypes
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

import varve
import varve.io

RNG = np.random.default_rng(7)
UTC = datetime.timezone.utc
ROWS, DIMENSION = 300, 8
VECTORS = RNG.standard_normal((ROWS, DIMENSION), dtype=np.float32)
NEW_YEAR = datetime.datetime(2026, 1, 1, tzinfo=UTC)

# What every attribute type is, sparse where it can be.
METADATA = [
    {
        "n": i,
        "price": i / 4,
        "colour": ["red", "blue, or so", 'a "third"', "größer\nzwei"][i % 4],
        "sold": i % 3 == 0,
        "seen": NEW_YEAR + datetime.timedelta(hours=i, microseconds=i),
        "tags": ["a", f"b{i}"][: 1 + i % 2],
        "size": {"eu": 30 + i % 20, "us": i % 20 / 2},
        **({"rare": i} if i % 7 == 0 else {}),
    }
    for i in range(ROWS)
]


def everything(ns):
    """All records: ids, vectors by field, metadata."""
    parts = list(ns.scan())
    ids = [one for part in parts for one in part.ids]
    vectors = np.concatenate([part.vectors for part in parts])
    return ids, vectors, [one for part in parts for one in part.metadata]


def lists(vectors, kind=None):
    kind = kind or pa.from_numpy_dtype(vectors.dtype)
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), kind), vectors.shape[1])


def table(**columns):
    return pa.table({"id": np.arange(ROWS), "vector": lists(VECTORS), **columns})


def write_jsonl(path, rows):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="module")
def filled(client):
    """A namespace with records of every type of attribute."""
    ns = client.create_namespace("io-filled", DIMENSION, metric="cosine")
    ns.ingest(np.arange(ROWS) * 3, VECTORS, METADATA, progress=False)
    return ns


# --- There and back ---


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
def test_what_is_exported_with_types_comes_back_as_it_was(client, space, filled, tmp_path, suffix):
    path = tmp_path / f"all{suffix}"
    assert varve.io.export_file(filled, path, progress=False) == ROWS
    back = client.create_namespace(space, DIMENSION)
    assert varve.io.import_file(back, path, progress=False).records_written == ROWS
    ids, vectors, metadata = everything(back)
    assert ids == list(range(0, 3 * ROWS, 3))
    np.testing.assert_array_equal(vectors, VECTORS)
    assert metadata == METADATA
    assert back.count(filter='seen < "2026-01-01T10:00:00Z" AND size.eu < 35') == 5


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".csv", ".csv.gz"])
def test_text_comes_back_as_it_was_where_the_namespace_declares_times(
    client, space, filled, tmp_path, suffix
):
    path = tmp_path / f"all{suffix}"
    assert varve.io.export_file(filled, path, progress=False) == ROWS
    back = client.create_namespace(space, DIMENSION, attributes={"seen": "timestamp"})
    varve.io.import_file(back, path, progress=False)
    ids, vectors, metadata = everything(back)
    assert ids == list(range(0, 3 * ROWS, 3))
    np.testing.assert_array_equal(vectors, VECTORS)
    assert metadata == METADATA


def test_vectors_and_ids_come_back_from_hdf5(client, space, filled, tmp_path):
    path = tmp_path / "all.hdf5"
    assert varve.io.export_file(filled, path, progress=False) == ROWS
    with h5py.File(path) as file:
        assert file.attrs["distance"] == "angular"
        assert file["train"].dtype == np.float32
    back = client.create_namespace(space, DIMENSION)
    varve.io.import_file(back, path, progress=False)
    ids, vectors, _ = everything(back)
    assert ids == list(range(0, 3 * ROWS, 3))
    np.testing.assert_array_equal(vectors, VECTORS)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".jsonl", ".csv", ".h5"])
def test_text_ids_and_small_elements_go_both_ways(client, space, tmp_path, suffix):
    vectors = RNG.integers(0, 256, (50, 16), dtype=np.uint8)
    ids = [f"0{i:03}" for i in range(50)]
    ns = client.create_namespace(space, 16, element_type="uint8")
    ns.ingest(ids, vectors, progress=False)
    path = tmp_path / f"small{suffix}"
    varve.io.export_file(ns, path, progress=False)
    back = client.create_namespace(f"{space}-back", 16, element_type="uint8")
    varve.io.import_file(back, path, progress=False)
    found = next(iter(back.scan()))
    assert found.ids == ids
    assert found.vectors.dtype == np.uint8
    np.testing.assert_array_equal(found.vectors, vectors)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".jsonl"])
def test_several_fields_several_vectors_and_missing_ones_go_both_ways(
    client, space, tmp_path, suffix
):
    fields = [
        varve.VectorField(4, element_type="float16"),
        varve.VectorField(3, name="tokens", metric="dot", multi_vector=True),
    ]
    ns = client.create_namespace(space, fields=fields)
    some = RNG.standard_normal((6, 4)).astype(np.float16)
    tokens = [RNG.standard_normal((1 + i % 3, 3)).astype(np.float32) for i in range(4)]
    ns.upsert(range(4), {"": some[:4], "tokens": tokens})
    ns.upsert([4, 5], some[4:])  # without tokens
    ns.upsert([6], {"tokens": tokens[:1]})  # with these alone
    path = tmp_path / f"fields{suffix}"
    assert varve.io.export_file(ns, path, progress=False) == 7
    back = client.create_namespace(f"{space}-back", fields=fields)
    assert varve.io.import_file(back, path, progress=False).records_written == 7
    found = back.get(range(7))
    np.testing.assert_array_equal(found.vectors[:6], some)
    assert found.without[""].tolist() == [6] and found.without["tokens"].tolist() == [4, 5]
    for i in range(4):
        np.testing.assert_array_equal(found.fields["tokens"][i], tokens[i])
    np.testing.assert_array_equal(found.fields["tokens"][6], tokens[0])


def test_an_attribute_of_several_types_goes_both_ways(client, space, tmp_path):
    ns = client.create_namespace(space, 2)
    mixed = [{"x": 1}, {"x": "one"}, {"x": [1, 2]}, {"y": [1, "a"]}, {"z": []}, {"w": 1}, {"w": 2.5}]
    ns.upsert(range(7), np.ones((7, 2)), mixed)
    path = tmp_path / "mixed.parquet"
    varve.io.export_file(ns, path, progress=False)
    back = client.create_namespace(f"{space}-back", 2)
    varve.io.import_file(back, path, progress=False)
    found = back.get(range(7)).metadata
    assert found[:5] == mixed[:5]
    assert found[5:] == [{"w": 1.0}, {"w": 2.5}]


def test_an_export_has_the_records_and_attributes_asked_for(filled, tmp_path):
    path = tmp_path / "some.parquet"
    done = varve.io.export_file(
        filled, path, filter={"n": {"$lt": 10}}, metadata=["colour", "size.eu"], progress=False
    )
    assert done == 10
    found = pa.parquet.read_table(path)
    assert found.column_names == ["id", "vector", "colour", "size.eu"]
    assert found.schema.field("vector").type == pa.list_(pa.float32(), DIMENSION)
    assert found["size.eu"].to_pylist() == list(range(30, 40))


def test_an_empty_namespace_makes_a_file_without_rows(client, space, tmp_path):
    ns = client.create_namespace(space, 4)
    for suffix in (".parquet", ".arrow", ".jsonl", ".csv", ".hdf5"):
        path = tmp_path / f"empty{suffix}"
        assert varve.io.export_file(ns, path, progress=False) == 0
        assert path.exists()
    for suffix in (".parquet", ".arrow", ".csv", ".hdf5"):
        result = varve.io.import_file(ns, tmp_path / f"empty{suffix}", progress=False)
        assert result.rows == 0


def test_an_attribute_with_the_name_of_a_column_is_refused_and_another_name_helps(
    client, space, tmp_path
):
    ns = client.create_namespace(space, 2)
    ns.upsert([1], [[1, 2]], [{"id": "x"}])
    for suffix in (".jsonl", ".csv", ".parquet"):
        path = tmp_path / f"out{suffix}"
        with pytest.raises(varve.InvalidArgument, match="'id' is one; give another as id"):
            varve.io.export_file(ns, path, progress=False)
        assert list(tmp_path.iterdir()) == []
        assert varve.io.export_file(ns, path, id="key", progress=False) == 1
        assert next(varve.io.read(path, id="key"))[2]["id"] == ["x"]
        path.unlink()


def test_a_failed_export_leaves_nothing_behind(client, space, tmp_path):
    fields = [varve.VectorField(2), varve.VectorField(2, name="other")]
    ns = client.create_namespace(space, fields=fields)
    ns.upsert([1], [[1, 2]])
    with pytest.raises(varve.InvalidArgument, match="x.hdf5: record 1, column 'other': must be a vector"):
        varve.io.export_file(ns, tmp_path / "x.hdf5", progress=False)
    with pytest.raises(varve.NotFound):
        varve.io.export_file(client.namespace("io-none"), tmp_path / "x.parquet", progress=False)
    with pytest.raises(varve.InvalidArgument, match="suffix must be one of .parquet"):
        varve.io.export_file(ns, tmp_path / "x.txt", progress=False)
    assert list(tmp_path.iterdir()) == []


# --- Reading ---


def test_chunks_of_arrow_are_views_of_its_memory(tmp_path):
    path = tmp_path / "x.arrow"
    with pa.ipc.new_file(str(path), table().schema) as file:
        file.write_table(table())
    (ids, vectors, metadata), *rest = varve.io.read(path, batch_size=128)
    assert [len(chunk[0]) for chunk in rest] == [128, 44]
    assert metadata is None and ids.tolist() == list(range(128))
    assert not vectors.flags.owndata and not vectors.flags.writeable
    np.testing.assert_array_equal(vectors, VECTORS[:128])


@pytest.mark.parametrize("element", ["float32", "float64", "float16", "uint8", "int8", "int64"])
@pytest.mark.parametrize("form", ["fixed", "list", "large list"])
def test_lists_of_every_form_and_type_are_vectors(client, space, tmp_path, element, form):
    vectors = RNG.integers(0, 100, (40, 5)).astype(element)
    column = lists(vectors)
    if form != "fixed":
        kind = pa.list_ if form == "list" else pa.large_list
        column = column.cast(kind(column.type.value_type))
    path = tmp_path / "x.parquet"
    pa.parquet.write_table(pa.table({"embedding": column}), path, row_group_size=7)
    kept = element if element in ("float16", "uint8", "int8") else "float32"
    (field,) = varve.io.fields_of(path)
    assert (field.dimension, field.element_type) == (5, kept)
    ns = client.create_namespace(space, fields=[field])
    varve.io.import_file(ns, path, progress=False)
    found = ns.get(range(40))
    assert found.vectors.dtype == kept
    np.testing.assert_array_equal(found.vectors, vectors)


def test_columns_of_arrow_are_metadata_of_their_type(client, space, tmp_path):
    day = datetime.date(2026, 3, 1)
    columns = {
        "whole": pa.array([i if i % 2 else None for i in range(ROWS)], pa.int32()),
        "small": pa.array(np.arange(ROWS) % 200, pa.uint8()),
        "real": pa.array([i / 2 if i % 2 else None for i in range(ROWS)], pa.float32()),
        "flag": pa.array([i % 2 == 0 if i % 3 else None for i in range(ROWS)]),
        "word": pa.array(["a", None, "c"] * 100).dictionary_encode(),
        "naive": pa.array([datetime.datetime(2026, 1, 1, 12)] * ROWS, pa.timestamp("ns")),
        "zoned": pa.array([NEW_YEAR, None] * 150, pa.timestamp("ms", tz="Europe/Berlin")),
        "day": pa.array([day] * ROWS),
        "numbers": pa.array([[i, i + 1] for i in range(ROWS)], pa.list_(pa.int16())),
        "times": pa.array([[NEW_YEAR]] * ROWS, pa.list_(pa.timestamp("us"))),
        "object": pa.array([{"a": i, "b": {"c": "d"}} for i in range(ROWS)]),
        "nothing": pa.nulls(ROWS),
    }
    path = tmp_path / "x.parquet"
    pa.parquet.write_table(table(**columns), path)
    ns = client.create_namespace(space, DIMENSION)
    varve.io.import_file(ns, path, progress=False)
    zero, one = ns.get([0, 1]).metadata
    noon = datetime.datetime(2026, 1, 1, 12, tzinfo=UTC)
    always = {
        "naive": noon,
        "day": datetime.datetime(2026, 3, 1, tzinfo=UTC),
        "times": [NEW_YEAR],
    }
    assert zero == always | {
        "small": 0, "word": "a", "zoned": NEW_YEAR, "numbers": [0, 1],
        "object": {"a": 0, "b": {"c": "d"}},
    }  # fmt: skip
    assert one == always | {
        "whole": 1, "small": 1, "real": 0.5, "flag": False, "numbers": [1, 2],
        "object": {"a": 1, "b": {"c": "d"}},
    }  # fmt: skip
    assert isinstance(one["whole"], int) and isinstance(one["flag"], bool)


def test_only_the_metadata_asked_for_is_read(tmp_path):
    path = tmp_path / "x.parquet"
    bytes_ = pa.array([b"x"] * ROWS)
    pa.parquet.write_table(table(a=range(ROWS), b=range(ROWS), image=bytes_), path)
    assert list(next(varve.io.read(path, metadata=["b"]))[2]) == ["b"]
    assert next(varve.io.read(path, metadata=False))[2] is None
    with pytest.raises(varve.InvalidArgument, match="column 'image': must be text.*, is binary"):
        next(varve.io.read(path))


def test_an_arrow_stream_and_a_compressed_feather_file_are_read(tmp_path):
    stream = tmp_path / "stream.arrow"
    with pa.ipc.new_stream(str(stream), table().schema) as file:
        file.write_table(table())
    feather = tmp_path / "x.feather"
    pa.feather.write_feather(table(), feather, compression="lz4", chunksize=100)
    for path in (stream, feather):
        vectors = np.concatenate([chunk[1] for chunk in varve.io.read(path)])
        np.testing.assert_array_equal(vectors, VECTORS)


def test_json_lines_take_their_vectors_from_beside(client, space, tmp_path):
    path = tmp_path / "x.jsonl.gz"
    write_jsonl(path, [{"id": f"r{i}", "n": i, "o": {"p": i}} for i in range(ROWS)])
    np.save(tmp_path / "x.npy", VECTORS)
    ns = client.create_namespace(space, DIMENSION)
    varve.io.import_file(ns, path, vectors=tmp_path / "x.npy", progress=False)
    found = ns.get(["r0", "r299"])
    np.testing.assert_array_equal(found.vectors, VECTORS[[0, 299]])
    assert found.metadata == [{"n": 0, "o": {"p": 0}}, {"n": 299, "o": {"p": 299}}]


def test_a_csv_has_a_column_for_each_element_or_one_of_text(tmp_path):
    spread, text = tmp_path / "spread.csv", tmp_path / "text.csv"
    with spread.open("w") as file:
        writer = csv.writer(file)
        # Ten before two: the order is that of the numbers.
        order = [0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9]
        writer.writerow(["name", *(f"x{i}" for i in order), "n"])
        writer.writerow(["a", *map(float, order), 5])
    with text.open("w") as file:
        csv.writer(file).writerows([["name", "e", "n"], ["a", json.dumps(list(range(11))), 5]])
    for path, vector in ((spread, "x"), (text, "e")):
        ((ids, vectors, metadata),) = varve.io.read(path, vector=vector)
        assert ids.tolist() == [0]
        np.testing.assert_array_equal(vectors, [np.arange(11)])
        assert metadata == {"name": ["a"], "n": [5]}


def test_a_column_of_a_csv_is_what_all_of_its_values_look_like(tmp_path):
    path = tmp_path / "x.csv"
    names = ["id", "vector", "i", "d", "b", "t", "zip", "list", "mixed", "none"]
    first = ["7", "[1]", "1", "1", "true", "2026-01-01T00:00:00Z", "123", '["a"]', "1", ""]
    later = ["8", "[2]", "-5", "1e3", "", "2026-01-01 01:00:00.5+01:00", "01234", "[]", "x", ""]
    with path.open("w") as file:
        csv.writer(file).writerows([names, *[first] * 2000, later])
    *_, (ids, vectors, metadata) = varve.io.read(path, batch_size=2001)
    assert ids.dtype == np.uint64 and ids[-1] == 8
    half = datetime.timedelta(milliseconds=500)
    assert {name: column[-1] for name, column in metadata.items()} == {
        "i": -5, "d": 1000.0, "b": None, "t": NEW_YEAR + half, "zip": "01234", "list": [],
        "mixed": "x", "none": None,
    }  # fmt: skip
    assert metadata["d"][0] == 1.0 and metadata["zip"][0] == "123" and metadata["mixed"][0] == "1"


def test_an_ann_benchmarks_file_is_read_from_train(client, space, tmp_path):
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        file["train"] = VECTORS
        file["test"] = VECTORS[:10]
        file["neighbors"] = np.zeros((10, 100), np.int32)
        file["label"] = np.arange(ROWS) % 10
        file["words"] = [f"w{i}" for i in range(ROWS)]
    ns = client.create_namespace(space, fields=varve.io.fields_of(path))
    varve.io.import_file(ns, path, progress=False)
    found = ns.get([0, 299])
    np.testing.assert_array_equal(found.vectors, VECTORS[[0, 299]])
    assert found.metadata == [{"label": 0, "words": "w0"}, {"label": 9, "words": "w299"}]


@pytest.mark.parametrize("ids", ["numbers.npy", "numbers.txt", "texts.txt"])
def test_npy_takes_its_ids_from_beside(client, space, tmp_path, ids):
    np.save(tmp_path / "x.npy", VECTORS)
    np.save(tmp_path / "numbers.npy", np.arange(ROWS) + 1000)
    (tmp_path / "numbers.txt").write_text("".join(f"{i + 1000}\n" for i in range(ROWS)))
    (tmp_path / "texts.txt").write_text("".join(f"t{i}\n" for i in range(ROWS)))
    ns = client.create_namespace(space, DIMENSION)
    varve.io.import_file(ns, tmp_path / "x.npy", ids=tmp_path / ids, batch_size=70, progress=False)
    last = "t299" if ids == "texts.txt" else 1299
    np.testing.assert_array_equal(ns.get([last]).vectors, VECTORS[-1:])
    assert ns.count() == ROWS


def test_vectors_are_converted_to_the_fields_element_type(client, space, tmp_path):
    path = tmp_path / "x.jsonl"
    write_jsonl(path, [{"vector": [0, 255, 3.0]}])
    ns = client.create_namespace(space, 3, element_type="uint8")
    varve.io.import_file(ns, path, progress=False)
    assert ns.get([0]).vectors.tolist() == [[0, 255, 3]]
    for odd, found in ((256, "256.0"), (-1, "-1.0"), (0.5, "0.5")):
        write_jsonl(path, [{"vector": [1, 2, 3]}, {"vector": [1, 2, odd]}])
        with pytest.raises(varve.InvalidArgument) as error:
            varve.io.import_file(ns, path, progress=False)
        assert str(error.value) == (
            f"{path}: line 2, column 'vector': must be whole numbers of 0 to 255, is {found} at element 2"
        )
    half = client.create_namespace(f"{space}-half", 3, element_type="float16")
    varve.io.import_file(half, path, metadata=False, progress=False)
    assert half.get([1]).vectors.tolist() == [[1, 2, 0.5]]


def test_a_field_of_bfloat16_goes_both_ways(client, space, tmp_path):
    vectors = VECTORS.astype(ml_dtypes.bfloat16)
    ns = client.create_namespace(space, DIMENSION, element_type="bfloat16")
    ns.ingest(range(ROWS), vectors, progress=False)
    path = tmp_path / "x.parquet"
    varve.io.export_file(ns, path, progress=False)
    assert pa.parquet.read_schema(path).field("vector").type.value_type == pa.float32()
    back = client.create_namespace(f"{space}-back", DIMENSION, element_type="bfloat16")
    varve.io.import_file(back, path, progress=False)
    np.testing.assert_array_equal(everything(back)[1], vectors.astype(np.float32))


# --- Files that are wrong ---


def broken_table(column, values, kind=None):
    columns = {"id": list(range(3)), "vector": [[1.0, 2.0]] * 3}
    columns[column] = pa.array(values, kind)
    return pa.table(columns)


@pytest.mark.parametrize(
    "bad, message",
    [
        (("vector", [[1, 2], [3, 4], [5]]), "row 2, column 'vector': must be 2 numbers, is 1"),
        (("vector", [[1, 2], None, [3, 4]]), "row 1, column 'vector': must be a vector, is null"),
        (("vector", [[1, 2], [3, None], [3, 4]]),
         "row 1, column 'vector': must be numbers, is null at element 1"),
        (("vector", ["a", "b", "c"]), "column 'vector': must be lists of numbers, is string"),
        (("id", [1, None, 2]), "row 1, column 'id': must be an id, is null"),
        (("id", [1, 2, -3]), "row 2, column 'id': must be 0 to 2^64 - 1, is -3"),
        (("id", [1.5, 2, 3]), "column 'id': must be whole numbers or strings, is double"),
        (("n", [1, 2, 1 << 63], pa.uint64()),
         "row 2, column 'n': must be less than 2^63, is 9223372036854775808"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_bad_row_of_arrow_is_named(tmp_path, suffix, bad, message):
    path = tmp_path / f"bad{suffix}"
    wrong = broken_table(*bad)
    if suffix == ".parquet":
        pa.parquet.write_table(wrong, path)
    else:
        pa.feather.write_feather(wrong, path, compression="uncompressed")
    with pytest.raises(varve.InvalidArgument) as error:
        for _ in varve.io.read(path):
            pass
    assert str(error.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    "line, message",
    [
        ("{", "line 3: must be JSON: "),
        ("[1]", "line 3: must be a JSON object, is [1]"),
        ('{"id": 3, "vector": [1]}', "line 3, column 'vector': must be 2 numbers, is 1"),
        ('{"id": 3, "vector": [1, "x"]}',
         "line 3, column 'vector': must be numbers, is 'x' at element 1"),
        ('{"id": 3, "vector": 5}', "line 3, column 'vector': must be a list of numbers, is 5"),
        ('{"id": 3}', "line 3, column 'vector': must be a vector, is null"),
        ('{"vector": [1, 2]}', "line 3, column 'id': must be a number or text, is missing"),
        ('{"id": "a", "vector": [1, 2]}', "line 3, column 'id': must be a number or text, is 'a'"),
        ('{"id": -1, "vector": [1, 2]}', "line 3, column 'id': must be 0 to 2^64 - 1, is -1"),
    ],
)  # fmt: skip
def test_a_bad_line_of_json_is_named(tmp_path, line, message):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": 1, "vector": [1, 2]}\n\n' + line + "\n")
    with pytest.raises(varve.InvalidArgument) as error:
        for _ in varve.io.read(path):
            pass
    assert str(error.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "line 1: must have the names of the columns, is empty"),
        ("id,id\n", "line 1: names must differ, 'id' is there twice"),
        ('id,vector\n1,"[1,2]"\n2\n', "line 3: must have 2 values as the first line has names, has 1"),
        ('id,vector\n1,"[1,2]"\n2,x\n',
         "line 3, column 'vector': must be text like \"[1, 2.5]\", is 'x'"),
        ('id,vector\n1,"[1,2]"\n2,[1]\n', "line 3, column 'vector': must be 2 numbers, is 1"),
        ('id,vector\n1,"[1,2]"\n2,""\n', "line 3, column 'vector': must be a vector, is null"),
        ("id,vector_0,vector_1\n1,2,3\n2,3,y\n", "line 3, column 'vector_1': must be a number, is 'y'"),
        ("id,a\n1,2\n", "which column has the vectors must be given: there are 'id', 'a'"),
    ],
)  # fmt: skip
def test_a_bad_line_of_csv_is_named(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(varve.InvalidArgument) as error:
        for _ in varve.io.read(path):
            pass
    assert str(error.value) == f"{path}: {message}"


def test_a_value_that_is_not_of_the_declared_type_is_named(client, space, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('vector,when\n"[1,2]",2026-01-01T00:00:00Z\n"[1,2]",soon\n')
    ns = client.create_namespace(space, 2, attributes={"when": "timestamp"})
    with pytest.raises(varve.InvalidArgument, match="line 3, column 'when': must be a timestamp, is 'soon'"):
        varve.io.import_file(ns, path, progress=False)
    assert ns.count() == 0


def test_a_vector_that_does_not_fit_the_namespace_is_named(client, space, tmp_path):
    ns = client.create_namespace(space, 5)
    path = tmp_path / "x.parquet"
    pa.parquet.write_table(table(), path)
    with pytest.raises(varve.InvalidArgument, match="row 0, column 'vector': must be 5 numbers, is 8"):
        varve.io.import_file(ns, path, progress=False)


def test_a_number_that_is_not_finite_is_named_or_left_out(client, space, tmp_path):
    ns = client.create_namespace(space, DIMENSION)
    vectors = VECTORS.copy()
    vectors[250, 3] = np.nan
    path = tmp_path / "x.parquet"
    pa.parquet.write_table(pa.table({"vector": lists(vectors)}), path)
    with pytest.raises(varve.InvalidArgument) as error:
        varve.io.import_file(ns, path, batch_size=100, progress=False)
    assert "row 250, column 'vector': must be finite numbers, is nan at element 3" in str(error.value)
    result = varve.io.import_file(ns, path, batch_size=100, on_error="skip", progress=False)
    assert [one.row for one in result.row_errors] == [250]
    assert ns.count() == ROWS - 1


def test_files_beside_must_have_as_many_rows(client, space, tmp_path):
    np.save(tmp_path / "x.npy", VECTORS)
    np.save(tmp_path / "few.npy", np.arange(10))
    (tmp_path / "many.txt").write_text("1\n" * (ROWS + 1))
    for name, message in (
        ("few.npy", "must have one row for each record, has 10 and there are more"),
        ("many.txt", "must have one line for each record: 300, has more"),
    ):
        with pytest.raises(varve.InvalidArgument, match=message):
            for _ in varve.io.read(tmp_path / "x.npy", ids=tmp_path / name):
                pass


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".hdf5", ".npy", ".jsonl"])
def test_a_file_of_another_format_is_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"wrong{suffix}"
    path.write_text("this is a text file\nof several lines\n")
    with pytest.raises(varve.InvalidArgument, match=f"wrong{suffix}"):
        next(varve.io.read(path))
    with pytest.raises(OSError, match="none"):
        next(varve.io.read(tmp_path / f"none{suffix}"))


def test_a_package_that_is_missing_is_named_with_what_to_install(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"")
    (tmp_path / "x.h5").write_bytes(b"")
    code = (
        "import sys; sys.modules['pyarrow'] = sys.modules['h5py'] = None\n"
        "import varve.io\n"
        "for name in ('x.parquet', 'x.h5'):\n"
        "    try: varve.io.read(name)\n"
        "    except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        'x.parquet: .parquet files need pyarrow, which is not installed: pip install "varve[arrow]"',
        'x.h5: .h5 files need h5py, which is not installed: pip install "varve[hdf5]"',
    ], done.stderr


# --- Resuming ---


def test_an_import_under_a_producer_goes_on_where_it_ended(client, space, tmp_path):
    ns = client.create_namespace(space, DIMENSION)
    path = tmp_path / "x.parquet"
    pa.parquet.write_table(table(n=range(ROWS)), path)
    options = {"producer": "load", "batch_size": 64, "progress": False}
    assert varve.io.import_file(ns, path, **options).rows_resumed == 0
    again = varve.io.import_file(ns, path, **options)
    assert (again.rows, again.rows_resumed) == (ROWS, ROWS)
    pa.parquet.write_table(table(n=range(1, ROWS + 1)), path)
    assert varve.io.import_file(ns, path, **options).rows_resumed == 0  # it is another file
    assert ns.get([0]).metadata == [{"n": 1}]


def test_what_was_committed_before_a_bad_row_is_not_sent_again(client, space, tmp_path):
    ns = client.create_namespace(space, DIMENSION)
    path = tmp_path / "x.jsonl"
    rows = [{"id": i, "vector": VECTORS[i].tolist()} for i in range(ROWS)]
    write_jsonl(path, [*rows, {"id": ROWS}])
    options = {"producer": "load", "batch_size": 50, "progress": False}
    with pytest.raises(varve.InvalidArgument, match="line 301"):
        varve.io.import_file(ns, path, **options)
    before = ns.count()
    assert before % 50 == 0
    with pytest.raises(varve.InvalidArgument, match="line 301"):
        varve.io.import_file(ns, path, **options)
    assert ns.count() >= before


def test_imported_records_expire_when_told(client, space, tmp_path):
    ns = client.create_namespace(space, DIMENSION)
    np.save(tmp_path / "x.npy", VECTORS)
    past = datetime.timedelta(seconds=-5)
    varve.io.import_file(ns, tmp_path / "x.npy", expire=past, progress=False)
    assert ns.count() == 0
    later = datetime.datetime.now(UTC) + datetime.timedelta(hours=1)
    varve.io.import_file(ns, tmp_path / "x.npy", expire=later, progress=False)
    assert ns.count() == ROWS


# --- The command ---


@pytest.fixture
def run(server):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "varve", *map(str, arguments)],
            env=os.environ | {"VARVE_SERVER": server.address},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return run


def test_the_command_creates_imports_and_exports(client, run, space, tmp_path):
    path = tmp_path / "photos.parquet"
    columns = table(colour=["red", "blue"] * 150, n=range(ROWS))
    pa.parquet.write_table(columns.rename_columns(["photo", "embedding", "colour", "n"]), path)
    importing = [
        "import", path, "--namespace", space, "--create", "--metric", "cosine", "--id", "photo",
        "--metadata", "colour", "--producer", "p", "--expire", "+7d", "--quiet",
    ]  # fmt: skip
    done = run(*importing)
    assert (done.returncode, done.stderr) == (0, "")
    assert "300 rows" in done.stdout
    again = run(*importing)
    assert "300 were committed before" in again.stdout
    info = client.namespace(space).describe()
    assert (info.fields[0].metric, info.fields[0].dimension) == ("cosine", DIMENSION)
    out = tmp_path / "red.csv"
    done = run("export", space, out, "--filter", 'colour = "red"')
    assert done.returncode == 0 and "150 records" in done.stdout, done.stderr
    with out.open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "vector", "colour"]
    assert rows[2][0] == "2" and json.loads(rows[2][1]) == pytest.approx(VECTORS[2].tolist())


def test_the_command_says_what_is_wrong_and_fails(run, space, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, VECTORS)
    done = run("import", path, "--namespace", f"{space}-none", "--producer", "p")
    assert done.returncode == 1
    assert f'"{space}-none"' in done.stderr and "the same command goes on" in done.stderr
    assert "Traceback" not in done.stderr
    assert run("import", tmp_path / "none.npy", "--namespace", space).returncode == 1
    for wrong in (["import", path], ["import", path, "--namespace", "x", "--expire", "soon"], []):
        assert run(*wrong).returncode == 2


def test_a_row_that_is_skipped_is_listed(client, run, space, tmp_path):
    vectors = VECTORS.copy()
    vectors[5] = np.inf
    np.save(tmp_path / "x.npy", vectors)
    done = run("import", tmp_path / "x.npy", "--namespace", space, "--create", "--on-error", "skip")
    assert done.returncode == 0 and "row 5 (id 5): " in done.stderr
    assert client.namespace(space).count() == ROWS - 1


# --- Memory ---


def test_memory_is_bounded_by_batches_not_by_the_file(client, server, space, tmp_path):
    """Twice the file may not take much more: what is read is let go."""
    code = (
        "import sys, varve, varve.io\n"
        "def high():\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return next(int(l.split()[1]) for l in lines if l.startswith('VmHWM')) // 1024\n"
        "client = varve.Client(sys.argv[1])\n"
        "ns = client.namespace(sys.argv[2])\n"
        "varve.io.import_file(ns, sys.argv[3], progress=False)\n"
        "before = high()\n"
        "varve.io.import_file(ns, sys.argv[4], progress=False)\n"
        "varve.io.export_file(ns, sys.argv[4] + sys.argv[5], progress=False)\n"
        "print(high() - before)\n"
    )
    client.create_namespace(space, 256)
    large = RNG.standard_normal((100_000, 256), dtype=np.float32)  # 98 MiB
    for suffix in (".parquet", ".arrow"):
        small, all_ = tmp_path / f"small{suffix}", tmp_path / f"all{suffix}"
        for path, rows in ((small, 20_000), (all_, 100_000)):
            one = pa.table({"vector": lists(large[:rows]), "n": range(rows)})
            if suffix == ".parquet":
                pa.parquet.write_table(one, path)
            else:
                with pa.ipc.new_file(str(path), one.schema) as file:
                    file.write_table(one)
        grown = subprocess.run(
            [sys.executable, "-c", code, server.address, space, small, all_, suffix],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert int(grown.stdout) < 80, f"{suffix}: {grown.stdout} MiB"
