"""What calls return. Arrays are the caller's own: nobody else holds them."""

from __future__ import annotations

import dataclasses
import datetime
import html
from collections.abc import Iterator, Sequence
from typing import Any, Optional, Union

import numpy as np

from varve._arrays import Column, Ids

Id = Union[int, str]


@dataclasses.dataclass(frozen=True)
class Hit:
    """One record found."""

    id: Id
    distance: float  # in the metric's own terms; smaller is nearer
    # By field, if asked for: shape [vectors, dimension].
    vectors: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    metadata: Optional[dict[str, Any]] = None  # if asked for
    group: Any = None  # with group_by

    @property
    def vector(self) -> Optional[np.ndarray]:
        """Of the default field, if asked for: shape [dimension], or of several [vectors, dimension]."""
        found = self.vectors.get("")
        return found[0] if found is not None and len(found) == 1 else found


@dataclasses.dataclass(frozen=True)
class SegmentExplanation:
    """How the search of one segment went."""

    segment_id: int
    rows: int
    plan: str  # "scan", "filtered walk" or "walk"
    gave_up: bool  # a walk was begun that became dearer than a scan, which was done instead
    estimated_selectivity: float
    selectivity: float
    distances: int
    hops: int
    dead_rows: int
    rescored_rows: int
    time: datetime.timedelta


@dataclasses.dataclass(frozen=True)
class Explanation:
    segments: list[SegmentExplanation]
    filter_time: datetime.timedelta  # it took to find out which records satisfy the filter


@dataclasses.dataclass(frozen=True)
class SearchResult(Sequence):
    """Hits, nearest first; fewer than k when there are fewer records. A sequence of Hit."""

    hits: list[Hit]
    sequence: int  # the commit the search saw
    explanation: Optional[Explanation] = None  # if asked for

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, index):
        return self.hits[index]

    @property
    def ids(self) -> list[Id]:
        return [hit.id for hit in self.hits]

    @property
    def distances(self) -> np.ndarray:
        """float32, shape [hits]."""
        return np.array([hit.distance for hit in self.hits], dtype=np.float32)

    def __repr__(self) -> str:
        shown = ", ".join(f"{hit.id!r}: {hit.distance:.4g}" for hit in self.hits[:10])
        more = f", ... {len(self) - 10} more" if len(self) > 10 else ""
        return f"SearchResult({len(self)} hits: {shown}{more})"

    def _repr_html_(self) -> str:
        rows = [[i, hit.id, f"{hit.distance:.6g}", hit.metadata] for i, hit in enumerate(self.hits)]
        with_metadata = any(hit.metadata for hit in self.hits)
        head = ["", "id", "distance", "metadata"]
        return _table(head if with_metadata else head[:3], rows)


@dataclasses.dataclass(frozen=True)
class BatchResult:
    """Results of many queries. Query i found counts[i] records: ids[i, :counts[i]], nearest first.

    What is beyond has distance inf, and id 0 or None.
    """

    ids: np.ndarray  # uint64, or object (str) in a namespace of texts; shape [queries, k]
    distances: np.ndarray  # float32, shape [queries, k]
    counts: np.ndarray  # int64, shape [queries]
    sequence: int  # the oldest commit that a part of the batch saw
    explanation: Optional[Explanation] = None  # of the first query, if asked for

    def __len__(self) -> int:
        return len(self.counts)

    def __repr__(self) -> str:
        return f"BatchResult({len(self)} queries, up to {self.ids.shape[1]} hits each)"


@dataclasses.dataclass(frozen=True)
class Records:
    """Records, column by column: position i of every column is record i."""

    ids: Ids  # uint64 array, or list of str
    fields: dict[str, Column] = dataclasses.field(default_factory=dict)  # vectors, if asked for
    # Positions, by field, of records without a vector there: zeros, or no vectors, stand in their place.
    without: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    metadata: Optional[list[dict[str, Any]]] = None  # if asked for
    missing: Ids = dataclasses.field(default_factory=lambda: np.empty(0, np.uint64))  # of get()

    @property
    def vectors(self) -> Column:
        """Those of the default field: [records, dimension] in the field's element type, or Ragged."""
        return self.fields[""]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        parts = [f"{len(self)} records"]
        parts += [f"vectors{f' of {name!r}' if name else ''}" for name in self.fields]
        parts += ["metadata"] * (self.metadata is not None)
        parts += [f"{len(self.missing)} missing"] * (len(self.missing) > 0)
        return f"Records({', '.join(parts)})"

    def _repr_html_(self) -> str:
        shown = min(len(self), 10)
        metadata: list[Any] = [None] * shown if self.metadata is None else self.metadata
        table = _table(["id", "metadata"], [[self.ids[i], metadata[i]] for i in range(shown)])
        return f"{html.escape(repr(self))}{table}"


@dataclasses.dataclass(frozen=True)
class RowError:
    """A record that was not written, with on_error="skip"."""

    row: int  # its position in what was given to the call or the writer
    id: Id
    message: str


@dataclasses.dataclass(frozen=True)
class WriteResult:
    sequence: int  # the commit; a search with this min_sequence sees it
    records_written: int
    superseded_rows: list[int]  # passed over: the same id comes again later
    row_errors: list[RowError]


@dataclasses.dataclass(frozen=True)
class DeleteResult:
    sequence: int  # the (last) commit
    records_deleted: int  # with dry_run: that would be
    sample: Ids = dataclasses.field(default_factory=lambda: np.empty(0, np.uint64))  # with dry_run


@dataclasses.dataclass(frozen=True)
class UpdateResult:
    sequence: int  # the (last) commit
    records_updated: int
    missing: Ids


@dataclasses.dataclass(frozen=True)
class IngestResult:
    """What a writer, or ns.ingest, got across; all of it is committed."""

    rows: int  # given
    records_written: int
    rows_resumed: int  # of these, committed by an earlier run under the same producer
    batches: int
    sequence: int  # the last commit; a search with this min_sequence sees it; 0 if not known
    row_errors: list[RowError]
    seconds: float

    def __repr__(self) -> str:
        rate = self.rows / max(self.seconds, 1e-9)
        text = f"IngestResult({self.rows:,} rows in {self.seconds:.1f} s, {rate:,.0f} rows/s"
        if self.rows_resumed:
            text += f", {self.rows_resumed:,} were committed before"
        if self.row_errors:
            text += f", {len(self.row_errors):,} not written"
        return text + ")"


@dataclasses.dataclass(frozen=True)
class Segment:
    id: int
    state: str  # "active", "sealing", "sealed" or "compacting"
    rows: int  # live and dead
    live_rows: int
    dead_rows: int
    indexed_rows: int  # found by a graph walk; the rest is scanned exactly
    memory_bytes: int  # without the mapped file
    file_bytes: int
    level: int


@dataclasses.dataclass(frozen=True)
class IndexingProgress:
    indexed_rows: int
    total_rows: int  # committed before the call
    rows_per_second: float
    remaining: Optional[datetime.timedelta]


@dataclasses.dataclass(frozen=True)
class NamespaceStats:
    records: int
    sequence: int
    segments: int
    dead_rows: int
    unindexed_rows: int
    index_memory_bytes: int


@dataclasses.dataclass(frozen=True)
class ServerStats:
    version: str
    uptime: datetime.timedelta
    namespaces: int
    resident_bytes: int
    disk_bytes: int
    namespace: Optional[NamespaceStats] = None  # of the one named


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A copy of namespaces as of one moment, kept by the server."""

    name: str
    create_time: datetime.datetime
    only_namespace: Optional[str]  # the one it was made of; None: all
    namespaces: dict[str, int]  # those that are in it, and the last commit of each
    bytes: int  # of its files; those that it shares with the server's data, too


@dataclasses.dataclass(frozen=True)
class SnapshotReport:
    """What reading all of a snapshot found: a line for each thing that is wrong."""

    record_damage: list[str]  # cannot be made good
    index_damage: list[str]  # what is damaged of an index is made anew when it is restored
    namespaces: int
    records: int
    segments: int

    @property
    def clean(self) -> bool:
        return not self.record_damage and not self.index_damage


@dataclasses.dataclass(frozen=True)
class VectorField:
    """One named vector of every record. In descriptions every option has its value."""

    dimension: int
    name: str = ""  # "" is the default field
    metric: str = "l2"  # squared Euclidean; "cosine": 1 - cosine; "dot": negated dot product
    element_type: str = "float32"  # how vectors are kept; else only vectors of that type are taken
    multi_vector: bool = False  # several vectors a record; searches rank by MaxSim
    # m, ef_construction, ef_search, segment_size_threshold, parallel_insert_threshold,
    # max_unindexed_rows, tombstone_rebuild_pct, auto_compaction, quantization ("int8", "none")
    index: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class NamespaceInfo:
    """How a namespace was made."""

    name: str
    fields: list[VectorField]
    id_type: Optional[str]  # "number" or "text"; None: the first batch decides
    attributes: dict[str, str]  # declared types by path: "int64", "list of string" ...
    default_ttl: Optional[datetime.timedelta]
    create_time: datetime.datetime
    # What it may take of its server; without an entry: as much as that gives. max_vectors,
    # max_vector_bytes, max_request_bytes, max_k, max_ef_search, max_searches and max_streams (at a time),
    # max_ingest_bytes_per_second. Calls beyond one raise ResourceExhausted
    limits: dict[str, int] = dataclasses.field(default_factory=dict)

    def _repr_html_(self) -> str:
        head = ["field", "dimension", "metric", "element type", "index"]
        rows = [[f.name or "(default)", f.dimension, f.metric, f.element_type, f.index]
                for f in self.fields]
        return f"<b>{html.escape(self.name)}</b>{_table(head, rows)}"


def _table(head: list[str], rows: Iterator[list[Any]] | list[list[Any]]) -> str:
    def cells(tag: str, values: list[Any]) -> str:
        texts = ["" if value is None else str(value) for value in values]
        return "<tr>" + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts) + "</tr>"

    body = "".join(cells("td", row[: len(head)]) for row in rows)
    return f"<table>{cells('th', head)}{body}</table>"
