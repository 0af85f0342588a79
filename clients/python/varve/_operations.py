"""Every call that is not a stream, once for both kinds of client.

An operation is a generator: it yields requests and is sent their responses, and returns the result. Who
runs it, Client or AsyncClient, does the waiting. The functions' docstrings and parameters are those of
the methods made of them; where the first parameter is `namespace`, the method is Namespace's.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Optional, TypeVar, Union

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

from varve import _arrays, _values, _wire
from varve.errors import InvalidArgument
from varve.filters import Filter, to_filter
from varve.results import (
    BatchResult,
    DeleteResult,
    Explanation,
    Hit,
    NamespaceInfo,
    NamespaceStats,
    Records,
    RowError,
    SearchResult,
    Segment,
    SegmentExplanation,
    ServerStats,
    Snapshot,
    SnapshotReport,
    UpdateResult,
    VectorField,
    WriteResult,
)
from varve.v1 import admin_service_pb2 as admin
from varve.v1 import ingest_service_pb2 as ingest
from varve.v1 import namespace_service_pb2 as namespaces
from varve.v1 import query_service_pb2 as query_service
from varve.v1 import record_pb2

T = TypeVar("T")

# Messages stay below what any gRPC peer takes, 4 MiB, with room for what is around the arrays.
MESSAGE_BYTES = (4 << 20) - (64 << 10)
_IDS_PER_GET = 1_000  # vectors come with them
_IDS_PER_WRITE = 100_000
_RESULT_BYTES = 16  # of one result in a batch, its distance included
_SEARCH_PAIRS_MAX = 4_000_000  # queries x k in one call
_PAGE = 1_000


@dataclasses.dataclass(frozen=True)
class Request:
    """One call: gRPC's name of the method, the request's bytes, and the type of the response."""

    method: str
    body: bytes
    response: Any
    waits: bool = False  # for work in the background: no deadline unless the user gives one


Operation = Generator[Request, Any, T]


def _request(service: str, method: str, message: Any, response: Any, **options: Any) -> Request:
    body = message.join() if isinstance(message, _wire.Parts) else message.SerializeToString()
    return Request(f"/varve.v1.{service}/{method}", body, response, **options)


# --- Names of enums: "l2" is METRIC_L2 ---


def _number(enum: Any, prefix: str, name: str, what: str) -> Any:
    value = enum.DESCRIPTOR.values_by_name.get(f"{prefix}_{str(name).upper()}")
    if value is None or value.number == 0:
        known = [v.name[len(prefix) + 1 :].lower() for v in enum.DESCRIPTOR.values if v.number]
        raise InvalidArgument(f"{what} must be one of {', '.join(known)}, is {name!r}")
    return value.number


def _name(enum: Any, prefix: str, number: int) -> str:
    value = enum.DESCRIPTOR.values_by_number.get(number)
    return value.name[len(prefix) + 1 :].lower() if value is not None else "unknown"


def durability_number(durability: str) -> Any:
    return _number(ingest.Durability, "DURABILITY", durability, "durability")


def on_error_number(on_error: str) -> Any:
    names = {"fail": ingest.ON_ERROR_FAIL_BATCH, "skip": ingest.ON_ERROR_SKIP}
    if on_error not in names:
        raise InvalidArgument(f"on_error must be one of {', '.join(names)}, is {on_error!r}")
    return names[on_error]


def _seconds(duration: Any) -> datetime.timedelta:
    return datetime.timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)


def _time(timestamp: Any) -> datetime.datetime:
    return _values.time_of(timestamp.seconds * 1_000_000 + timestamp.nanos // 1000)


# --- Namespaces ---


def create_namespace(
    name: str,
    dimension: Optional[int] = None,
    *,
    metric: str = "l2",
    element_type: str = "float32",
    fields: Sequence[VectorField] = (),
    id_type: Optional[str] = None,
    attributes: Optional[Mapping[str, str]] = None,
    default_ttl: Optional[datetime.timedelta] = None,
    index: Optional[Mapping[str, Any]] = None,
    limits: Optional[Mapping[str, int]] = None,
) -> Operation[NamespaceInfo]:
    """Creates a namespace, durably, and returns it as made, every default filled in.

    `dimension` (1 to 65,535), `metric` ("l2", "cosine", "dot"), `element_type` ("float32", "float16",
    "bfloat16", "uint8", "int8") and `index` (see VectorField) are those of the default field; for named
    or several fields give `fields` instead. `id_type`: "number" or "text"; without it the first batch
    decides. `attributes`: types that attributes must have, by path: "bool", "int64", "double",
    "timestamp", "string", or "list of string" and so on. `default_ttl`: when records expire that do not
    say themselves. `limits`: see NamespaceInfo.limits.

    AlreadyExists; InvalidArgument names the field, what it must be and what it was.
    """
    if (dimension is None) == (not fields):
        raise InvalidArgument("either dimension or fields must be given")
    if dimension is not None:
        fields = [
            VectorField(dimension, metric=metric, element_type=element_type, index=dict(index or {}))
        ]
    request = namespaces.CreateNamespaceRequest()
    made = request.namespace
    made.name = name
    for field in fields:
        _fill_field(made.fields.add(), field)
    if id_type is not None:
        made.id_type = _number(record_pb2.IdType, "ID_TYPE", id_type, "id_type")
    for path, wanted in (attributes or {}).items():
        is_list = wanted.startswith("list of ")
        kind = wanted.removeprefix("list of ")
        number = _number(namespaces.AttributeType, "ATTRIBUTE_TYPE", kind, f"attributes[{path!r}]")
        made.attributes.add(path=path, type=number, list=is_list)
    if default_ttl is not None:
        made.default_ttl.FromTimedelta(default_ttl)
    _fill_limits(made.limits, limits or {})
    response = yield _request(
        "NamespaceService", "CreateNamespace", request, namespaces.CreateNamespaceResponse
    )
    return _namespace_from(response.namespace)


def _fill_field(out: namespaces.VectorField, field: VectorField) -> None:
    out.name = field.name
    out.dimension = _whole(field.dimension, "dimension")
    out.metric = _number(namespaces.Metric, "METRIC", field.metric, "metric")
    out.element_type = _arrays.dtype_of(field.element_type)
    out.multi_vector = field.multi_vector
    _fill_index(out.index, field.index)


def _whole(value: Any, what: str, bits: int = 32) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise InvalidArgument(f"{what} must be a whole number, is {value!r}")
    if value >= 1 << bits:
        raise InvalidArgument(f"{what} must be less than 2^{bits}, is {value}")
    return int(value)


def _fill_limits(out: namespaces.NamespaceLimits, limits: Mapping[str, int]) -> None:
    known = namespaces.NamespaceLimits.DESCRIPTOR.fields_by_name
    for name, value in limits.items():
        if name not in known:
            raise InvalidArgument(f"{name!r} is no limit: there are {', '.join(known)}")
        bits = 64 if known[name].cpp_type == FieldDescriptor.CPPTYPE_UINT64 else 32
        setattr(out, name, _whole(value, name, bits))


def _fill_index(out: namespaces.IndexOptions, options: Mapping[str, Any]) -> None:
    known = [field.name for field in namespaces.IndexOptions.DESCRIPTOR.fields]
    for name, value in options.items():
        if name not in known:
            raise InvalidArgument(f"{name!r} is no index option: there are {', '.join(known)}")
        if name == "quantization":
            value = _number(namespaces.Quantization, "QUANTIZATION", value, name)
        elif name != "auto_compaction":
            value = _whole(value, name)
        setattr(out, name, value)


def _namespace_from(message: namespaces.Namespace) -> NamespaceInfo:
    kinds = {
        one.path: ("list of " if one.list else "")
        + _name(namespaces.AttributeType, "ATTRIBUTE_TYPE", one.type)
        for one in message.attributes
    }
    return NamespaceInfo(
        name=message.name,
        fields=[_field_from(field) for field in message.fields],
        id_type=_name(record_pb2.IdType, "ID_TYPE", message.id_type) if message.id_type else None,
        attributes=kinds,
        default_ttl=_seconds(message.default_ttl) if message.HasField("default_ttl") else None,
        create_time=_time(message.create_time),
        limits={field.name: value for field, value in message.limits.ListFields()},
    )


def _field_from(message: namespaces.VectorField) -> VectorField:
    index = {field.name: value for field, value in message.index.ListFields()}
    if "quantization" in index:
        index["quantization"] = _name(
            namespaces.Quantization, "QUANTIZATION", index["quantization"]
        )
    return VectorField(
        dimension=message.dimension,
        name=message.name,
        metric=_name(namespaces.Metric, "METRIC", message.metric),
        element_type=_arrays.dtype_name(message.element_type),
        multi_vector=message.multi_vector,
        index=index,
    )


def list_namespaces() -> Operation[list[NamespaceInfo]]:
    """All namespaces, in order of name."""
    found: list[NamespaceInfo] = []
    token = ""
    while True:
        request = namespaces.ListNamespacesRequest(page_size=_PAGE, page_token=token)
        response = yield _request(
            "NamespaceService", "ListNamespaces", request, namespaces.ListNamespacesResponse
        )
        found += [_namespace_from(one) for one in response.namespaces]
        token = response.next_page_token
        if not token:
            return found


def delete_namespace(name: str) -> Operation[None]:
    """Deletes a namespace and all its records, durably. NotFound."""
    request = namespaces.DeleteNamespaceRequest(name=name)
    yield _request(
        "NamespaceService", "DeleteNamespace", request, namespaces.DeleteNamespaceResponse
    )


def server_stats() -> Operation[ServerStats]:
    """Figures of the server."""
    return (yield from _stats(""))


def stats(namespace: str) -> Operation[NamespaceStats]:
    """Figures of the namespace. NotFound."""
    found = (yield from _stats(namespace)).namespace
    assert found is not None, "the server leaves out the namespace that was asked for"
    return found


def _stats(namespace: str) -> Operation[ServerStats]:
    request = admin.StatsRequest(namespace=namespace)
    found = yield _request("AdminService", "Stats", request, admin.StatsResponse)
    of_namespace = None
    if found.HasField("namespace"):
        names = [field.name for field in dataclasses.fields(NamespaceStats)]
        of_namespace = NamespaceStats(**{name: getattr(found.namespace, name) for name in names})
    return ServerStats(
        version=found.version,
        uptime=_seconds(found.uptime),
        namespaces=found.namespaces,
        resident_bytes=found.resident_bytes,
        disk_bytes=found.disk_bytes,
        namespace=of_namespace,
    )


def describe(namespace: str) -> Operation[NamespaceInfo]:
    """How the namespace was made. NotFound."""
    request = namespaces.GetNamespaceRequest(name=namespace)
    response = yield _request(
        "NamespaceService", "GetNamespace", request, namespaces.GetNamespaceResponse
    )
    return _namespace_from(response.namespace)


def update_index(namespace: str, *, field: str = "", **options: Any) -> Operation[NamespaceInfo]:
    """Changes index options of a field (see VectorField.index); those not named stay as they are."""
    request = namespaces.UpdateNamespaceRequest(name=namespace, field=field)
    _fill_index(request.index, options)
    return (yield from _update(request))


def update_limits(namespace: str, **limits: int) -> Operation[NamespaceInfo]:
    """Changes limits (see NamespaceInfo.limits): those not named stay, and 0 takes one away."""
    request = namespaces.UpdateNamespaceRequest(name=namespace)
    _fill_limits(request.limits, limits)
    return (yield from _update(request))


def _update(request: namespaces.UpdateNamespaceRequest) -> Operation[NamespaceInfo]:
    response = yield _request(
        "NamespaceService", "UpdateNamespace", request, namespaces.UpdateNamespaceResponse
    )
    return _namespace_from(response.namespace)


# --- Writing ---


def batch_parts(
    ids: _arrays.Ids,
    columns: Mapping[str, _arrays.Column],
    metadata: Any = None,
    expire_times: Sequence[int] = (),
    first: int = 0,
) -> _wire.Parts:
    """A RecordBatch message. `expire_times`: microseconds; `first`: position of the first record, for
    the messages of errors."""
    rest = record_pb2.RecordBatch()
    if metadata is not None:
        _values.fill_batch(rest, metadata, first)
    for micros in expire_times:
        _values.set_time(rest.expire_times.add(), micros)
    parts = _wire.Parts().nest(1, _arrays.ids_parts(ids))
    for name, column in columns.items():
        parts.nest(2, _arrays.field_parts(name, column))
    return parts.add(rest.SerializeToString())


ExpireTime = Union[None, datetime.datetime, Sequence[Optional[datetime.datetime]]]


def as_expire_times(expire_time: ExpireTime, rows: int) -> list[int]:
    """Microseconds: none, one for all or one for each; 0 is a record's that does not say."""
    if expire_time is None:
        return []
    if isinstance(expire_time, datetime.datetime):
        return [_values.micros_of(expire_time, "expire_time")]
    if len(expire_time) != rows:
        raise InvalidArgument(
            f"expire_time must be one for all or one for each id: {rows}, are {len(expire_time)}"
        )
    return [
        0 if time is None else _values.micros_of(time, f"expire_time[{i}]")
        for i, time in enumerate(expire_time)
    ]


def upsert(
    namespace: str,
    ids: Any,
    vectors: Any,
    metadata: Any = None,
    *,
    expire_time: ExpireTime = None,
    durability: str = "applied",
    on_error: str = "fail",
) -> Operation[WriteResult]:
    """Writes one batch, atomically; for many records use ingest() or writer(). Safe to repeat.

    Arguments are those of ingest(). InvalidArgument names the row and the field.
    """
    ids = _arrays.as_ids(ids)
    rows = len(ids)
    batch = batch_parts(
        ids,
        _arrays.as_columns(vectors, rows),
        _values.as_metadata(metadata, rows),
        as_expire_times(expire_time, rows),
    )
    head = ingest.UpsertRequest(
        namespace=namespace,
        durability=durability_number(durability),
        on_error=on_error_number(on_error),
    )
    request = _wire.Parts(head.SerializeToString()).nest(2, batch)
    done = yield _request("IngestService", "Upsert", request, ingest.UpsertResponse)
    return WriteResult(
        sequence=done.sequence,
        records_written=done.records_written,
        superseded_rows=list(done.superseded_rows),
        row_errors=row_errors_from(done.row_errors, ids, 0),
    )


def row_errors_from(errors: Any, ids: _arrays.Ids, first: int) -> list[RowError]:
    return [RowError(first + error.row, plain(ids[error.row]), error.message) for error in errors]


def plain(one: Any) -> Union[int, str]:
    """An id as Python has it."""
    return one if isinstance(one, str) else int(one)


def delete(
    namespace: str,
    ids: Any = None,
    *,
    filter: Optional[Filter] = None,
    dry_run: bool = False,
    durability: str = "applied",
) -> Operation[DeleteResult]:
    """Deletes records by id (those that do not exist are passed over) or by filter.

    With a filter, those that satisfy it when it begins, in commits of up to 100,000; begun again after an
    error it goes on. `dry_run`, with a filter: counts them, names some, and deletes nothing.
    """
    if (ids is None) == (filter is None):
        raise InvalidArgument("either ids or filter must be given")
    if filter is None:
        if dry_run:
            raise InvalidArgument("dry_run needs a filter")
        pieces = _arrays.cut_ids(_arrays.as_ids(ids), _IDS_PER_WRITE, MESSAGE_BYTES)
        requests = [ingest.DeleteRequest(ids=_arrays.ids_message(piece)) for piece in pieces]
    else:
        requests = [ingest.DeleteRequest(filter=to_filter(filter), dry_run=dry_run)]
    sequence = deleted = 0
    sample: _arrays.Ids = np.empty(0, np.uint64)
    for request in requests:
        request.namespace = namespace
        request.durability = durability_number(durability)
        done = yield _request("IngestService", "Delete", request, ingest.DeleteResponse)
        sequence, deleted = done.sequence, deleted + done.records_deleted
        sample = _arrays.ids_from(done.sample)
    return DeleteResult(sequence, deleted, sample)


def update_metadata(
    namespace: str,
    ids: Any,
    patches: Union[Mapping[str, Any], Sequence[Mapping[str, Any]]],
    *,
    durability: str = "applied",
) -> Operation[UpdateResult]:
    """Changes records' metadata; vectors stay as they are, and nothing is indexed again.

    `patches`: merge patches (RFC 7386), one for each id or one for all: an attribute that is named takes
    the value given, None removes it, and the others stay; dicts are merged, lists replaced.
    """
    ids = _arrays.as_ids(ids)
    each: Optional[list[Any]] = None if isinstance(patches, Mapping) else list(patches)
    if each is not None and len(each) != len(ids):
        raise InvalidArgument(
            f"patches must be one for all or one for each id: {len(ids)}, are {len(each)}"
        )
    sequence = updated = begin = 0
    missing = []
    for piece in _arrays.cut_ids(ids, _PAGE, MESSAGE_BYTES):
        request = ingest.UpdateMetadataRequest(
            namespace=namespace,
            ids=_arrays.ids_message(piece),
            durability=durability_number(durability),
        )
        some: list[Any] = [patches] if each is None else each[begin : begin + len(piece)]
        for i, patch in enumerate(some):
            _values.fill_metadata(request.patches.add(), patch, f"patches[{begin + i}]")
        begin += len(piece)
        done = yield _request(
            "IngestService", "UpdateMetadata", request, ingest.UpdateMetadataResponse
        )
        sequence, updated = done.sequence, updated + done.records_updated
        missing.append(_arrays.ids_from(done.missing))
    return UpdateResult(sequence, updated, _arrays.join_ids(missing))


# --- Reading ---


@dataclasses.dataclass(frozen=True)
class Diversity:
    """Results that differ from each other (maximal marginal relevance): each is the one, of `candidates`
    (by default 4 k), with the smallest (1 - weight) * distance to the query - weight * distance to the
    nearest result before it."""

    weight: float = 0.5
    candidates: int = 0


def search(
    namespace: str,
    query: Any = None,
    k: int = 10,
    *,
    like: Any = None,
    unlike: Any = None,
    field: str = "",
    filter: Optional[Filter] = None,
    ef_search: Optional[int] = None,
    exact: bool = False,
    include_vectors: bool = False,
    include_metadata: Union[bool, Sequence[str]] = True,
    offset: int = 0,
    max_distance: Optional[float] = None,
    group_by: str = "",
    group_size: int = 1,
    diversity: Optional[Diversity] = None,
    explain: bool = False,
    min_sequence: int = 0,
) -> Operation[SearchResult]:
    """The k records nearest to `query`: shape [dimension], or [vectors, dimension] for a multi-vector field.

    `like`, instead of a query: ids of records to go by; `unlike`: of records to keep away from.
    `filter`: only records that satisfy it (see varve.filters). `ef_search`: effort, up to 10,000; `exact`
    compares with every record. `include_metadata`: True, False, or paths of the attributes wanted.
    `max_distance` leaves out what is farther away. `group_by` an attribute: the k groups nearest by their
    best record, `group_size` records of each. `explain` tells how it went. `min_sequence`: waits until
    the search sees that commit (see WriteResult.sequence).

    NotFound: no such namespace, or an example does not exist. InvalidArgument names the option; of a
    filter, the column.
    """
    if (query is None) == (like is None):
        raise InvalidArgument("either query or like must be given")
    options = _search_options(k, field, filter, ef_search, exact, offset, max_distance, explain,
                              min_sequence)
    options.include_vectors = include_vectors
    options.include_metadata = include_metadata is not False
    if not isinstance(include_metadata, bool):
        options.metadata_paths.extend(include_metadata)
    options.group_by = group_by
    if group_by:
        options.group_size = _whole(group_size, "group_size")
    if diversity is not None:
        options.diversity.weight = diversity.weight
        options.diversity.candidates = diversity.candidates
    head = query_service.SearchRequest(namespace=namespace, options=options)
    request = _wire.Parts()
    if like is not None:
        head.examples.positive.CopyFrom(_arrays.ids_message(_arrays.as_ids(like, "like")))
        if unlike is not None:
            head.examples.negative.CopyFrom(_arrays.ids_message(_arrays.as_ids(unlike, "unlike")))
    else:
        request.nest(2, _arrays.tensor_parts(_query(query)))
    request.add(head.SerializeToString())
    found = yield _request("QueryService", "Search", request, query_service.SearchResponse)
    return SearchResult(
        hits=[_hit_from(hit) for hit in found.hits],
        sequence=found.sequence,
        explanation=_explanation_from(found) if explain else None,
    )


def _query(query: Any) -> np.ndarray:
    array = np.asarray(query)
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiuV":
        raise InvalidArgument(
            "query must be numbers of the shape [dimension] or [vectors, dimension], is of type "
            f"{array.dtype} and shape {list(array.shape)}"
        )
    return array


def _search_options(k, field, filter, ef_search, exact, offset, max_distance, explain,
                    min_sequence) -> query_service.SearchOptions:
    options = query_service.SearchOptions(
        field=field,
        k=_whole(k, "k"),
        exact=exact,
        min_sequence=min_sequence,
        explain=explain,
        offset=_whole(offset, "offset"),
        filter=to_filter(filter),
    )
    if ef_search is not None:
        options.ef_search = _whole(ef_search, "ef_search")
    if max_distance is not None:
        options.max_distance = max_distance
    return options


def _hit_from(hit: query_service.Hit) -> Hit:
    kind = hit.id.WhichOneof("kind")
    vectors = {}
    for column in hit.fields:
        if len(column.missing) == 0:
            vectors[column.field] = _arrays.tensor_from(column.dense)
    return Hit(
        id=getattr(hit.id, kind) if kind else 0,
        distance=hit.distance,
        vectors=vectors,
        metadata=_values.from_metadata(hit.metadata) if hit.HasField("metadata") else None,
        group=_values.from_value(hit.group) if hit.HasField("group") else None,
    )


def _explanation_from(response: Any) -> Optional[Explanation]:
    if not response.HasField("explanation"):
        return None
    segments = [
        SegmentExplanation(
            segment_id=one.segment_id,
            rows=one.rows,
            plan=_name(query_service.SearchPlan, "SEARCH_PLAN", one.plan).replace("_", " "),
            gave_up=one.gave_up,
            estimated_selectivity=one.estimated_selectivity,
            selectivity=one.selectivity,
            distances=one.distances,
            hops=one.hops,
            dead_rows=one.dead_rows,
            rescored_rows=one.rescored_rows,
            time=_seconds(one.time),
        )
        for one in response.explanation.segments
    ]
    return Explanation(segments, _seconds(response.explanation.filter_time))


def search_batch(
    namespace: str,
    queries: Any,
    k: int = 10,
    *,
    field: str = "",
    filter: Optional[Filter] = None,
    ef_search: Optional[int] = None,
    exact: bool = False,
    offset: int = 0,
    max_distance: Optional[float] = None,
    explain: bool = False,
    min_sequence: int = 0,
) -> Operation[BatchResult]:
    """The k nearest records for every row of `queries`, shape [queries, dimension], on all the server's cores.

    Arguments are those of search(). Not for multi-vector fields. Many queries go in several calls.
    """
    array = _arrays.as_matrix(queries, "queries")
    options = _search_options(k, field, filter, ef_search, exact, offset, max_distance, explain,
                              min_sequence)
    per_call = min(
        MESSAGE_BYTES // max(1, int(_arrays.row_bytes(array))),
        MESSAGE_BYTES // (max(1, k) * _RESULT_BYTES),
        _SEARCH_PAIRS_MAX // max(1, k),
    )
    per_call = max(1, per_call)
    answers = []
    for begin in range(0, max(1, len(array)), per_call):
        head = query_service.SearchBatchRequest(namespace=namespace, options=options)
        request = _wire.Parts(head.SerializeToString())
        request.nest(2, _arrays.tensor_parts(array[begin : begin + per_call]))
        answers.append(
            (yield _request(
                "QueryService", "SearchBatch", request, query_service.SearchBatchResponse
            ))
        )
        options.explain = False  # of the first query
    return _batch_from(answers, k, explain)


def _batch_from(answers: list[Any], k: int, explain: bool) -> BatchResult:
    counts = np.array([count for answer in answers for count in answer.counts], dtype=np.int64)
    found = _arrays.join_ids([_arrays.ids_from(answer.ids) for answer in answers])
    texts = isinstance(found, list)
    ids = np.full((len(counts), k), None if texts else 0, dtype=object if texts else np.uint64)
    distances = np.full((len(counts), k), np.inf, dtype=np.float32)
    there = np.arange(k) < counts[:, None]
    ids[there] = found
    distances[there] = [distance for answer in answers for distance in answer.distances]
    return BatchResult(
        ids=ids,
        distances=distances,
        counts=counts,
        sequence=min(answer.sequence for answer in answers),
        explanation=_explanation_from(answers[0]) if explain else None,
    )


def get(
    namespace: str,
    ids: Any,
    *,
    include_vectors: bool = True,
    include_metadata: Union[bool, Sequence[str]] = True,
) -> Operation[Records]:
    """Records by id, in the order asked for. Ids that do not exist are in `missing`, not an error."""
    found = []
    missing = []
    for piece in _arrays.cut_ids(_arrays.as_ids(ids), _IDS_PER_GET, MESSAGE_BYTES):
        request = query_service.GetRequest(
            namespace=namespace,
            ids=_arrays.ids_message(piece),
            include_vectors=include_vectors,
            include_metadata=include_metadata is not False,
            metadata_paths=() if isinstance(include_metadata, bool) else include_metadata,
        )
        response = yield _request("QueryService", "Get", request, query_service.GetResponse)
        found.append(records_from(response.records, include_metadata is not False))
        missing.append(_arrays.ids_from(response.missing))
    return join_records(found, _arrays.join_ids(missing))


def records_from(batch: record_pb2.RecordBatch, with_metadata: bool) -> Records:
    ids = _arrays.ids_from(batch.ids)
    without = {c.field: np.array(c.missing, dtype=np.int64) for c in batch.fields if c.missing}
    return Records(
        ids=ids,
        fields={column.field: _arrays.column_from(column) for column in batch.fields},
        without=without,
        metadata=[_values.from_metadata(one) for one in batch.metadata] if with_metadata else None,
    )


def join_records(parts: list[Records], missing: Any = None) -> Records:
    """Several answers as one."""
    parts = [part for part in parts if len(part) > 0] or parts[:1]
    if not parts:
        return Records(ids=np.empty(0, np.uint64))
    first = parts[0]
    starts = np.cumsum([0] + [len(part) for part in parts])
    without: dict[str, list[np.ndarray]] = {}
    for part, start in zip(parts, starts):
        for name, rows in part.without.items():
            without.setdefault(name, []).append(rows + start)
    return Records(
        ids=_arrays.join_ids([part.ids for part in parts]),
        fields={
            name: _arrays.join_columns([part.fields[name] for part in parts])
            for name in first.fields
        },
        without={name: np.concatenate(rows) for name, rows in without.items()},
        metadata=None
        if first.metadata is None
        else [one for part in parts for one in part.metadata or []],
        missing=np.empty(0, np.uint64) if missing is None else missing,
    )


def count(
    namespace: str, *, filter: Optional[Filter] = None, min_sequence: int = 0
) -> Operation[int]:
    """How many records there are, or satisfy a filter."""
    request = query_service.CountRequest(
        namespace=namespace, min_sequence=min_sequence, filter=to_filter(filter)
    )
    response = yield _request("QueryService", "Count", request, query_service.CountResponse)
    return response.count


# --- Looking inside ---


def segments(namespace: str, *, field: str = "") -> Operation[list[Segment]]:
    """The segments of one field, oldest first."""
    request = admin.ListSegmentsRequest(namespace=namespace, field=field)
    response = yield _request("AdminService", "ListSegments", request, admin.ListSegmentsResponse)
    names = [one.name for one in dataclasses.fields(Segment) if one.name != "state"]
    return [
        Segment(
            state=_name(admin.SegmentState, "SEGMENT_STATE", segment.state),
            **{name: getattr(segment, name) for name in names},
        )
        for segment in response.segments
    ]


def flush(namespace: str) -> Operation[None]:
    """Seals the active segments; returns when every record written before is in a durable segment file.

    Searching does not need it. It has no deadline unless with_timeout() sets one.
    """
    request = admin.FlushRequest(namespace=namespace)
    yield _request("AdminService", "Flush", request, admin.FlushResponse, waits=True)


def compact(namespace: str, *, wait: bool = True) -> Operation[None]:
    """Flushes, then merges and rebuilds segments until as few as can be are left, and no dead record.

    Without `wait` it returns at once; the work goes on. It has no deadline unless with_timeout() sets one.
    """
    request = admin.CompactRequest(namespace=namespace, wait=wait)
    yield _request("AdminService", "Compact", request, admin.CompactResponse, waits=True)


# --- Snapshots: without a deadline, save for the list ---


def create_snapshot(
    name: Optional[str] = None, *, namespace: Optional[str] = None
) -> Operation[Snapshot]:
    """Makes a copy, kept by the server, of all namespaces as of one moment, or of one.

    Every write acknowledged before is in it; writes and searches go on meanwhile. Without a `name` it is
    named by the time, 20060102T150405Z. AlreadyExists; NotFound: no such namespace. It has no deadline.
    """
    request = admin.CreateSnapshotRequest(name=name or "", namespace=namespace or "")
    response = yield _request(
        "AdminService", "CreateSnapshot", request, admin.CreateSnapshotResponse, waits=True
    )
    return _snapshot_from(response.snapshot)


def list_snapshots() -> Operation[list[Snapshot]]:
    """The snapshots that the server keeps, the oldest first."""
    response = yield _request(
        "AdminService", "ListSnapshots", admin.ListSnapshotsRequest(), admin.ListSnapshotsResponse
    )
    return [_snapshot_from(one) for one in response.snapshots]


def verify_snapshot(name: str) -> Operation[SnapshotReport]:
    """Reads all of a snapshot, and compares its records with each other and with its index. NotFound.

    Damage is in the report, no error. It has no deadline.
    """
    request = admin.VerifySnapshotRequest(name=name)
    found = yield _request(
        "AdminService", "VerifySnapshot", request, admin.VerifySnapshotResponse, waits=True
    )
    return SnapshotReport(
        record_damage=list(found.record_damage),
        index_damage=list(found.index_damage),
        namespaces=found.namespaces,
        records=found.records,
        segments=found.segments,
    )


def restore_snapshot(
    name: str, *, namespace: Optional[str] = None, as_: Optional[str] = None
) -> Operation[str]:
    """Makes a namespace out of one in a snapshot: records, index and producers' positions as they were.

    `namespace` need not be given if the snapshot has only one. `as_`: the name of the namespace to make,
    if not the same. NotFound: no such snapshot, or no such namespace in it; AlreadyExists: the namespace
    to make is there. It has no deadline.
    """
    request = admin.RestoreSnapshotRequest(name=name, namespace=namespace or "")
    setattr(request, "as", as_ or "")
    response = yield _request(
        "AdminService", "RestoreSnapshot", request, admin.RestoreSnapshotResponse, waits=True
    )
    return response.namespace


def delete_snapshot(name: str) -> Operation[None]:
    """Deletes a snapshot. NotFound; FailedPrecondition: it is being read. It has no deadline."""
    request = admin.DeleteSnapshotRequest(name=name)
    yield _request(
        "AdminService", "DeleteSnapshot", request, admin.DeleteSnapshotResponse, waits=True
    )


def _snapshot_from(message: admin.Snapshot) -> Snapshot:
    return Snapshot(
        name=message.name,
        create_time=_time(message.create_time),
        only_namespace=message.only_namespace or None,
        namespaces={one.namespace: one.sequence for one in message.namespaces},
        bytes=message.bytes,
    )
