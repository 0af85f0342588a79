"""Makes the data of the demo (demo/data) from a folder that holds the larger sets it is cut from.

    make_data.py SOURCE      SOURCE has the folders sift-5k-128 and docs-minilm-384

Each set is a folder with base.npy, queries.npy, neighbors.npy (for every query the row numbers of the
nearest rows, nearest first) and set.json (metric and shape); what the sets are, where they come from and
under which licence is in the README.md of each. Running this again gives the same bytes.
"""

import gzip
import json
import pathlib
import shutil
import sys

import numpy as np

DATA = pathlib.Path(__file__).resolve().parent / "data"
NEIGHBORS = 100
PASSAGE_SOURCE = "wsdot-spec"
PASSAGE_DIVISION = "Division 9"


def read_passages(path: pathlib.Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write_passages(path: pathlib.Path, passages: list[dict]) -> None:
    text = "".join(
        json.dumps({key: p[key] for key in ("id", "section", "text")}, ensure_ascii=False) + "\n"
        for p in passages
    )
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


def nearest_by_cosine(base: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The exact neighbours in float64; rows at equal distance in order of row number."""
    base, queries = base.astype(np.float64), queries.astype(np.float64)
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    order = np.argsort(1 - queries @ base.T, axis=1, kind="stable")
    return order[:, :NEIGHBORS].astype(np.int32)


def make_sift(source: pathlib.Path, target: pathlib.Path) -> None:
    """A copy: the set is small as it is."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("base.npy", "queries.npy", "neighbors.npy", "set.json"):
        shutil.copyfile(source / name, target / name)


def make_passages(source: pathlib.Path, target: pathlib.Path) -> None:
    """The passages of one division, as float16; the ground truth is computed over these values."""
    target.mkdir(parents=True, exist_ok=True)
    vectors = {}
    for part, meta in (("base", "meta"), ("queries", "queries_meta")):
        passages = read_passages(source / f"{meta}.jsonl.gz")
        rows = [
            row
            for row, p in enumerate(passages)
            if p["source"] == PASSAGE_SOURCE and p["top"] == PASSAGE_DIVISION
        ]
        vectors[part] = np.load(source / f"{part}.npy")[rows].astype(np.float16)
        np.save(target / f"{part}.npy", vectors[part])
        write_passages(target / f"{part}.jsonl.gz", [passages[row] for row in rows])
    np.save(target / "neighbors.npy", nearest_by_cosine(vectors["base"], vectors["queries"]))
    rows, dimension = vectors["base"].shape
    description = {
        "metric": "cosine",
        "rows": rows,
        "dimension": dimension,
        "dtype": "float16",
        "queries": len(vectors["queries"]),
    }
    (target / "set.json").write_text(json.dumps(description) + "\n")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    source = pathlib.Path(sys.argv[1])
    make_sift(source / "sift-5k-128", DATA / "sift-5k-128")
    make_passages(source / "docs-minilm-384", DATA / "passages-384")


if __name__ == "__main__":
    main()
