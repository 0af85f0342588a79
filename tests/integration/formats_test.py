"""Every element type under each metric against brute force, and every kind of id."""

import grpc
import numpy as np
import pytest

from testutil import v1
from testutil.api import array, fails_with, id_list, tensor
from testutil.vectors import distances, nearest, random_vectors, tolerance, widen

ELEMENTS = {
    "f4": v1.DTYPE_F32,
    "f2": v1.DTYPE_F16,
    "bf16": v1.DTYPE_BF16,
    "u1": v1.DTYPE_U8,
    "i1": v1.DTYPE_I8,
}
ROWS, DIMENSION, QUERIES, K = 1500, 37, 10, 10  # enough rows to be linked into a graph


def check_against_brute_force(api, ns, metric, vectors, queries):
    """Exact search must answer as numpy does, up to rounding; a walk, nearly always."""
    wanted_rows, wanted = nearest(metric, vectors, queries, K)
    near = tolerance(metric, np.concatenate([widen(vectors), widen(queries)]))
    exact = api.search_batch(ns, queries, k=K, exact=True)
    assert list(exact.counts) == [K] * QUERIES
    found = np.array(exact.distances).reshape(QUERIES, K)
    assert np.abs(found - wanted).max() < near
    rows = np.array(id_list(exact.ids)).reshape(QUERIES, K)
    true = np.take_along_axis(distances(metric, vectors, queries), rows, axis=1)
    assert np.abs(found - true).max() < near
    walked = np.array(id_list(api.search_batch(ns, queries, k=K).ids)).reshape(QUERIES, K)
    pairs = zip(walked, wanted_rows, strict=True)
    assert sum(len(np.intersect1d(*pair)) for pair in pairs) >= 0.95 * QUERIES * K


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
@pytest.mark.parametrize("element", ELEMENTS)
def test_a_field_of_each_element_type_stores_and_finds_its_vectors(api, ns, element, metric):
    vectors = random_vectors(10, ROWS, DIMENSION, element)
    queries = random_vectors(11, QUERIES, DIMENSION, element)
    api.create(ns, DIMENSION, metric, ELEMENTS[element])
    api.upsert(ns, range(ROWS), vectors)
    api.wait_indexed(ns)
    stored = api.get(ns, range(ROWS)).records.fields[0].dense
    assert stored == tensor(vectors)  # type, shape and every byte
    check_against_brute_force(api, ns, metric, vectors, queries)


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
@pytest.mark.parametrize("element", ELEMENTS)
def test_a_float32_field_takes_every_element_type_without_loss(api, ns, element, metric):
    vectors = random_vectors(12, ROWS, DIMENSION, element)
    queries = random_vectors(13, QUERIES, DIMENSION, element)
    api.create(ns, DIMENSION, metric)
    api.upsert(ns, range(ROWS), vectors)
    api.wait_indexed(ns)
    stored = array(api.get(ns, range(ROWS)).records.fields[0].dense)
    assert stored.dtype == np.dtype("<f4")
    assert np.array_equal(stored, widen(vectors))
    check_against_brute_force(api, ns, metric, vectors, queries)


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_narrow_field_is_searched_with_float32_queries(api, ns, element):
    vectors = random_vectors(14, ROWS, DIMENSION, element)
    queries = random_vectors(15, QUERIES, DIMENSION)
    api.create(ns, DIMENSION, "l2", ELEMENTS[element])
    api.upsert(ns, range(ROWS), vectors)
    api.wait_indexed(ns)
    check_against_brute_force(api, ns, "l2", vectors, queries)


def test_extreme_values_of_each_type_come_back_bit_by_bit(api, ns):
    smallest = np.array([[1e-45, -0.0, 1.1754944e-38, 65504]], "<f4")
    api.create(ns, 4)
    api.upsert(ns, [1], smallest)
    assert array(api.get(ns, [1]).records.fields[0].dense).tobytes() == smallest.tobytes()
    halves = np.array([[6e-8, -65504, 0.1, -0.0]], "<f2")
    api.upsert(ns, [2], halves)
    assert np.array_equal(array(api.get(ns, [2]).records.fields[0].dense), halves.astype("<f4"))


@pytest.mark.parametrize("dimension", [1, 2, 3, 4096, 65_535])
def test_unusual_dimensions_are_stored_and_found(api, ns, dimension):
    vectors = random_vectors(16, 20, dimension)
    api.create(ns, dimension)
    api.upsert(ns, range(20), vectors)
    api.wait_indexed(ns)
    for exact in (False, True):
        hits = api.search(ns, vectors[7], k=3, exact=exact).hits
        assert hits[0].id.number == 7
        assert hits[0].distance == 0
    assert array(api.get(ns, [7]).records.fields[0].dense).tobytes() == vectors[7].tobytes()


NUMBERS = [0, 1, 255, 256, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
TEXTS = ["\x00", "\x00\x00", " ", "7", "a", "a/b?c", "ab", "x" * 512, "é", "ü" * 256, "北京", "😀"]


@pytest.mark.parametrize("keys", [NUMBERS, TEXTS], ids=["numbers", "texts"])
def test_every_kind_of_id_is_kept_found_and_scanned_in_order(api, ns, keys):
    vectors = random_vectors(17, len(keys), 4)
    api.create(ns, 4)
    shuffled = np.random.default_rng(18).permutation(len(keys))
    api.upsert(ns, [keys[i] for i in shuffled], vectors[shuffled])
    scanned, scanned_vectors = api.everything(ns)
    assert scanned == keys  # both lists above are in order: of number, of UTF-8 bytes
    assert np.array_equal(scanned_vectors, vectors)
    assert id_list(api.get(ns, keys[::-1]).records.ids) == keys[::-1]
    kind = "text" if isinstance(keys[0], str) else "number"
    for key, vector in zip(keys, vectors, strict=True):
        assert getattr(api.search(ns, vector, k=1).hits[0].id, kind) == key
    assert sorted(id_list(api.search_batch(ns, vectors, k=1).ids)) == sorted(keys)
    assert api.delete(ns, keys[::2]).records_deleted == len(keys[::2])
    assert api.everything(ns)[0] == keys[1::2]


def test_text_that_is_not_utf8_is_refused(api, ns):
    api.create(ns, 1)
    request = v1.UpsertRequest(
        namespace=ns, records=v1.RecordBatch(fields=[v1.FieldVectors(dense=tensor([[1]]))])
    )
    request.records.ids.texts.values.append("??")
    raw = request.SerializeToString().replace(b"??", b"\xff\xfe")
    upsert = api.channel.unary_unary("/varve.v1.IngestService/Upsert")
    with fails_with(grpc.StatusCode.INVALID_ARGUMENT, "UTF-8"):
        upsert(raw, timeout=60)
    assert api.count(ns) == 0
