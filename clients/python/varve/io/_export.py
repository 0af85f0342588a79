"""A namespace to a file."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from varve.errors import InvalidArgument
from varve.filters import Filter
from varve.io import _values
from varve.io._arrow import ArrowSink
from varve.io._files import Path, format_of
from varve.io._hdf5 import Hdf5Sink
from varve.io._text import CsvSink, JsonLinesSink
from varve.progress import Progress
from varve.results import Records, VectorField

_FORMATS = (".parquet", ".arrow", ".feather", ".jsonl", ".csv", ".hdf5", ".h5")
_HDF5 = (".hdf5", ".h5")


@dataclasses.dataclass(frozen=True)
class _Shape:
    """The columns of a file."""

    path: pathlib.Path
    id: str
    text_ids: bool
    fields: Mapping[str, VectorField]  # by column
    kinds: Mapping[str, str]  # of metadata, by path; not for formats without columns

    json = staticmethod(_values.to_json)

    def check_names(self, attributes: Mapping[str, Any]) -> None:
        """InvalidArgument if an attribute has the name of another column."""
        for name, option in [(self.id, "id"), *((field, "vector") for field in self.fields)]:
            if name in attributes:
                raise InvalidArgument(
                    f"{self.path}: the columns of ids and vectors must have names that no attribute has: {name!r} is "
                    f"one; give another as {option}"
                )

    def changed(self, what: str) -> InvalidArgument:
        return InvalidArgument(
            f"{self.path}: attributes were changed while they were read, export again: {what}"
        )

    def columns(self, records: Records) -> dict[str, list[Any]]:
        """Metadata by path; None where a record has no such attribute."""
        rows = [dict(_values.flat(one)) for one in records.metadata or []]
        known = self.kinds.keys()
        new = next((name for row in rows for name in row.keys() - known), None)
        if new is not None:
            raise self.changed(f"{new!r} is new")
        return {name: [row.get(name) for row in rows] for name in self.kinds}


def export_file(
    ns: Any,
    path: Path,
    *,
    filter: Optional[Filter] = None,
    metadata: Union[bool, Sequence[str]] = True,
    id: Optional[str] = None,
    vector: Optional[str] = None,
    progress: bool = True,
) -> int:
    """Writes all records of a namespace, or those that satisfy a filter, to a file; returns how many.

    In order of id, with vectors in the type they are kept in (bfloat16 as float32); import_file() reads it
    back. `metadata`: all attributes, or those named, or none. `id` and `vector`: the names of these columns,
    "id" and "vector" unless given ("ids" and "train" in HDF5); other fields have their own names.

    Parquet, Arrow and CSV have a column for each attribute, of an object "size.eu"; these are found by a
    first scan, without vectors. An attribute with values of several types is a column of JSON, which
    import_file() knows in Parquet and Arrow. In JSON lines and CSV times are RFC 3339. HDF5 has no metadata.
    Expiry is not written.

    The file is there when it is whole: until then it is unfinished-NAME beside.
    """
    path = pathlib.Path(path)
    suffix = format_of(path, _FORMATS)
    info = ns.describe()
    hdf5 = suffix in _HDF5
    metadata = False if hdf5 else metadata
    default = vector or ("train" if hdf5 else "vector")
    fields = {field.name or default: field for field in info.fields}
    kinds = {} if hdf5 or suffix == ".jsonl" else _kinds(ns, filter, metadata)
    id = id or ("ids" if hdf5 else "id")
    shape = _Shape(path, id, info.id_type == "text", fields, kinds)
    if shape.id in fields or len(fields) < len(info.fields):
        raise InvalidArgument(f"{path}: the columns must have different names, are {[shape.id, *fields]}")
    shape.check_names(kinds)
    unfinished = path.with_name(f"unfinished-{path.name}")
    shown = Progress(progress, f"export {ns.name}", ns.count(filter=filter) if progress else None)
    rows = 0
    try:
        sink = _open(unfinished, suffix, shape)
        try:
            for records in ns.scan(filter=filter, include_metadata=metadata):
                sink.write(records)
                rows += len(records)
                shown.advance(len(records))
        finally:
            sink.close()
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    finally:
        shown.close()
    return rows


def _open(path: pathlib.Path, suffix: str, shape: _Shape) -> Any:
    if suffix in _HDF5:
        return Hdf5Sink(path, shape)
    if suffix == ".jsonl":
        return JsonLinesSink(path, shape)
    if suffix == ".csv":
        return CsvSink(path, shape)
    return ArrowSink(path, shape, parquet=suffix == ".parquet")


def _kinds(
    ns: Any, filter: Optional[Filter], metadata: Union[bool, Sequence[str]]
) -> dict[str, str]:
    """What each attribute is in all records, by path, in order of name."""
    kinds: dict[str, str] = {}
    if metadata is False:
        return kinds
    for records in ns.scan(filter=filter, include_vectors=False, include_metadata=metadata):
        for attributes in records.metadata or []:
            for name, value in _values.flat(attributes):
                kinds[name] = _values.common_kind(kinds.get(name), _values.kind_of(value))
    # Of empty lists alone nothing is known.
    return {n: "list of string" if k == "list of " else k for n, k in sorted(kinds.items())}
