"""Files to chunks, and chunks into a namespace."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np

from varve._arrays import Column, Ids, Ragged
from varve._operations import MESSAGE_BYTES
from varve._values import slice_metadata
from varve.errors import InvalidArgument
from varve.io._arrow import ArrowSource, ParquetSource
from varve.io._beside import IdLines, IdNpy, NoColumns, Npy
from varve.io._files import Path, format_of
from varve.io._hdf5 import Hdf5Source
from varve.io._source import Batch, Source
from varve.io._text import CsvSource, JsonLinesSource
from varve.results import IngestResult, VectorField

FORMATS = (".parquet", ".arrow", ".feather", ".jsonl", ".csv", ".hdf5", ".h5", ".npy")

# ids, vectors and metadata, as ns.ingest() and Writer.add() take them.
Chunk = tuple[Ids, Any, Optional[Mapping[str, Any]]]
Metadata = Union[bool, Sequence[str]]
Vector = Union[None, str, Mapping[str, str]]

_CHUNK_ROWS = 2_048
_ROW_BYTES = 16 + 256  # of one id, and of one record's metadata, estimated
_BATCH_ROWS_MAX = 16_384


def read(
    path: Path,
    *,
    id: Optional[str] = None,
    vector: Vector = None,
    metadata: Metadata = True,
    vectors: Optional[Path] = None,
    ids: Optional[Path] = None,
    batch_size: int = _CHUNK_ROWS,
) -> Iterator[Chunk]:
    """A file as chunks (ids, vectors, metadata) of `batch_size` rows, for ns.ingest() or a loop of your own.

    `id`: the column of ids; by default "id" ("ids" in HDF5) if there is one, else ids are positions, from 0.
    `vector`: the column of vectors; by default "vector" or "embedding", or the only one with lists ("train"
    in HDF5). In CSV also the beginning of the columns x0, x1 ... For several fields a dict of columns by
    field; a record may have null in some of them. `metadata`: all other columns, or those named, or none.
    `vectors`: a .npy with the vectors instead, shape [rows, dimension]; `ids`: a .npy, or a text file, with
    the ids.

    Vectors: shape [rows, dimension] in the type that the file has them in (of text: float32), of Arrow without
    a copy; lists of lists are Ragged; with several fields, a dict. Metadata: columns, or None without any.
    Times without a zone are taken to be UTC. In CSV a column is what all its values look like: a file is
    read once before for that.

    InvalidArgument names the file, the row or line, the column, what was wanted and what was found.
    """
    reader = _Reader(path, id, vector, metadata, vectors, ids, _Target(), batch_size)
    return ((chunk.ids, chunk.vectors, chunk.metadata) for chunk in reader)


def fields_of(
    path: Path,
    *,
    vector: Vector = None,
    vectors: Optional[Path] = None,
    metric: str = "l2",
    element_type: Optional[str] = None,
) -> list[VectorField]:
    """The fields that a namespace for this file needs: client.create_namespace(name, fields=fields_of(path)).

    Dimension and, unless given, element type are those of the file's vectors; other arguments are read()'s.
    """
    reader = _Reader(path, None, vector, False, vectors, None, _Target(), 64)
    return [
        VectorField(
            dimension=_matrix(column).shape[1],
            name=field,
            metric=metric,
            element_type=element_type or _element_type(_matrix(column).dtype),
            multi_vector=isinstance(column, Ragged),
        )
        for field, column in reader.first_vectors().items()
    ]


def import_file(
    ns: Any,
    path: Path,
    *,
    id: Optional[str] = None,
    vector: Vector = None,
    metadata: Metadata = True,
    vectors: Optional[Path] = None,
    ids: Optional[Path] = None,
    expire: Union[None, datetime.datetime, datetime.timedelta] = None,
    producer: Optional[str] = None,
    batch_size: Optional[int] = None,
    progress: bool = True,
    **options: Any,
) -> IngestResult:
    """Streams a file into a namespace and returns when all of it is committed.

    `id`, `vector`, `metadata`, `vectors` and `ids` are those of read(). Vectors are converted to the field's
    element type (numbers that are not whole do not become integers: that is an error), and what CSV and JSON
    leave open to the types that the namespace declares. `expire`: when the records expire, or how long from
    now. `producer`: a name of this import: begun again under it, with the same file, it goes on where it ended.
    `batch_size`: rows per batch, by default as many as 4 MiB hold. `options`: further ones of ns.ingest()
    ("durability", "on_error", "streams", "retry_for").

    Errors are those of read() and of ns.ingest(); batches before the one that fails stay committed.
    """
    info = ns.describe()
    target = _Target({field.name: field for field in info.fields}, info.id_type, info.attributes)
    finite = options.get("on_error", "fail") == "fail"  # else the server leaves out what is not
    reader = _Reader(path, id, vector, metadata, vectors, ids, target, batch_size, finite)
    if producer is not None:
        files = [pathlib.Path(one) for one in (path, vectors, ids) if one is not None]
        print_ = _fingerprint(files, (id, reader.vector_columns, metadata, reader.rows, expire))
        producer = f"{producer}-{print_:08x}"
    if isinstance(expire, datetime.timedelta):
        expire = datetime.datetime.now(datetime.timezone.utc) + expire
    chunks = (vars(chunk) | {"expire_time": expire} for chunk in reader)
    return ns.ingest(
        chunks, producer=producer, batch_size=reader.rows, progress=progress, **options
    )


def _fingerprint(files: Sequence[pathlib.Path], options: Any) -> int:
    crc = zlib.crc32(repr(options).encode())
    for path in files:
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                crc = zlib.crc32(piece, crc)
    return crc


@dataclasses.dataclass(frozen=True)
class _Target:
    """What is known of the namespace that the file is for."""

    fields: Mapping[str, VectorField] = dataclasses.field(default_factory=dict)
    id_type: Optional[str] = None
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Chunk:
    ids: Ids
    vectors: Any
    metadata: Optional[Mapping[str, Any]]


def _open(path: pathlib.Path, target: _Target) -> Source:
    suffix = format_of(path, FORMATS)
    if suffix == ".parquet":
        return ParquetSource(path)
    if suffix in (".arrow", ".feather"):
        return ArrowSource(path)
    if suffix == ".jsonl":
        return JsonLinesSource(path, target.attributes)
    if suffix == ".csv":
        return CsvSource(path, target.attributes, target.id_type)
    return Hdf5Source(path)


class _Reader:
    """Which columns of a file are what, and the chunks made of them."""

    def __init__(
        self,
        path: Path,
        id: Optional[str],
        vector: Vector,
        metadata: Metadata,
        vectors: Optional[Path],
        ids: Optional[Path],
        target: _Target,
        batch_size: Optional[int],
        finite: bool = False,
    ):
        path = pathlib.Path(path)
        if batch_size is not None and batch_size < 1:
            raise InvalidArgument(f"batch_size must be at least 1, is {batch_size}")
        self._target = target
        self._finite = finite
        self._vectors: Optional[Npy] = None
        if format_of(path, FORMATS) == ".npy":
            if vectors is not None or vector is not None:
                raise InvalidArgument(f"{path}: has the vectors itself: no others can be given")
            self._vectors = Npy(path, 2, "fiu")
            self._source: Source = NoColumns(path, len(self._vectors))
        else:
            self._source = _open(path, target)
            if vectors is not None:
                self._vectors = Npy(pathlib.Path(vectors), 2, "fiu")
        self._ids = None if ids is None else _open_ids(pathlib.Path(ids), target.id_type)
        self.vector_columns = self._choose_vectors(vector)
        self._id = self._choose_id(id)
        self._metadata = self._choose_metadata(metadata)
        self.rows = batch_size or self._batch_rows()
        self._dimensions = {
            name: target.fields[name].dimension if name in target.fields else None
            for name in self._fields
        }

    # --- Choosing ---

    @property
    def _fields(self) -> list[str]:
        """The fields that the file has vectors of."""
        return list(self.vector_columns) or [self._only_field()]

    def _only_field(self) -> str:
        """The field that is meant when none is named."""
        names = list(self._target.fields)
        return names[0] if len(names) == 1 else ""

    def _choose_vectors(self, vector: Vector) -> dict[str, str]:
        """Columns by field; none if the vectors are beside."""
        source = self._source
        if self._vectors is not None:
            if vector is not None:
                raise InvalidArgument(f"either vector ({vector!r}) or vectors can be given")
            return {}
        if vector is None:
            chosen = self._find_vectors()
        elif isinstance(vector, str):
            chosen = {self._only_field(): vector}
        else:
            chosen = dict(vector)
        for column in chosen.values():
            if not source.has_vectors(column) and source.columns is not None:
                raise InvalidArgument(
                    f"{source.path}: column {column!r} of vectors is not there: there are {self._names()}"
                )
        return chosen

    def _find_vectors(self) -> dict[str, str]:
        source = self._source
        named = {name: name for name in self._target.fields if name and source.has_vectors(name)}
        default = next((name for name in source.vector_names if source.has_vectors(name)), None)
        lists = getattr(source, "list_columns", [])
        if default is None and not named and len(lists) == 1:
            default = lists[0]
        if len(self._target.fields) > 1 or named:
            if default is not None and "" in self._target.fields:
                named[""] = default
            return named
        if default is None:
            raise InvalidArgument(
                f"{source.path}: which column has the vectors must be given: there are {self._names()}"
            )
        return {self._only_field(): default}

    def _names(self) -> str:
        names = self._source.columns
        if names is None:
            names = getattr(self._source, "first_keys", [])
        shown = ", ".join(map(repr, names[:20])) or "none"
        return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")

    def _choose_id(self, id: Optional[str]) -> Optional[str]:
        source = self._source
        if self._ids is not None:
            if id is not None:
                raise InvalidArgument(f"either id ({id!r}) or ids can be given")
            return None
        if id is None:
            columns = getattr(source, "first_keys", source.columns or [])
            return next((name for name in source.id_names if name in columns), None)
        self._check_columns([id])
        return id

    def _check_columns(self, names: Sequence[str]) -> None:
        if self._source.columns is None:
            return
        odd = next((name for name in names if name not in self._source.columns), None)
        if odd is not None:
            raise InvalidArgument(
                f"{self._source.path}: column {odd!r} is not there: there are {self._names()}"
            )

    def _choose_metadata(self, metadata: Metadata) -> Optional[list[str]]:
        """The columns' names; None: whatever else a row has."""
        source = self._source
        if isinstance(metadata, str):
            raise InvalidArgument(f"metadata must be True, False or a list, is {metadata!r}")
        if not isinstance(metadata, bool):
            chosen = list(metadata)
            self._check_columns(chosen)
        elif not metadata:
            chosen = []
        elif source.columns is None:
            return None
        elif isinstance(source, Hdf5Source):
            used = [*self.vector_columns.values()]
            chosen = [name for name in source.attributes(used) if name != self._id]
        else:
            taken = set(self._taken())
            chosen = [name for name in source.columns if name not in taken]
        if isinstance(source, CsvSource):
            source.learn(chosen, self._id)
        return chosen

    def _taken(self) -> list[str]:
        """The columns of ids and vectors."""
        taken = [] if self._id is None else [self._id]
        for column in self.vector_columns.values():
            taken += self._source.part_of(column)
        return taken

    def _batch_rows(self) -> int:
        """As many as a message holds; a batch that turns out larger is cut by the writer."""
        fields = [self._target.fields[name] for name in self._fields if name in self._target.fields]
        bytes_ = {"float32": 4, "float16": 2, "bfloat16": 2}
        vectors = sum(field.dimension * bytes_.get(field.element_type, 1) for field in fields)
        return max(1, min(_BATCH_ROWS_MAX, MESSAGE_BYTES // (vectors + _ROW_BYTES)))

    # --- Reading ---

    def __iter__(self) -> Iterator[_Chunk]:
        for batch in self._batches():
            yield from self._chunks(batch)
        for beside in (self._vectors, self._ids):
            if beside is not None:
                beside.finish()

    def first_vectors(self) -> dict[str, Column]:
        """Some vectors of every field."""
        found: dict[str, Column] = {}
        for batch in self._batches():
            for name, (column, missing) in self._columns(batch).items():
                if missing is None or not missing.all():
                    found.setdefault(name, column)
            if len(found) == len(self._fields):
                return found
        raise InvalidArgument(f"{self._source.path}: has no vectors, so their dimension is unknown")

    def _batches(self) -> Iterator[Batch]:
        wanted = None
        if self._metadata is not None:
            wanted = list(dict.fromkeys([*self._taken(), *self._metadata]))
        return self._source.batches(wanted, self.rows)

    def _chunks(self, batch: Batch) -> Iterator[_Chunk]:
        columns = self._columns(batch)
        ids = self._ids_of(batch)
        metadata = batch.metadata(self._metadata, self._taken()) or None
        if all(missing is None for _, missing in columns.values()):
            vectors = {name: column for name, (column, _) in columns.items()}
            yield _Chunk(ids, vectors.get("", vectors) if len(vectors) == 1 else vectors, metadata)
            return
        yield from _runs(batch, ids, columns, metadata, self.vector_columns)

    def _ids_of(self, batch: Batch) -> Ids:
        if self._ids is not None:
            return self._ids.take(len(batch))
        if self._id is not None:
            return batch.ids(self._id)
        return np.arange(batch.first, batch.first + len(batch), dtype=np.uint64)

    def _columns(self, batch: Batch) -> dict[str, tuple[Column, Optional[np.ndarray]]]:
        """Vectors by field, and which rows have none."""
        if self._vectors is not None:
            columns = {self._fields[0]: (self._vectors.take(len(batch)), None)}
        else:
            columns = {
                name: batch.vectors(column, self._dimensions[name])
                for name, column in self.vector_columns.items()
            }
        return {
            name: (self._fitted(batch, name, column), missing)
            for name, (column, missing) in columns.items()
        }

    def _fitted(self, batch: Batch, field: str, column: Column) -> Column:
        """In the field's element type."""
        matrix = _matrix(column)
        if self._dimensions[field] is None and len(matrix) > 0:
            self._dimensions[field] = matrix.shape[1]
        if field in self._target.fields:
            matrix = _converted(matrix, self._target.fields[field].element_type)
        fits = matrix is _matrix(column) or matrix.dtype.kind not in "iu"
        whole = fits or np.array_equal(matrix, _matrix(column))
        if not whole:
            odd = matrix != _matrix(column)
            limits = np.iinfo(matrix.dtype)
            wanted = f"whole numbers of {limits.min} to {limits.max}"
            raise self._bad_element(batch, field, column, odd, wanted)
        if self._finite and matrix.dtype.kind not in "iu":
            finite = np.isfinite(matrix)
            if not finite.all():
                raise self._bad_element(batch, field, column, ~finite, "finite numbers")
        return Ragged(matrix, column.offsets) if isinstance(column, Ragged) else matrix

    def _bad_element(
        self, batch: Batch, field: str, column: Column, odd: np.ndarray, wanted: str
    ) -> InvalidArgument:
        row, element = map(int, np.argwhere(odd)[0])
        found = f"{_matrix(column)[row, element]} at element {element}"
        if isinstance(column, Ragged):
            row = int(np.searchsorted(column.offsets, row, side="right")) - 1
        name = self.vector_columns.get(field)
        if name is None:
            path = self._vectors.path if self._vectors is not None else batch.path
            return InvalidArgument(f"{path}: row {batch.first + row}: must be {wanted}, is {found}")
        return batch.bad(row, name, wanted, found)


def _open_ids(path: pathlib.Path, id_type: Optional[str]) -> Union[IdNpy, IdLines]:
    return IdNpy(path) if path.suffix == ".npy" else IdLines(path, id_type)


def _matrix(column: Column) -> np.ndarray:
    return column.vectors if isinstance(column, Ragged) else column


def _element_type(dtype: np.dtype) -> str:
    return dtype.name if dtype.name in ("float16", "uint8", "int8") else "float32"


def _converted(matrix: np.ndarray, element_type: str) -> np.ndarray:
    if matrix.dtype.name == element_type or element_type == "float32":
        return matrix  # a field of float32 takes every type
    wanted: Any = element_type
    if element_type == "bfloat16":
        try:
            from ml_dtypes import bfloat16 as wanted
        except ImportError as error:
            raise ImportError(
                "a field of bfloat16 needs ml_dtypes, which is not installed: pip install ml_dtypes"
            ) from error
    with np.errstate(invalid="ignore", over="ignore"):
        return matrix.astype(wanted)


def _runs(
    batch: Batch,
    ids: Ids,
    columns: Mapping[str, tuple[Column, Optional[np.ndarray]]],
    metadata: Optional[Mapping[str, Any]],
    names: Mapping[str, str],
) -> Iterator[_Chunk]:
    """Rows in order, cut wherever other fields have vectors: a chunk's records all have the same ones."""
    absent = np.zeros((len(batch), len(columns)), bool)
    for i, (_, missing) in enumerate(columns.values()):
        if missing is not None:
            absent[:, i] = missing
    if absent.all(axis=1).any():
        row = int(np.argmax(absent.all(axis=1)))
        raise batch.bad(row, ", ".join(map(str, names.values())), "a vector", "null")
    cuts = np.flatnonzero((absent[1:] != absent[:-1]).any(axis=1)) + 1
    edges = [0, *cuts.tolist(), len(batch)]
    for begin, end in zip(edges, edges[1:]):
        vectors = {
            name: column[begin:end]
            for i, (name, (column, _)) in enumerate(columns.items())
            if not absent[begin, i]
        }
        yield _Chunk(ids[begin:end], vectors, slice_metadata(metadata, begin, end))
