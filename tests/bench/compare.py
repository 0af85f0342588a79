#!/usr/bin/env python3
"""Varve beside hnswlib and beside the plainest possible ingest server, in one run.

    ./dev bench                       synthetic vectors from a seed; some minutes
    ./dev bench --data DIR...         folders with base.npy, queries.npy, neighbors.npy, set.json
    ./dev bench --svg FILE            where the plot of recall against queries per second goes

hnswlib is the library in the same process, on float32, compiled for the machine, with the same m and
ef_construction; what is timed of one is timed of the other right after it. Figures are medians of three.
Ratios are what counts: above 1 Varve is faster.
"""

import argparse
import contextlib
import dataclasses
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from testutil.varved import ROOT, Varved  # noqa: E402

BIN = ROOT / "bazel-bin/tests/bench"
TRUTH = 100  # neighbours of each query
RECALLS = (0.95, 0.99)
ROUNDS = 3


@dataclasses.dataclass
class Set:
    """Vectors in files as the benchmarks' programs read them."""

    name: str
    metric: str
    folder: pathlib.Path
    rows: int
    dimension: int

    def flags(self) -> list[str]:
        files = [f"--{name}={self.folder / name}" for name in ("base", "queries", "neighbors")]
        return [*files, f"--dimension={self.dimension}", f"--metric={self.metric}"]


def write_set(scratch, name, metric, base, queries, neighbors) -> Set:
    folder = scratch / name
    folder.mkdir()
    base.astype("<f4").tofile(folder / "base")
    queries.astype("<f4").tofile(folder / "queries")
    neighbors[:, :TRUTH].astype("<i4").tofile(folder / "neighbors")
    return Set(name, metric, folder, *base.shape)


def synthetic(scratch, rows: int, dimension: int, latent: int) -> Set:
    """Points of few true dimensions in a space of many, as embeddings are, with some noise."""
    random = np.random.default_rng(dimension)
    spread = random.standard_normal((latent, dimension), np.float32)

    def draw(count):
        noise = 0.3 * random.standard_normal((count, dimension), np.float32)
        return random.standard_normal((count, latent), np.float32) @ spread + noise

    base, queries = draw(rows), draw(1000)
    squares = (base * base).sum(1)
    neighbors = np.concatenate([
        np.argsort(squares - 2 * part @ base.T, 1)[:, :TRUTH]
        for part in np.array_split(queries, 20)
    ])
    return write_set(scratch, f"synthetic-{dimension}", "l2", base, queries, neighbors)


def load(scratch, folder: pathlib.Path) -> Set:
    metric = json.loads((folder / "set.json").read_text())["metric"]
    arrays = [np.load(folder / f"{name}.npy") for name in ("base", "queries", "neighbors")]
    return write_set(scratch, folder.name, metric, *arrays)


def run(program: str, *flags: str) -> dict:
    done = subprocess.run([BIN / program, *flags], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{program} failed:\n{done.stderr}")
    return json.loads(done.stdout)


@contextlib.contextmanager
def plain_server(directory: pathlib.Path):
    process = subprocess.Popen([BIN / "plain_server", directory], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.stdin.close()
        process.wait()


def disk_bytes(directory: pathlib.Path) -> int:
    """What is left when the server has ended: no logs of writes, which it may still keep meanwhile."""
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())


def ingest_plainly(vectors: Set) -> float:
    """Seconds until the server without an index has acknowledged all."""
    with tempfile.TemporaryDirectory() as directory, plain_server(pathlib.Path(directory)) as address:
        flags = [f"--server={address}", "--acknowledged-only", f"--dimension={vectors.dimension}"]
        return run("wire_bench", *flags, f"--base={vectors.folder / 'base'}")["acknowledged_s"]


def ingest_and_search(vectors: Set, *flags: str) -> dict:
    with tempfile.TemporaryDirectory() as directory:
        with Varved(pathlib.Path(directory)) as server:
            before = server.memory_bytes()
            result = run("wire_bench", f"--server={server.address}", *vectors.flags(), *flags)
            result["memory"] = server.memory_bytes() - before
        result["disk"] = disk_bytes(pathlib.Path(directory))
        return result


def over_wire(vectors: Set) -> dict:
    """Servers new in each round, for the times of ingest; what one has written is gone before the next
    begins, or writing it back would slow that down. The last one is searched at every effort."""
    plain, rounds = [], []
    for i in range(ROUNDS):
        plain.append(ingest_plainly(vectors))
        efs = [] if i == ROUNDS - 1 else ["--ef=10", "--rounds=1"]
        rounds.append(ingest_and_search(vectors, *efs))
    medians = {key: statistics.median(r[key] for r in rounds) for key in ("acknowledged_s", "indexed_s")}
    return rounds[-1] | medians | {"plain_s": statistics.median(plain)}


def rate_at(points: list[tuple[float, float]], recall: float) -> float:
    """Between two measured points, on the line through the logarithms of their rates; that of the
    cheapest search when it is good enough already; NaN when none is."""
    points = sorted(points)
    if points[0][0] >= recall:
        return points[0][1]
    for (low, slow), (high, fast) in zip(points, points[1:], strict=False):
        if low < recall <= high:
            share = (recall - low) / (high - low)
            return math.exp(math.log(slow) * (1 - share) + math.log(fast) * share)
    return math.nan


def curve(searches: list[dict], who: str, what: str) -> list[tuple[float, float]]:
    return [(s[who]["recall"], statistics.median(s[who][what])) for s in searches]


def row(what: str, ours: float, theirs: float, unit: str, ratio: float) -> None:
    print(f"| {what:<52} | {ours:>12,.1f} | {theirs:>12,.1f} | {unit:<8} | {ratio:>6.2f} |", flush=True)


def report(vectors: Set, index: dict, wire: dict) -> None:
    print(f"\n## {vectors.name}: {vectors.rows:,} x {vectors.dimension}, {vectors.metric}\n")
    print(f"| {'':<52} | {'Varve':>12} | {'baseline':>12} | {'unit':<8} | {'ratio':>6} |")
    print(f"| {'-' * 52} | {'-' * 12} | {'-' * 12} | {'-' * 8} | {'-' * 6} |")
    rows = vectors.rows
    ours, theirs = (rows / statistics.median(index[f"{who}_build_s"]) for who in ("varve", "hnswlib"))
    row("indexed, in the process", ours, theirs, "rows/s", ours / theirs)
    ours = rows / wire["indexed_s"]
    row("indexed, over gRPC and durable", ours, theirs, "rows/s", ours / theirs)
    ours, plain = rows / wire["acknowledged_s"], rows / wire["plain_s"]
    row("acknowledged, beside a server without an index", ours, plain, "rows/s", ours / plain)
    for recall in RECALLS:
        for what, name in (("qps_1", "one thread"), ("qps_all", "all threads")):
            ours = rate_at(curve(index["searches"], "varve", what), recall)
            theirs = rate_at(curve(index["searches"], "hnswlib", what), recall)
            row(f"search, recall {recall}, {name}, in the process", ours, theirs, "queries/s",
                ours / theirs)
        points = [(s["recall"], statistics.median(s["batch_qps"])) for s in wire["searches"]]
        ours = rate_at(points, recall)
        row(f"search, recall {recall}, SearchBatch over gRPC", ours, theirs, "queries/s", ours / theirs)
        micros = rate_at([(s["recall"], s["unary_p50_us"]) for s in wire["searches"]], recall)
        own = 1e6 / rate_at(curve(index["searches"], "hnswlib", "qps_1"), recall)
        row(f"search, recall {recall}, unary over gRPC, median", micros, own, "us", own / micros)
    raw, links = 4 * vectors.dimension, 4 * 33 + 16
    row("memory of a row, without files' pages", wire["memory"] / rows, raw + links, "bytes",
        (wire["memory"] / rows) / (raw + links))
    row("disk of a row, beside its float32s", wire["disk"] / rows, raw, "bytes", wire["disk"] / rows / raw)
    worst = min(s["varve"]["recall"] - s["hnswlib"]["recall"] for s in index["searches"])
    nothing = statistics.median(s["call_p50_us"] for s in wire["searches"])
    print(f"\nA unary call that does nothing, median: {nothing:.0f} us")
    print(f"Recall at equal ef_search, Varve less hnswlib, worst of {len(index['searches'])} efforts: "
          f"{worst:+.4f}")


def plot(results: list[tuple[Set, dict]], path: pathlib.Path) -> None:
    """Recall against queries per second of one thread, a panel for each set, as SVG."""
    width, height, margin = 420, 300, 56
    parts = []
    for number, (vectors, index) in enumerate(results):
        curves = {who: curve(index["searches"], who, "qps_1") for who in ("varve", "hnswlib")}
        rates = [rate for points in curves.values() for _, rate in points]
        low, high = math.log(min(rates)), math.log(max(rates))
        left = number * width

        def at(recall, rate, left=left, low=low, high=high):
            # Each further nine of recall takes as much room.
            nines = min(-math.log10(max(1 - recall, 1e-4)), 4) / 4
            return (left + margin + nines * (width - 1.5 * margin),
                    height - margin - (math.log(rate) - low) / (high - low) * (height - 2 * margin))

        parts.append(f'<text x="{left + margin}" y="24" font-size="14">{vectors.name}</text>')
        for recall in (0.9, 0.99, 0.999):
            x = at(recall, min(rates))[0]
            parts.append(f'<line x1="{x:.0f}" y1="{margin - 16}" x2="{x:.0f}" y2="{height - margin}" '
                         f'stroke="#ddd"/><text x="{x:.0f}" y="{height - margin + 16}" '
                         f'text-anchor="middle">{recall}</text>')
        for rate in (min(rates), max(rates)):
            y = at(0, rate)[1]
            parts.append(f'<text x="{left + margin - 4}" y="{y:.0f}" text-anchor="end">{rate:,.0f}</text>')
        for who, colour in (("varve", "#0a6"), ("hnswlib", "#888")):
            points = [at(*point) for point in sorted(curves[who])]
            path_points = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{path_points}" fill="none" stroke="{colour}" '
                         'stroke-width="2"/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
            parts.append(f'<text x="{points[0][0] + 6:.0f}" y="{points[0][1] - 6:.0f}" '
                         f'fill="{colour}">{who}</text>')
        parts.append(f'<text x="{left + width / 2:.0f}" y="{height - 12}" text-anchor="middle">'
                     'recall@10; queries/s of one thread</text>')
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * len(results)}" height="{height}" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        + "".join(parts) + "</svg>\n")
    print(f"\nplot: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, nargs="+", default=[])
    parser.add_argument("--svg", type=pathlib.Path, default=pathlib.Path("varve-bench.svg"))
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        sets = ([lambda folder=folder: load(scratch, folder) for folder in args.data] or
                [lambda: synthetic(scratch, 50_000, 128, 24), lambda: synthetic(scratch, 25_000, 768, 32)])
        for make in sets:
            vectors = make()
            index = run("index_bench", *vectors.flags(), f"--rounds={ROUNDS}")
            report(vectors, index, over_wire(vectors))
            results.append((vectors, index))
    plot(results, args.svg)


if __name__ == "__main__":
    main()
