"""Files of vectors and ids in every form that `varve` reads."""

import pathlib

import numpy as np


def write_vectors(path: pathlib.Path, vectors: np.ndarray) -> pathlib.Path:
    """By the name's ending: .npy as they are, .f32 bare, .fvecs and .bvecs with lengths."""
    if path.suffix == ".npy":
        np.save(path, vectors)
    elif path.suffix == ".f32":
        vectors.astype("<f4").tofile(path)
    else:
        element = {".fvecs": "<f4", ".bvecs": "u1"}[path.suffix]
        lengths = np.full((len(vectors), 1), vectors.shape[1], "<i4").view("u1")
        rows = np.ascontiguousarray(vectors, element).view("u1").reshape(len(vectors), -1)
        np.concatenate([lengths, rows], axis=1).tofile(path)
    return path


def write_ids(path: pathlib.Path, ids: list) -> pathlib.Path:
    """By the name's ending: .npy and .u64 binary numbers; anything else one id a line."""
    if path.suffix == ".npy":
        np.save(path, np.array(ids, "<i8"))
    elif path.suffix == ".u64":
        np.array(ids, "<u8").tofile(path)
    else:
        path.write_text("".join(f"{id}\n" for id in ids), encoding="utf-8")
    return path
