"""Seeded vectors, and what a search over them must answer, by brute force in float64."""

import numpy as np


def to_bf16(values: np.ndarray) -> np.ndarray:
    """The upper halves of float32 values, rounded to nearest even, as uint16."""
    bits = np.ascontiguousarray(values, "<f4").view("<u4").astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def widen(vectors: np.ndarray) -> np.ndarray:
    """The values of vectors of any element type as float64; uint16 holds bfloat16."""
    if vectors.dtype == np.dtype("<u2"):
        vectors = (vectors.astype("<u4") << 16).view("<f4")
    return vectors.astype(np.float64)


def random_vectors(seed: int, rows: int, dimension: int, element: str = "f4") -> np.ndarray:
    """Vectors of an element type: f4, f2, bf16, u1 or i1; never zero."""
    random = np.random.default_rng(seed)
    if element == "u1":
        return random.integers(1, 256, (rows, dimension), np.uint8)
    if element == "i1":
        return random.integers(-128, 128, (rows, dimension), np.int8)
    values = random.standard_normal((rows, dimension), np.float32)
    return to_bf16(values) if element == "bf16" else values.astype(element)


def distances(metric: str, vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """All distances, [queries, vectors], in the metric's own terms."""
    vectors, queries = widen(vectors), widen(queries)
    if metric == "l2":
        # Not |v|^2 - 2 v.q + |q|^2, which loses digits where vectors are near each other.
        return np.array([np.square(vectors - query).sum(axis=1) for query in queries])
    if metric == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        return 1 - queries @ vectors.T
    return -(queries @ vectors.T)


def nearest(metric: str, vectors: np.ndarray, queries: np.ndarray, k: int):
    """Row numbers and distances of the k nearest of every query, each [queries, k]."""
    table = distances(metric, vectors, queries)
    rows = np.argsort(table, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(table, rows, axis=1)


def tolerance(metric: str, vectors: np.ndarray) -> float:
    """How far a distance computed in float32 may be from one computed in float64."""
    if metric == "cosine":
        return 1e-5
    return 1e-5 * float(np.square(widen(vectors)).sum(axis=1).max())
