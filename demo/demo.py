"""./dev demo: streams real vectors into a server, searches them, and prints how fast and how well.

Without --data it runs over the two sets in demo/data, and for passages of text also shows what is found.
All of it happens in a temporary folder; the server ends with the demo.
"""

import argparse
import dataclasses
import gzip
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from testutil.varved import BIN, ROOT, Varved  # noqa: E402
from vector_set import DTYPES, BadSet, VectorSet  # noqa: E402

K = 10
DATA = pathlib.Path(os.path.relpath(ROOT / "demo/data"))  # short, for the commands shown
# Queries of passages-384 whose text says by itself what is asked for.
PASSAGES_SHOWN = (7, 17, 34)
PASSAGE_HITS = 3
TEXT_WIDTH = 96


@dataclasses.dataclass
class Figures:
    acknowledged_per_second: float
    indexed_per_second: float
    recall: float
    exact_recall: float
    p50_ms: float
    p99_ms: float

    def __str__(self) -> str:
        return (
            f"  ingest    {self.acknowledged_per_second:,.0f} rows/s acknowledged, "
            f"{self.indexed_per_second:,.0f} rows/s until all are indexed\n"
            f"  search    recall@{K} {self.recall:.4f} at default settings, "
            f"{self.exact_recall:.4f} with --exact\n"
            f"  latency   p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms "
            "(one connection, one search at a time)"
        )


def varve(server: Varved, *arguments) -> dict:
    """Runs `varve`, showing the command, and returns what it prints as JSON."""
    words = [str(argument) for argument in arguments]
    print(f"  $ varve {shlex.join(words)}", flush=True)
    return server.json(*words)


def search(server: Varved, vectors: VectorSet, output: pathlib.Path, *flags: str) -> np.ndarray:
    varve(
        server, "search", vectors.name, "--queries", vectors.queries_path, "--k", K,
        "--output", output, *flags,
    )  # fmt: skip
    return np.load(output)


def search_latency(server: Varved, vectors: VectorSet, folder: pathlib.Path) -> dict:
    """Times single searches with a C++ client."""
    raw = folder / "queries.raw"
    np.ascontiguousarray(vectors.queries).tofile(raw)
    command = [BIN / "demo/search_latency", "--server", server.address]
    command += ["--namespace", vectors.name, "--queries", raw, "--k", str(K)]
    command += ["--dtype", DTYPES[vectors.queries.dtype.name]]
    command += ["--dimension", str(vectors.queries.shape[1])]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def run_set(server: Varved, vectors: VectorSet, folder: pathlib.Path) -> tuple[Figures, np.ndarray]:
    """Streams one set in and searches it; returns the figures and the rows found."""
    print(f"\n{vectors}")
    dimension = vectors.base.shape[1]
    varve(
        server, "namespace", "create", vectors.name, "--dimension", dimension,
        "--metric", vectors.metric, "--element-type", DTYPES[vectors.base.dtype.name],
    )  # fmt: skip
    ingest = varve(server, "ingest", vectors.name, "--input", vectors.base_path, "--wait-indexed")
    found = search(server, vectors, folder / "found.npy")
    exact = search(server, vectors, folder / "exact.npy", "--exact")
    latency = search_latency(server, vectors, folder)
    rows = len(vectors.base)
    figures = Figures(
        acknowledged_per_second=rows / ingest["seconds"],
        indexed_per_second=rows / (ingest["seconds"] + ingest["indexing_seconds"]),
        recall=vectors.recall(found),
        exact_recall=vectors.recall(exact),
        p50_ms=latency["p50_ms"],
        p99_ms=latency["p99_ms"],
    )
    print(figures)
    return figures, found


def read_passages(path: pathlib.Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def shortened(text: str) -> str:
    return text if len(text) <= TEXT_WIDTH else text[: TEXT_WIDTH - 3].rstrip() + "..."


def show_passages(vectors: VectorSet, found: np.ndarray) -> None:
    """Some query passages and the passages found for them. The text is not in the server: rows are."""
    base = read_passages(vectors.folder / "base.jsonl.gz")
    queries = read_passages(vectors.folder / "queries.jsonl.gz")
    print("\nWhat was found for three passages of the manual that were held back:")
    for query in PASSAGES_SHOWN:
        print(f"\n  {shortened(queries[query]['text'])}")
        for row in found[query, :PASSAGE_HITS]:
            print(f"    -> {base[row]['section']:<13} {shortened(base[row]['text'])}")


def run(folders: list[pathlib.Path]) -> None:
    sets = [VectorSet(folder) for folder in folders or sorted(DATA.iterdir())]
    with tempfile.TemporaryDirectory(prefix="varve-demo-") as temporary:
        folder = pathlib.Path(temporary)
        with Varved(folder) as server:
            print(f"varved serves on {server.address}, its data is in {folder}", flush=True)
            for vectors in sets:
                _, found = run_set(server, vectors, folder)
                if (vectors.folder / "queries.jsonl.gz").exists() and not folders:
                    show_passages(vectors, found)
    print("\nThe server has been stopped and its data removed.")
    print("Next: ./dev serve starts a server for you; README.md has the first commands to type.")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./dev demo", description="Streams vectors into a server, searches, prints figures."
    )
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        type=pathlib.Path,
        metavar="DIR",
        help="a folder with base.npy, queries.npy and neighbors.npy, and set.json if the metric is "
        "not l2; may be given several times (default: the sets in demo/data)",
    )
    try:
        run(parser.parse_args().data)
    except BadSet as error:
        print(f"./dev demo: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"./dev demo: {shlex.join(map(str, error.cmd))}: {error.stderr}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\n./dev demo: interrupted; the server has been stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
