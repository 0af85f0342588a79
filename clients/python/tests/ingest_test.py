"""Streaming in: cutting, memory, resuming, errors."""

import pathlib
import threading

import numpy as np
import pytest

import varve
from testutil.proxy import CuttingProxy
from testutil.varved import Varved

RNG = np.random.default_rng(6)


def vectors(rows, dimension=8, dtype=np.float32):
    return RNG.standard_normal((rows, dimension), dtype=np.float32).astype(dtype)


@pytest.fixture
def ns(client, space):
    return client.create_namespace(space, 8)


def stored(ns, rows):
    return ns.get(range(rows)).vectors


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, np.int64, np.uint8, ">f4"])
def test_arrays_of_any_type_arrive_as_they_are(ns, dtype):
    data = (RNG.standard_normal((40, 8)) * 50).astype(dtype)
    assert ns.ingest(range(40), data, progress=False).records_written == 40
    np.testing.assert_array_equal(stored(ns, 40), data.astype(np.float32))


def test_bfloat16_arrives_as_it_is(ns):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    data = vectors(10).astype(ml_dtypes.bfloat16)
    ns.ingest(range(10), data, progress=False)
    np.testing.assert_array_equal(stored(ns, 10), data.astype(np.float32))


def test_arrays_of_any_layout_arrive_as_they_are(ns):
    data = vectors(200, 16)
    ns.ingest(range(100), data[::2, ::-2], progress=False)
    np.testing.assert_array_equal(stored(ns, 100), data[::2, ::-2])
    ns.ingest(range(16), np.asfortranarray(data[:16, :8]), progress=False)
    np.testing.assert_array_equal(stored(ns, 16), data[:16, :8])


def test_lists_are_arrays_too(ns):
    ns.ingest([3], [[1, 2, 3, 4, 5, 6, 7, 8]], progress=False)
    np.testing.assert_array_equal(ns.get([3]).vectors, [[1, 2, 3, 4, 5, 6, 7, 8]])


def test_batches_are_cut_where_the_caller_says(ns):
    done = ns.ingest(range(1000), vectors(1000), batch_size=64, progress=False)
    assert done.batches == 16 and ns.stats().sequence == 16 == done.sequence


def test_batches_with_much_metadata_are_cut_below_the_limit_of_messages(ns):
    metadata = [{"text": "x" * 50_000} for _ in range(300)]  # 15 MB
    done = ns.ingest(range(300), vectors(300), metadata, progress=False)
    assert done.records_written == 300 and done.batches > 3


def test_a_generator_of_chunks_is_taken(ns):
    chunks = ((range(i, i + 10), vectors(10), {"n": list(range(10))}) for i in range(0, 500, 10))
    done = ns.ingest(chunks, batch_size=128, progress=False)
    assert (done.rows, done.batches, ns.count()) == (500, 4, 500)
    assert ns.count(filter="n = 3") == 50


def test_chunks_of_different_forms_go_in_batches_of_their_own(ns):
    with ns.writer() as writer:
        writer.add([1], vectors(1))
        writer.add([2], vectors(1), [{"a": 1}])
        writer.add([3], vectors(1), {"a": [1]})
        writer.add([4], vectors(1).astype(np.float16))
        writer.add([5], vectors(1).astype(np.float16))
    assert writer.result.batches == 4 and ns.count() == 5


def test_memory_given_to_a_writer_is_free_again(ns):
    data = np.ones((10, 8), np.float32)
    with ns.writer() as writer:
        for i in range(20):
            data[:] = i
            writer.add(range(i * 10, i * 10 + 10), data)
    np.testing.assert_array_equal(stored(ns, 200)[:, 0], np.repeat(np.arange(20), 10))


def test_bad_rows_are_listed_where_they_were_given(client, space):
    ns = client.create_namespace(space, 8, metric="cosine")
    data = vectors(100)
    data[[17, 63]] = 0
    done = ns.ingest(
        [f"id-{i}" for i in range(100)], data, on_error="skip", batch_size=20, progress=False
    )
    assert [(error.row, error.id) for error in done.row_errors] == [(17, "id-17"), (63, "id-63")]
    assert done.records_written == 98 == ns.count()
    with pytest.raises(varve.InvalidArgument, match="row 17"):
        ns.ingest([f"id-{i}" for i in range(100)], data, progress=False)


def test_a_refused_batch_ends_the_writer_and_names_what_is_committed(ns):
    writer = ns.writer(batch_size=10)
    with pytest.raises(varve.InvalidArgument, match="ended after batch 2: batch 3"):
        with writer:
            writer.add(range(20), vectors(20))
            writer.add(range(20, 30), np.full((10, 8), np.inf))
    assert ns.count() == 20


def test_rows_that_are_wrong_are_refused_before_they_are_taken(ns):
    with ns.writer() as writer:
        writer.add([1], vectors(1))
        with pytest.raises(varve.InvalidArgument, match="one for each id"):
            writer.add([2, 3], vectors(1))
        writer.add([4], vectors(1))
    assert ns.count() == 2


def test_metadata_that_cannot_be_sent_is_refused_when_it_is_added(ns):
    with ns.writer() as writer:
        writer.add([1], vectors(1), [{"a": 1}])
        for wrong in ([{"a": object()}], {"a": [object()]}):
            with pytest.raises(varve.InvalidArgument, match="must be text, a number"):
                writer.add([2], vectors(1), wrong)
        writer.add([3], vectors(1), [{"a": 3}])
    assert ns.get([1, 2, 3]).metadata == [{"a": 1}, {"a": 3}]


def test_a_writer_that_failed_to_send_does_not_go_on_without_the_rows(ns):
    writer = ns.writer(batch_size=2)
    writer.add([1], vectors(1))
    writer.cancel()  # as a broken stream would
    with pytest.raises(varve.Cancelled):
        writer.add([2, 3], vectors(2))
    for go_on in (lambda: writer.add([4], vectors(1)), writer.finish):
        with pytest.raises(varve.FailedPrecondition, match="the writer ended with"):
            go_on()
    assert ns.count() == 0


def test_a_writer_left_by_an_exception_sends_no_more(ns):
    with pytest.raises(RuntimeError, match="stop"):
        with ns.writer() as writer:
            writer.add([1], vectors(1))
            raise RuntimeError("stop")
    assert ns.count() == 0


def test_the_same_ingest_under_a_producer_goes_on_where_it_ended(ns):
    data = vectors(100)
    first = ns.ingest(range(100), data, producer="p", batch_size=10, progress=False)
    again = ns.ingest(range(100), data, producer="p", batch_size=10, progress=False)
    assert (first.rows_resumed, again.rows_resumed, again.records_written) == (0, 100, 0)
    assert ns.stats().sequence == 10
    data[50] += 1  # other data is another ingest
    changed = ns.ingest(range(100), data, producer="p", batch_size=10, progress=False)
    assert changed.rows_resumed == 0 and changed.records_written == 100


def test_a_writer_under_a_producer_passes_over_what_is_committed(ns):
    data = vectors(30)
    with ns.writer(producer="p", batch_size=10) as writer:
        writer.add(range(20), data[:20])
    with ns.writer(producer="p", batch_size=10) as writer:
        writer.add(range(30), data)
    assert writer.result.rows_resumed == 20 and writer.result.records_written == 10


def test_several_streams_write_everything_once(ns):
    done = ns.ingest(range(1000), vectors(1000), streams=4, batch_size=30, progress=False)
    assert done.records_written == 1000 == ns.count() and ns.stats().dead_rows == 0


def test_cut_connections_lose_and_double_nothing(server, client, space):
    ns = client.create_namespace(space, 64)
    with CuttingProxy(server.address, bytes_until_cut=400_000, cuts=8) as proxy:
        with varve.Client(proxy.address) as through:
            done = through.namespace(space).ingest(
                range(20_000), vectors(20_000, 64), batch_size=500, progress=False
            )
        assert proxy.cuts_left == 0
    assert done.records_written == 20_000 == ns.count()
    assert ns.stats().sequence == 40 and ns.stats().dead_rows == 0


def test_a_server_that_stays_away_is_given_up(tmp_path):
    with Varved(tmp_path, host="127.0.0.2") as server:
        client = varve.Client(server.address)
        ns = client.create_namespace("n", 8)
        writer = ns.writer(retry_for=1.0, batch_size=1)
        writer.add([1], vectors(1))
        server.kill()
        with pytest.raises(varve.Unavailable, match="gave up after 1 s"):
            for i in range(100_000):
                writer.add([i], vectors(1))
            writer.finish()
        writer.cancel()
        client.close()


def test_a_client_that_is_closed_ends_its_writers(server, client, space):
    client.create_namespace(space, 8)
    other = varve.Client(server.address)
    writer = other.namespace(space).writer(batch_size=1)
    writer.add([1], vectors(1))
    other.close()
    with pytest.raises(varve.Cancelled):
        for i in range(100_000):
            writer.add([i], vectors(1))
        writer.finish()
    writer.cancel()


def test_a_writer_cannot_be_opened_for_what_is_not_there(client, space):
    with pytest.raises(varve.NotFound, match=space):
        client.namespace(space).writer()
    with pytest.raises(varve.InvalidArgument, match="streams must be 1 to 64"):
        client.namespace(space).writer(streams=0)


def resident_bytes(kind="VmRSS"):
    status = pathlib.Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(kind)) * 1024


def peak_above(run):
    """How far the process's resident memory rises while `run` runs."""
    before, highest, over = resident_bytes(), 0, threading.Event()

    def watch():
        nonlocal highest
        while not over.wait(0.005):
            highest = max(highest, resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run()
    finally:
        over.set()
        watcher.join()
    return highest - before


def test_ingest_of_an_array_takes_little_memory_besides(client, space):
    ns = client.create_namespace(space, 384)
    data = vectors(60_000, 384)  # 92 MB
    assert peak_above(lambda: ns.ingest(range(60_000), data, progress=False)) < 64 << 20


def test_ingest_of_a_mapped_file_does_not_hold_the_file(client, space, tmp_path):
    ns = client.create_namespace(space, 384)
    np.save(tmp_path / "v.npy", vectors(100_000, 384))  # 154 MB
    data = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert peak_above(lambda: ns.ingest(range(100_000), data, progress=False)) < 64 << 20
    assert ns.count() == 100_000


def test_a_fast_source_does_not_fill_memory(client, space):
    ns = client.create_namespace(space, 384)
    chunk = vectors(500, 384)

    def run():
        with ns.writer() as writer:
            for i in range(300):  # 230 MB
                writer.add(range(i * 500, i * 500 + 500), chunk)

    assert peak_above(run) < 64 << 20


def test_progress_is_shown_by_tqdm_when_it_is_there(ns, capsys):
    pytest.importorskip("tqdm")
    ns.ingest(range(10), vectors(10))
    assert "ingest" in capsys.readouterr().err
    ns.ingest(range(10), vectors(10), progress=False)
    assert capsys.readouterr().err == ""
