"""Client of Varve, the vector database.

    import varve

    with varve.Client("127.0.0.1:7780") as client:
        ns = client.create_namespace("shoes", 384, metric="cosine")
        ns.ingest(ids, vectors, metadata)
        hits = ns.search(query, k=10, filter="price < 100")

Arrays go over the wire as they lie in memory, whole batches at a time, and come back as arrays.
"""

from varve._arrays import Ragged
from varve._credentials import Tls
from varve._operations import Diversity
from varve._pipeline import Chunk, Document, PipelineError, PipelineResult, pipeline
from varve.client import Client, Namespace
from varve.errors import (
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    Error,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from varve.ingest import Writer
from varve.results import (
    BatchResult,
    DeleteResult,
    Explanation,
    Hit,
    IndexingProgress,
    IngestResult,
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

__all__ = [
    "AlreadyExists",
    "BatchResult",
    "Cancelled",
    "Chunk",
    "Client",
    "DataLoss",
    "DeadlineExceeded",
    "DeleteResult",
    "Diversity",
    "Document",
    "Error",
    "Explanation",
    "FailedPrecondition",
    "Hit",
    "IndexingProgress",
    "IngestResult",
    "InvalidArgument",
    "Namespace",
    "NamespaceInfo",
    "NamespaceStats",
    "NotFound",
    "PermissionDenied",
    "PipelineError",
    "PipelineResult",
    "Ragged",
    "Records",
    "ResourceExhausted",
    "RowError",
    "SearchResult",
    "Segment",
    "SegmentExplanation",
    "ServerStats",
    "Snapshot",
    "SnapshotReport",
    "Tls",
    "Unauthenticated",
    "Unavailable",
    "UpdateResult",
    "VectorField",
    "WriteResult",
    "Writer",
    "pipeline",
]
