"""Metadata: Python values to the wire's and back."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np

from varve.errors import InvalidArgument
from varve.v1 import metadata_pb2, record_pb2

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)
_INT64 = range(-(1 << 63), 1 << 63)


def micros_of(time: datetime.datetime, what: str) -> int:
    """Microseconds since the Unix epoch."""
    if time.tzinfo is None:
        raise InvalidArgument(f"{what} must be a time with a time zone, is {time!r}")
    return (time - _EPOCH) // _MICROSECOND


def time_of(micros: int) -> datetime.datetime:
    return _EPOCH + micros * _MICROSECOND


def set_time(time: Any, micros: int) -> None:
    """Sets a Timestamp message."""
    time.seconds, rest = divmod(micros, 1_000_000)
    time.nanos = rest * 1000


def to_value(value: Any, what: str) -> metadata_pb2.Value:
    """A Value message of a scalar, a list of scalars, a mapping, or None."""
    out = metadata_pb2.Value()
    fill_value(out, value, what)
    return out


def fill_value(out: metadata_pb2.Value, value: Any, what: str) -> None:
    if isinstance(value, str):
        out.string_value = value
    elif isinstance(value, (bool, np.bool_)):
        out.bool_value = bool(value)
    elif isinstance(value, (int, np.integer)):
        if int(value) not in _INT64:
            raise InvalidArgument(f"{what} must be an integer of 64 bits, is {value}")
        out.int64_value = int(value)
    elif isinstance(value, (float, np.floating)):
        out.double_value = float(value)
    elif value is None:
        out.null_value = 0
    elif isinstance(value, datetime.datetime):
        set_time(out.timestamp_value, micros_of(value, what))
    elif isinstance(value, np.datetime64):
        set_time(out.timestamp_value, int(value.astype("datetime64[us]").astype(np.int64)))
    elif isinstance(value, Mapping):
        out.object_value.SetInParent()  # an empty one too
        fill_metadata(out.object_value, value, what)
    elif isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        out.list_value.SetInParent()
        for i, one in enumerate(value):
            fill_value(out.list_value.values.add(), one, f"{what}[{i}]")
    else:
        raise InvalidArgument(
            f"{what} must be text, a number, a bool, a time, a list or a dict, is {value!r}"
        )


def fill_metadata(out: metadata_pb2.Metadata, attributes: Mapping[str, Any], what: str) -> None:
    if not isinstance(attributes, Mapping):
        raise InvalidArgument(f"{what} must be a dict, is {attributes!r}")
    for name, value in attributes.items():
        if not isinstance(name, str):
            raise InvalidArgument(f"{what} must have names that are text, has {name!r}")
        fill_value(out.attributes[name], value, f"{what}[{name!r}]")


def from_value(value: metadata_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    if kind == "timestamp_value":
        time = value.timestamp_value
        return time_of(time.seconds * 1_000_000 + time.nanos // 1000)
    if kind == "list_value":
        return [from_value(one) for one in value.list_value.values]
    if kind == "object_value":
        return from_metadata(value.object_value)
    return getattr(value, kind)


def from_metadata(metadata: metadata_pb2.Metadata) -> dict[str, Any]:
    return {name: from_value(metadata.attributes[name]) for name in sorted(metadata.attributes)}


# --- Of many records ---

# One dict for each record, or one column (a sequence or an array) for each attribute.
MetadataOfMany = Union[Sequence[Optional[Mapping[str, Any]]], Mapping[str, Sequence[Any]]]


def as_metadata(metadata: Any, rows: int) -> Optional[MetadataOfMany]:
    """Checks that there is one entry for each of the ids. Tables (of pandas, say) are columns."""
    if metadata is None:
        return None
    if hasattr(metadata, "items"):
        columns: dict[str, Any] = {name: column for name, column in metadata.items()}
        for name, column in columns.items():
            if not isinstance(name, str):
                raise InvalidArgument(f"a metadata column must have a name of text, has {name!r}")
            if len(column) != rows:
                raise InvalidArgument(
                    f"metadata[{name!r}] must have one value for each id: {rows}, has {len(column)}"
                )
        for name, column in columns.items():
            if not isinstance(column, (list, tuple)):
                columns[name] = np.asarray(column)
        return columns
    metadata = list(metadata)
    if len(metadata) != rows:
        raise InvalidArgument(f"metadata must be one for each id: {rows}, are {len(metadata)}")
    return metadata


def checked(metadata: Optional[MetadataOfMany]) -> Any:
    """The same, refused now if it cannot be sent: dicts become messages, columns of objects are tried."""
    if metadata is None:
        return None
    batch = record_pb2.RecordBatch()
    if not isinstance(metadata, Mapping):
        fill_batch(batch, metadata, 0)
        return list(batch.metadata)
    numbers = {name for name, column in metadata.items() if getattr(column, "dtype", object) != object}
    fill_batch(batch, {n: column for n, column in metadata.items() if n not in numbers}, 0)
    return metadata


def slice_metadata(metadata: Optional[MetadataOfMany], begin: int, end: int) -> Any:
    if metadata is None:
        return None
    if isinstance(metadata, Mapping):
        return {name: column[begin:end] for name, column in metadata.items()}
    return metadata[begin:end]


def fill_batch(batch: record_pb2.RecordBatch, metadata: MetadataOfMany, first: int) -> None:
    """Adds metadata to a batch; `first` is the position of its first record, for messages."""
    if isinstance(metadata, Mapping):
        for path, column in metadata.items():
            rows, values = _present(column)
            # Without rows a column has a value for every record: one without values is left out.
            if rows is None or len(rows) > 0:
                _fill_column(batch.metadata_columns.add(path=path, rows=rows), values, first)
        return
    for i, attributes in enumerate(metadata):
        if isinstance(attributes, metadata_pb2.Metadata):
            batch.metadata.append(attributes)
            continue
        fill_metadata(batch.metadata.add(), attributes or {}, f"metadata[{first + i}]")


def _fill_column(out: metadata_pb2.MetadataColumn, values: Any, first: int) -> None:
    kind = values.dtype.kind if isinstance(values, np.ndarray) else _kind_of(values)
    if kind == "b":
        out.bools.values.extend(np.asarray(values).tolist())
    elif kind in "iu":
        out.int64s.values.extend(np.asarray(values).tolist())
    elif kind == "f":
        out.doubles.values.extend(np.asarray(values, np.float64).tolist())
    elif kind == "U":
        out.strings.values.extend(np.asarray(values, object).tolist())
    elif kind == "M":
        out.timestamps.unix_micros.extend(
            np.asarray(values).astype("datetime64[us]").astype(np.int64).tolist()
        )
    else:
        out.any.SetInParent()
        for i, value in enumerate(values):
            row = first + (out.rows[i] if out.rows else i)
            fill_value(out.any.values.add(), value, f"metadata[{out.path!r}][{row}]")


def _present(column: Any) -> tuple[Optional[list[int]], Any]:
    """The positions that have a value, None if all do, and these values. None, NaN and NaT are none."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "fM":
        missing = np.isnan(column) if column.dtype.kind == "f" else np.isnat(column)
        if not missing.any():
            return None, column
        return np.flatnonzero(~missing).tolist(), column[~missing]
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        return None, column
    values = column.tolist() if isinstance(column, np.ndarray) else column
    rows = [i for i, value in enumerate(values) if not _is_missing(value)]
    if len(rows) == len(values):
        return None, values
    return rows, [values[i] for i in rows]


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _kind_of(values: Sequence[Any]) -> str:
    """NumPy's letter for what all values are, "O" when they are not one of the columns' types."""
    types = {type(value) for value in values}
    if types == {str}:
        return "U"
    if types == {bool}:
        return "b"
    if types == {int} and all(value in _INT64 for value in values):
        return "i"
    if types and types <= {float, np.float64}:
        return "f"
    return "O"
