"""A folder with vectors, queries and their true neighbours: loading it, and recall against it."""

import json
import pathlib

import numpy as np

# NumPy's element types as the protocol calls them.
DTYPES = {"float32": "f32", "float16": "f16", "uint8": "u8", "int8": "i8"}

# Distances are compared in float64; the server computes in float32. Two rows whose distances differ by
# less than this, relative to the vectors' size, are at the same distance.
TIE_TOLERANCE = 1e-6

QUERIES_AT_A_TIME = 64


class BadSet(Exception):
    """A folder that is not a set; the message says what is missing or wrong."""


class VectorSet:
    """base.npy [rows, dimension], queries.npy [queries, dimension], neighbors.npy [queries, K >= 10]:
    for each query the row numbers of the nearest rows, nearest first. set.json names the metric (l2,
    cosine or dot; l2 without the file)."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.name = folder.resolve().name
        self.base = self._load("base.npy")
        self.queries = self._load("queries.npy")
        self.neighbors = self._load("neighbors.npy")
        self.metric = self._metric()
        for name, array in (("base.npy", self.base), ("queries.npy", self.queries)):
            if array.ndim != 2 or array.dtype.name not in DTYPES:
                raise BadSet(
                    f"{folder / name}: wanted a matrix of {', '.join(DTYPES)}; found "
                    f"{array.dtype.name} with shape {array.shape}"
                )
        if self.base.shape[1] != self.queries.shape[1]:
            raise BadSet(
                f"{folder}: base.npy has dimension {self.base.shape[1]}, queries.npy "
                f"{self.queries.shape[1]}"
            )
        if self.neighbors.ndim != 2 or len(self.neighbors) != len(self.queries):
            raise BadSet(
                f"{folder}/neighbors.npy: wanted a row for each of {len(self.queries)} queries; found "
                f"shape {self.neighbors.shape}"
            )

    def __str__(self) -> str:
        rows, dimension = self.base.shape
        return (
            f"{self.name}: {rows:,} x {dimension} {self.base.dtype.name}, metric {self.metric}, "
            f"{len(self.queries):,} queries"
        )

    @property
    def base_path(self) -> pathlib.Path:
        return self.folder / "base.npy"

    @property
    def queries_path(self) -> pathlib.Path:
        return self.folder / "queries.npy"

    def recall(self, found: np.ndarray) -> float:
        """The share of true neighbours among `found` [queries, k]: row numbers, -1 where there is none.

        A row counts when it is no farther than the k-th true neighbour, so that among rows at equal
        distance any will do; a row that is found twice counts once."""
        k = found.shape[1]
        hits = 0
        for begin in range(0, len(found), QUERIES_AT_A_TIME):
            part = slice(begin, begin + QUERIES_AT_A_TIME)
            queries = self.queries[part].astype(np.float64)
            limit, size = self._distances(queries, self.neighbors[part, k - 1 : k])
            distances, _ = self._distances(queries, found[part])
            near = (found[part] >= 0) & (distances <= limit + TIE_TOLERANCE * size)
            hits += sum(len(set(row[mask])) for row, mask in zip(found[part], near))
        return hits / found.size

    def _distances(self, queries: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances [queries, k] of the rows, in float64, and the size of the numbers they come from."""
        vectors = self.base[rows].astype(np.float64)
        lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(vectors, axis=2)
        if self.metric == "l2":
            difference = vectors - queries[:, None, :]
            distances = np.einsum("qkd,qkd->qk", difference, difference)
            return distances, np.maximum(distances, 1)
        products = np.einsum("qkd,qd->qk", vectors, queries)
        if self.metric == "dot":
            return -products, lengths
        return 1 - products / lengths, np.ones_like(products)

    def _load(self, name: str) -> np.ndarray:
        path = self.folder / name
        try:
            return np.load(path, mmap_mode="r")
        except OSError as error:
            raise BadSet(f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise BadSet(f"{path}: not a .npy file ({error})") from error

    def _metric(self) -> str:
        path = self.folder / "set.json"
        metric = "l2"
        if path.exists():
            try:
                metric = json.loads(path.read_text()).get("metric", metric)
            except (ValueError, AttributeError) as error:
                raise BadSet(f"{path}: not a JSON object ({error})") from error
        if metric not in ("l2", "cosine", "dot"):
            raise BadSet(f"{path}: metric must be l2, cosine or dot; is {metric!r}")
        return metric
