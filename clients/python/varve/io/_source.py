"""What reading a format offers: a Source gives Batches, and a Batch its columns as the client takes them."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from varve._arrays import Column, Ids, Ragged
from varve.errors import InvalidArgument
from varve.io._files import bad

# The vectors of some rows, and which of these have none; None: all have one.
Vectors = tuple[Column, Optional[np.ndarray]]


class Batch:
    """Some rows of a file in the form the format has them; `first` is the position of the first."""

    path: pathlib.Path
    first: int

    def __len__(self) -> int:
        raise NotImplementedError

    def ids(self, column: str) -> Ids:
        raise NotImplementedError

    def vectors(self, column: str, dimension: Optional[int]) -> Vectors:
        """`dimension`: what all rows must have, once it is known."""
        raise NotImplementedError

    def metadata(self, columns: Optional[Sequence[str]], without: Sequence[str]) -> Mapping[str, Any]:
        """Those named, or with None all but some."""
        raise NotImplementedError

    def place(self, row: int) -> str:
        """How an error names a row of this batch."""
        return f"row {self.first + row}"

    def bad(self, row: Optional[int], column: str, wanted: str, found: str) -> InvalidArgument:
        return bad(self.path, None if row is None else self.place(row), column, wanted, found)


class Source:
    """A file that is open for reading."""

    path: pathlib.Path
    columns: Optional[list[str]]  # None: rows have what they have
    id_names: Sequence[str] = ("id",)  # looked for, if none is given
    vector_names: Sequence[str] = ("vector", "embedding")

    def has_vectors(self, column: str) -> bool:
        """Whether vectors can be found by this name; it may be less than a column or more."""
        return self.columns is None or column in self.columns

    def part_of(self, column: str) -> list[str]:
        """The columns that vectors of this name take up."""
        return [column]

    def batches(self, columns: Optional[Sequence[str]], rows: int) -> Iterator[Batch]:
        """All of the file; `columns`: those that will be asked for, None: any."""
        raise NotImplementedError


def matrices(rows: Sequence[Any], column: str, dimension: Optional[int], batch: Batch) -> Vectors:
    """Vectors of lists of numbers (or of lists of these), one for each row; None has none."""
    absent = np.array([row is None for row in rows])
    there = [row for row in rows if row is not None]
    several = bool(there) and isinstance(there[0], list) and bool(there[0]) and isinstance(
        there[0][0], list
    )
    if several:
        lengths = [0 if row is None else len(row) for row in rows]
        flat = [vector for row in there for vector in row]
        owners = [i for i, row in enumerate(rows) for _ in row or ()]
        values = _matrix(flat, owners, column, dimension, batch)
        found: Column = Ragged(values, np.cumsum([0] + lengths).astype(np.uint64))
    elif absent.any():
        owners = np.flatnonzero(~absent).tolist()
        values = _matrix(there, owners, column, dimension, batch)
        found = np.zeros((len(rows), values.shape[1]), np.float32)
        found[~absent] = values
    else:
        found = _matrix(there, range(len(rows)), column, dimension, batch)
    return found, absent if absent.any() else None


def _matrix(
    lists: Sequence[Any],
    owners: Sequence[int],
    column: str,
    dimension: Optional[int],
    batch: Batch,
) -> np.ndarray:
    """`owners`: the row of the batch that each list is of."""
    if dimension is None:
        dimension = len(lists[0]) if lists and isinstance(lists[0], list) else 0
    try:
        found = np.array(lists, np.float32).reshape(len(lists), dimension)
    except (ValueError, TypeError, OverflowError):
        raise _bad_list(lists, owners, column, dimension, batch) from None
    return found


def _bad_list(lists, owners, column, dimension, batch: Batch) -> InvalidArgument:
    for row, one in zip(owners, lists):
        if not isinstance(one, list):
            return batch.bad(row, column, "a list of numbers", repr(one)[:60])
        if len(one) != dimension:
            return batch.bad(row, column, f"{dimension} numbers", f"{len(one)}")
        for i, value in enumerate(one):
            if not isinstance(value, (int, float)):
                return batch.bad(row, column, "numbers", f"{value!r} at element {i}")
    return batch.bad(None, column, "lists of numbers", "something else")
