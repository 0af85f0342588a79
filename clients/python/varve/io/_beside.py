"""Columns in files of their own: vectors or ids in a .npy, ids one a line."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import numpy as np

from varve._arrays import Ids
from varve.errors import InvalidArgument
from varve.io._files import forget_pages
from varve.io._source import Batch, Source


class Npy:
    """An array in a .npy file, taken from the front piece by piece."""

    def __init__(self, path: pathlib.Path, dimensions: int, kinds: str):
        self.path = path
        try:
            self._array = np.load(path, mmap_mode="r")
        except ValueError as error:
            raise InvalidArgument(f"{path}: must be a .npy file of numbers: {error}") from None
        if self._array.ndim != dimensions or self._array.dtype.kind not in kinds:
            shape = "[rows, dimension]" if dimensions == 2 else "[rows]"
            what = "numbers" if "f" in kinds else "whole numbers"
            raise InvalidArgument(
                f"{path}: must be {what} of the shape {shape}, is {self._array.dtype} of "
                f"{list(self._array.shape)}"
            )
        self._taken = 0

    def __len__(self) -> int:
        return len(self._array)

    def take(self, rows: int) -> np.ndarray:
        if self._taken + rows > len(self):
            raise InvalidArgument(
                f"{self.path}: must have one row for each record, has {len(self)} and there are more"
            )
        piece = np.array(self._array[self._taken : self._taken + rows])
        self._taken += rows
        if self._array._mmap is not None:
            forget_pages(self._array._mmap)
        return piece

    def finish(self) -> None:
        if self._taken < len(self):
            raise InvalidArgument(
                f"{self.path}: must have one row for each record: {self._taken}, has {len(self)}"
            )


class IdNpy(Npy):
    """Ids in a .npy file."""

    def __init__(self, path: pathlib.Path):
        super().__init__(path, 1, "iu")

    def take(self, rows: int) -> np.ndarray:
        first = self._taken
        piece = super().take(rows)
        if piece.dtype.kind == "i" and (piece < 0).any():
            odd = int(np.argmax(piece < 0))
            raise InvalidArgument(
                f"{self.path}: row {first + odd}: must be 0 to 2^64 - 1, is {piece[odd]}"
            )
        return piece


class IdLines:
    """Ids in a text file, one a line: numbers if the first is one."""

    def __init__(self, path: pathlib.Path, id_type: Optional[str]):
        self.path = path
        self._lines = self._read()
        first = next(self._lines, "")
        self._numbers = first.isdigit() if id_type is None else id_type == "number"
        self._lines = self._read()
        self._taken = 0

    def _read(self) -> Iterator[str]:
        with open(self.path, encoding="utf-8") as file:
            for line in file:
                yield line.rstrip("\r\n")

    def take(self, rows: int) -> Ids:
        ids = list(itertools.islice(self._lines, rows))
        if len(ids) < rows:
            raise InvalidArgument(
                f"{self.path}: must have one line for each record, has {self._taken + len(ids)} and "
                "there are more"
            )
        first = self._taken + 1
        self._taken += rows
        if not self._numbers:
            return ids
        for i, text in enumerate(ids):
            if not text.isdigit() or int(text) >= 1 << 64:
                raise InvalidArgument(
                    f"{self.path}: line {first + i}: must be 0 to 2^64 - 1, is {text!r}"
                )
        return np.array([int(text) for text in ids], np.uint64)

    def finish(self) -> None:
        if next(self._lines, None) is not None:
            raise InvalidArgument(
                f"{self.path}: must have one line for each record: {self._taken}, has more"
            )


class NoColumns(Source):
    """So many rows, whose columns are all beside."""

    columns: Optional[list[str]] = []

    def __init__(self, path: pathlib.Path, rows: int):
        self.path = path
        self._rows = rows

    def batches(self, columns: Optional[Sequence[str]], rows: int) -> Iterator[Batch]:
        for first in range(0, self._rows, rows):
            yield _NoColumnsBatch(self.path, first, min(rows, self._rows - first))


class _NoColumnsBatch(Batch):
    def __init__(self, path: pathlib.Path, first: int, rows: int):
        self.path = path
        self.first = first
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def metadata(self, columns: Any, without: Any) -> dict[str, Any]:
        return {}
