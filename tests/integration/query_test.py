"""QueryService: searches of all kinds, get, scan, count; limits, deadlines and their errors."""

import threading

import grpc
import numpy as np
import pytest

from testutil import v1
from testutil.api import CALL_SECONDS, array, fails_with, id_list, opening, tensor
from testutil.vectors import nearest, random_vectors

INVALID = grpc.StatusCode.INVALID_ARGUMENT
ROWS, DIMENSION = 12_000, 8
VECTORS = random_vectors(20, ROWS, DIMENSION)
SLOW_ROWS, SLOW_DIMENSION = 60_000, 64


@pytest.fixture(scope="module")
def filled(api) -> str:
    """A namespace with more records than any search may ask for, indexed; do not write to it."""
    api.create("filled", DIMENSION)
    api.upsert("filled", range(ROWS), VECTORS)
    api.wait_indexed("filled")
    return "filled"


def numbers(hits) -> list[int]:
    return [hit.id.number for hit in hits]


def test_search_returns_k_hits_nearest_first(api, filled):
    found = api.search(filled, VECTORS[5], k=100)
    assert len(found.hits) == 100
    assert found.hits[0].id.number == 5
    measured = [hit.distance for hit in found.hits]
    assert measured == sorted(measured)
    wanted, _ = nearest("l2", VECTORS, VECTORS[5:6], 100)
    assert len(set(numbers(found.hits)) & set(wanted[0].tolist())) >= 97


@pytest.mark.parametrize("exact", [False, True])
def test_k_may_be_ten_thousand(api, filled, exact):
    found = api.search(filled, VECTORS[0], k=10_000, exact=exact)
    assert len(found.hits) == len(set(numbers(found.hits))) == 10_000
    wanted, _ = nearest("l2", VECTORS, VECTORS[:1], 10_000)
    shared = len(set(numbers(found.hits)) & set(wanted[0].tolist()))
    assert shared == 10_000 if exact else shared >= 9_700


def test_a_search_for_more_than_there_is_returns_all(api, ns):
    api.create(ns, 2)
    assert not api.search(ns, [1, 2], k=10).hits
    api.upsert(ns, [1, 2, 3], [[1, 1], [2, 2], [3, 3]])
    assert numbers(api.search(ns, [0, 0], k=10_000).hits) == [1, 2, 3]
    batch = api.search_batch(ns, [[0, 0], [9, 9]], k=5)
    assert list(batch.counts) == [3, 3]
    assert id_list(batch.ids) == [1, 2, 3, 3, 2, 1]


@pytest.mark.parametrize("k", [0, 10_001])
def test_k_out_of_range_is_refused(api, filled, k):
    for search in (api.search, api.search_batch):
        query = VECTORS[0] if search == api.search else VECTORS[:1]
        with fails_with(INVALID, "k must be 1 to 10000", str(k)):
            search(filled, query, k=k)


@pytest.mark.parametrize("effort", [0, 10_001])
def test_effort_out_of_range_is_refused(api, filled, effort):
    with fails_with(INVALID, "ef_search", "10000", str(effort)):
        api.search(filled, VECTORS[0], ef_search=effort)


def test_more_effort_finds_no_less(api, filled):
    queries = random_vectors(21, 100, DIMENSION)
    wanted, _ = nearest("l2", VECTORS, queries, 10)
    hits = []
    for effort in (10, 1000):
        found = id_list(api.search_batch(filled, queries, k=10, ef_search=effort).ids)
        found = np.array(found).reshape(100, 10)
        hits.append(sum(len(np.intersect1d(*pair)) for pair in zip(found, wanted, strict=True)))
    assert hits[0] <= hits[1] >= 995


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (np.zeros(7, "<f4"), ("dimension 8", "7")),
        (np.full(8, np.nan, "<f4"), ("finite",)),
        (np.zeros((1, 8), "<f4"), ("shape", "SearchBatch")),
    ],
    ids=["dimension", "NaN", "rank"],
)
def test_a_bad_query_is_refused(api, filled, query, words):
    with fails_with(INVALID, *words):
        api.search(filled, query)


def test_a_bad_query_of_a_batch_is_named(api, filled):
    queries = VECTORS[:5].copy()
    queries[3, 2] = np.inf
    with fails_with(INVALID, "query 3", "finite"):
        api.search_batch(filled, queries)


def test_an_unknown_field_is_refused(api, filled):
    with fails_with(INVALID, '"colour"'):
        api.search(filled, VECTORS[0], field="colour")


def test_search_returns_vectors_when_asked(api, filled):
    found = api.search(filled, VECTORS[9], k=50, include_vectors=True)
    for hit in found.hits:
        vector = array(hit.fields[0].dense)
        assert vector.shape == (1, DIMENSION)
        assert np.array_equal(vector[0], VECTORS[hit.id.number])
    assert not api.search(filled, VECTORS[9], k=1).hits[0].fields


def test_a_batch_answers_as_single_searches_do(api, filled):
    queries = random_vectors(22, 30, DIMENSION)
    batch = api.search_batch(filled, queries, k=7)
    found = np.array(id_list(batch.ids)).reshape(30, 7)
    measured = np.array(batch.distances, "<f4").reshape(30, 7)
    for query, keys, lengths in zip(queries, found, measured, strict=True):
        hits = api.search(filled, query, k=7).hits
        assert numbers(hits) == keys.tolist()
        assert [hit.distance for hit in hits] == lengths.tolist()


def test_a_batch_does_not_return_vectors_and_may_be_empty(api, filled):
    with fails_with(INVALID, "include_vectors"):
        api.search_batch(filled, VECTORS[:2], include_vectors=True)
    empty = api.search_batch(filled, np.zeros((0, DIMENSION), "<f4"))
    assert not empty.counts and not empty.distances


def test_a_batch_of_too_many_results_is_refused(api, filled):
    with fails_with(grpc.StatusCode.RESOURCE_EXHAUSTED, "4000000"):
        api.search_batch(filled, np.zeros((401, DIMENSION), "<f4"), k=10_000)


def test_a_stream_of_searches_is_answered_in_order(api, filled):
    requests = [
        v1.SearchStreamRequest(
            search=v1.SearchRequest(
                namespace=filled, query=tensor(vector), options=v1.SearchOptions(k=1)
            )
        )
        for vector in VECTORS[:200]
    ]
    replies = api.query.SearchStream(iter(requests), timeout=CALL_SECONDS)
    assert [reply.result.hits[0].id.number for reply in replies] == list(range(200))


def test_an_error_ends_a_stream_of_searches_after_the_answers_before_it(api, filled):
    def request(**options):
        search = v1.SearchRequest(
            namespace=filled, query=tensor(VECTORS[3]), options=v1.SearchOptions(**options)
        )
        return v1.SearchStreamRequest(search=search)

    replies = api.query.SearchStream(iter([request(k=2), request(k=0)]), timeout=CALL_SECONDS)
    assert len(next(replies).result.hits) == 2
    with fails_with(INVALID, "k must be"):
        next(replies)


def test_get_returns_records_in_the_order_asked_for_and_lists_the_missing(api, filled):
    reply = api.get(filled, [5, 70_000, 3, 5, 80_000])
    assert id_list(reply.records.ids) == [5, 3, 5]
    assert np.array_equal(array(reply.records.fields[0].dense), VECTORS[[5, 3, 5]])
    assert id_list(reply.missing) == [70_000, 80_000]
    assert not api.get(filled, [5], include_vectors=False).records.fields
    assert not id_list(api.get(filled, []).records.ids)


def test_get_takes_ten_thousand_ids_and_no_more(api, filled):
    assert len(id_list(api.get(filled, range(10_000)).records.ids)) == 10_000
    with fails_with(INVALID, "10000", "10001"):
        api.get(filled, range(10_001))


def test_scan_goes_on_from_every_token_it_gave(api, filled):
    parts = list(api.scan(filled, include_vectors=False))
    assert len(parts) > 2
    keys = [id_list(part.records.ids) for part in parts]
    assert sum(keys, []) == list(range(ROWS))
    assert not parts[0].records.fields
    for position, part in enumerate(parts):
        rest = [id_list(p.records.ids) for p in api.scan(filled, part.next_token)]
        assert sum(rest, []) == list(range(sum(map(len, keys[: position + 1])), ROWS))


def test_a_scan_sees_the_namespace_as_it_was_when_it_began(api, ns):
    api.create(ns, 64)
    vectors = random_vectors(23, 20_000, 64)
    api.upsert(ns, range(0, 30_000, 3), vectors[:10_000])
    parts = api.scan(ns)
    seen = id_list(next(parts).records.ids)
    api.upsert(ns, range(1, 30_000, 3), vectors[10_000:])
    api.delete(ns, range(0, 30_000, 3))
    for part in parts:
        seen += id_list(part.records.ids)
    assert seen == list(range(0, 30_000, 3))
    assert api.everything(ns)[0] == list(range(1, 30_000, 3))


@pytest.mark.parametrize("token", [b"rubbish", b"\x00" * 9, b"x" * 100_000])
def test_a_token_that_no_scan_gave_is_refused(api, filled, token):
    with fails_with(INVALID, "token"):
        list(api.scan(filled, token))


def test_reads_wait_for_min_sequence(api, ns):
    api.create(ns, 1)
    api.upsert(ns, [1], [[1]])
    request = v1.CountRequest(namespace=ns, min_sequence=3)
    counting = api.query.Count.future(request, timeout=CALL_SECONDS)
    found = []
    search = threading.Thread(target=lambda: found.append(api.search(ns, [3], k=1, min_sequence=3)))
    search.start()
    api.upsert(ns, [2], [[2]])
    assert not counting.done()
    assert api.upsert(ns, [3], [[3]]).sequence == 3
    assert counting.result().count == 3
    search.join(CALL_SECONDS)
    assert found[0].hits[0].id.number == 3


def test_waiting_for_a_commit_that_does_not_come_ends_at_the_deadline(api, ns):
    api.create(ns, 1)
    with fails_with(grpc.StatusCode.DEADLINE_EXCEEDED):
        api.search(ns, [1], min_sequence=1, timeout=0.3)
    with fails_with(grpc.StatusCode.DEADLINE_EXCEEDED):
        api.search_batch(ns, [[1]], min_sequence=1, timeout=0.3)
    request = v1.CountRequest(namespace=ns, min_sequence=1)
    with fails_with(grpc.StatusCode.DEADLINE_EXCEEDED):
        api.query.Count(request, timeout=0.3)


@pytest.fixture(scope="module")
def slow(api) -> str:
    """A namespace in which exact searches for many queries take long; do not write to it."""
    api.create("slow", SLOW_DIMENSION)
    vectors = random_vectors(24, SLOW_ROWS, SLOW_DIMENSION)
    with api.open("slow") as stream:
        for number in range(SLOW_ROWS // 10_000):
            part = slice(number * 10_000, (number + 1) * 10_000)
            stream.write(number + 1, range(SLOW_ROWS)[part], vectors[part])
    return "slow"


def test_a_deadline_ends_a_search_that_is_under_way_and_frees_the_server(api, slow):
    queries = random_vectors(25, 10_000, SLOW_DIMENSION)
    with fails_with(grpc.StatusCode.DEADLINE_EXCEEDED):
        api.search_batch(slow, queries, k=10, exact=True, timeout=0.5)
    # The work left over would take minutes; one search must not wait for it.
    assert len(api.search(slow, queries[0], k=10, timeout=10).hits) == 10


def test_a_cancelled_search_stops_and_frees_the_server(api, slow):
    request = v1.SearchBatchRequest(
        namespace=slow,
        queries=tensor(random_vectors(26, 10_000, SLOW_DIMENSION)),
        options=v1.SearchOptions(k=10, exact=True),
    )
    calls = [api.query.SearchBatch.future(request, timeout=CALL_SECONDS) for _ in range(4)]
    for call in calls:
        call.cancel()
    assert len(api.search(slow, np.ones(SLOW_DIMENSION, "<f4"), k=10, timeout=10).hits) == 10


def test_an_answer_over_the_message_limit_is_refused_with_a_cure(api, ns):
    api.create(ns, 4096)
    with api.open(ns) as stream:
        for number in range(1, 6):
            keys = range(number * 1000, number * 1000 + 1000)
            stream.write(number, keys, random_vectors(27, 1000, 4096))
    with fails_with(grpc.StatusCode.RESOURCE_EXHAUSTED, "less at a time"):
        api.search(ns, np.ones(4096, "<f4"), k=5_000, include_vectors=True)
    with fails_with(grpc.StatusCode.RESOURCE_EXHAUSTED, "less at a time"):
        api.get(ns, range(1000, 6000))


def test_unknown_parts_of_a_message_are_passed_over(api, ns):
    """A newer client may send fields that this server does not know."""
    api.create(ns, 1)
    unknown = b"\xfa\x3f\x03new"  # field 1023, length-delimited
    call = api.channel.stream_stream("/varve.v1.IngestService/Ingest")
    replies = call(iter([opening(ns).SerializeToString() + unknown]), timeout=CALL_SECONDS)
    assert v1.IngestResponse.FromString(next(replies)).HasField("opened")
