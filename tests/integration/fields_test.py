"""Named fields, fields of several vectors, expiry, and the other ways to search."""

import datetime
import time

import grpc
import numpy as np
import pytest

from testutil import v1
from testutil.api import CALL_SECONDS, METRICS, Api, array, fails_with, id_list, ids, tensor, timestamp
from testutil.vectors import distances, random_vectors

INVALID = grpc.StatusCode.INVALID_ARGUMENT
ROWS = 3000


def create(api, name, *fields, **options):
    """`fields`: (name, dimension, metric, multi_vector) each."""
    made = [
        v1.VectorField(name=field, dimension=dimension, metric=METRICS[metric], multi_vector=multi)
        for field, dimension, metric, multi in fields
    ]
    request = v1.CreateNamespaceRequest(namespace=v1.Namespace(name=name, fields=made, **options))
    return api.namespaces.CreateNamespace(request, timeout=CALL_SECONDS).namespace


def numbers(response) -> list[int]:
    return [hit.id.number for hit in response.hits]


def in_(seconds: float) -> v1.RecordBatch:
    return timestamp(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds))


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


@pytest.fixture(scope="module")
def two_fields(api) -> str:
    """Records 0 ... ROWS - 1 in field `image`, every third also in `text`, records above in `text` alone."""
    create(api, "two", ("image", 8, "l2", False), ("text", 4, "cosine", False))
    image, text = random_vectors(1, ROWS, 8), random_vectors(2, 2 * ROWS, 4)
    both = [i for i in range(ROWS) if i % 3 == 0]
    alone = [i for i in range(ROWS) if i % 3 != 0]
    rest = list(range(ROWS, 2 * ROWS))
    api.upsert("two", alone, {"image": image[alone]}, [{"n": i} for i in alone])
    api.upsert("two", both, {"text": text[both], "image": image[both]}, [{"n": i} for i in both])
    api.upsert("two", rest, {"text": text[rest]}, [{"n": i} for i in rest])
    api.wait_indexed("two")
    return "two"


def test_each_field_is_searched_by_itself(api, two_fields):
    image, text = random_vectors(1, ROWS, 8), random_vectors(2, 2 * ROWS, 4)
    in_text = [i for i in range(2 * ROWS) if i >= ROWS or i % 3 == 0]
    for i in (3, 300, 2997):
        assert numbers(api.search(two_fields, image[i], k=1, field="image")) == [i]
        assert numbers(api.search(two_fields, text[i], k=1, field="text")) == [i]
    found = numbers(api.search(two_fields, text[5000], k=50, field="text", exact=True))
    near = distances("cosine", text[in_text], text[5000:5001])[0]
    assert found == [in_text[i] for i in np.argsort(near, kind="stable")[:50]]
    with fails_with(INVALID, 'no vector field ""'):
        api.search(two_fields, image[0])
    with fails_with(INVALID, "dimension 8, the query has 4"):
        api.search(two_fields, text[0], field="image")


def test_records_of_all_fields_are_counted_once(api, two_fields):
    assert api.count(two_fields) == 2 * ROWS
    assert api.count(two_fields, "n < 10") == 10
    assert api.stats(two_fields).namespace.records == 2 * ROWS


def test_vectors_of_all_fields_come_back(api, two_fields):
    records = api.get(two_fields, [3, 4, ROWS]).records
    image, text = records.fields
    assert (image.field, text.field) == ("image", "text")
    assert list(image.missing) == [2] and list(text.missing) == [1]
    assert np.array_equal(array(image.dense)[:2], random_vectors(1, ROWS, 8)[3:5])
    assert np.array_equal(array(text.dense)[2], random_vectors(2, 2 * ROWS, 4)[ROWS])


def test_a_filter_works_in_every_field(api, two_fields):
    text = random_vectors(2, 2 * ROWS, 4)
    found = api.search(two_fields, text[0], field="text", k=5, filter="n >= 100 AND n < 110")
    assert sorted(numbers(found)) == [102, 105, 108]


def test_a_record_that_is_replaced_keeps_no_field(api, ns):
    create(api, ns, ("a", 2, "l2", False), ("b", 2, "l2", False))
    api.upsert(ns, [1], {"a": [[1, 1]], "b": [[2, 2]]})
    api.upsert(ns, [1], {"b": [[3, 3]]})
    assert not api.search(ns, [1, 1], field="a").hits
    assert numbers(api.search(ns, [3, 3], field="b")) == [1]
    assert api.count(ns) == 1
    api.delete(ns, [1])
    assert api.count(ns) == 0 and not api.search(ns, [3, 3], field="b").hits


def test_a_batch_of_a_wrong_field_is_refused(api, ns):
    create(api, ns, ("a", 2, "l2", False), ("b", 2, "l2", True))
    for vectors, words in [
        ({"c": [[1, 1]]}, 'no vector field "c"'),
        ({}, "at least one field"),
        ({"a": ([[1, 1]], [0, 1])}, "must be no offsets"),
        ({"b": [[1, 1]]}, "offsets must say which"),
        ({"b": ([[1, 1], [2, 2]], [0, 1])}, "offsets must be 2 numbers"),
        ({"b": ([[1, 1]], [0, 0, 1])}, "offsets must be 2 numbers"),
    ]:
        with fails_with(INVALID, words):
            api.upsert(ns, [1], vectors)
    with fails_with(INVALID, "row 1", "must have 1 to 10000 vectors, has 0"):
        api.upsert(ns, [1, 2], {"b": ([[1, 1]], [0, 1, 1])})


def max_sim(metric, documents, query) -> np.ndarray:
    """Of every document the sum, over the query's vectors, of the distance to the nearest of its own."""
    return np.array([distances(metric, document, query).min(axis=1).sum() for document in documents])


def some_documents(seed: int, count: int, dimension: int):
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 12, count)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    vectors = random_vectors(seed, int(offsets[-1]), dimension)
    return vectors, offsets, [vectors[a:b] for a, b in zip(offsets, offsets[1:])]


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_max_sim_is_what_brute_force_says(api, ns, metric):
    create(api, ns, ("", 16, metric, True), ("title", 2, "l2", False))
    vectors, offsets, documents = some_documents(5, 600, 16)
    titles = random_vectors(6, 600, 2)
    api.upsert(ns, range(600), {"": (vectors, offsets), "title": titles}, [{"n": i} for i in range(600)])
    api.wait_indexed(ns)
    assert api.count(ns) == 600
    for query in (random_vectors(7, 1, 16), random_vectors(8, 5, 16), documents[17]):
        wanted = max_sim(metric, documents, query)
        order = np.argsort(wanted, kind="stable")[:10]
        exact = api.search(ns, query, exact=True)
        assert numbers(exact) == order.tolist()
        assert [hit.distance for hit in exact.hits] == pytest.approx(wanted[order], rel=1e-4, abs=1e-4)
        found = api.search(ns, query)
        assert len(set(numbers(found)) & set(order.tolist())) >= 9
        assert [hit.distance for hit in found.hits] == pytest.approx(
            wanted[numbers(found)], rel=1e-4, abs=1e-4
        )
        few = api.search(ns, query, filter="n < 5")
        assert numbers(few) == np.argsort(wanted[:5], kind="stable").tolist()
    got = api.get(ns, [3, 17]).records.fields[0].ragged
    assert list(got.offsets) == [0, len(documents[3]), len(documents[3]) + len(documents[17])]
    assert np.array_equal(array(got.vectors)[: len(documents[3])], documents[3])
    with fails_with(INVALID, "search one by one"):
        api.search_batch(ns, vectors[:2])


def test_documents_survive_flush_compaction_deletion_and_a_kill(varved):
    vectors, offsets, documents = some_documents(5, 900, 8)
    query = random_vectors(9, 3, 8)
    wanted = max_sim("cosine", documents, query)
    kept = [i for i in range(900) if i % 4 != 0]

    def check(api):
        order = sorted(kept, key=wanted.__getitem__)[:20]
        assert numbers(api.search("docs", query, k=20, exact=True)) == order
        assert len(set(numbers(api.search("docs", query, k=20))) & set(order)) >= 19
        assert api.count("docs") == len(kept)

    with Api(varved.address) as api:
        create(api, "docs", ("", 8, "cosine", True))
        for begin in range(0, 900, 300):
            part = offsets[begin : begin + 301]
            piece = (vectors[part[0] : part[-1]], part - part[0])
            api.upsert("docs", range(begin, begin + 300), {"": piece})
            api.flush("docs")
        api.delete("docs", range(0, 900, 4))
        check(api)
    varved.kill()
    varved.start()
    with Api(varved.address) as api:
        check(api)
        api.compact("docs")
        check(api)
        assert sum(segment.rows for segment in api.segments("docs")) == sum(len(documents[i]) for i in kept)


def test_an_expired_record_is_in_no_read(api, ns):
    api.create(ns, 2)
    rows = [{"n": i} for i in range(4)]
    times = [in_(-1), in_(1000), timestamp(datetime.datetime(1970, 1, 1)), in_(1.5)]
    api.upsert(ns, range(4), [[i, i] for i in range(4)], rows, expire_times=times)
    found = [0, 1, 2, 3][1:]
    assert sorted(numbers(api.search(ns, [0, 0]))) == found
    deadline = time.monotonic() + CALL_SECONDS
    while api.count(ns) == 3 and time.monotonic() < deadline:
        pass
    assert sorted(numbers(api.search(ns, [0, 0]))) == [1, 2]
    assert sorted(numbers(api.search(ns, [0, 0], filter="n >= 0"))) == [1, 2]
    assert sorted(numbers(api.search(ns, [0, 0], exact=True))) == [1, 2]
    assert api.count(ns) == 2 and api.count(ns, "n >= 0") == 2
    got = api.get(ns, range(4), include_metadata=True)
    assert id_list(got.records.ids) == [1, 2] and id_list(got.missing) == [0, 3]
    assert [when.seconds for when in got.records.expire_times] == [times[1].seconds, 0]
    assert api.everything(ns)[0] == [1, 2]
    assert id_list(api.update_metadata(ns, [3], {"n": 7}).missing) == [3]
    api.upsert(ns, [3], [[3, 3]])
    assert api.count(ns) == 3


def test_the_default_ttl_is_for_records_without_a_time(api, ns):
    made = create(api, ns, ("", 2, "l2", False), default_ttl={"seconds": 3600})
    assert made.default_ttl.seconds == 3600
    far = timestamp(datetime.datetime(2100, 1, 1))
    before = now()
    api.upsert(ns, [1], [[1, 1]])
    api.upsert(ns, [2], [[1, 1]], expire_times=[far])
    first, second = api.get(ns, [1, 2], include_metadata=True).records.expire_times
    assert 3600 <= first.seconds - int(before.timestamp()) <= 3600 + CALL_SECONDS
    assert second == far


def test_expired_records_are_reclaimed(api, ns):
    api.create(ns, 2)
    api.upsert(ns, range(2000), random_vectors(1, 2000, 2), expire_times=[in_(-1)])
    api.upsert(ns, range(2000, 2010), random_vectors(1, 10, 2))
    assert api.count(ns) == 10
    deadline = time.monotonic() + CALL_SECONDS
    while api.stats(ns).namespace.dead_rows < 2000 and time.monotonic() < deadline:
        pass
    api.compact(ns)
    assert sum(segment.rows for segment in api.segments(ns)) == 10


@pytest.fixture(scope="module")
def plane(api) -> str:
    """Record i at (i, 0), with its group: i % 10, and none for every seventh."""
    api.create("plane", 2)
    vectors = np.array([[i, 0] for i in range(2000)], "<f4")
    rows = [{} if i % 7 == 0 else {"group": i % 10, "n": i} for i in range(2000)]
    api.upsert("plane", range(2000), vectors, rows)
    api.wait_indexed("plane")
    return "plane"


def test_offset_leaves_out_the_first_results(api, plane):
    found = numbers(api.search(plane, [100.2, 0], k=30))
    assert numbers(api.search(plane, [100.2, 0], k=10, offset=20)) == found[20:30]
    batch = api.search_batch(plane, [[100.2, 0]], k=10, offset=20)
    assert id_list(batch.ids) == found[20:30]
    with fails_with(INVALID, "offset + k must be at most 10000"):
        api.search(plane, [0, 0], k=10, offset=9991)


def test_max_distance_bounds_the_results(api, plane):
    found = api.search(plane, [100, 0], k=1000, max_distance=25)
    assert sorted(numbers(found)) == list(range(95, 106))
    assert not api.search(plane, [-100, 0], max_distance=25).hits


def test_group_by_finds_the_best_of_each_group(api, plane):
    found = api.search(plane, [1000.1, 0], k=10, group_by="group")
    assert sorted(hit.group.int64_value for hit in found.hits) == list(range(10))
    for hit in found.hits:
        members = [i for i in range(2000) if i % 7 != 0 and i % 10 == hit.group.int64_value]
        assert hit.id.number == min(members, key=lambda i: abs(i - 1000.1))
    two = api.search(plane, [1000.1, 0], k=3, group_by="group", group_size=2, filter="group < 5")
    groups = [hit.group.int64_value for hit in two.hits]
    assert len(groups) == 6 and groups[::2] == groups[1::2] and max(groups) < 5
    more = api.search(plane, [1000.1, 0], k=50, group_by="group")
    assert len(more.hits) == 10
    assert not api.search(plane, [0, 0], group_by="nothing").hits


def test_examples_stand_for_a_query(api, plane):
    request = v1.SearchRequest(
        namespace=plane, examples=v1.Examples(positive=ids([100, 102]), negative=ids([81])),
        options=v1.SearchOptions(k=3),
    )  # fmt: skip
    # The mean of the positive ones is 101, that of the negative one 81: away from it lies 121.
    assert sorted(numbers(api.query.Search(request, timeout=CALL_SECONDS))) == [120, 121, 122]
    request.examples.ClearField("negative")
    assert sorted(numbers(api.query.Search(request, timeout=CALL_SECONDS))) == [99, 101, 103]
    request.examples.positive.numbers.values.append(77_777)
    with fails_with(grpc.StatusCode.NOT_FOUND, "positive example 2 does not exist"):
        api.query.Search(request, timeout=CALL_SECONDS)
    request.query.CopyFrom(tensor([1, 1]))
    with fails_with(INVALID, "examples"):
        api.query.Search(request, timeout=CALL_SECONDS)


def test_diversity_spreads_the_results(api, plane):
    alike = numbers(api.search(plane, [500, 0], k=5))
    apart = numbers(api.search(
        plane, [500, 0], k=5, diversity=v1.Diversity(weight=0.7, candidates=100)))  # fmt: skip
    assert apart[0] == 500 and max(apart) - min(apart) > 3 * (max(alike) - min(alike))
    none = numbers(api.search(plane, [500, 0], k=5, diversity=v1.Diversity(weight=0)))
    assert none == alike
    with fails_with(INVALID, "diversity.weight must be 0 to 1"):
        api.search(plane, [0, 0], diversity=v1.Diversity(weight=2))
