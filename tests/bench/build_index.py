"""What `varve build-index` costs beside `varve ingest` into a server, of one file, in turns.

    .tools/python/bin/python tests/bench/build_index.py [--rows 50000] [--dimension 128] [--rounds 5]

Prints, as medians over the rounds: rows/s of `build-index` and of `ingest --wait-indexed` and `flush`, which
leave the same sealed segments; and the peak memory of `build-index`, with and without pages of files (which
the system may drop), of files of once, twice and four times so many rows, when a segment has a quarter of
`--rows` and as many may wait to be linked.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from testutil.varved import VARVE, Varved  # noqa: E402

SAMPLES_EVERY = 0.005  # seconds
CLUSTERS = 100


def write(path: pathlib.Path, rows: int, dimension: int) -> pathlib.Path:
    """Clustered vectors, as those of models are."""
    random = np.random.default_rng(1)
    centres = random.standard_normal((CLUSTERS, dimension), dtype=np.float32)
    vectors = np.lib.format.open_memmap(path, "w+", np.float32, (rows, dimension))
    for first in range(0, rows, 10_000):
        part = vectors[first : first + 10_000]
        near = random.standard_normal(part.shape, dtype=np.float32) / 4
        part[:] = centres[random.integers(0, CLUSTERS, len(part))] + near
    vectors.flush()
    return path


def build(folder: pathlib.Path, file: pathlib.Path, *flags) -> list[str]:
    target = folder / "index"
    shutil.rmtree(target, ignore_errors=True)
    return [str(word) for word in (VARVE, "build-index", target, "--input", file, *flags)]


def seconds_of_build(folder, file) -> float:
    begin = time.perf_counter()
    subprocess.run(build(folder, file), check=True, capture_output=True)
    return time.perf_counter() - begin


def seconds_of_ingest(folder, file, dimension) -> float:
    place = folder / "server"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    with Varved(place) as server:
        server.run("namespace", "create", "n", "--dimension", str(dimension))
        begin = time.perf_counter()
        server.run("ingest", "n", "--input", str(file), "--wait-indexed")
        server.run("flush", "n")
        return time.perf_counter() - begin


def measure_speed(folder, file, rows, dimension, rounds) -> None:
    builds, ingests = [], []
    for _ in range(rounds):
        builds.append(seconds_of_build(folder, file))
        ingests.append(seconds_of_ingest(folder, file, dimension))
    for name, took in (("build-index", builds), ("ingest into a server", ingests)):
        print(f"{name:22} {rows / statistics.median(took):>10,.0f} rows/s")
    turns = [ingest / build for ingest, build in zip(ingests, builds)]
    print(f"build-index / ingest   {statistics.median(turns):.2f}  (of each round: "
          f"{', '.join(f'{turn:.2f}' for turn in turns)})")


def anonymous_kib(pid: int) -> int:
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(x.split()[1]) for x in status.splitlines() if x.startswith("RssAnon")), 0)


def peaks_mib(command: list[str]) -> tuple[float, float]:
    """All that was resident at most, and of that what is not pages of files."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    anonymous = 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        anonymous = max(anonymous, anonymous_kib(process.pid))
        time.sleep(SAMPLES_EVERY)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return usage.ru_maxrss / 1024, anonymous / 1024


def measure_memory(folder, rows, dimension) -> None:
    print("rows        file      peak   without pages of files   (MiB)")
    for times in (1, 2, 4):
        file = write(folder / "larger.npy", rows * times, dimension)
        bounds = ("--segment-size-threshold", rows // 4, "--max-unindexed-rows", rows // 4)
        peak, anonymous = peaks_mib(build(folder, file, *bounds))
        size = file.stat().st_size / (1 << 20)
        print(f"{rows * times:<10,} {size:>6.0f} {peak:>9.0f} {anonymous:>24.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rows, dimension = arguments.rows, arguments.dimension
    with tempfile.TemporaryDirectory(prefix="varve-bench-") as name:
        folder = pathlib.Path(name)
        file = write(folder / "v.npy", rows, dimension)
        measure_speed(folder, file, rows, dimension, arguments.rounds)
        measure_memory(folder, rows, dimension)


if __name__ == "__main__":
    main()
