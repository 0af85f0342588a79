"""What metadata costs at ingest, and how well documents of many vectors are found. Over gRPC, a server of its own.

  tests/bench/records.py ingest DIR ...   the same rows bare, with metadata per record and by column
  tests/bench/records.py documents DIR    recall@10 by MaxSim at default settings (doc_neighbors.npy)
  tests/bench/records.py filters DIR ...  latency of filtered searches beside exact and unfiltered ones
"""

import argparse
import gzip
import json
import pathlib
import statistics
import sys
import tempfile
import time

import grpc
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from testutil import v1  # noqa: E402
from testutil.api import METRICS, Api, numbered, opening, records  # noqa: E402
from testutil.varved import Varved  # noqa: E402

BATCH = 1000
ROUNDS = 3
SHARES = (0.5, 0.1, 0.01, 0.001)


def load(directory: pathlib.Path):
    about = json.loads((directory / "set.json").read_text())
    with gzip.open(directory / "meta.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return about, np.load(directory / "base.npy"), rows


def columns(rows: list[dict]) -> list[v1.MetadataColumn]:
    made = []
    for name in sorted({name for row in rows for name in row}):
        have = [i for i, row in enumerate(rows) if name in row]
        column = v1.MetadataColumn(path=name, rows=[] if len(have) == len(rows) else have)
        values = [rows[i][name] for i in have]
        if all(isinstance(value, bool) for value in values):
            column.bools.values.extend(values)
        elif all(isinstance(value, int) for value in values):
            column.int64s.values.extend(values)
        elif all(isinstance(value, (int, float)) for value in values):
            column.doubles.values.extend(float(value) for value in values)
        else:
            column.strings.values.extend(str(value) for value in values)
        made.append(column)
    return made


def messages(base: np.ndarray, rows: list[dict], how: str) -> list[bytes]:
    made = [opening("n").SerializeToString()]
    for number, begin in enumerate(range(0, len(base), BATCH), 1):
        part = slice(begin, begin + BATCH)
        keys = range(begin, min(begin + BATCH, len(base)))
        batch = records(keys, base[part], rows[part] if how == "per record" else None)
        if how == "by column":
            batch.metadata_columns.extend(columns(rows[part]))
        made.append(numbered(number, batch).SerializeToString())
    return made


def stream(address: str, sent: list[bytes]) -> float:
    """Seconds until the last batch was acknowledged. The messages are bytes already."""
    with grpc.insecure_channel(address) as channel:
        call = channel.stream_stream("/varve.v1.IngestService/Ingest")
        begin = time.perf_counter()
        for _ in call(iter(sent)):
            pass
        return time.perf_counter() - begin


def ingest(directories: list[pathlib.Path]) -> None:
    print(f"{'set':20} {'':12} {'acknowledged rows/s':>20} {'/bare':>6} {'indexed rows/s':>15} {'/bare':>6}")
    for directory in directories:
        about, base, rows = load(directory)
        sent = {how: messages(base, rows, how) for how in ("bare", "per record", "by column")}
        times: dict[str, list] = {how: [] for how in sent}
        for _ in range(ROUNDS):
            for how, one in sent.items():
                with tempfile.TemporaryDirectory() as folder, Varved(folder) as server:
                    with Api(server.address) as api:
                        api.create("n", base.shape[1], about["metric"])
                        begin = time.perf_counter()
                        acknowledged = stream(server.address, one)
                        api.wait_indexed("n")
                        times[how].append((acknowledged, time.perf_counter() - begin))
        bare = [statistics.median(t[i] for t in times["bare"]) for i in (0, 1)]
        for how, measured in times.items():
            took = [statistics.median(t[i] for t in measured) for i in (0, 1)]
            print(f"{directory.name:20} {how:12} {len(base) / took[0]:20,.0f} {took[0] / bare[0]:6.2f} "
                  f"{len(base) / took[1]:15,.0f} {took[1] / bare[1]:6.2f}")


def documents(directories: list[pathlib.Path]) -> None:
    for directory in directories:
        base = np.load(directory / "base.npy")
        offsets = np.load(directory / "doc_offsets.npy").tolist()
        queries, query_offsets = (np.load(directory / f"{n}.npy") for n in ("queries", "query_offsets"))
        neighbors = np.load(directory / "doc_neighbors.npy")
        with tempfile.TemporaryDirectory() as folder, Varved(folder) as server:
            with Api(server.address) as api:
                field = v1.VectorField(
                    dimension=base.shape[1], metric=METRICS["cosine"], multi_vector=True
                )
                namespace = v1.Namespace(name="n", fields=[field])
                api.namespaces.CreateNamespace(v1.CreateNamespaceRequest(namespace=namespace))
                api.upsert("n", range(len(offsets) - 1), {"": (base, offsets)})
                api.wait_indexed("n")
                found = wanted = 0
                times = []
                for i, (a, b) in enumerate(zip(query_offsets, query_offsets[1:])):
                    begin = time.perf_counter()
                    hits = api.search("n", queries[a:b]).hits
                    times.append(time.perf_counter() - begin)
                    truth = set(neighbors[i][:10].tolist())
                    found += len(truth & {hit.id.number for hit in hits})
                    wanted += len(truth)
        print(f"{directory.name}: {len(offsets) - 1} documents of {len(base)} vectors, recall@10 "
              f"{found / wanted:.4f} (at least 0.95), p50 {statistics.median(times) * 1000:.2f} ms")


def filters(directories: list[pathlib.Path]) -> None:
    print(f"{'set':20} {'matches':>8} {'filtered':>9} {'exact':>9} {'unfiltered':>10} ms  /better of both")
    for directory in directories:
        about, base, rows = load(directory)
        queries = np.load(directory / "queries.npy")[:200]
        random = np.random.default_rng(5)
        # Far from where most queries look: the farthest of the rows from one of them.
        far = np.argsort(-np.square(base.astype("f4") - queries[0].astype("f4")).sum(axis=1))
        share = np.empty(len(base))
        share[far] = np.arange(len(base)) / len(base)
        given = [
            {"uniform": float(u), "far": float(f)} for u, f in zip(random.random(len(base)), share)
        ]
        with tempfile.TemporaryDirectory() as folder, Varved(folder) as server:
            with Api(server.address) as api:
                api.create("n", base.shape[1], about["metric"])
                for begin in range(0, len(base), BATCH):
                    part = slice(begin, begin + BATCH)
                    keys = range(begin, begin + len(base[part]))
                    api.upsert("n", keys, base[part], given[part])
                api.compact("n")

                def median(**options) -> float:
                    times = []
                    for query in queries:
                        begin = time.perf_counter()
                        api.search("n", query, **options)
                        times.append(time.perf_counter() - begin)
                    return statistics.median(times) * 1000

                median()
                unfiltered = median()
                for name in ("uniform", "far"):
                    for kept in SHARES:
                        text = f"{name} < {kept}"
                        filtered, exact = median(filter=text), median(filter=text, exact=True)
                        print(f"{directory.name:20} {text:>16} {filtered:9.3f} {exact:9.3f} "
                              f"{unfiltered:10.3f}     {filtered / min(exact, unfiltered):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["ingest", "documents", "filters"])
    parser.add_argument("data", nargs="+", type=pathlib.Path)
    flags = parser.parse_args()
    {"ingest": ingest, "documents": documents, "filters": filters}[flags.what](flags.data)


if __name__ == "__main__":
    main()
