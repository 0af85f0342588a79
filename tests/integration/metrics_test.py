"""/metrics counts what was done, no more and no less; logs name the calls they speak of."""

import collections
import json
import threading
import time

import grpc
import numpy as np
import pytest

from testutil import v1
from testutil.api import CALL_SECONDS, Api, fails_with, numbered, opening, records, tensor
from testutil.metrics import Metrics, scrape
from testutil.varved import Varved
from testutil.vectors import random_vectors

DIMENSION = 16
ROW_BYTES = DIMENSION * 4
PLANS = {
    v1.SEARCH_PLAN_SCAN: "scan",
    v1.SEARCH_PLAN_FILTERED_WALK: "filtered_walk",
    v1.SEARCH_PLAN_WALK: "walk",
}
NAMESPACE_SERIES_MAX = 100


def plan_of(answer) -> str:
    """The plan by which most rows were searched."""
    rows = collections.Counter()
    for segment in answer.explanation.segments:
        rows[PLANS[segment.plan]] += segment.rows
    return rows.most_common(1)[0][0]


def calls(metrics: Metrics) -> dict[tuple[str, str], float]:
    """How many calls ended, by method and code."""
    ended = {}
    for labels, count in metrics.samples.get("varve_calls_total", {}).items():
        named = dict(labels)
        if count > 0:
            ended[named["method"], named["code"]] = count
    return ended


def lines(server: Varved, message: str) -> list[dict]:
    parsed = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return [line for line in parsed if line["message"] == message]


def test_writes_are_counted_exactly(varved):
    vectors = random_vectors(1, 1_000, DIMENSION)
    with Api(varved.address) as api:
        api.create("a", DIMENSION)
        with api.open("a", producer="p") as stream:
            stream.write(1, range(100), vectors[:100])
            stream.write(2, range(100, 300), vectors[100:300])
            assert stream.write(2, range(100, 300), vectors[100:300]).duplicate
            assert stream.finish() == []
        with api.open("a", durability=v1.DURABILITY_SYNCED, on_error=v1.ON_ERROR_SKIP) as stream:
            spoilt = vectors[300:310].copy()
            spoilt[[2, 5], 0] = np.nan
            assert len(stream.write(1, range(300, 310), spoilt).row_errors) == 2
            assert stream.finish() == []
        api.upsert("a", [0, 1, 1], vectors[:3])  # of an id that comes twice, the last
        api.upsert("a", [2], vectors[:1], durability=v1.DURABILITY_SYNCED)
        assert api.delete("a", [0, 1, 5_000]).records_deleted == 2
        api.update_metadata("a", [7, 8], {"color": "red"})
        assert api.delete_matching("a", 'color = "red"', dry_run=True).records_deleted == 2
        assert api.delete_matching("a", 'color = "red"').records_deleted == 2
        with fails_with(grpc.StatusCode.INVALID_ARGUMENT):
            api.upsert("a", [3], vectors[:1, :4])
        with fails_with(grpc.StatusCode.NOT_FOUND):
            api.upsert("b", [3], vectors[:1])
        metrics = scrape(varved)

    rows = 100 + 200 + 8 + 2 + 1
    assert metrics.value("varve_ingest_batches_total") == 5
    assert metrics.value("varve_ingest_rows_total") == rows
    assert metrics.value("varve_ingest_vector_bytes_total") == rows * ROW_BYTES
    assert metrics.value("varve_ingest_row_errors_total") == 2
    assert metrics.value("varve_ingest_duplicate_batches_total") == 1
    assert metrics.value("varve_deleted_records_total") == 4
    assert metrics.value("varve_updated_records_total") == 2
    acknowledged = metrics.samples["varve_ingest_ack_duration_seconds_count"]
    assert {dict(labels)["durability"]: n for labels, n in acknowledged.items()} == {
        "applied": 4,
        "synced": 2,
    }
    live = 308 - 4
    assert metrics.value("varve_namespace_live_rows", namespace="a") == live
    assert metrics.value("varve_namespace_dead_rows", namespace="a") == rows - live
    ratio = metrics.value("varve_namespace_dead_ratio", namespace="a")
    assert ratio == pytest.approx((rows - live) / rows)
    ended = calls(metrics)
    assert ended == {
        ("NamespaceService.CreateNamespace", "OK"): 1,
        ("IngestService.Ingest", "OK"): 2,
        ("IngestService.Upsert", "OK"): 2,
        ("IngestService.Upsert", "INVALID_ARGUMENT"): 1,
        ("IngestService.Upsert", "NOT_FOUND"): 1,
        ("IngestService.Delete", "OK"): 3,
        ("IngestService.UpdateMetadata", "OK"): 1,
    }
    durations = metrics.by("method", "varve_call_duration_seconds_count")
    assert sum(durations.values()) == sum(ended.values())
    assert metrics.value("varve_streams_open", method="IngestService.Ingest") == 0


def test_searches_are_counted_by_their_plan(varved):
    vectors = random_vectors(2, 6_000, DIMENSION)
    queries = random_vectors(3, 7, DIMENSION)
    expected = collections.Counter()
    with Api(varved.address) as api:
        api.create("a", DIMENSION, segment_size_threshold=2_000)
        for first in range(0, 6_000, 2_000):
            numbers = range(first, first + 2_000)
            api.upsert("a", numbers, vectors[first : first + 2_000], [{"n": n} for n in numbers])
        api.wait_indexed("a")
        api.compact("a")
        for options in ({}, {"filter": "n < 2000"}, {"filter": "n < 20"}):
            for query in queries:
                explained = api.search("a", query, k=5, ef_search=16, explain=True, **options)
                # Not asked to be explained, it is counted all the same.
                plain = api.search("a", query, k=5, ef_search=16, **options)
                assert not plain.HasField("explanation")
                expected[plan_of(explained)] += 2
        assert set(expected) == {"scan", "filtered_walk", "walk"}
        for query in queries[:3]:
            api.search("a", query, exact=True)
            expected["exact"] += 1
        single = expected.copy()

        batch = api.search_batch("a", queries, k=5, ef_search=16, explain=True)
        expected[plan_of(batch)] += len(queries)
        request = v1.SearchStreamRequest(
            search=v1.SearchRequest(
                namespace="a",
                query=tensor(queries[0]),
                options=v1.SearchOptions(k=5, ef_search=16, explain=True),
            )
        )
        answers = list(api.query.SearchStream(iter([request] * 4), timeout=CALL_SECONDS))
        for answer in answers:
            expected[plan_of(answer.result)] += 1
            single[plan_of(answer.result)] += 1
        with fails_with(grpc.StatusCode.INVALID_ARGUMENT):
            api.search("a", queries[0], k=0)
        metrics = scrape(varved)

    assert metrics.by("plan", "varve_search_queries_total") == expected
    durations = metrics.samples["varve_search_duration_seconds_count"]
    counted = {kind: collections.Counter() for kind in ("single", "batch")}
    for labels, count in durations.items():
        counted[dict(labels)["kind"]][dict(labels)["plan"]] += int(count)
    assert +counted["single"] == single
    assert +counted["batch"] == {plan_of(batch): 1}
    ended = calls(metrics)
    assert ended["QueryService.Search", "OK"] == 2 * 3 * len(queries) + 3
    assert ended["QueryService.Search", "INVALID_ARGUMENT"] == 1
    assert ended["QueryService.SearchBatch", "OK"] == 1
    assert ended["QueryService.SearchStream", "OK"] == 1
    assert metrics.value("varve_searches_in_flight") == 0


def test_compactions_are_counted_with_what_they_made(varved):
    vectors = random_vectors(4, 4_000, DIMENSION)
    with Api(varved.address) as api:
        api.create("a", DIMENSION, segment_size_threshold=1_000, auto_compaction=False)
        api.upsert("a", range(4_000), vectors)
        api.delete("a", range(100))
        api.flush("a")
        before = scrape(varved)
        segments = api.segments("a")
        assert before.value("varve_namespace_segments", namespace="a") == len(segments)
        assert before.value("varve_mapped_segment_bytes") == sum(s.file_bytes for s in segments)
        assert before.value("varve_compactions_total", result="finished") == 0
        api.compact("a")
        after = scrape(varved)
    assert after.value("varve_compactions_total", result="finished") == 1
    assert after.value("varve_compactions_total", result="failed") == 0
    assert after.value("varve_compaction_rows_total") == 3_900
    assert after.value("varve_compaction_duration_seconds_count") == 1
    assert after.value("varve_compactions_running") == 0
    assert after.value("varve_namespace_segments", namespace="a") == 1
    assert after.value("varve_namespace_dead_rows", namespace="a") == 0


def test_the_largest_namespaces_have_series_and_the_others_one_together(varved):
    count = 150
    vectors = random_vectors(5, count, 2)
    with Api(varved.address) as api:
        for i in range(1, count + 1):
            api.create(f"n{i}", 2)
            api.upsert(f"n{i}", range(i), vectors[:i])
        metrics = scrape(varved)
    rows = metrics.by("namespace", "varve_namespace_live_rows")
    largest = {f"n{i}": i for i in range(count - NAMESPACE_SERIES_MAX + 1, count + 1)}
    others = count - NAMESPACE_SERIES_MAX
    assert rows == largest | {"_other": others * (others + 1) / 2}
    per_namespace = [name for name in metrics.types if name.startswith("varve_namespace_")]
    for name in per_namespace:
        assert len(metrics.samples[name]) == NAMESPACE_SERIES_MAX + 1, name
    assert metrics.value("varve_namespaces") == count
    assert metrics.value("varve_open_namespaces") == count


def test_a_scrape_opens_no_namespace(varved):
    with Api(varved.address) as api:
        for name in ("a", "b", "c"):
            api.create(name, 2)
            api.upsert(name, range(5), random_vectors(6, 5, 2))
    assert varved.stop() == 0
    varved.start()
    for _ in range(3):
        metrics = scrape(varved)
        assert metrics.value("varve_namespaces") == 3
        assert metrics.value("varve_open_namespaces") == 0
        assert "varve_namespace_live_rows" not in metrics.samples
    with Api(varved.address) as api:
        assert api.count("b") == 5
    metrics = scrape(varved)
    assert metrics.by("namespace", "varve_namespace_live_rows") == {"b": 5}
    assert metrics.value("varve_open_namespaces") == 1


def test_scrapes_during_ingest_see_counters_that_only_grow(varved):
    batches, batch = 200, 50
    vectors = random_vectors(7, batch, DIMENSION)
    failures = []

    def ingest():
        try:
            with Api(varved.address) as api, api.open("a", producer="p") as stream:
                for number in range(1, batches + 1):
                    stream.send(numbered(number, records(range(batch), vectors)))
                assert len(stream.finish()) == batches
        except Exception as error:  # told to the test's own thread
            failures.append(error)

    with Api(varved.address) as api:
        api.create("a", DIMENSION)
    writer = threading.Thread(target=ingest)
    writer.start()
    seen = [scrape(varved)]
    while writer.is_alive():
        seen.append(scrape(varved))
    writer.join()
    seen.append(scrape(varved))
    assert not failures
    for name in ("varve_ingest_rows_total", "varve_ingest_batches_total"):
        values = [metrics.value(name) for metrics in seen]
        assert values == sorted(values)
    assert seen[-1].value("varve_ingest_rows_total") == batches * batch
    assert seen[-1].value("varve_ingest_batches_total") == batches
    counted = seen[-1].by("durability", "varve_ingest_ack_duration_seconds_count")
    assert counted == {"applied": batches, "synced": 0}


def test_an_open_stream_and_what_it_holds_are_seen_while_it_is_open(varved):
    with Api(varved.address) as api:
        api.create("a", DIMENSION)
        with api.open("a"):
            metrics = scrape(varved)
            assert metrics.value("varve_streams_open", method="IngestService.Ingest") == 1
            assert calls(metrics).get(("IngestService.Ingest", "OK")) is None


def test_memory_and_disk_are_told(varved):
    vectors = random_vectors(10, 20_000, DIMENSION)
    began = time.time()
    with Api(varved.address) as api:
        api.create("a", DIMENSION)
        before = scrape(varved)
        for first in range(0, 20_000, 5_000):
            api.upsert("a", range(first, first + 5_000), vectors[first : first + 5_000])
        api.wait_indexed("a")
        metrics = scrape(varved)
        memory = metrics.by("component", "varve_memory_bytes")
        assert memory["index"] >= 20_000 * ROW_BYTES
        assert memory["memtables"] >= 20_000 * ROW_BYTES
        assert memory["index"] == api.stats("a").namespace.index_memory_bytes
        held = metrics.by("state", "varve_allocator_bytes")
        assert memory["index"] < held["allocated"] <= held["active"] <= held["resident"]
        resident = metrics.value("process_resident_memory_bytes")
        assert resident > before.value("process_resident_memory_bytes")
        assert 0 < metrics.value("varve_memory_mapped_file_bytes") < resident
        assert metrics.by("kind", "varve_store_disk_bytes")["log"] >= 20_000 * ROW_BYTES
        assert metrics.value("varve_mapped_segment_bytes") == 0
        api.flush("a")
        flushed = scrape(varved)
    sealed = flushed.value("varve_mapped_segment_bytes")
    assert sealed == flushed.value("varve_namespace_index_file_bytes", namespace="a")
    assert sealed >= 20_000 * ROW_BYTES
    assert flushed.by("component", "varve_memory_bytes")["index"] < memory["index"] / 2
    used = flushed.value("varve_data_directory_bytes")
    assert used >= before.value("varve_data_directory_bytes") + sealed
    assert 0 < flushed.value("varve_disk_free_bytes") < flushed.value("varve_disk_size_bytes")
    assert used < flushed.value("varve_disk_size_bytes")
    cpu = "process_cpu_seconds_total"
    assert flushed.value(cpu) > before.value(cpu)
    assert began - 600 < flushed.value("process_start_time_seconds") < time.time() + 2
    assert 0 < flushed.value("process_open_fds") < flushed.value("process_max_fds")


def test_snapshots_are_told_with_the_age_of_the_newest(varved):
    with Api(varved.address) as api:
        api.create("a", 2)
        assert scrape(varved).value("varve_snapshots") == 0
        assert "varve_snapshot_newest_timestamp_seconds" not in scrape(varved).samples
        for name in ("one", "two"):
            made = api.admin.CreateSnapshot(
                v1.CreateSnapshotRequest(name=name), timeout=CALL_SECONDS
            )
        metrics = scrape(varved)
        assert metrics.value("varve_snapshots") == 2
        newest = metrics.value("varve_snapshot_newest_timestamp_seconds")
        assert newest == made.snapshot.create_time.seconds


def test_histograms_are_well_formed_and_families_are_described(varved):
    with Api(varved.address) as api:
        api.create("a", DIMENSION)
        api.upsert("a", [1], random_vectors(8, 1, DIMENSION))
        api.search("a", random_vectors(8, 1, DIMENSION)[0])
    metrics = scrape(varved)
    assert set(metrics.types) == set(metrics.help)
    for family, kind in metrics.types.items():
        assert (kind == "counter") == family.endswith("_total"), family
        if kind != "histogram":
            continue
        for labels, count in metrics.samples[family + "_count"].items():
            buckets = {
                dict(of)["le"]: n
                for of, n in metrics.samples[family + "_bucket"].items()
                if frozenset(pair for pair in of if pair[0] != "le") == labels
            }
            cumulative = [buckets[le] for le in sorted(buckets, key=float)]
            assert cumulative == sorted(cumulative)
            assert buckets["+Inf"] == count


# --- Which call it was. ---


def trailing(call) -> dict[str, str]:
    return dict(call.trailing_metadata())


def test_every_call_ends_with_its_request_id(varved):
    request = v1.CountRequest(namespace="a")
    with Api(varved.address) as api:
        api.create("a", 2)
        given = (("x-request-id", "order/17"),)
        _, call = api.query.Count.with_call(request, metadata=given, timeout=CALL_SECONDS)
        assert trailing(call)["x-request-id"] == "order/17"
        made = set()
        for odd in ((), (("x-request-id", "x" * 129),), (("x-request-id", "two words"),)):
            _, call = api.query.Count.with_call(request, metadata=odd, timeout=CALL_SECONDS)
            made.add(trailing(call)["x-request-id"])
        assert len(made) == 3 and all(len(request_id) == 16 for request_id in made)
        stream = api.ingest.Ingest(iter([opening("a")]), metadata=given, timeout=CALL_SECONDS)
        assert len(list(stream)) == 1
        assert trailing(stream)["x-request-id"] == "order/17"
        with pytest.raises(grpc.RpcError) as failed:
            api.query.Count(v1.CountRequest(namespace="b"), metadata=given, timeout=CALL_SECONDS)
        assert trailing(failed.value)["x-request-id"] == "order/17"


def test_log_lines_of_a_call_say_which_call_it_was(tmp_path):
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    metadata = (("x-request-id", "r-1"), ("traceparent", f"00-{trace}-{span}-01"))
    with Varved(tmp_path, "--log-level", "debug") as server, Api(server.address) as api:
        with pytest.raises(grpc.RpcError):
            api.query.Count(
                v1.CountRequest(namespace="none"), metadata=metadata, timeout=CALL_SECONDS
            )
        namespace = v1.Namespace(name="a", fields=[v1.VectorField(dimension=2)])
        request = v1.CreateNamespaceRequest(namespace=namespace)
        odd = (("x-request-id", "r-2"), ("traceparent", f"00-{trace}-{span}"))
        api.namespaces.CreateNamespace(request, metadata=odd, timeout=CALL_SECONDS)
    ended, audited = lines(server, "call ended")
    assert (audited["level"], audited["request_id"]) == ("audit", "r-2")
    assert (ended["method"], ended["code"]) == ("QueryService.Count", "NOT_FOUND")
    assert (ended["request_id"], ended["trace_id"], ended["span_id"]) == ("r-1", trace, span)
    (created,) = lines(server, "namespace created")
    assert created["request_id"] == "r-2"
    assert "trace_id" not in created


@pytest.mark.parametrize(("milliseconds", "logged"), [("1", 1), ("0", 0)])
def test_a_slow_search_is_logged_with_its_plan(tmp_path, milliseconds, logged):
    vectors = random_vectors(9, 4_000, 256)
    filter_text = "n < 100000 AND " + " AND ".join(f"n != {i}" for i in range(-100, 0))
    with Varved(tmp_path, "--slow-query-ms", milliseconds) as server, Api(server.address) as api:
        api.create("a", 256)
        api.upsert("a", range(4_000), vectors, [{"n": i} for i in range(4_000)])
        request = v1.SearchBatchRequest(
            namespace="a",
            queries=tensor(vectors[:500]),
            options=v1.SearchOptions(k=7, exact=True, filter=v1.Filter(text=filter_text)),
        )
        # Half a thousand million multiplications take longer than a millisecond anywhere.
        api.query.SearchBatch(
            request, metadata=(("x-request-id", "slow-1"),), timeout=CALL_SECONDS
        )
        assert scrape(server).value("varve_slow_searches_total") == logged
    found = lines(server, "slow query")
    assert len(found) == logged
    for line in found:
        assert (line["namespace"], line["field"], line["k"], line["queries"]) == ("a", "", 7, 500)
        assert (line["plan"], line["code"], line["request_id"]) == ("exact", "OK", "slow-1")
        assert line["seconds"] > 0.001
        assert line["matches"] == line["rows"] == 4_000
        assert line["distances"] >= 4_000
        assert line["filter"].startswith("n < 100000") and line["filter"].endswith("...")
        assert len(line["filter"]) < 300
