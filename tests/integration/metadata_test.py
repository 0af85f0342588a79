"""Metadata, and the filters on it: what comes back, what is found, what is refused."""

import datetime

import grpc
import numpy as np
import pytest

from testutil import v1
from testutil.api import CALL_SECONDS, Api, fails_with, id_list, plain, tensor
from testutil.vectors import distances, random_vectors

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOON = datetime.datetime(2026, 11, 21, 12, 0, 0, 250_000, datetime.timezone.utc)
ROWS, DIMENSION = 4000, 16
COLOURS = ["red", "green", "blue", "black"]


def attributes(i: int) -> dict:
    """Of record i: all that filters can ask about."""
    row = {
        "colour": COLOURS[i % 4],
        "price": i / 8,
        "stock": i % 50,
        "sold": i % 3 == 0,
        "tags": [f"t{i % 5}", f"u{i % 7}"],
        "size": {"eu": 30 + i % 20, "name": f"size {i % 20}"},
        "seen": NOON + datetime.timedelta(hours=i),
    }
    if i % 10 == 0:
        del row["price"]
    return row


@pytest.fixture(scope="module")
def shop(api) -> str:
    """ROWS records with attributes(i), the first half of them in a sealed segment; do not write to it."""
    api.create("shop", DIMENSION)
    vectors = random_vectors(3, ROWS, DIMENSION)
    half = ROWS // 2
    api.upsert("shop", range(half), vectors[:half], [attributes(i) for i in range(half)])
    api.flush("shop")
    api.upsert("shop", range(half, ROWS), vectors[half:], [attributes(i) for i in range(half, ROWS)])
    api.wait_indexed("shop")
    return "shop"


FILTERS = [
    ('colour = "red"', lambda row: row["colour"] == "red"),
    ("colour = red AND price < 100", lambda row: row["colour"] == "red" and row.get("price", 1e9) < 100),
    ("price >= 100 AND price <= 200", lambda row: 100 <= row.get("price", -1) <= 200),
    ("NOT sold AND stock != 7", lambda row: not row["sold"] and row["stock"] != 7),
    ("sold tags:t3", lambda row: row["sold"] and "t3" in row["tags"]),
    ("tags:u1 OR tags:u2", lambda row: {"u1", "u2"} & set(row["tags"])),
    ('colour IN ("blue", "black") AND size.eu > 45',
     lambda row: row["colour"] in ("blue", "black") and row["size"]["eu"] > 45),
    ('size.name = "size 1*"', lambda row: row["size"]["name"].startswith("size 1")),
    ("NOT price:*", lambda row: "price" not in row),
    ("size:* AND stock = 3.0", lambda row: row["stock"] == 3),
    ('seen < "2026-11-22T12:00:00Z"',
     lambda row: row["seen"] < datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.timezone.utc)),
    ('colour = "mauve"', lambda row: False),
    ("stock < 0 OR stock >= 0", lambda row: True),
    ("price = 100 OR colour = red AND sold", lambda row: (row.get("price") == 100 or row["colour"] == "red") and row["sold"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "keep"), FILTERS)
def test_a_filter_finds_what_satisfies_it(api, shop, text, keep):
    wanted = [i for i in range(ROWS) if keep(attributes(i))]
    assert api.count(shop, text) == len(wanted)
    scanned = [i for part in api.scan(shop, include_vectors=False, text=text) for i in id_list(part.records.ids)]
    assert scanned == wanted
    vectors = random_vectors(3, ROWS, DIMENSION)
    queries = random_vectors(4, 5, DIMENSION)
    for query in queries:
        nearest = sorted(wanted, key=dict(enumerate(distances("l2", vectors, query[None])[0])).get)[:10]
        exact = api.search(shop, query, filter=text, exact=True)
        assert [hit.id.number for hit in exact.hits] == nearest
        found = api.search(shop, query, filter=text)
        assert len(found.hits) == min(10, len(wanted))
        assert len({hit.id.number for hit in found.hits} & set(nearest)) >= 0.8 * len(nearest)
        assert all(keep(attributes(hit.id.number)) for hit in found.hits)


def test_a_filter_may_be_a_tree(api, shop):
    tree = v1.Filter(
        all_of=v1.FilterList(
            filters=[
                v1.Filter(condition=v1.Condition(
                    path="colour", operator=v1.OPERATOR_IN,
                    values=[v1.Value(string_value="red"), v1.Value(string_value="blue")])),
                v1.Filter(negation=v1.Filter(text="sold")),
                v1.Filter(any_of=v1.FilterList(filters=[
                    v1.Filter(condition=v1.Condition(
                        path="stock", operator=v1.OPERATOR_LESS, values=[v1.Value(int64_value=5)])),
                    v1.Filter(condition=v1.Condition(path="tags", operator=v1.OPERATOR_HAS,
                                                     values=[v1.Value(string_value="u6")])),
                ])),
            ]
        )
    )  # fmt: skip
    count = api.query.Count(v1.CountRequest(namespace=shop, filter=tree), timeout=CALL_SECONDS).count
    assert count == api.count(shop, 'colour IN (red, blue) AND NOT sold AND (stock < 5 OR tags:u6)')
    assert 0 < count < ROWS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("price < AND sold", ["filter, column 9", "AND"]),
        ('colour = "red', ["filter, column 14", "column 10", "the end"]),
        ("(sold", ["filter, column 6"]),
        ("price <> 3", ["filter, column 8"]),
    ],
)
def test_an_error_in_a_filter_points_at_the_column(api, shop, text, words):
    with fails_with(INVALID, *words) as caught:
        api.search(shop, [0.0] * DIMENSION, filter=text)
    assert caught[0].bad_request.field_violations[0].field == "options.filter"


def test_a_condition_with_too_few_values_is_refused(api, shop):
    condition = v1.Condition(path="price", operator=v1.OPERATOR_LESS)
    request = v1.CountRequest(namespace=shop, filter=v1.Filter(condition=condition))
    with fails_with(INVALID, "price", "must have one value, has 0"):
        api.query.Count(request, timeout=CALL_SECONDS)


def test_explain_says_how_each_segment_was_searched(api, shop):
    found = api.search(shop, [0.1] * DIMENSION, filter="stock = 7", explain=True)
    segments = found.explanation.segments
    assert sum(segment.rows for segment in segments) == ROWS
    for segment in segments:
        assert segment.plan == v1.SEARCH_PLAN_SCAN
        assert segment.selectivity == pytest.approx(1 / 50, abs=0.01)
        assert segment.estimated_selectivity == pytest.approx(segment.selectivity, abs=0.01)
        assert segment.distances == pytest.approx(segment.selectivity * segment.rows, abs=1)
    walked = api.search(shop, [0.1] * DIMENSION, explain=True).explanation.segments
    assert {segment.plan for segment in walked} == {v1.SEARCH_PLAN_WALK}
    assert all(segment.hops > 0 and segment.rescored_rows > 0 for segment in walked)
    assert not api.search(shop, [0.1] * DIMENSION).HasField("explanation")


def test_metadata_comes_back_as_it_was(api, ns):
    api.create(ns, 2)
    row = {
        "text": "böot", "whole": -(2**63), "real": 0.1, "yes": True, "when": NOON, "none": [],
        "mixed": [1, 2.5, "x", False, NOON], "deep": {"er": {"still": 1}, "list": ["a"]},
    }  # fmt: skip
    api.upsert(ns, [1, 2], [[1, 2], [3, 4]], [row, {}])
    got = api.get(ns, [1, 2], include_metadata=True).records.metadata
    assert [plain(one) for one in got] == [row, {}]
    assert not api.get(ns, [1]).records.metadata
    chosen = api.get(ns, [1], include_metadata=True, metadata_paths=["deep.er", "yes"])
    assert plain(chosen.records.metadata[0]) == {"yes": True, "deep": {"er": {"still": 1}}}
    hit = api.search(ns, [1, 2], k=1, include_metadata=True).hits[0]
    assert plain(hit.metadata) == row
    scanned = [plain(one) for part in api.scan(ns, include_metadata=True) for one in part.records.metadata]
    assert scanned == [row, {}]


def test_metadata_by_column_is_the_same_as_by_record(api, ns):
    api.create(ns, 1)
    columns = [
        v1.MetadataColumn(path="name", strings=v1.StringColumn(values=["a", "b", "c"])),
        v1.MetadataColumn(path="size.eu", rows=[0, 2], int64s=v1.Int64Column(values=[40, 44])),
        v1.MetadataColumn(path="price", doubles=v1.DoubleColumn(values=[1.5, 2.5, 3.5])),
        v1.MetadataColumn(path="sold", bools=v1.BoolColumn(values=[True, False, True])),
        v1.MetadataColumn(path="seen", rows=[1], timestamps=v1.TimestampColumn(unix_micros=[1])),
        v1.MetadataColumn(path="any", rows=[1], any=v1.ListValue(values=[
            v1.Value(list_value=v1.ListValue(values=[v1.Value(int64_value=1)]))])),
    ]  # fmt: skip
    api.upsert(ns, [1, 2, 3], [[1], [2], [3]], metadata_columns=columns)
    got = [plain(one) for one in api.get(ns, [1, 2, 3], include_metadata=True).records.metadata]
    epoch = datetime.datetime(1970, 1, 1, 0, 0, 0, 1, datetime.timezone.utc)
    assert got == [
        {"name": "a", "size": {"eu": 40}, "price": 1.5, "sold": True},
        {"name": "b", "price": 2.5, "sold": False, "seen": epoch, "any": [1]},
        {"name": "c", "size": {"eu": 44}, "price": 3.5, "sold": True},
    ]
    short = [v1.MetadataColumn(path="name", strings=v1.StringColumn(values=["a"]))]
    with fails_with(INVALID, "must have 2 values, has 1"):
        api.upsert(ns, [1, 2], [[1], [2]], metadata_columns=short)


def test_a_bad_attribute_names_the_row_and_can_be_skipped(api, ns):
    api.create(ns, 1)
    rows = [{"a": 1}, {"a": float("nan")}, {"a": {"b": 1}, "a.b": 2}, {"x": 3}]
    with fails_with(INVALID, "row 1", '"a"', "finite"):
        api.upsert(ns, range(4), [[1]] * 4, rows)
    answer = api.upsert(ns, range(4), [[1]] * 4, rows, on_error=v1.ON_ERROR_SKIP)
    assert answer.records_written == 2
    assert [error.row for error in answer.row_errors] == [1, 2]
    assert "a.b" in answer.row_errors[1].message


def test_declared_attributes_must_be_of_their_type(api, ns):
    field = v1.VectorField(dimension=1)
    declared = [
        v1.AttributeSchema(path="price", type=v1.ATTRIBUTE_TYPE_DOUBLE),
        v1.AttributeSchema(path="tags", type=v1.ATTRIBUTE_TYPE_STRING, list=True),
    ]
    namespace = v1.Namespace(name=ns, fields=[field], attributes=declared)
    request = v1.CreateNamespaceRequest(namespace=namespace)
    made = api.namespaces.CreateNamespace(request, timeout=CALL_SECONDS).namespace
    assert list(made.attributes) == declared
    api.upsert(ns, [1], [[1]], [{"price": 1.0, "tags": ["a"], "other": 7}])
    with fails_with(INVALID, "row 1", '"price" must be double, is int64'):
        api.upsert(ns, [1, 2], [[1], [2]], [{}, {"price": 1}])
    with fails_with(INVALID, '"tags" must be a list of string, is no list'):
        api.upsert(ns, [1], [[1]], [{"tags": "a"}])
    with fails_with(INVALID, "id 0", '"price"'):
        api.update_metadata(ns, [1], {"price": "cheap"})


def test_an_update_changes_metadata_alone(api, ns):
    api.create(ns, 2)
    vectors = random_vectors(1, 3000, 2)
    api.upsert(ns, range(3000), vectors, [{"n": i, "o": {"a": 1, "b": 2}} for i in range(3000)])
    api.flush(ns)
    sealed = [segment.id for segment in api.segments(ns)]
    answer = api.update_metadata(ns, [5, 7, 9999], {"n": None, "o": {"a": "x"}, "new": [1]})
    assert answer.records_updated == 2 and id_list(answer.missing) == [9999]
    got = api.get(ns, [5, 6], include_metadata=True).records
    assert [plain(one) for one in got.metadata] == [
        {"o": {"a": "x", "b": 2}, "new": [1]},
        {"n": 6, "o": {"a": 1, "b": 2}},
    ]
    assert api.count(ns, "new:1") == 2 and api.count(ns, "n:*") == 2998
    assert {hit.id.number for hit in api.search(ns, vectors[5], filter="new:*").hits} == {5, 7}
    assert [segment.id for segment in api.segments(ns)] == sealed  # nothing was indexed again
    api.update_metadata(ns, [5, 7], {"own": 5}, {"own": 7})
    api.compact(ns)
    assert api.count(ns, "own = 7") == 1 and api.count(ns, "new:1") == 2
    assert api.count(ns, "o.a = x") == 2 and api.count(ns, "o.a = 1") == 2998


def test_a_deletion_by_filter_deletes_what_a_dry_run_said(api, ns):
    api.create(ns, 2)
    api.upsert(ns, range(100), random_vectors(1, 100, 2), [{"n": i} for i in range(100)])
    preview = api.delete_matching(ns, "n >= 30 AND n < 70", dry_run=True)
    assert preview.records_deleted == 40 and id_list(preview.sample) == list(range(30, 40))
    assert api.count(ns) == 100
    answer = api.delete_matching(ns, "n >= 30 AND n < 70")
    assert answer.records_deleted == 40
    assert api.count(ns) == 60 and api.count(ns, "n = 50") == 0
    assert api.delete_matching(ns, "n = 50").records_deleted == 0
    with fails_with(INVALID, "must not be set beside ids"):
        request = v1.DeleteRequest(namespace=ns, filter=v1.Filter(text="n = 1"))
        request.ids.numbers.values.append(1)
        api.ingest.Delete(request, timeout=CALL_SECONDS)


def test_a_filtered_scan_goes_on_from_its_token(api, shop):
    parts = api.scan(shop, include_vectors=False, text="stock = 7")
    first = next(parts)
    parts.cancel()
    rest = api.scan(shop, token=first.next_token, include_vectors=False, text="stock = 7")
    both = id_list(first.records.ids) + [i for part in rest for i in id_list(part.records.ids)]
    assert both == [i for i in range(ROWS) if i % 50 == 7]


def test_metadata_survives_a_killed_server(varved):
    vectors = random_vectors(1, 3000, 2)
    with Api(varved.address) as api:
        api.create("ns", 2)
        api.upsert("ns", range(2000), vectors[:2000], [{"n": i} for i in range(2000)])
        api.flush("ns")
        api.update_metadata("ns", [3], {"n": "changed"})
        api.upsert("ns", range(2000, 3000), vectors[2000:], [{"n": i} for i in range(2000, 3000)])
        api.update_metadata("ns", [2500], {"n": "changed"})
    varved.kill()
    varved.start()
    with Api(varved.address) as api:
        assert api.count("ns") == 3000
        assert api.count("ns", "n = changed") == 2
        assert api.count("ns", "n >= 1999 AND n < 2002") == 3
        hits = api.search("ns", vectors[3], filter="n = changed", include_metadata=True).hits
        assert [hit.id.number for hit in hits][:1] == [3]
        assert plain(hits[0].metadata) == {"n": "changed"}


def test_tensor_shapes_of_a_search_are_checked(api, shop):
    with fails_with(INVALID, "SearchBatch"):
        request = v1.SearchRequest(namespace=shop, query=tensor(np.zeros((2, DIMENSION), "<f4")))
        request.options.k = 1
        api.query.Search(request, timeout=CALL_SECONDS)
