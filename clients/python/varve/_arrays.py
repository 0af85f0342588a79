"""Ids and vectors: what users hold, what goes over the wire, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Union

import numpy as np

from varve import _wire
from varve.errors import InvalidArgument
from varve.v1 import record_pb2, tensor_pb2

# Numbers (uint64) or texts.
Ids = Union[np.ndarray, list[str]]

_WIRE_TYPES = {
    "float32": tensor_pb2.DTYPE_F32,
    "float16": tensor_pb2.DTYPE_F16,
    "bfloat16": tensor_pb2.DTYPE_BF16,  # of the package ml_dtypes
    "uint8": tensor_pb2.DTYPE_U8,
    "int8": tensor_pb2.DTYPE_I8,
}
_NUMPY_TYPES: dict[int, np.dtype[Any]] = {
    tensor_pb2.DTYPE_F32: np.dtype("<f4"),
    tensor_pb2.DTYPE_F16: np.dtype("<f2"),
    tensor_pb2.DTYPE_BF16: np.dtype("<u2"),
    tensor_pb2.DTYPE_U8: np.dtype("u1"),
    tensor_pb2.DTYPE_I8: np.dtype("i1"),
}
_TENSOR_DATA = 3
_FIELD_DENSE, _FIELD_RAGGED = 2, 3
_RAGGED_VECTORS = 1


def dtype_of(name: Any) -> Any:
    """The wire's type of a NumPy type or its name."""
    text = name if isinstance(name, str) else np.dtype(name).name
    if text not in _WIRE_TYPES:
        raise InvalidArgument(f"element_type must be one of {', '.join(_WIRE_TYPES)}, is {text!r}")
    return _WIRE_TYPES[text]


def dtype_name(dtype: int) -> str:
    return next((name for name, known in _WIRE_TYPES.items() if known == dtype), "unknown")


# --- Ids ---


def as_ids(ids: Any, what: str = "ids") -> Ids:
    """Ids as uint64 numbers or as texts. An array of unsigned numbers is not copied."""
    if isinstance(ids, (str, bytes, int)):
        raise InvalidArgument(f"{what} must be several: a list, a range or an array, not {ids!r}")
    if not isinstance(ids, np.ndarray):
        ids = list(ids) if not isinstance(ids, range) else np.arange(ids.start, ids.stop, ids.step)
    if isinstance(ids, list):
        if not ids:
            return np.empty(0, np.uint64)
        if isinstance(ids[0], str):
            return _texts(ids, what)
        odd = next((i for i, one in enumerate(ids) if not isinstance(one, (int, np.integer))), None)
        if odd is not None:
            raise InvalidArgument(f"{what}[{odd}] must be a number as the first one, is {ids[odd]!r}")
        odd = next((i for i, one in enumerate(ids) if not 0 <= one < 1 << 64), None)
        if odd is not None:
            raise InvalidArgument(f"{what}[{odd}] must be 0 to 2^64 - 1, is {ids[odd]}")
        return np.array(ids, dtype=np.uint64)
    return _array_ids(ids, what)


def _texts(ids: list, what: str) -> list[str]:
    odd = next((i for i, one in enumerate(ids) if not isinstance(one, str)), None)
    if odd is not None:
        raise InvalidArgument(f"{what}[{odd}] must be text as the first one, is {ids[odd]!r}")
    return ids


def _array_ids(ids: np.ndarray, what: str) -> Ids:
    if ids.ndim != 1:
        raise InvalidArgument(f"{what} must have one dimension, has shape {list(ids.shape)}")
    if ids.dtype.kind in "UO" or ids.dtype.kind == "T":
        return as_ids(ids.tolist(), what)
    if ids.dtype.kind == "i":
        if len(ids) > 0 and ids.min() < 0:
            odd = int(np.argmax(ids < 0))
            raise InvalidArgument(f"{what}[{odd}] must be 0 to 2^64 - 1, is {ids[odd]}")
    elif ids.dtype.kind != "u":
        raise InvalidArgument(f"{what} must be whole numbers or texts, are {ids.dtype}")
    return np.ascontiguousarray(ids, dtype="<u8")


def ids_message(ids: Ids) -> record_pb2.Ids:
    if isinstance(ids, np.ndarray):
        return record_pb2.Ids(numbers=record_pb2.NumberIds(values=ids.tolist()))
    return record_pb2.Ids(texts=record_pb2.TextIds(values=ids))


def ids_parts(ids: Ids) -> _wire.Parts:
    """An Ids message; numbers are packed as they lie in memory."""
    if isinstance(ids, np.ndarray):
        values = _wire.Parts().nest(1, ids.data.cast("B")) if len(ids) > 0 else _wire.Parts()
        return _wire.Parts().nest(1, values)
    return _wire.Parts(ids_message(ids).SerializeToString())


def ids_from(message: record_pb2.Ids) -> Ids:
    if message.WhichOneof("kind") == "texts":
        return list(message.texts.values)
    return np.array(message.numbers.values, dtype=np.uint64)


def join_ids(parts: list[Ids]) -> Ids:
    """Several answers' ids as one."""
    parts = [part for part in parts if len(part) > 0]
    if not parts:
        return np.empty(0, np.uint64)
    if isinstance(parts[0], list):
        return [one for part in parts for one in part]
    return np.concatenate(parts)


def cut_ids(ids: Ids, count: int, bytes_max: int) -> Iterable[Ids]:
    """Pieces of at most so many ids and so many bytes."""
    if isinstance(ids, np.ndarray):
        count = min(count, bytes_max // 8)
        for begin in range(0, len(ids), count):
            yield ids[begin : begin + count]
        return
    begin = size = 0
    for i, text in enumerate(ids):
        length = len(text.encode()) + 4
        if i - begin == count or (i > begin and size + length > bytes_max):
            yield ids[begin:i]
            begin, size = i, 0
        size += length
    if begin < len(ids):
        yield ids[begin:]


# --- Vectors ---


@dataclasses.dataclass(frozen=True)
class Ragged:
    """Vectors of records that have several each. `vectors`: shape [vectors, dimension], those of the first
    record first; `offsets`: one more than there are records, from 0: record i has the vectors
    offsets[i] to offsets[i + 1] - 1. A sequence of them: [i] is record i's, shape [its vectors, dimension].
    """

    vectors: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, matrices: Sequence[Any]) -> "Ragged":
        """Of one matrix [vectors, dimension] for each record; copies them."""
        arrays = [as_matrix(matrix, f"vectors[{i}]") for i, matrix in enumerate(matrices)]
        if not arrays:
            raise InvalidArgument("vectors must be those of one record at least, are those of none")
        dimensions = {array.shape[1] for array in arrays}
        if len(dimensions) > 1:
            raise InvalidArgument(f"all vectors must have one dimension, have {sorted(dimensions)}")
        offsets = np.cumsum([0] + [len(array) for array in arrays])
        return cls(np.concatenate(arrays), offsets.astype(np.uint64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index):
        if isinstance(index, slice):
            begin, end, step = index.indices(len(self))
            if step != 1:
                raise InvalidArgument(f"a slice of Ragged must have step 1, has {step}")
            offsets = np.asarray(self.offsets[begin : max(begin, end) + 1])
            return Ragged(self.vectors[int(offsets[0]) : int(offsets[-1])], offsets - offsets[0])
        if not -len(self) <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        index %= len(self)
        return self.vectors[int(self.offsets[index]) : int(self.offsets[index + 1])]


# The vectors of one field for some records.
Column = Union[np.ndarray, Ragged]


def as_matrix(vectors: Any, what: str) -> np.ndarray:
    """Numbers in rows. An array is taken as it is; it is made fit for the wire batch by batch."""
    array = np.asarray(vectors)
    if array.ndim != 2:
        raise InvalidArgument(
            f"{what} must have the shape [rows, dimension], have {list(array.shape)}"
        )
    if array.dtype.kind not in "fiu" and array.dtype.name not in _WIRE_TYPES:
        raise InvalidArgument(f"{what} must be numbers, are {array.dtype}")
    return array


def as_column(vectors: Any, what: str) -> Column:
    """One field's vectors: a matrix, Ragged, or a list of one matrix for each record."""
    if isinstance(vectors, Ragged):
        return Ragged(as_matrix(vectors.vectors, what), np.asarray(vectors.offsets, np.uint64))
    several = isinstance(vectors, (list, tuple)) and len(vectors) > 0
    if several and np.ndim(vectors[0]) == 2:
        return Ragged.of(vectors)
    return as_matrix(vectors, what)


def as_columns(vectors: Any, rows: int) -> dict[str, Column]:
    """Vectors by field; "" is the default field. Each must have one entry for each of the ids."""
    if isinstance(vectors, Mapping):
        columns = {name: as_column(one, f"vectors[{name!r}]") for name, one in vectors.items()}
    else:
        columns = {"": as_column(vectors, "vectors")}
    if not columns:
        raise InvalidArgument("vectors must be those of one field at least")
    for name, column in columns.items():
        if len(column) != rows:
            field = f" of field {name!r}" if name else ""
            raise InvalidArgument(
                f"vectors{field} must be one for each id: {rows}, are {len(column)}"
            )
    return columns


def row_bytes(column: Column) -> float:
    """Bytes of one record on the wire; of Ragged, on average."""
    array = column.vectors if isinstance(column, Ragged) else column
    size = array.itemsize if array.dtype.name in _WIRE_TYPES else 4
    per_vector = array.shape[1] * size
    return per_vector * len(array) / max(1, len(column)) if array is not column else per_vector


def tensor_parts(array: np.ndarray) -> _wire.Parts:
    """A Tensor message around the array's memory; copies only what has another type or layout."""
    if array.dtype.name not in _WIRE_TYPES:
        array = array.astype(np.float32)
    dtype = _WIRE_TYPES[array.dtype.name]
    array = np.ascontiguousarray(array)
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    head = tensor_pb2.Tensor(dtype=dtype, shape=array.shape).SerializeToString()
    if array.size == 0:
        return _wire.Parts(head)
    return _wire.Parts(head).nest(_TENSOR_DATA, array.view(np.uint8).data.cast("B"))


def field_parts(name: str, column: Column) -> _wire.Parts:
    """A FieldVectors message."""
    parts = _wire.Parts(record_pb2.FieldVectors(field=name).SerializeToString())
    if not isinstance(column, Ragged):
        return parts.nest(_FIELD_DENSE, tensor_parts(column))
    offsets = record_pb2.RaggedTensor(offsets=column.offsets.tolist()).SerializeToString()
    ragged = _wire.Parts(offsets).nest(_RAGGED_VECTORS, tensor_parts(column.vectors))
    return parts.nest(_FIELD_RAGGED, ragged)


def tensor_from(message: tensor_pb2.Tensor) -> np.ndarray:
    """A new array of the tensor's type; bfloat16, which NumPy does not know, as float32."""
    dtype = _NUMPY_TYPES.get(message.dtype)
    if dtype is None:
        raise InvalidArgument(f"the server sent a tensor of type {message.dtype}: it is newer")
    array = np.frombuffer(message.data, dtype).reshape(tuple(message.shape))
    if message.dtype == tensor_pb2.DTYPE_BF16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.copy()


def column_from(message: record_pb2.FieldVectors) -> Column:
    if message.WhichOneof("vectors") != "ragged":
        return tensor_from(message.dense)
    return Ragged(
        tensor_from(message.ragged.vectors), np.array(message.ragged.offsets, dtype=np.uint64)
    )


def join_columns(parts: list[Column]) -> Column:
    """Several answers' vectors as one."""
    if len(parts) == 1:
        return parts[0]
    ragged = [part for part in parts if isinstance(part, Ragged)]
    if not ragged:
        return np.concatenate([part for part in parts if not isinstance(part, Ragged)])
    vectors = np.concatenate([part.vectors for part in ragged])
    lengths = np.concatenate([np.diff(part.offsets) for part in ragged])
    return Ragged(vectors, np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint64))
