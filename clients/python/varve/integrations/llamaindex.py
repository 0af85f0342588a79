"""LlamaIndex's vector store over a Varve namespace; needs llama-index-core.

    from llama_index.core import StorageContext, VectorStoreIndex
    from varve.integrations.llamaindex import VarveVectorStore

    store = VarveVectorStore(client.create_namespace("docs", 384, metric="cosine"))
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex.from_documents(documents, storage_context=context)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

import varve
from varve.filters import Filter
from varve.integrations import _common

try:
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.schema import BaseNode
    from llama_index.core.vector_stores.types import (
        BasePydanticVectorStore,
        FilterCondition,
        FilterOperator,
        MetadataFilter,
        MetadataFilters,
        VectorStoreQuery,
        VectorStoreQueryMode,
        VectorStoreQueryResult,
    )
    from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
except ImportError as error:
    raise _common.missing("llama-index-core", error) from error

__all__ = ["VarveVectorStore", "to_filter"]

# Attributes beside those of the node's metadata; _node_content is the whole node.
_NODE_ID = "_node_id"
_DOCUMENT_ID = "ref_doc_id"

_OPERATORS = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.IN: "$in",
    FilterOperator.NIN: "$nin",
    FilterOperator.CONTAINS: "$has",
    FilterOperator.ANY: "$in",  # of a list a comparison holds when it does for any element
}


def to_filter(filters: Optional[MetadataFilters]) -> Optional[Filter]:
    """Filters of LlamaIndex, nested ones too, as a filter of Varve.

    InvalidArgument for the two operators that search in a text (text_match): Varve has none like them.
    """
    if filters is None or not filters.filters:
        return None
    parts = [
        to_filter(one) or {} if isinstance(one, MetadataFilters) else _condition(one)
        for one in filters.filters
    ]
    if filters.condition == FilterCondition.OR:
        return {"$or": parts}
    if filters.condition == FilterCondition.NOT:
        return {"$not": {"$or": parts}}
    return {"$and": parts}


def _condition(one: MetadataFilter) -> Filter:
    if one.operator == FilterOperator.IS_EMPTY:
        return {"$or": [{one.key: {"$exists": False}}, {one.key: ""}]}
    if one.operator == FilterOperator.ALL:
        return {"$and": [{one.key: {"$has": value}} for value in one.value]}
    if one.operator not in _OPERATORS:
        raise varve.InvalidArgument(
            f"the filter of {one.key!r} must have one of the operators "
            f"{', '.join(o.value for o in (*_OPERATORS, FilterOperator.ALL, FilterOperator.IS_EMPTY))}, "
            f"has {one.operator.value}"
        )
    return {one.key: {_OPERATORS[one.operator]: one.value}}


class VarveVectorStore(BasePydanticVectorStore):
    """Nodes in a namespace: the node's id is the record's, its metadata are attributes that filters can
    name, beside the node itself as JSON. Takes default and MMR queries; their similarities are the cosine,
    the dot product, or for l2 1 / (1 + distance). Errors are varve.Error. Async methods run the others in a
    thread."""

    stores_text: bool = True
    flat_metadata: bool = False

    _namespace: varve.Namespace = PrivateAttr()
    _metric: Optional[str] = PrivateAttr(default=None)

    def __init__(self, namespace: varve.Namespace, **kwargs: Any):
        """`namespace`: of the embedding's dimension; it must exist when the store is used."""
        super().__init__(**kwargs)
        self._namespace = namespace

    @classmethod
    def class_name(cls) -> str:
        return "VarveVectorStore"

    @property
    def client(self) -> varve.Namespace:
        return self._namespace

    # --- Writing ---

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Commits nodes, which have embeddings; returns their ids. An id that exists is replaced."""
        ids = [node.node_id for node in nodes]
        vectors = [node.get_embedding() for node in nodes]
        metadata = [
            node_to_metadata_dict(node, flat_metadata=self.flat_metadata) | {_NODE_ID: node.node_id}
            for node in nodes
        ]
        _common.write(self._namespace, ids, vectors, metadata)
        return ids

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Deletes all nodes of a document."""
        self._namespace.delete(filter={_DOCUMENT_ID: ref_doc_id})

    def delete_nodes(
        self,
        node_ids: Optional[list[str]] = None,
        filters: Optional[MetadataFilters] = None,
        **delete_kwargs: Any,
    ) -> None:
        """Deletes nodes by id, by filters, or by both: those of the ids that satisfy the filters."""
        if node_ids is not None and filters is None:
            self._namespace.delete(node_ids)
        elif (chosen := self._chosen(filters, node_ids)) is not None:
            self._namespace.delete(filter=chosen)

    def clear(self) -> None:
        """Deletes all records of the namespace."""
        self._namespace.delete(filter={})

    # --- Reading ---

    def get_nodes(
        self,
        node_ids: Optional[list[str]] = None,
        filters: Optional[MetadataFilters] = None,
    ) -> list[BaseNode]:
        """Nodes by id, in the order asked for, those that satisfy filters, both, or all; with embeddings."""
        if node_ids is not None and filters is None:
            parts = [self._namespace.get(node_ids)]
        else:
            parts = self._namespace.scan(filter=self._chosen(filters, node_ids))
        return [
            _node(metadata, vector)
            for found in parts
            if len(found) > 0
            for metadata, vector in zip(found.metadata or [], found.vectors)
        ]

    def _chosen(
        self,
        filters: Optional[MetadataFilters],
        node_ids: Optional[Sequence[str]],
        document_ids: Optional[Sequence[str]] = None,
    ) -> Any:
        return _common.all_of([
            to_filter(filters),
            None if node_ids is None else {_NODE_ID: {"$in": list(node_ids)}},
            None if document_ids is None else {_DOCUMENT_ID: {"$in": list(document_ids)}},
        ])

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The nearest nodes, nearest first. With mode MMR those that differ from each other too:
        mmr_threshold of 1 (by default 0.5) the nearest, of 0 the most different; among the `mmr_prefetch_k`
        nearest (4 k). Further keyword arguments (ef_search, exact ...) go to Namespace.search()."""
        if query.query_embedding is None:
            raise varve.InvalidArgument("query_embedding must be given, is None")
        if query.mode == VectorStoreQueryMode.MMR:
            threshold = 0.5 if query.mmr_threshold is None else query.mmr_threshold
            candidates = kwargs.pop("mmr_prefetch_k", 0)
            kwargs["diversity"] = varve.Diversity(weight=1 - threshold, candidates=candidates)
        elif query.mode != VectorStoreQueryMode.DEFAULT:
            raise varve.InvalidArgument(f"mode must be default or mmr, is {query.mode.value}")
        hits = self._namespace.search(
            np.asarray(query.query_embedding, np.float32),
            query.similarity_top_k,
            # LlamaIndex's retrievers mean all nodes by an empty list.
            filter=self._chosen(query.filters, query.node_ids or None, query.doc_ids or None),
            **kwargs,
        )
        if self._metric is None:
            self._metric = _common.metric_of(self._namespace)
        return VectorStoreQueryResult(
            nodes=[_node(hit.metadata) for hit in hits],
            similarities=[_common.similarity(self._metric, hit.distance) for hit in hits],
            ids=[str(hit.id) for hit in hits],
        )

    # --- For asyncio ---

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def adelete_nodes(
        self,
        node_ids: Optional[list[str]] = None,
        filters: Optional[MetadataFilters] = None,
        **delete_kwargs: Any,
    ) -> None:
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    async def aclear(self) -> None:
        await asyncio.to_thread(self.clear)

    async def aget_nodes(
        self,
        node_ids: Optional[list[str]] = None,
        filters: Optional[MetadataFilters] = None,
    ) -> list[BaseNode]:
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        return await asyncio.to_thread(self.query, query, **kwargs)


def _node(metadata: dict[str, Any], vector: Optional[np.ndarray] = None) -> BaseNode:
    node = metadata_dict_to_node(metadata)
    if vector is not None:
        node.embedding = vector.tolist()
    return node
