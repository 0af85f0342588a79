"""The index as clients see it: segments, progress, options, and its return after a restart."""

import time

import grpc
import numpy as np
import pytest

from testutil import v1
from testutil.api import CALL_SECONDS, Api, fails_with, id_list
from testutil.varved import Varved
from testutil.vectors import nearest, random_vectors

DIMENSION = 16


def fill(api: Api, namespace: str, vectors: np.ndarray, batch=1000) -> None:
    with api.open(namespace) as stream:
        for number, first in enumerate(range(0, len(vectors), batch), start=1):
            part = vectors[first : first + batch]
            stream.write(number, range(first, first + len(part)), part)


def recall(api: Api, namespace: str, vectors: np.ndarray, live: np.ndarray) -> float:
    """Recall@10 of default searches over the rows of `vectors` named by `live`."""
    queries = random_vectors(30, 50, DIMENSION)
    wanted, _ = nearest("l2", vectors[live], queries, 10)
    found = np.array(id_list(api.search_batch(namespace, queries, k=10).ids)).reshape(50, 10)
    pairs = zip(found, live[wanted], strict=True)
    return sum(len(np.intersect1d(*pair)) for pair in pairs) / wanted.size


def test_watching_indexing_ends_when_every_row_is_indexed(api, ns):
    api.create(ns, DIMENSION)
    fill(api, ns, random_vectors(31, 5_000, DIMENSION))
    request = v1.WatchIndexingRequest(namespace=ns)
    reports = list(api.admin.WatchIndexing(request, timeout=CALL_SECONDS))
    assert reports[-1].indexed_rows == reports[-1].total_rows == 5_000
    progress = [report.indexed_rows for report in reports]
    assert progress == sorted(progress)
    assert {report.total_rows for report in reports} == {5_000}
    assert api.stats(ns).namespace.unindexed_rows == 0


def test_watching_an_empty_namespace_ends_at_once(api, ns):
    api.create(ns, DIMENSION)
    report = api.wait_indexed(ns)
    assert (report.indexed_rows, report.total_rows) == (0, 0)


def test_segments_are_sealed_at_the_threshold_and_searched_together(api, ns):
    api.create(ns, DIMENSION, segment_size_threshold=1000, auto_compaction=False)
    vectors = random_vectors(32, 4_500, DIMENSION)
    fill(api, ns, vectors, batch=300)
    api.wait_indexed(ns)
    segments = api.segments(ns)
    assert len(segments) >= 5
    assert [segment.id for segment in segments] == sorted({segment.id for segment in segments})
    assert sum(segment.rows for segment in segments) == 4_500
    # Few rows at the end are scanned, not linked.
    assert [s.indexed_rows for s in segments[:-1]] == [s.rows for s in segments[:-1]]
    assert all(segment.memory_bytes > 0 for segment in segments)
    deadline = time.monotonic() + CALL_SECONDS
    while segments[0].state != v1.SEGMENT_STATE_SEALED and time.monotonic() < deadline:
        segments = api.segments(ns)  # linked already; its file is being written
    assert segments[0].state == v1.SEGMENT_STATE_SEALED
    assert segments[0].file_bytes > 1_000 * DIMENSION * 4
    assert segments[-1].state == v1.SEGMENT_STATE_ACTIVE
    assert segments[-1].file_bytes == 0
    assert recall(api, ns, vectors, np.arange(4_500)) > 0.97


def test_deleted_and_replaced_rows_are_dead_and_never_found(api, ns):
    api.create(ns, DIMENSION, segment_size_threshold=1000, auto_compaction=False)
    vectors = random_vectors(33, 4_000, DIMENSION)
    fill(api, ns, vectors)
    api.wait_indexed(ns)
    api.delete(ns, range(0, 4_000, 2))
    api.upsert(ns, [1, 3], vectors[[1, 3]])
    stats = api.stats(ns).namespace
    assert (stats.records, stats.dead_rows) == (2_000, 2_002)
    assert sum(segment.dead_rows for segment in api.segments(ns)) == 2_002
    assert sum(segment.live_rows for segment in api.segments(ns)) == 2_000
    live = np.arange(1, 4_000, 2)
    assert recall(api, ns, vectors, live) > 0.97
    found = id_list(api.search_batch(ns, vectors[:100], k=100).ids)
    assert all(key % 2 == 1 for key in found)


def test_segments_are_merged_and_rebuilt_by_themselves(api, ns):
    api.create(ns, DIMENSION, segment_size_threshold=1000)
    vectors = random_vectors(38, 8_500, DIMENSION)
    fill(api, ns, vectors, batch=500)
    api.wait_indexed(ns)
    api.delete(ns, range(0, 8_500, 3))
    live = np.array([row for row in range(8_500) if row % 3 != 0])
    deadline = time.monotonic() + CALL_SECONDS
    while time.monotonic() < deadline:
        sealed = [s for s in api.segments(ns) if s.file_bytes > 0]
        if len(sealed) <= 3 and all(s.dead_rows * 5 <= s.rows for s in sealed):
            break
    assert len(sealed) <= 3
    assert max(segment.level for segment in sealed) >= 1
    assert sum(segment.live_rows for segment in api.segments(ns)) == len(live)
    assert recall(api, ns, vectors, live) > 0.97


def test_flush_seals_what_is_there_and_compact_leaves_one_segment_without_dead_rows(api, ns):
    api.create(ns, DIMENSION, segment_size_threshold=1000, auto_compaction=False)
    vectors = random_vectors(39, 3_500, DIMENSION)
    fill(api, ns, vectors, batch=500)
    api.delete(ns, range(100))
    api.admin.Flush(v1.FlushRequest(namespace=ns), timeout=CALL_SECONDS)
    segments = api.segments(ns)
    assert {segment.state for segment in segments} == {v1.SEGMENT_STATE_SEALED}
    assert (len(segments), sum(segment.dead_rows for segment in segments)) == (4, 100)
    api.admin.Compact(v1.CompactRequest(namespace=ns, wait=True), timeout=CALL_SECONDS)
    (segment,) = api.segments(ns)
    assert (segment.state, segment.rows) == (v1.SEGMENT_STATE_SEALED, 3_400)
    assert recall(api, ns, vectors, np.arange(100, 3_500)) > 0.97
    api.admin.Compact(v1.CompactRequest(namespace=ns), timeout=CALL_SECONDS)
    for request in (v1.FlushRequest, v1.CompactRequest):
        call = api.admin.Flush if request is v1.FlushRequest else api.admin.Compact
        with fails_with(grpc.StatusCode.NOT_FOUND, "nowhere"):
            call(request(namespace="nowhere"), timeout=CALL_SECONDS)


def test_options_changed_in_flight_apply_to_what_comes_after(api, ns):
    api.create(ns, DIMENSION, segment_size_threshold=1000, auto_compaction=False)
    vectors = random_vectors(34, 6_000, DIMENSION)
    fill(api, ns, vectors[:2_000])
    request = v1.UpdateNamespaceRequest(
        name=ns, index=v1.IndexOptions(segment_size_threshold=2000, m=8, ef_search=100)
    )
    api.namespaces.UpdateNamespace(request, timeout=CALL_SECONDS)
    api.upsert(ns, range(2_000, 6_000), vectors[2_000:])
    api.wait_indexed(ns)
    assert max(segment.rows for segment in api.segments(ns)) == 2_000
    assert recall(api, ns, vectors, np.arange(6_000)) > 0.97


def test_ingest_is_held_back_while_too_many_rows_wait_to_be_linked(api, ns):
    api.create(ns, 256, max_unindexed_rows=1000, ef_construction=400)
    vectors = random_vectors(35, 6_000, 256)
    most = 0
    with api.open(ns) as stream:
        for number, first in enumerate(range(0, 6_000, 250), start=1):
            stream.write(number, range(first, first + 250), vectors[first : first + 250])
            most = max(most, api.stats(ns).namespace.unindexed_rows)
    # What waits when a batch is let in is below the limit; the batch itself comes on top.
    assert most <= 1000 + 250
    assert api.count(ns) == 6_000


def test_stats_describe_the_server_and_the_namespace(api, ns):
    api.create(ns, DIMENSION)
    fill(api, ns, random_vectors(36, 1_000, DIMENSION), batch=100)
    stats = api.stats(ns)
    assert stats.version
    assert stats.uptime.seconds * 10**9 + stats.uptime.nanos > 0
    assert stats.namespaces >= 1
    assert stats.resident_bytes > 1 << 20
    assert stats.disk_bytes > 1_000 * DIMENSION * 4
    assert stats.namespace.records == 1_000
    assert stats.namespace.sequence == 10
    assert stats.namespace.segments == 1
    assert stats.namespace.index_memory_bytes > 1_000 * DIMENSION * 4
    assert not api.stats().HasField("namespace")


def test_segments_of_an_unknown_field_are_refused(api, ns):
    api.create(ns, DIMENSION)
    request = v1.ListSegmentsRequest(namespace=ns, field="colour")
    with fails_with(grpc.StatusCode.INVALID_ARGUMENT, '"colour"'):
        api.admin.ListSegments(request, timeout=CALL_SECONDS)


@pytest.mark.parametrize("crash", [False, True], ids=["stopped", "killed"])
def test_a_restart_keeps_everything_and_completes_the_index_by_itself(tmp_path, crash):
    vectors = random_vectors(37, 3_500, DIMENSION)
    with Varved(tmp_path) as server:
        with Api(server.address) as api:
            created = api.create("numbers", DIMENSION, segment_size_threshold=1000)
            api.create("texts", 2, "cosine", v1.DTYPE_I8)
            fill(api, "numbers", vectors, batch=500)
            api.delete("numbers", range(0, 3_500, 7))
            signed = np.array([[1, -2], [-3, 4], [5, 6]], np.int8)
            api.upsert("texts", ["ä", "b", "c"], signed)
            api.upsert("texts", ["b"], signed[2:])
            sequence = api.stats("numbers").namespace.sequence
            with api.open("texts", producer="p") as stream:
                stream.write(1, ["d"], signed[:1])
        if crash:
            server.kill()
        else:
            assert server.stop() == 0
        server.start()
        with Api(server.address) as api:
            live = np.array([row for row in range(3_500) if row % 7 != 0])
            # Right after the start, indexed or not, everything is there.
            assert recall(api, "numbers", vectors, live) > 0.97
            keys, kept = api.everything("numbers")
            assert keys == live.tolist()
            assert np.array_equal(kept, vectors[live])
            assert api.count("numbers") == len(live)
            assert api.stats("numbers").namespace.sequence == sequence
            assert api.everything("texts")[0] == ["b", "c", "d", "ä"]
            assert np.array_equal(api.everything("texts")[1], signed[[2, 2, 0, 0]])
            with api.open("texts", producer="p") as stream:
                assert stream.opened.last_batch == 1
            report = api.wait_indexed("numbers")
            assert report.indexed_rows == report.total_rows
            assert api.stats("numbers").namespace.unindexed_rows == 0
            assert recall(api, "numbers", vectors, live) > 0.97
            request = v1.GetNamespaceRequest(name="numbers")
            described = api.namespaces.GetNamespace(request, timeout=CALL_SECONDS).namespace
            created.id_type = v1.ID_TYPE_NUMBER
            assert described == created
