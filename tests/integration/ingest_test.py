"""The Ingest stream: order, exactly once, resumption, visibility, durability."""

import threading

import grpc
import numpy as np

from testutil import v1
from testutil.api import (
    CALL_SECONDS,
    Api,
    IngestStream,
    array,
    fails_with,
    id_list,
    numbered,
    opening,
    records,
)
from testutil.vectors import random_vectors

PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
INVALID = grpc.StatusCode.INVALID_ARGUMENT


def stored(api: Api, namespace: str, keys) -> np.ndarray:
    return array(api.get(namespace, keys).records.fields[0].dense)


def test_opening_a_stream_tells_the_window_and_the_last_batch(api, ns):
    api.create(ns, 2)
    with api.open(ns, producer="p") as stream:
        assert stream.opened.last_batch == 0
        assert stream.opened.window_batches > 0
        assert stream.opened.window_bytes > 0
        assert stream.opened.max_message_bytes == 64 << 20


def test_batches_are_acknowledged_in_order_with_rising_sequences(api, ns):
    api.create(ns, 2)
    with api.open(ns, producer="p") as stream:
        for number in range(1, 51):
            stream.send(numbered(number, records([number], [[number, 0]])))
        acks = stream.finish()
    assert [ack.number for ack in acks] == list(range(1, 51))
    assert [ack.sequence for ack in acks] == list(range(1, 51))
    assert all(ack.records_written == 1 and not ack.duplicate for ack in acks)
    assert api.count(ns) == 50


def test_more_batches_than_the_window_holds_all_arrive(api, ns):
    api.create(ns, 64)
    with api.open(ns) as stream:
        batches = stream.opened.window_batches * 4
        vectors = random_vectors(1, 4_000, 64)
        for number in range(1, batches + 1):
            keys = range(number * 4_000, (number + 1) * 4_000)
            stream.send(numbered(number, records(keys, vectors)))
        assert len(stream.finish()) == batches
    assert api.count(ns) == batches * 4_000


def test_a_search_right_after_an_acknowledgement_sees_the_rows(api, ns):
    api.create(ns, 8)
    vectors = random_vectors(2, 100, 8)
    with api.open(ns) as stream:
        for row in range(100):
            ack = stream.write(row + 1, [row], vectors[row : row + 1])
            found = api.search(ns, vectors[row], k=1)
            assert found.sequence >= ack.sequence
            assert found.hits[0].id.number == row
            assert found.hits[0].distance == 0


def test_a_batch_sent_again_in_a_stream_is_a_duplicate_and_not_applied(api, ns):
    api.create(ns, 2)
    with api.open(ns, producer="p") as stream:
        first = stream.write(1, [7], [[1, 1]])
        again = stream.write(1, [7], [[9, 9]])
    assert (again.number, again.duplicate, again.records_written) == (1, True, 0)
    assert again.sequence == first.sequence
    assert stored(api, ns, [7]).tolist() == [[1, 1]]


def test_a_producer_that_opens_again_goes_on_where_it_was(api, ns):
    api.create(ns, 2)
    with api.open(ns, producer="p") as stream:
        for number in (1, 2, 3):
            stream.write(number, [number], [[number, 0]])
    with api.open(ns, producer="p") as stream:
        assert stream.opened.last_batch == 3
        assert stream.write(2, [2], [[9, 9]]).duplicate
        assert not stream.write(4, [4], [[4, 0]]).duplicate
    keys, vectors = api.everything(ns)
    assert keys == [1, 2, 3, 4]
    assert vectors[:, 0].tolist() == [1, 2, 3, 4]


def test_producers_do_not_disturb_one_another(api, ns):
    api.create(ns, 1)
    with api.open(ns, producer="a") as a, api.open(ns, producer="b") as b:
        a.write(1, [1], [[1]])
        b.write(1, [2], [[2]])
        a.write(2, [3], [[3]])
    with api.open(ns, producer="a") as a, api.open(ns, producer="b") as b:
        assert (a.opened.last_batch, b.opened.last_batch) == (2, 1)


def test_a_gap_in_the_numbers_ends_the_stream_and_names_the_number_wanted(api, ns):
    api.create(ns, 1)
    with api.open(ns, producer="p") as stream:
        stream.write(1, [1], [[1]])
        with fails_with(PRECONDITION, "batch 3", "next batch is 2"):
            stream.write(3, [3], [[3]])
    assert api.count(ns) == 1


def test_without_a_producer_nothing_is_remembered_across_streams(api, ns):
    api.create(ns, 1)
    for key in (1, 2):
        with api.open(ns) as stream:
            assert stream.opened.last_batch == 0
            assert not stream.write(1, [key], [[key]]).duplicate
    assert api.count(ns) == 2
    with api.open(ns) as stream, fails_with(PRECONDITION, "next batch of this stream is 1"):
        stream.write(2, [3], [[3]])


def test_batch_number_zero_is_refused(api, ns):
    api.create(ns, 1)
    with api.open(ns, producer="p") as stream, fails_with(INVALID, "batch.number") as caught:
        stream.write(0, [1], [[1]])
    assert caught[0].bad_request.field_violations[0].field == "batch.number"


def test_the_first_message_must_be_open_and_only_the_first(api, ns):
    api.create(ns, 1)
    with IngestStream(api.ingest) as stream, fails_with(INVALID, "first message", "open"):
        stream.write(1, [1], [[1]])
    with api.open(ns) as stream, fails_with(INVALID, "batch"):
        stream.send(opening(ns))
        stream.receive()
    with IngestStream(api.ingest) as stream, fails_with(INVALID, "open"):
        stream.finish()


def test_a_producer_name_may_have_256_bytes_and_no_more(api, ns):
    api.create(ns, 1)
    with api.open(ns, producer="ü" * 128) as stream:
        stream.write(1, [1], [[1]])
    with api.open(ns, producer="ü" * 128) as stream:
        assert stream.opened.last_batch == 1
    with fails_with(INVALID, "open.producer", "256", "257"):
        api.open(ns, producer="x" * 257)


def test_of_equal_ids_in_a_batch_the_last_wins_and_the_reply_says_so(api, ns):
    api.create(ns, 1)
    with api.open(ns) as stream:
        ack = stream.write(1, [5, 6, 5, 7, 5], [[0], [1], [2], [3], [4]])
    assert list(ack.superseded_rows) == [0, 2]
    assert ack.records_written == 3
    assert stored(api, ns, [5, 6, 7]).tolist() == [[4], [1], [3]]
    assert api.count(ns) == 3


def test_a_record_whose_id_exists_is_replaced(api, ns):
    api.create(ns, 2)
    api.upsert(ns, [1, 2], [[1, 1], [2, 2]])
    api.upsert(ns, [1], [[8, 8]])
    assert api.count(ns) == 2
    assert stored(api, ns, [1]).tolist() == [[8, 8]]
    assert [hit.id.number for hit in api.search(ns, [1, 1], k=5).hits] == [2, 1]


def test_an_empty_batch_is_committed_and_counts(api, ns):
    api.create(ns, 3)
    with api.open(ns, producer="p") as stream:
        ack = stream.write(1, [], np.zeros((0, 3), "<f4"))
        assert (ack.number, ack.records_written) == (1, 0)
        assert stream.write(2, [1], [[1, 2, 3]]).records_written == 1


def test_readers_see_whole_batches_only(api, ns):
    """One writer replaces all records, batch by batch; every read must find one generation."""
    api.create(ns, 1)
    keys = list(range(50))
    done = threading.Event()

    def write():
        with api.open(ns) as stream:
            for generation in range(1, 201):
                stream.write(generation, keys, np.full((50, 1), generation, "<f4"))
        done.set()

    api.upsert(ns, keys, np.zeros((50, 1), "<f4"))
    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    while not done.is_set() or reads < 10:
        found = api.search(ns, [0], k=100, exact=True)
        assert len(found.hits) == 50
        assert len({hit.distance for hit in found.hits}) == 1
        assert api.count(ns) == 50
        _, vectors = api.everything(ns)
        assert len(np.unique(vectors)) == 1 and len(vectors) == 50
        reads += 1
    writer.join(CALL_SECONDS)


def test_synced_acknowledgements_say_so_and_applied_is_the_default(api, ns):
    api.create(ns, 1)
    with api.open(ns, durability=v1.DURABILITY_SYNCED) as stream:
        for number in range(1, 31):
            stream.send(numbered(number, records([number], [[number]])))
        acks = stream.finish()
    assert [ack.number for ack in acks] == list(range(1, 31))
    assert {ack.durability for ack in acks} == {v1.DURABILITY_SYNCED}
    with api.open(ns) as stream:
        assert stream.write(1, [1], [[1]]).durability == v1.DURABILITY_APPLIED
    synced = v1.DURABILITY_SYNCED
    assert api.upsert(ns, [1], [[1]], durability=synced).durability == synced
    assert api.delete(ns, [1], durability=synced).durability == synced
    assert api.upsert(ns, [1], [[1]]).durability == v1.DURABILITY_APPLIED


def test_many_streams_at_once_commit_everything_exactly_once(api, ns):
    api.create(ns, 4)

    def produce(producer: int):
        with api.open(ns, producer=f"p{producer}") as stream:
            for number in range(1, 41):
                keys = range(producer * 1000 + number * 10, producer * 1000 + number * 10 + 10)
                vectors = np.full((10, 4), producer * 1000 + number, "<f4")
                stream.send(numbered(number, records(keys, vectors)))
            assert len(stream.finish()) == 40

    threads = [threading.Thread(target=produce, args=(producer,)) for producer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CALL_SECONDS)
    keys, vectors = api.everything(ns)
    assert keys == sorted(p * 1000 + n for p in range(8) for n in range(10, 410))
    assert np.array_equal(vectors[:, 0], [key // 1000 * 1000 + key % 1000 // 10 for key in keys])


def test_delete_removes_records_at_once_and_passes_over_unknown_ids(api, ns):
    api.create(ns, 2)
    vectors = random_vectors(3, 20, 2)
    api.upsert(ns, range(20), vectors)
    deleted = api.delete(ns, [3, 4, 4, 999])
    assert deleted.records_deleted == 2
    assert api.search(ns, vectors[3], k=20, min_sequence=deleted.sequence).sequence >= 2
    assert 3 not in [hit.id.number for hit in api.search(ns, vectors[3], k=20).hits]
    assert id_list(api.get(ns, [3, 5]).missing) == [3]
    assert api.count(ns) == 18
    assert api.everything(ns)[0] == [key for key in range(20) if key not in (3, 4)]
    assert api.delete(ns, [3]).records_deleted == 0


def test_a_deleted_record_can_be_written_again(api, ns):
    api.create(ns, 2)
    api.upsert(ns, ["x"], [[1, 1]])
    api.delete(ns, ["x"])
    api.upsert(ns, ["x"], [[2, 2]])
    assert stored(api, ns, ["x"]).tolist() == [[2, 2]]
    assert api.count(ns) == 1
