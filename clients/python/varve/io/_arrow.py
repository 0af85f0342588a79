"""Parquet and Arrow files: columns become arrays over Arrow's own memory, with no object per row."""

from __future__ import annotations

import json
import mmap
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from varve._arrays import Column, Ids, Ragged
from varve.errors import InvalidArgument
from varve.io._files import forget_pages, need
from varve.io._source import Batch, Source, Vectors

# Marks columns of JSON, which hold what no type of Arrow can: values of several types.
JSON_MARK = b"varve.json"
_READ_BYTES = 1 << 20  # of one column at a time


class ArrowSource(Source):
    """An Arrow file (Feather too) or stream of record batches, memory-mapped."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self._pa = need("pyarrow", path)
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        memory = self._pa.BufferReader(self._pa.py_buffer(self._map))
        try:
            if self._map[:6] == b"ARROW1":
                reader = self._pa.ipc.open_file(memory)
                self._batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
            else:
                reader = self._pa.ipc.open_stream(memory)
                self._batches = iter(reader)
        except self._pa.ArrowInvalid as error:
            raise _bad_file(path, "an Arrow file (Feather version 2)", error) from None
        self._schema = reader.schema
        self.columns = self._schema.names

    @property
    def list_columns(self) -> list[str]:
        return list_columns(self._schema)

    def batches(self, columns: Optional[Sequence[str]], rows: int) -> Iterator[Batch]:
        first = 0
        for batch in self._batches:
            for begin in range(0, batch.num_rows, rows):
                some = batch.slice(begin, rows)
                yield ArrowBatch(self.path, first, some)
                first += some.num_rows
                forget_pages(self._map)


class ParquetSource(Source):
    """A Parquet file. It is read a piece of each column at a time, not by row groups."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        pa = need("pyarrow", path)
        parquet = need("pyarrow.parquet", path)
        try:
            self._file = parquet.ParquetFile(path, buffer_size=_READ_BYTES, pre_buffer=False)
        except pa.ArrowInvalid as error:
            raise _bad_file(path, "a Parquet file", error) from None
        self._schema = self._file.schema_arrow
        self.columns = self._schema.names

    @property
    def list_columns(self) -> list[str]:
        return list_columns(self._schema)

    def batches(self, columns: Optional[Sequence[str]], rows: int) -> Iterator[Batch]:
        first = 0
        for batch in self._file.iter_batches(batch_size=rows, columns=columns):
            yield ArrowBatch(self.path, first, batch)
            first += batch.num_rows


def _bad_file(path: pathlib.Path, wanted: str, error: Exception) -> InvalidArgument:
    return InvalidArgument(f"{path}: must be {wanted}: {error}")


def list_columns(schema: Any) -> list[str]:
    """The columns that can be vectors."""
    import pyarrow.types as types

    def is_vectors(kind: Any) -> bool:
        if not _is_list(kind):
            return False
        inner = kind.value_type.value_type if _is_list(kind.value_type) else kind.value_type
        return types.is_floating(inner) or types.is_integer(inner)

    return [field.name for field in schema if is_vectors(field.type)]


def _is_list(kind: Any) -> bool:
    import pyarrow.types as types

    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


class ArrowBatch(Batch):
    """A record batch."""

    def __init__(self, path: pathlib.Path, first: int, batch: Any):
        self.path = path
        self.first = first
        self._batch = batch

    def __len__(self) -> int:
        return self._batch.num_rows

    def ids(self, column: str) -> Ids:
        import pyarrow.types as types

        array = _plain(self._batch.column(column))
        if array.null_count:
            raise self.bad(_first(array.is_null()), column, "an id", "null")
        if _is_text(array.type):
            return array.to_pylist()
        if not types.is_integer(array.type):
            raise self.bad(None, column, "whole numbers or strings", str(array.type))
        numbers = array.to_numpy()
        if types.is_signed_integer(array.type) and len(numbers) > 0 and numbers.min() < 0:
            odd = int(np.argmax(numbers < 0))
            raise self.bad(odd, column, "0 to 2^64 - 1", str(numbers[odd]))
        return numbers

    def vectors(self, column: str, dimension: Optional[int]) -> Vectors:
        array = self._batch.column(column)
        if column not in list_columns(self._batch.schema):
            raise self.bad(None, column, "lists of numbers", str(array.type))
        missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
        owners = np.arange(len(array)) if missing is None else np.flatnonzero(~missing)
        lists = array if missing is None else array.drop_null()
        if _is_list(array.type.value_type):
            lengths = np.zeros(len(array), np.uint64)
            lengths[owners] = _lengths(lists)
            inner = lists.flatten()
            owners = np.repeat(np.arange(len(array)), lengths.astype(np.int64))
            values = self._matrix(inner, owners, column, dimension)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint64)
            return Ragged(values, offsets), missing
        values = self._matrix(lists, owners, column, dimension)
        if missing is None:
            return values, None
        spread = np.zeros((len(array), values.shape[1]), values.dtype)
        spread[owners] = values
        return spread, missing

    def _matrix(
        self, lists: Any, owners: np.ndarray, column: str, dimension: Optional[int]
    ) -> np.ndarray:
        """`owners`: the row of this batch that each list is of."""
        if lists.null_count:
            raise self.bad(int(owners[_first(lists.is_null())]), column, "vectors", "null")
        lengths = _lengths(lists)
        if dimension is None:
            dimension = int(lengths[0]) if len(lengths) > 0 else 0
        if (lengths != dimension).any():
            odd = int(np.argmax(lengths != dimension))
            row = int(owners[odd])
            raise self.bad(row, column, f"{dimension} numbers", str(lengths[odd]))
        flat = lists.flatten()
        if flat.null_count:
            odd = _first(flat.is_null())
            row, element = int(owners[odd // dimension]), odd % dimension
            raise self.bad(row, column, "numbers", f"null at element {element}")
        return flat.to_numpy(zero_copy_only=True).reshape(len(lists), dimension)

    def metadata(self, columns: Optional[Sequence[str]], without: Sequence[str]) -> Mapping[str, Any]:
        if columns is None:
            columns = [name for name in self._batch.schema.names if name not in without]
        found = {name: self._attribute(name) for name in columns}
        return {name: column for name, column in found.items() if column is not None}

    def _attribute(self, name: str) -> Any:
        """A column of metadata as an array where that can be; None if it has no values."""
        import pyarrow.types as types

        field = self._batch.schema.field(name)
        array = _plain(self._batch.column(name))
        kind = array.type
        if array.null_count == len(array):
            return None
        if JSON_MARK in (field.metadata or {}):
            return [None if text is None else json.loads(text) for text in array.to_pylist()]
        if types.is_floating(kind) or types.is_timestamp(kind):
            return array.to_numpy(zero_copy_only=False)
        if types.is_integer(kind) or types.is_boolean(kind):
            if types.is_uint64(kind):
                self._check_int64(array, name)
            return array.to_pylist() if array.null_count else array.to_numpy(zero_copy_only=False)
        if _is_text(kind) or _is_list(kind) or types.is_struct(kind):
            return array.to_pylist()
        raise self.bad(
            None, name, "text, numbers, bools, times, or lists or structs of these", str(kind)
        )

    def _check_int64(self, array: Any, name: str) -> None:
        over = array.fill_null(0).to_numpy() >= 1 << 63
        if over.any():
            odd = int(np.argmax(over))
            raise self.bad(odd, name, "less than 2^63", str(array[odd]))


def _lengths(lists: Any) -> np.ndarray:
    import pyarrow.types as types

    if types.is_fixed_size_list(lists.type):
        return np.full(len(lists), lists.type.list_size)
    return lists.value_lengths().to_numpy(zero_copy_only=False)


def _first(mask: Any) -> int:
    """The position of the first that holds."""
    return int(np.argmax(mask.fill_null(False).to_numpy(zero_copy_only=False)))


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    return types.is_string(kind) or types.is_large_string(kind)


def _plain(array: Any) -> Any:
    """The array in a type that has a counterpart in Varve, where there is one."""
    import pyarrow.types as types

    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    wanted = _plain_type(array.type)
    # What is finer than a microsecond is cut off.
    return array if wanted == array.type else array.cast(wanted, safe=False)


def _plain_type(kind: Any) -> Any:
    """Times become microseconds in UTC, which those without a time zone are taken to be in already."""
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_timestamp(kind) or types.is_date(kind):
        return pa.timestamp("us", tz="UTC")
    if types.is_decimal(kind):
        return pa.float64()
    if getattr(types, "is_string_view", lambda _: False)(kind):
        return pa.string()
    if types.is_fixed_size_list(kind):
        return pa.list_(_plain_type(kind.value_type), kind.list_size)
    if types.is_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if types.is_large_list(kind):
        return pa.large_list(_plain_type(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in kind])
    return kind


# --- Writing ---

_TYPES = {
    "bool": "bool_", "int64": "int64", "double": "float64", "string": "string", "json": "string",
}  # fmt: skip
_GROUP_BYTES = 32 << 20  # of vectors in a row group


def _type_of(kind: str) -> Any:
    import pyarrow as pa

    if kind.startswith("list of "):
        return pa.list_(_type_of(kind.removeprefix("list of ")))
    return pa.timestamp("us", tz="UTC") if kind == "timestamp" else getattr(pa, _TYPES[kind])()


class ArrowSink:
    """Writes records as an Arrow file or, if `parquet`, a Parquet file."""

    def __init__(self, path: pathlib.Path, shape: Any, parquet: bool):
        self._pa = pa = need("pyarrow", path)
        self._shape = shape
        fields = [pa.field(shape.id, pa.string() if shape.text_ids else pa.uint64())]
        for name, field in shape.fields.items():
            element = {"float16": "float16", "uint8": "uint8", "int8": "int8"}
            # NumPy has no bfloat16: the client gives these as float32.
            values = getattr(pa, element.get(field.element_type, "float32"))()
            kind = pa.list_(values, field.dimension)
            fields.append(pa.field(name, pa.list_(kind) if field.multi_vector else kind))
        for name, kind in shape.kinds.items():
            mark = {JSON_MARK: b"1"} if kind == "json" else None
            fields.append(pa.field(name, _type_of(kind), metadata=mark))
        self._schema = pa.schema(fields)
        self._pending: list[Any] = []
        self._pending_bytes = 0
        if parquet:
            plain = [name for name in shape.kinds if shape.kinds[name] in ("string", "bool")]
            self._writer = need("pyarrow.parquet", path).ParquetWriter(
                path, self._schema, use_dictionary=plain or False
            )
        else:
            self._writer = pa.ipc.new_file(str(path), self._schema)
        self._group_bytes = _GROUP_BYTES if parquet else 0

    def write(self, records: Any) -> None:
        pa, shape = self._pa, self._shape
        arrays = [pa.array(records.ids, self._schema.field(shape.id).type)]
        for name, field in shape.fields.items():
            arrays.append(self._vectors(records, field, self._schema.field(name).type))
        for name, column in shape.columns(records).items():
            if shape.kinds[name] == "json":
                column = [None if value is None else shape.json(value) for value in column]
            try:
                arrays.append(pa.array(column, self._schema.field(name).type))
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise shape.changed(f"{name!r}: {error}") from None
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        if self._pending_bytes >= self._group_bytes:
            self._write_pending()

    def _write_pending(self) -> None:
        if self._pending:
            self._writer.write_table(self._pa.Table.from_batches(self._pending))
        self._pending, self._pending_bytes = [], 0

    def _vectors(self, records: Any, field: Any, kind: Any) -> Any:
        pa = self._pa
        column: Column = records.fields[field.name]
        several = isinstance(column, Ragged)
        matrix = column.vectors if several else column
        flat = pa.array(np.ascontiguousarray(matrix).reshape(-1))
        array = pa.FixedSizeListArray.from_arrays(flat, field.dimension)
        if several:
            offsets = pa.array(column.offsets.astype(np.int32))
            array = pa.ListArray.from_arrays(offsets, array)
        if field.name in records.without:
            missing = np.zeros(len(records), bool)
            missing[records.without[field.name]] = True
            array = array.take(pa.array(np.arange(len(records)), mask=missing))
        return array.cast(kind) if array.type != kind else array

    def close(self) -> None:
        self._write_pending()
        self._writer.close()
