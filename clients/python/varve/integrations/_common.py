"""What the adapters share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Optional

import numpy as np

from varve.filters import Filter, to_filter
from varve.v1 import filter_pb2


def missing(package: str, error: ImportError) -> ImportError:
    return ImportError(f"this needs {package}, which is not installed: pip install {package} ({error})")


def similarity(metric: str, distance: float) -> float:
    """A score of which more is nearer: the cosine, the dot product, or for l2 1 / (1 + distance)."""
    if metric == "cosine":
        return 1.0 - distance
    if metric == "dot":
        return -distance
    return 1.0 / (1.0 + distance)


def metric_of(namespace: Any) -> str:
    """The metric of the default field."""
    return next(field.metric for field in namespace.describe().fields if field.name == "")


def all_of(filters: Sequence[Optional[Filter]]) -> Optional[filter_pb2.Filter]:
    """Records that satisfy all of these; None is satisfied by all records."""
    parts = [to_filter(one) for one in filters if one is not None]
    if not parts:
        return None
    return filter_pb2.Filter(all_of=filter_pb2.FilterList(filters=parts))


def write(namespace: Any, ids: list[str], vectors: Any, metadata: list[dict[str, Any]]) -> None:
    """Commits records, as many as there are, without a word."""
    if ids:
        matrix = np.asarray(vectors, np.float32)
        namespace.ingest(ids, matrix, metadata, progress=False)


def records(found: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Ids and metadata of Records."""
    return zip(found.ids, found.metadata or [])
