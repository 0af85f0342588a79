"""HDF5 as ann-benchmarks has it: vectors in the dataset "train"."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from varve._arrays import Ids
from varve._operations import plain
from varve.errors import InvalidArgument
from varve.io._files import bad, need
from varve.io._source import Batch, Source, Vectors

_DISTANCES = {"cosine": "angular", "l2": "euclidean", "dot": "dot"}
_CHUNK_BYTES = 1 << 20


class Hdf5Source(Source):
    """An HDF5 file; its columns are the datasets with as many rows as the vectors have."""

    id_names = ("ids",)
    vector_names = ("train",)

    def __init__(self, path: pathlib.Path):
        self.path = path
        h5py = need("h5py", path)
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            if not path.exists():
                raise
            raise InvalidArgument(f"{path}: must be an HDF5 file: {error}") from None
        self._datasets = {
            name: one for name, one in self._file.items() if isinstance(one, h5py.Dataset) and one.shape
        }
        self.columns = list(self._datasets)

    @property
    def list_columns(self) -> list[str]:
        return [name for name, one in self._datasets.items() if one.ndim == 2]

    def attributes(self, like: Sequence[str]) -> list[str]:
        """The datasets of one dimension with as many rows as these."""
        rows = {len(self._datasets[name]) for name in like}
        return [name for name, one in self._datasets.items() if one.ndim == 1 and len(one) in rows]

    def batches(self, columns: Optional[Sequence[str]], rows: int) -> Iterator[Batch]:
        chosen = {name: self._datasets[name] for name in columns or ()}
        counts = {name: len(one) for name, one in chosen.items()}
        if len(set(counts.values())) > 1:
            raise InvalidArgument(
                f"{self.path}: datasets must have the same number of rows, have "
                + ", ".join(f"{name!r} {count}" for name, count in counts.items())
            )
        for first in range(0, max(counts.values(), default=0), rows):
            yield _Hdf5Batch(
                self.path, first, {name: one[first : first + rows] for name, one in chosen.items()}
            )


class _Hdf5Batch(Batch):
    def __init__(self, path: pathlib.Path, first: int, arrays: dict[str, np.ndarray]):
        self.path = path
        self.first = first
        self._arrays = arrays

    def __len__(self) -> int:
        return len(next(iter(self._arrays.values())))

    def ids(self, column: str) -> Ids:
        array = _decoded(self._arrays[column])
        if array.dtype.kind == "O":
            return array.tolist()
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise self.bad(None, column, "whole numbers or text of one dimension", _form(array))
        if array.dtype.kind == "i" and (array < 0).any():
            odd = int(np.argmax(array < 0))
            raise self.bad(odd, column, "0 to 2^64 - 1", str(array[odd]))
        return array

    def vectors(self, column: str, dimension: Optional[int]) -> Vectors:
        array = self._arrays[column]
        if array.ndim != 2 or array.dtype.kind not in "fiu":
            raise self.bad(None, column, "numbers of the shape [rows, dimension]", _form(array))
        if dimension not in (None, array.shape[1]):
            raise self.bad(None, column, f"{dimension} numbers a row", str(array.shape[1]))
        return array, None

    def metadata(self, columns: Optional[Sequence[str]], without: Sequence[str]) -> Mapping[str, Any]:
        names = columns if columns is not None else [n for n in self._arrays if n not in without]
        found = {name: _decoded(self._arrays[name]) for name in names}
        for name, array in found.items():
            if array.ndim != 1 or array.dtype.kind not in "fiubO":
                raise self.bad(None, name, "numbers, bools or text of one dimension", _form(array))
        return {n: a.tolist() if a.dtype.kind == "O" else a for n, a in found.items()}


def _decoded(array: np.ndarray) -> np.ndarray:
    """Text is bytes in HDF5."""
    if array.dtype.kind not in "OS":
        return array
    return np.array([one.decode() if isinstance(one, bytes) else one for one in array], object)


def _form(array: np.ndarray) -> str:
    return f"{array.dtype} of the shape {list(array.shape)}"


class Hdf5Sink:
    """Writes vectors as "train" (of named fields, by their names) and ids as "ids"; no metadata."""

    def __init__(self, path: pathlib.Path, shape: Any):
        h5py = need("h5py", path)
        self._shape = shape
        self._rows = 0
        self._file = h5py.File(path, "w")
        elements = {"bfloat16": "float32"}
        for name, field in shape.fields.items():
            if field.multi_vector:
                self._file.close()
                raise bad(shape.path, None, name, "a field of one vector a record", "of several")
            kind = np.dtype(elements.get(field.element_type, field.element_type))
            rows = max(1, _CHUNK_BYTES // (kind.itemsize * field.dimension))
            self._file.create_dataset(
                name, (0, field.dimension), kind, chunks=(rows, field.dimension),
                maxshape=(None, field.dimension),
            )  # fmt: skip
            self._file.attrs["distance"] = _DISTANCES[field.metric]
        kind = h5py.string_dtype() if shape.text_ids else np.uint64
        self._file.create_dataset(shape.id, (0,), kind, chunks=(1 << 14,), maxshape=(None,))

    def write(self, records: Any) -> None:
        end = self._rows + len(records)
        columns = {name: records.fields[f.name] for name, f in self._shape.fields.items()}
        for name, field in self._shape.fields.items():
            if field.name in records.without:
                row = int(records.without[field.name][0])
                record = f"record {plain(records.ids[row])!r}"
                raise bad(self._shape.path, record, name, "a vector in an HDF5 file", "none")
        for name, column in {self._shape.id: records.ids, **columns}.items():
            dataset = self._file[name]
            dataset.resize(end, axis=0)
            dataset[self._rows : end] = column
        self._rows = end

    def close(self) -> None:
        self._file.close()
