"""What all formats share: names of files, packages that may be missing, and how an error names its place."""

from __future__ import annotations

import gzip
import importlib
import mmap
import os
import pathlib
from typing import Any, Optional, TextIO, Union

from varve.errors import InvalidArgument

Path = Union[str, "os.PathLike[str]"]

_EXTRAS = {"pyarrow": "arrow", "h5py": "hdf5"}


def format_of(path: pathlib.Path, known: Any) -> str:
    """The file's suffix, without .gz: one of `known`."""
    name = path.name.lower().removesuffix(".gz")
    suffix = pathlib.PurePath(name).suffix
    zipped = path.name.lower().endswith(".gz")
    if suffix not in known or (zipped and suffix not in (".jsonl", ".csv")):
        raise InvalidArgument(f"{path}: the suffix must be one of {', '.join(known)}, is {path.suffix!r}")
    return suffix


def need(package: str, path: pathlib.Path) -> Any:
    """An optional package, or a module of one."""
    top = package.split(".")[0]
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{path}: {path.suffix} files need {top}, which is not installed: "
            f'pip install "varve[{_EXTRAS[top]}]"'
        ) from error


def open_text(path: pathlib.Path, mode: str) -> TextIO:
    """A text file, zipped if its name ends in .gz."""
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, mode + "t", encoding="utf-8", newline="", compresslevel=6)
    return open(path, mode, encoding="utf-8", newline="")


def forget_pages(mapped: mmap.mmap) -> None:
    """Takes a mapped file's pages out of this process; those that are wanted again are read again."""
    if hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def bad(
    path: pathlib.Path, where: Optional[str], column: str, wanted: str, found: str
) -> InvalidArgument:
    """The error of one place in a file."""
    place = f"{where}, " if where else ""
    return InvalidArgument(f"{path}: {place}column {column!r}: must be {wanted}, is {found}")


def short(value: Any) -> str:
    """A value as an error shows it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
