#!/usr/bin/env python3
"""How a namespace fares over its life: churn, growth, restart, searching during compaction; and how a
server fares with many namespaces.

    tests/bench/lifecycle.py churn --data DIR     a folder with base.npy and queries.npy
    tests/bench/lifecycle.py growth [--rows N]    synthetic vectors from a seed
    tests/bench/lifecycle.py namespaces [--count N]

Run with the Python of .tools after ./dev build. Every figure stands beside the baseline measured in
the same run, by the same server on the same machine; ratios are what counts.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from testutil import v1  # noqa: E402
from testutil.api import Api, id_list  # noqa: E402
from testutil.varved import Varved  # noqa: E402

K = 10
LONG = 3600  # seconds that one call may take


def new_server(scratch: str, name: str) -> Varved:
    directory = pathlib.Path(scratch) / name
    directory.mkdir()
    return Varved(directory)


def say(name: str, value: str) -> None:
    print(f"{name:<58} {value}", flush=True)


def upsert(api: Api, namespace: str, keys: np.ndarray, vectors: np.ndarray, batch=2000) -> None:
    with api.open(namespace) as stream:
        for number, first in enumerate(range(0, len(keys), batch), start=1):
            part = slice(first, first + batch)
            stream.write(number, keys[part].tolist(), vectors[part])


def search(api: Api, namespace: str, queries: np.ndarray, exact=False) -> np.ndarray:
    rows = [
        id_list(api.search_batch(namespace, queries[i : i + 50], K, LONG, exact=exact).ids)
        for i in range(0, len(queries), 50)
    ]
    return np.concatenate([np.array(part).reshape(-1, K) for part in rows])


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    hits = sum(len(np.intersect1d(*pair)) for pair in zip(found, truth, strict=True))
    return hits / truth.size


def wait_until_steady(state) -> None:
    """Returns when what `state()` gives has been the same for longer than freed memory takes to go back.
    Nothing tells when that, or the last compaction, is over: so it is asked for."""
    last, since = state(), time.monotonic()
    while time.monotonic() - since < 15:
        time.sleep(0.2)
        if (now := state()) != last:
            last, since = now, time.monotonic()


def wait_settled(api: Api, namespace: str) -> None:
    """Returns when the index is built, segments and disk rest, and freed memory has gone back."""
    list(api.admin.WatchIndexing(v1.WatchIndexingRequest(namespace=namespace), timeout=LONG))

    def state():
        segments = [(s.id, s.state) for s in api.segments(namespace)]
        compacting = any(state == v1.SEGMENT_STATE_COMPACTING for _, state in segments)
        return time.monotonic() if compacting else (segments, api.stats().disk_bytes)

    wait_until_steady(state)


def churn(folder: pathlib.Path, rounds: int) -> None:
    base = np.load(folder / "base.npy", mmap_mode="r").astype("<f4")
    queries = np.load(folder / "queries.npy").astype("<f4")[:200]
    random = np.random.default_rng(1)
    rows, dimension = base.shape
    keys = np.arange(rows)
    final = base.copy()
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        with new_server(scratch, "churned") as server, Api(server.address) as api:
            api.create("n", dimension)
            upsert(api, "n", keys, base)
            wait_settled(api, "n")
            for _ in range(rounds):
                chosen = random.choice(rows, rows // 5, replace=False)
                noise = random.standard_normal((len(chosen), dimension), np.float32)
                final[chosen] = base[random.permutation(chosen)] + noise
                upsert(api, "n", chosen, final[chosen])
            wait_settled(api, "n")
            figures["churned"] = measure(server, api, queries)
        with new_server(scratch, "fresh") as server, Api(server.address) as api:
            api.create("n", dimension)
            upsert(api, "n", keys, final)
            wait_settled(api, "n")
            figures["fresh"] = measure(server, api, queries)
    old, new = figures["churned"], figures["fresh"]
    say(f"rounds of replacing 20 % of {rows:,} rows", str(rounds))
    for name, (found, disk, memory, own, segments) in figures.items():
        say(f"{name}: recall@10 / disk / resident, of it not files / segments",
            f"{found:.4f} / {disk / 1e6:.0f} MB / {memory / 1e6:.0f}, {own / 1e6:.0f} MB / {segments}")
    say("recall@10, churned less fresh (at least -0.01)", f"{old[0] - new[0]:+.4f}")
    say("disk, churned to fresh (at most 1.3)", f"{old[1] / new[1]:.2f}")
    say("resident memory, churned to fresh (at most 1.3)", f"{old[2] / new[2]:.2f}")


def measure(server: Varved, api: Api, queries: np.ndarray) -> tuple[float, int, int, int, int]:
    # With its tail sealed and its store flushed: else what counts is when each last did so.
    api.admin.Flush(v1.FlushRequest(namespace="n"), timeout=LONG)
    wait_settled(api, "n")
    truth = search(api, "n", queries, exact=True)
    return (recall(search(api, "n", queries), truth), api.stats().disk_bytes,
            server.memory_bytes("VmRSS"), server.memory_bytes(), len(api.segments("n")))


def clustered(rows: int, dimension: int, seed: int) -> np.ndarray:
    """Points about centres, of fewer true dimensions than they have elements, as embeddings are."""
    random = np.random.default_rng(seed)
    spread = np.random.default_rng(7).standard_normal((24, dimension), np.float32)
    centres = 2 * np.random.default_rng(8).standard_normal((500, 24), np.float32)
    latent = centres[random.integers(0, 500, rows)]
    latent += random.standard_normal((rows, 24), np.float32)
    return (latent @ spread + 0.1 * random.standard_normal((rows, dimension), np.float32)).astype("<f4")


def growth(rows: int, dimension: int) -> None:
    vectors = clustered(rows, dimension, 1)
    queries = clustered(200, dimension, 2)
    with tempfile.TemporaryDirectory() as scratch:
        server = new_server(scratch, "server")
        with server:
            with Api(server.address) as api:
                build_seconds = stream_in(api, vectors)
                before = search(api, "n", queries)
                truth = search(api, "n", queries, exact=True)
                compaction_latency(api, queries, vectors)
                compare_with_single_graph(api, queries, before, truth, rows)
            restart(server, queries, truth, build_seconds)


def stream_in(api: Api, vectors: np.ndarray) -> float:
    rows = len(vectors)
    # So few rows may wait that ingest is as fast as indexing.
    api.create("n", vectors.shape[1], max_unindexed_rows=2_000)
    tenths = []
    began = mark = time.monotonic()
    indexed = 0
    with api.open("n") as stream:
        for number, first in enumerate(range(0, rows, 1000), start=1):
            part = slice(first, first + 1000)
            stream.write(number, range(first, min(rows, first + 1000)), vectors[part])
            if (first + 1000) % (rows // 10) == 0:
                segments = api.segments("n")
                now, before, indexed = time.monotonic(), indexed, sum(s.indexed_rows for s in segments)
                tenths.append((indexed - before) / (now - mark))
                mark = now
                say(f"rows/s indexed in tenth {len(tenths)} ({len(segments)} segments)",
                    f"{tenths[-1]:,.0f}")
    say("rows/s, last tenth to first (at least 0.9)", f"{tenths[-1] / tenths[0]:.2f}")
    list(api.admin.WatchIndexing(v1.WatchIndexingRequest(namespace="n"), timeout=LONG))
    seconds = time.monotonic() - began
    wait_settled(api, "n")
    say("seconds until indexed / until compaction rests", f"{seconds:.0f} / {time.monotonic() - began:.0f}")
    say("segments, levels", ", ".join(f"{s.rows:,} rows L{s.level}" for s in api.segments("n")))
    return seconds


def latencies(api: Api, queries: np.ndarray, until) -> list[float]:
    taken = []
    while not until(taken):
        for query in queries:
            began = time.perf_counter()
            api.search("n", query, K)
            taken.append((time.perf_counter() - began) * 1e3)
    return taken


def pause(api: Api, paused: bool) -> None:
    options = v1.IndexOptions(auto_compaction=not paused)
    api.namespaces.UpdateNamespace(v1.UpdateNamespaceRequest(name="n", index=options), timeout=LONG)


def compaction_latency(api: Api, queries: np.ndarray, vectors: np.ndarray) -> None:
    """One client searches one query after the other: the same rows, first with compaction paused."""
    pause(api, True)
    # A part is replaced: the segments that it died in are to be rebuilt, and the new ones merged.
    chosen = np.arange(0, len(vectors), 3)
    upsert(api, "n", chosen, vectors[chosen])
    wait_settled(api, "n")
    latencies(api, queries, lambda taken: len(taken) >= 1000)  # reads what is cold
    quiet = latencies(api, queries, lambda taken: len(taken) >= 5000)
    pause(api, False)
    busy = []

    def compacting(taken: list[float]) -> bool:
        return not any(s.state == v1.SEGMENT_STATE_COMPACTING for s in api.segments("n"))

    while len(busy) < 5000 and not compacting(busy):
        busy += latencies(api, queries, lambda taken: len(taken) >= 200)
    if not busy:
        return say("searches during compaction", "it was over before they began")
    for name, taken in (("quiet", quiet), ("compacting", busy)):
        say(f"p50 / p99 ms of {len(taken):,} searches, {name}",
            f"{statistics.median(taken):.2f} / {np.percentile(taken, 99):.2f}")
    say("p99, compacting to quiet (at most 2)",
        f"{np.percentile(busy, 99) / np.percentile(quiet, 99):.2f}")
    wait_settled(api, "n")


def compare_with_single_graph(api: Api, queries, before, truth, rows: int) -> None:
    began = time.monotonic()
    api.admin.Compact(v1.CompactRequest(namespace="n", wait=True), timeout=LONG)
    say("seconds of a full compaction / segments left",
        f"{time.monotonic() - began:.0f} / {len(api.segments('n'))}")
    several, single = recall(before, truth), recall(search(api, "n", queries), truth)
    say("recall@10 of the set as it was / as a single graph", f"{several:.4f} / {single:.4f}")
    say("recall@10, set less single graph (at least -0.01)", f"{several - single:+.4f}")


def restart(server: Varved, queries: np.ndarray, truth: np.ndarray, build_seconds: float) -> None:
    taken = []
    for _ in range(5):
        server.stop()
        began = time.monotonic()
        server.start()
        with Api(server.address) as api:
            found = id_list(api.search_batch("n", queries[:1], K).ids)
        taken.append(time.monotonic() - began)
        assert recall(np.array([found]), truth[:1]) > 0.8, "the first answer is not right"
    say("seconds from process start to the first right answer (< 1)",
        f"{statistics.median(taken):.2f} (median of {len(taken)}, worst {max(taken):.2f})")
    say("building anew takes so many times as long", f"{build_seconds / statistics.median(taken):,.0f}")


def namespaces(count: int) -> None:
    """Each holds a few records. A server with one of them is the baseline."""
    vectors = clustered(10, 32, 1)
    for number in (1, count):
        with tempfile.TemporaryDirectory() as scratch:
            server = new_server(scratch, "server")
            with server:
                with Api(server.address) as api:
                    began = time.monotonic()
                    for i in range(number):
                        api.create(f"n{i}", 32)
                        api.upsert(f"n{i}", range(10), vectors)
                    made = time.monotonic() - began
                server.stop()
                began = time.monotonic()
                server.start()
                started = time.monotonic() - began
                with Api(server.address) as api:
                    wait_until_steady(lambda server=server: server.memory_bytes() >> 20)
                    closed = server.memory_bytes()
                    began = time.monotonic()
                    api.search(f"n{number // 2}", vectors[0])
                    first = time.monotonic() - began
                    for i in range(number):
                        api.search(f"n{i}", vectors[0])
                    opened = server.memory_bytes()
        say(f"{number:,} namespaces: made / started / first search, s",
            f"{made:.1f} / {started:.2f} / {first:.3f}")
        say(f"{number:,} namespaces: memory after start / all open, MB",
            f"{closed / 1e6:.0f} / {opened / 1e6:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("churn")
    verb.add_argument("--data", type=pathlib.Path, required=True)
    verb.add_argument("--rounds", type=int, default=10)
    verb.set_defaults(run=lambda args: churn(args.data, args.rounds))
    verb = verbs.add_parser("growth")
    verb.add_argument("--rows", type=int, default=500_000)
    verb.add_argument("--dimension", type=int, default=128)
    verb.set_defaults(run=lambda args: growth(args.rows, args.dimension))
    verb = verbs.add_parser("namespaces")
    verb.add_argument("--count", type=int, default=10_000)
    verb.set_defaults(run=lambda args: namespaces(args.count))
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
