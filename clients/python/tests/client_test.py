"""Every call of the client, and what it refuses."""

import datetime
import inspect
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import varve

RNG = np.random.default_rng(5)
UTC = datetime.timezone.utc


def vectors(rows, dimension=8):
    return RNG.standard_normal((rows, dimension), dtype=np.float32)


def test_the_package_under_test_is_the_installed_one():
    assert "site-packages" in pathlib.Path(varve.__file__).parts


def test_a_namespace_is_described_as_it_was_made(client, space):
    client.create_namespace(
        space,
        fields=[
            varve.VectorField(8, metric="cosine", index={"m": 8, "quantization": "none"}),
            varve.VectorField(4, name="colour", element_type="uint8", multi_vector=True),
        ],
        id_type="text",
        attributes={"price": "double", "tags": "list of string"},
        default_ttl=datetime.timedelta(days=2),
        limits={"max_vectors": 1 << 40, "max_k": 5},
    )
    info = client.namespace(space).describe()
    assert [field.name for field in info.fields] == ["", "colour"]
    assert info.fields[0].metric == "cosine" and info.fields[0].index["m"] == 8
    assert info.fields[0].index["quantization"] == "none"
    assert info.fields[1].element_type == "uint8" and info.fields[1].multi_vector
    assert info.id_type == "text"
    assert info.attributes == {"price": "double", "tags": "list of string"}
    assert info.default_ttl == datetime.timedelta(days=2)
    assert abs(info.create_time - datetime.datetime.now(UTC)) < datetime.timedelta(hours=1)
    assert info in client.list_namespaces()
    assert info.limits == {"max_vectors": 1 << 40, "max_k": 5}
    assert client.namespace(space).update_index(ef_search=99).fields[0].index["ef_search"] == 99


def test_limits_hold_and_can_be_changed_and_taken_away(client, space):
    ns = client.create_namespace(space, 8, limits={"max_vectors": 10, "max_k": 5})
    ns.upsert(range(10), vectors(10))
    with pytest.raises(varve.ResourceExhausted, match="max_vectors"):
        ns.upsert([10], vectors(1))
    with pytest.raises(varve.ResourceExhausted, match="max_k"):
        ns.search(vectors(1)[0], k=6)
    assert ns.update_limits(max_vectors=0, max_searches=7).limits == {"max_k": 5, "max_searches": 7}
    ns.upsert([10], vectors(1))


def test_search_finds_what_was_upserted_with_everything_asked_for(client, space):
    ns = client.create_namespace(space, 8)
    data = vectors(50)
    done = ns.upsert(range(50), data, [{"n": i, "odd": i % 2 == 1} for i in range(50)])
    assert (done.records_written, done.superseded_rows, done.row_errors) == (50, [], [])
    found = ns.search(
        data[7], k=3, filter={"odd": True}, include_vectors=True, explain=True,
        min_sequence=done.sequence,
    )  # fmt: skip
    assert found[0].id == 7 and found[0].distance == 0 and found[0].metadata == {"n": 7, "odd": True}
    np.testing.assert_array_equal(found[0].vector, data[7])
    assert len(found) == 3 and found.ids == [hit.id for hit in found]
    assert found.distances.dtype == np.float32
    assert found.explanation.segments[0].plan in ("scan", "walk", "filtered walk")
    assert ns.search(data[7], k=1, include_metadata=["n"])[0].metadata == {"n": 7}
    assert ns.search(data[7], k=1, include_metadata=False)[0].metadata is None
    assert ns.search(data[7], k=2, offset=1).ids[0] != 7
    assert ns.search(data[7], k=50, max_distance=0.0).ids == [7]
    groups = ns.search(data[7], k=2, group_by="odd", group_size=2)
    assert [hit.group for hit in groups] == [True, True, False, False]
    assert 7 not in ns.search(like=[7], unlike=[8], k=50).ids
    assert len(ns.search(data[7], k=5, diversity=varve.Diversity(0.9))) == 5


def test_a_batch_of_searches_is_the_same_as_one_after_the_other(client, space):
    ns = client.create_namespace(space, 8)
    data = vectors(300)
    ns.upsert(range(300), data)
    found = ns.search_batch(data[:20], k=5, exact=True)
    assert found.ids.shape == found.distances.shape == (20, 5) and found.ids.dtype == np.uint64
    for i in range(20):
        assert found.ids[i].tolist() == ns.search(data[i], k=5, exact=True).ids
    few = ns.search_batch(data[:2], k=400)
    assert few.counts.tolist() == [300, 300]
    assert np.isinf(few.distances[:, 300:]).all() and (few.ids[:, 300:] == 0).all()


def test_many_queries_go_in_several_calls(client, space):
    ns = client.create_namespace(space, 512)
    data = vectors(3000, 512)
    ns.ingest(range(3000), data, progress=False)
    found = ns.search_batch(data, k=1, exact=True)  # 6 MB of queries
    assert found.ids[:, 0].tolist() == list(range(3000))


def test_many_ids_are_asked_for_in_several_calls(client, space):
    ns = client.create_namespace(space, 8)
    data = vectors(5000)
    ns.ingest([f"id-{i}" for i in range(5000)], data, {"n": np.arange(5000)}, progress=False)
    records = ns.get([f"id-{i}" for i in (4999, *range(4000), 7777)])
    assert records.ids[0] == "id-4999" and len(records) == 4001 and records.missing == ["id-7777"]
    np.testing.assert_array_equal(records.vectors[1:], data[:4000])
    assert records.metadata[4000] == {"n": 3999}
    assert ns.delete([f"id-{i}" for i in range(4500)]).records_deleted == 4500
    assert ns.count() == 500


def test_scan_yields_all_records_in_order(client, space):
    ns = client.create_namespace(space, 8)
    data = vectors(9000)
    ns.ingest(np.arange(9000)[::-1].copy(), data[::-1], {"n": np.arange(9000)[::-1]}, progress=False)
    pages = list(ns.scan())
    assert len(pages) > 1
    assert np.concatenate([page.ids for page in pages]).tolist() == list(range(9000))
    np.testing.assert_array_equal(np.concatenate([page.vectors for page in pages]), data)
    assert pages[0].metadata[3] == {"n": 3}
    assert sum(len(page) for page in ns.scan(filter="n < 10", include_vectors=False)) == 10
    for page in ns.scan():
        break  # leaving early ends the call


def test_records_are_deleted_by_filter_after_a_look(client, space):
    ns = client.create_namespace(space, 8)
    ns.upsert(range(10), vectors(10), {"n": list(range(10))})
    look = ns.delete(filter={"n": {"$lt": 4}}, dry_run=True)
    assert look.records_deleted == 4 and sorted(look.sample.tolist()) == [0, 1, 2, 3]
    assert ns.count() == 10
    assert ns.delete(filter="n < 4").records_deleted == 4
    assert ns.count() == 6


def test_metadata_is_patched(client, space):
    ns = client.create_namespace(space, 8)
    ns.upsert(["a", "b"], vectors(2), [{"x": 1, "o": {"y": 2}}, None])
    done = ns.update_metadata(["a", "b", "c"], {"x": None, "o": {"z": [1, "q"]}})
    assert done.records_updated == 2 and done.missing == ["c"]
    assert ns.get(["a", "b"]).metadata == [
        {"o": {"y": 2, "z": [1, "q"]}},
        {"o": {"z": [1, "q"]}},
    ]
    assert ns.update_metadata(["a", "b"], [{"n": 1}, {"n": 2}]).records_updated == 2
    assert [one["n"] for one in ns.get(["a", "b"]).metadata] == [1, 2]


def test_every_type_of_metadata_comes_back(client, space):
    ns = client.create_namespace(space, 8)
    time = datetime.datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    metadata = {
        "text": "日本", "int": -(2**63), "real": 0.5, "flag": True, "time": time,
        "list": [1, 2.5, "x", False], "object": {"deep": {"er": 1}}, "empty": [],
    }  # fmt: skip
    ns.upsert([1], vectors(1), [{**metadata, "not kept": {}}])
    assert ns.get([1]).metadata == [metadata]
    assert ns.count(filter={"time": {"$gte": time}}) == 1


def test_columns_of_metadata_leave_out_what_is_missing(client, space):
    ns = client.create_namespace(space, 8)
    columns = {
        "int": np.array([1, 2, 3]),
        "real": np.array([0.5, np.nan, 1.5]),
        "text": ["a", None, "c"],
        "flag": [True, False, None],
        "time": np.array(["2026-01-01", "NaT", "2026-01-02"], "datetime64[s]"),
        "mixed": [1, "x", [1, 2]],
        "never": [None, None, None],
    }
    ns.upsert([1, 2, 3], vectors(3), columns)
    first, second, third = ns.get([1, 2, 3]).metadata
    assert second == {"int": 2, "flag": False, "mixed": "x"}
    assert first["time"] == datetime.datetime(2026, 1, 1, tzinfo=UTC) and third["mixed"] == [1, 2]
    assert third["real"] == 1.5 and "never" not in first


def test_records_expire(client, space):
    ns = client.create_namespace(space, 8)
    past = datetime.datetime(2020, 1, 1, tzinfo=UTC)
    ns.upsert([1, 2, 3], vectors(3), expire_time=[past, None, past])
    assert ns.count() == 1
    ns.upsert([4], vectors(1), expire_time=past)
    assert ns.count() == 1


def test_multi_vector_and_named_fields(client, space):
    ns = client.create_namespace(
        space,
        fields=[varve.VectorField(4, multi_vector=True), varve.VectorField(2, name="small")],
    )
    documents = [vectors(3, 4), vectors(1, 4), vectors(5, 4)]
    ns.ingest(["a", "b", "c"], {"": documents, "small": np.eye(3, 2)}, progress=False)
    found = ns.search(documents[2], k=1, include_vectors=True)
    assert found.ids == ["c"]
    np.testing.assert_array_equal(found[0].vector, documents[2])
    assert ns.search(np.array([0.0, 1.0]), k=1, field="small").ids == ["b"]
    records = ns.get(["a", "c"])
    assert isinstance(records.vectors, varve.Ragged)
    np.testing.assert_array_equal(records.vectors[1], documents[2])
    assert [len(one) for one in varve.Ragged.of(documents)[1:]] == [1, 5]


def test_upkeep_and_figures(client, space):
    ns = client.create_namespace(space, 8)
    ns.upsert(range(500), vectors(500))
    ns.flush()
    ns.compact()
    ns.wait_indexed(progress=False)
    progress = list(ns.watch_indexing())[-1]
    assert progress.indexed_rows == progress.total_rows == 500
    (segment,) = ns.segments()
    assert segment.state == "sealed" and segment.live_rows == 500
    assert ns.stats().records == 500
    assert client.stats().namespaces >= 1 and client.stats().version


def test_snapshots_are_made_verified_restored_and_deleted(client, space):
    ns = client.create_namespace(space, 8)
    data = vectors(200)
    done = ns.upsert(range(200), data, [{"n": i} for i in range(200)])
    made = client.create_snapshot(f"snap-{space}", namespace=space)
    assert (made.name, made.only_namespace) == (f"snap-{space}", space)
    assert made.namespaces == {space: done.sequence} and made.bytes > 0
    assert abs(made.create_time - datetime.datetime.now(UTC)) < datetime.timedelta(hours=1)
    assert made in client.list_snapshots()
    with pytest.raises(varve.AlreadyExists):
        client.create_snapshot(made.name)
    report = client.verify_snapshot(made.name)
    assert report.clean and (report.namespaces, report.records) == (1, 200)

    ns.delete(filter="n >= 100")
    with pytest.raises(varve.AlreadyExists):
        client.restore_snapshot(made.name)
    restored = client.restore_snapshot(made.name, as_=f"{space}-restored")
    assert restored.name == f"{space}-restored"
    assert (restored.count(), ns.count()) == (200, 100)
    assert restored.search(data[150], k=1)[0].metadata == {"n": 150}

    client.delete_snapshot(made.name)
    assert made not in client.list_snapshots()
    with pytest.raises(varve.NotFound, match=made.name):
        client.verify_snapshot(made.name)


def test_a_snapshot_of_all_namespaces_is_named_by_the_time(client, space):
    client.create_namespace(space, 8)
    made = client.create_snapshot()
    assert datetime.datetime.strptime(made.name, "%Y%m%dT%H%M%SZ")
    assert made.only_namespace is None
    assert set(made.namespaces) == {one.name for one in client.list_namespaces()}
    assert client.restore_snapshot(made.name, namespace=space, as_=f"{space}-as").count() == 0
    client.delete_snapshot(made.name)


REFUSED = {
    "a text for ids": (lambda ns: ns.upsert("abc", vectors(3)), r"ids must be several"),
    "a negative id": (lambda ns: ns.upsert([1, -2], vectors(2)), r"ids\[1\] must be 0 to 2\^64"),
    "mixed ids": (lambda ns: ns.upsert([1, "a"], vectors(2)), r"ids\[1\] must be a number"),
    "ids with a fraction": (lambda ns: ns.upsert(np.array([0.5]), vectors(1)), "whole numbers"),
    "one vector too many": (lambda ns: ns.upsert([1], vectors(2)), "one for each id: 1, are 2"),
    "one dimension": (lambda ns: ns.upsert([1], vectors(1)[0]), r"shape \[rows, dimension\]"),
    "texts for vectors": (lambda ns: ns.upsert([1], [["a"]]), "must be numbers"),
    "metadata of another length": (lambda ns: ns.upsert([1], vectors(1), []), "one for each id: 1"),
    "a column of another length": (
        lambda ns: ns.upsert([1], vectors(1), {"a": [1, 2]}),
        r"metadata\['a'\] must have one value for each id: 1, has 2",
    ),
    "an odd value": (
        lambda ns: ns.upsert([1, 2], vectors(2), [{}, {"a": object()}]),
        r"metadata\[1\]\['a'\] must be text, a number",
    ),
    "a time without a zone": (
        lambda ns: ns.upsert([1], vectors(1), [{"t": datetime.datetime(2026, 1, 1)}]),
        "with a time zone",
    ),
    "a wrong dimension": (lambda ns: ns.search(np.zeros(3)), "dimension 8, the query has 3"),
    "a wrong filter": (lambda ns: ns.search(np.zeros(8), filter="a <"), "column"),
    "no query": (lambda ns: ns.search(), "either query or like"),
    "a fraction for k": (lambda ns: ns.search(np.zeros(8), k=1.5), "k must be a whole number"),
    "ids and filter": (lambda ns: ns.delete([1], filter="a = 1"), "either ids or filter"),
    "an odd durability": (
        lambda ns: ns.upsert([1], vectors(1), durability="maybe"),
        "durability must be one of applied, synced",
    ),
    "an odd limit": (lambda ns: ns.update_limits(max_speed=9), "no limit"),
    "a limit that is too large": (lambda ns: ns.update_limits(max_k=1 << 32), "less than 2.32"),
    "an odd option": (lambda ns: ns.update_index(speed=9), "no index option"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_is_refused_in_words(client, space, what):
    call, words = REFUSED[what]
    ns = client.create_namespace(space, 8)
    with pytest.raises(varve.InvalidArgument, match=words):
        call(ns)
    assert ns.count() == 0


def test_errors_have_classes_that_python_knows(client, space):
    with pytest.raises(varve.NotFound, match=f'no namespace "{space}"') as raised:
        client.namespace(space).count()
    assert raised.value.code == "NOT_FOUND" and isinstance(raised.value, LookupError)
    client.create_namespace(space, 8)
    with pytest.raises(varve.AlreadyExists):
        client.create_namespace(space, 8)
    with pytest.raises(varve.InvalidArgument, match="host:port"):
        varve.Client("nowhere")
    with varve.Client("127.0.0.1:1", timeout=5) as nobody, pytest.raises(varve.Unavailable):
        nobody.list_namespaces()
    with pytest.raises(varve.DeadlineExceeded):
        client.namespace(space).with_timeout(0.2).count(min_sequence=10**9)


def test_a_closed_client_says_so(server):
    client = varve.Client(server.address)
    client.close()
    with pytest.raises(varve.Cancelled, match="closed"):
        client.list_namespaces()


def test_results_show_themselves_in_notebooks(client, space):
    ns = client.create_namespace(space, 8)
    ns.upsert([1, 2], vectors(2), [{"a": "<b>"}, {}])
    found = ns.search(np.zeros(8), k=2)
    assert "2 hits" in repr(found) and "&lt;b&gt;" in found._repr_html_()
    assert "2 records" in repr(ns.get([1, 2])) and "<table>" in ns._repr_html_()
    assert space in repr(ns)


def test_methods_have_their_own_signatures_and_words():
    for kind in (varve.Client, varve.Namespace):
        for name, method in vars(kind).items():
            if name.startswith("_") or not callable(method):
                continue
            assert method.__doc__, f"{kind.__name__}.{name} has no docstring"
            assert list(inspect.signature(method).parameters)[0] == "self", name
    assert "filter" in inspect.signature(varve.Namespace.search).parameters


def test_importing_the_package_is_cheap_in_what_it_drags_in():
    code = "import sys, varve; print([m for m in ('pandas', 'pyarrow', 'tqdm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
