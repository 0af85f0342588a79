"""What the Python client costs beside the C++ one, on one server, in turns.

    .tools/clients/python/bin/python tests/bench/clients.py [--rows 200000] [--dimension 384] [--rounds 5]

Prints, as medians over the rounds: rows/s until acknowledged by ns.ingest() of an array, by `varve ingest` of
the same array as a file (the C++ client), and by a loop of single upserts; the client's peak memory above what
it held before, of an array and of a mapped file; and a pipeline's time beside that of its slowest stage.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
import threading
import time

import numpy as np

import varve

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from testutil.varved import Varved  # noqa: E402

SINGLE_UPSERTS = 2_000
PIPELINE_CHUNKS, PIPELINE_BATCH = 6_400, 64


def seconds(run) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def resident_mib() -> float:
    status = pathlib.Path("/proc/self/status").read_text()
    return next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmRSS")) / 1024


def peak_mib(run) -> float:
    """How far resident memory rises above what it was."""
    before, highest, over = resident_mib(), 0.0, threading.Event()

    def watch():
        nonlocal highest
        while not over.wait(0.002):
            highest = max(highest, resident_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    run()
    over.set()
    watcher.join()
    return highest - before


def measure_ingest(client, server, file, rows, dimension, rounds) -> None:
    data = np.load(file)
    ids = np.arange(rows)
    rates = {"python": [], "c++": [], "single upserts": []}
    for number in range(rounds):
        ns = client.create_namespace(f"python-{number}", dimension)
        rates["python"].append(rows / seconds(lambda: ns.ingest(ids, data, progress=False)))
        client.delete_namespace(ns.name)
        ns = client.create_namespace(f"cpp-{number}", dimension)
        took = server.json("ingest", ns.name, "--input", str(file))["seconds"]
        rates["c++"].append(rows / took)
        client.delete_namespace(ns.name)
        ns = client.create_namespace(f"single-{number}", dimension)

        def upserts(ns=ns):
            for i in range(SINGLE_UPSERTS):
                ns.upsert(ids[i : i + 1], data[i : i + 1])

        rates["single upserts"].append(SINGLE_UPSERTS / seconds(upserts))
        client.delete_namespace(ns.name)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name, rate in medians.items():
        print(f"{name:16} {rate:>10,.0f} rows/s acknowledged")
    turns = [ours / theirs for ours, theirs in zip(rates["python"], rates["c++"])]
    print(f"python / c++            {statistics.median(turns):.2f}  (of each round: "
          f"{', '.join(f'{turn:.2f}' for turn in turns)})")
    print(f"python / single upserts {medians['python'] / medians['single upserts']:.0f}")


def measure_memory(client, file, rows, dimension) -> None:
    data = np.load(file)
    for name, array in (("array", data), ("mapped file", np.load(file, mmap_mode="r"))):
        ns = client.create_namespace(f"memory-{name.split()[0]}", dimension)
        peak = peak_mib(lambda: ns.ingest(range(rows), array, progress=False))
        print(f"peak above the {name}: {peak:.0f} MiB")
        client.delete_namespace(ns.name)


def measure_pipeline(client, dimension) -> None:
    """Embedding is the slowest stage: it sleeps. Alone it takes PIPELINE_CHUNKS / batch times that."""
    vectors = np.random.default_rng(2).standard_normal((PIPELINE_BATCH, dimension), dtype=np.float32)
    pause = 0.02

    def embed(texts):
        time.sleep(pause)
        return vectors[: len(texts)]

    ns = client.create_namespace("pipeline", dimension)
    documents = ((f"d{i}", "text") for i in range(PIPELINE_CHUNKS))
    took = seconds(
        lambda: varve.pipeline(documents, embed=embed, sink=ns.writer(), batch=PIPELINE_BATCH)
    )
    slowest = seconds(lambda: [embed(["x"]) for _ in range(PIPELINE_CHUNKS // PIPELINE_BATCH)])
    print(f"pipeline / its slowest stage: {took / slowest:.2f}")
    client.delete_namespace(ns.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rows, dimension = arguments.rows, arguments.dimension
    with tempfile.TemporaryDirectory(prefix="varve-bench-") as folder:
        file = pathlib.Path(folder) / "vectors.npy"
        np.save(file, np.random.default_rng(1).standard_normal((rows, dimension), dtype=np.float32))
        with Varved(pathlib.Path(folder)) as server, varve.Client(server.address) as client:
            measure_ingest(client, server, file, rows, dimension, arguments.rounds)
            measure_memory(client, file, rows, dimension)
            measure_pipeline(client, dimension)


if __name__ == "__main__":
    main()
