"""JSON lines and CSV, zipped or not."""

from __future__ import annotations

import csv
import itertools
import json
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from varve._arrays import Ids, Ragged
from varve.errors import InvalidArgument
from varve.io import _values
from varve.io._files import open_text, short
from varve.io._source import Batch, Source, Vectors, matrices

_CELL_BYTES_MAX = 1 << 30  # of a field in a CSV file: vectors are longer than csv's own limit


class _TextBatch(Batch):
    def __init__(self, path: pathlib.Path, first: int, lines: list[int]):
        self.path = path
        self.first = first
        self._lines = lines  # the number of each row's line in the file, from 1

    def place(self, row: int) -> str:
        return f"line {self._lines[row]}"


# --- JSON lines ---


class JsonLinesSource(Source):
    """A file with one JSON object a line. `kinds`: of attributes that are declared."""

    columns = None

    def __init__(self, path: pathlib.Path, kinds: Mapping[str, str]):
        self.path = path
        self._kinds = kinds
        with open_text(path, "r") as file:
            row = next(self._rows(file), None)
        self._first_keys = [] if row is None else list(row[1])

    def has_vectors(self, column: str) -> bool:
        return column in self._first_keys

    @property
    def first_keys(self) -> list[str]:
        return self._first_keys

    def _rows(self, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InvalidArgument(f"{self.path}: line {number}: must be JSON: {error}") from None
            if not isinstance(row, dict):
                raise InvalidArgument(
                    f"{self.path}: line {number}: must be a JSON object, is {short(row)}"
                )
            yield number, row

    def batches(self, columns: Optional[Sequence[str]], rows: int) -> Iterator[Batch]:
        first = 0
        with open_text(self.path, "r") as file:
            numbered = self._rows(file)
            while some := list(itertools.islice(numbered, rows)):
                yield _JsonBatch(self.path, first, some, self._kinds)
                first += len(some)


class _JsonBatch(_TextBatch):
    def __init__(self, path, first, rows: list[tuple[int, dict[str, Any]]], kinds):
        super().__init__(path, first, [number for number, _ in rows])
        self._rows = [row for _, row in rows]
        self._kinds = kinds

    def __len__(self) -> int:
        return len(self._rows)

    def ids(self, column: str) -> Ids:
        ids = [row.get(column) for row in self._rows]
        kind = str if isinstance(ids[0], str) else int
        for i, one in enumerate(ids):
            if not isinstance(one, kind) or isinstance(one, bool):
                wanted = "text as the ids before" if kind is str and i else "a number or text"
                raise self.bad(i, column, wanted, "missing" if one is None else short(one))
            if kind is int and not 0 <= one < 1 << 64:
                raise self.bad(i, column, "0 to 2^64 - 1", str(one))
        return ids if kind is str else np.array(ids, np.uint64)

    def vectors(self, column: str, dimension: Optional[int]) -> Vectors:
        return matrices([row.get(column) for row in self._rows], column, dimension, self)

    def metadata(self, columns: Optional[Sequence[str]], without: Sequence[str]) -> Mapping[str, Any]:
        if columns is None:
            names = dict.fromkeys(name for row in self._rows for name in row)
            columns = [name for name in names if name not in without]
        return {name: self._attribute(name) for name in columns}

    def _attribute(self, name: str) -> list[Any]:
        values = [row.get(name) for row in self._rows]
        kind = self._kinds.get(name)
        if kind is None:
            return values
        for i, value in enumerate(values):
            try:
                values[i] = _values.as_kind(value, kind)
            except ValueError:
                raise self.bad(i, name, f"a {kind}", short(value)) from None
        return values


class JsonLinesSink:
    """Writes one object a line: id, vectors, and the attributes beside them, objects as objects."""

    def __init__(self, path: pathlib.Path, shape: Any):
        self._shape = shape
        self._file = open_text(path, "w")

    def write(self, records: Any) -> None:
        shape = self._shape
        ids = records.ids if isinstance(records.ids, list) else records.ids.tolist()
        vectors = {name: _texts(records, field.name) for name, field in shape.fields.items()}
        keys = {name: _values.to_json(name) for name in (shape.id, *vectors)}
        for i, one in enumerate(ids):
            attributes = records.metadata[i] if records.metadata else {}
            shape.check_names(attributes)
            parts = [f"{keys[shape.id]}:{_values.to_json(one)}"]
            parts += [f"{keys[name]}:{texts[i]}" for name, texts in vectors.items() if texts[i]]
            if attributes:
                parts.append(_values.to_json(attributes)[1:-1])
            self._file.write("{" + ",".join(parts) + "}\n")

    def close(self) -> None:
        self._file.close()


def _texts(records: Any, field: str) -> list[str]:
    """Each record's vectors as JSON, with as many digits as tell them apart; "" of a record without."""
    column = records.fields[field]
    matrix = column.vectors if isinstance(column, Ragged) else column
    rows = ["[" + ",".join(row) + "]" for row in matrix.astype("U").tolist()]
    if isinstance(column, Ragged):
        ends = column.offsets.tolist()
        rows = ["[" + ",".join(rows[a:b]) + "]" for a, b in itertools.pairwise(ends)]
    for i in records.without.get(field, ()):
        rows[i] = ""
    return rows


# --- CSV ---


class CsvSource(Source):
    """A CSV file with a line of names. What a column's values are is found out by reading it once before,
    save where `kinds` has it declared. `id_type`: what ids are to be, if that is known."""

    def __init__(self, path: pathlib.Path, kinds: Mapping[str, str], id_type: Optional[str]):
        self.path = path
        self._kinds = dict(kinds)
        self._id_type = id_type
        csv.field_size_limit(_CELL_BYTES_MAX)
        with open_text(path, "r") as file:
            self.columns = next(csv.reader(file), [])
        if not self.columns:
            raise InvalidArgument(f"{path}: line 1: must have the names of the columns, is empty")
        twice = next((name for name in self.columns if self.columns.count(name) > 1), None)
        if twice is not None:
            raise InvalidArgument(f"{path}: line 1: names must differ, {twice!r} is there twice")

    def has_vectors(self, column: str) -> bool:
        return column in self.columns or len(self.part_of(column)) > 0

    def part_of(self, column: str) -> list[str]:
        """The column, or those that are named by it and a number, in order of that."""
        if column in self.columns:
            return [column]
        pattern = re.compile(re.escape(column) + r"[_.\-]?(\d+)")
        numbered = [(int(m[1]), m[0]) for name in self.columns if (m := pattern.fullmatch(name))]
        return [name for _, name in sorted(numbered)]

    def batches(self, columns: Optional[Sequence[str]], rows: int) -> Iterator[Batch]:
        first = 0
        positions = {name: i for i, name in enumerate(self.columns)}
        for lines, some in self._blocks(rows):
            yield _CsvBatch(self, first, lines, some, positions)
            first += len(some)

    def learn(self, attributes: Sequence[str], id: Optional[str]) -> None:
        """Finds out the kinds of these columns."""
        unknown = [name for name in attributes if name not in self._kinds]
        numbers = id is not None and self._id_type is None
        if not unknown and not numbers:
            self._id_type = self._id_type or "text"
            return
        places = {name: self.columns.index(name) for name in unknown}
        found: dict[str, str] = {}
        id_place = self.columns.index(id) if numbers else 0
        for _, rows in self._blocks(1000):
            if numbers:
                numbers = all(_is_number_id(row[id_place]) for row in rows)
            for name, place in places.items():
                kind = found.get(name)
                if kind != "string":
                    for text in {row[place] for row in rows} - {""}:
                        kind = _values.common_kind_of_texts(kind, _values.kind_of_text(text))
                    found[name] = kind or ""
        # A column without a value, or with empty lists alone, has no kind and is all the same.
        self._kinds |= {name: kind or "string" for name, kind in found.items()}
        self._id_type = self._id_type or ("number" if numbers else "text")

    def _blocks(self, rows: int) -> Iterator[tuple[list[int], list[list[str]]]]:
        """Rows, and the numbers of the lines that they end on."""
        with open_text(self.path, "r") as file:
            reader = csv.reader(file)
            next(reader)
            lines: list[int] = []
            some: list[list[str]] = []
            try:
                for row in reader:
                    if not row:
                        continue
                    if len(row) != len(self.columns):
                        raise InvalidArgument(
                            f"{self.path}: line {reader.line_num}: must have {len(self.columns)} "
                            f"values as the first line has names, has {len(row)}"
                        )
                    lines.append(reader.line_num)
                    some.append(row)
                    if len(some) == rows:
                        yield lines, some
                        lines, some = [], []
            except csv.Error as error:
                raise InvalidArgument(f"{self.path}: line {reader.line_num}: {error}") from None
            if some:
                yield lines, some

    @property
    def kinds(self) -> Mapping[str, str]:
        return self._kinds

    @property
    def id_type(self) -> Optional[str]:
        return self._id_type


def _is_number_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and str(int(text)) == text and int(text) < 1 << 64


class _CsvBatch(_TextBatch):
    def __init__(self, source: CsvSource, first, lines, rows: list[list[str]], positions):
        super().__init__(source.path, first, lines)
        self._source = source
        self._rows = rows
        self._positions = positions

    def __len__(self) -> int:
        return len(self._rows)

    def _texts(self, column: str) -> list[str]:
        place = self._positions[column]
        return [row[place] for row in self._rows]

    def ids(self, column: str) -> Ids:
        texts = self._texts(column)
        if self._source.id_type != "number":
            return texts
        odd = next((i for i, text in enumerate(texts) if not _is_number_id(text)), None)
        if odd is not None:
            raise self.bad(odd, column, "0 to 2^64 - 1", short(texts[odd]))
        return np.array([int(text) for text in texts], np.uint64)

    def vectors(self, column: str, dimension: Optional[int]) -> Vectors:
        columns = self._source.part_of(column)
        if columns != [column]:
            return self._spread(columns, dimension), None
        lists = []
        for i, text in enumerate(self._texts(column)):
            try:
                lists.append(json.loads(text) if text else None)
            except ValueError:
                raise self.bad(i, column, 'text like "[1, 2.5]"', short(text)) from None
        return matrices(lists, column, dimension, self)

    def _spread(self, columns: list[str], dimension: Optional[int]) -> np.ndarray:
        """Vectors with a column for each element."""
        if dimension not in (None, len(columns)):
            what = f"{columns[0]} to {columns[-1]}"
            raise self.bad(None, what, f"{dimension} columns", str(len(columns)))
        places = [self._positions[name] for name in columns]
        if places == list(range(places[0], places[0] + len(places))):
            rows = [row[places[0] : places[-1] + 1] for row in self._rows]
        else:
            rows = [[row[place] for place in places] for row in self._rows]
        try:
            return np.array([list(map(float, row)) for row in rows], np.float32)
        except ValueError:
            for i, row in enumerate(rows):
                for name, text in zip(columns, row):
                    try:
                        float(text)
                    except ValueError:
                        raise self.bad(i, name, "a number", short(text)) from None
            raise

    def metadata(self, columns: Optional[Sequence[str]], without: Sequence[str]) -> Mapping[str, Any]:
        if columns is None:
            columns = [name for name in self._positions if name not in without]
        return {name: self._attribute(name) for name in columns}

    def _attribute(self, name: str) -> list[Any]:
        """Values of the column's kind; empty ones are none."""
        kind = self._source.kinds.get(name, "string")
        values: list[Any] = [text or None for text in self._texts(name)]
        if kind == "string":
            return values
        for i, text in enumerate(values):
            try:
                values[i] = None if text is None else _values.parse(text, kind)
            except (ValueError, KeyError):
                raise self.bad(i, name, f"a {kind}", short(text)) from None
        return values


class CsvSink:
    """Writes a line of names, then one for each record: vectors and lists as JSON, objects by path."""

    def __init__(self, path: pathlib.Path, shape: Any):
        self._shape = shape
        self._file = open_text(path, "w")
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._csv.writerow([shape.id, *shape.fields, *shape.kinds])

    def write(self, records: Any) -> None:
        shape = self._shape
        columns = [list(records.ids)]
        columns += [_texts(records, field.name) for field in shape.fields.values()]
        columns += [list(map(_cell, column)) for column in shape.columns(records).values()]
        self._csv.writerows(zip(*columns))

    def close(self) -> None:
        self._file.close()


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    return _values.to_json(value).strip('"')
