"""LangChain's vector store over a Varve namespace; needs langchain-core.

    from varve.integrations.langchain import VarveVectorStore

    store = VarveVectorStore.from_texts(texts, embedding, client=client, namespace="docs")
    store.similarity_search("warm boots", k=4, filter={"price": {"$lt": 100}})
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Optional

import numpy as np

import varve
from varve.filters import Filter
from varve.integrations import _common

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore
except ImportError as error:
    raise _common.missing("langchain-core", error) from error

__all__ = ["VarveVectorStore"]

_EVERYTHING: Filter = {}


class VarveVectorStore(VectorStore):
    """Documents in a namespace with ids of text: a document's metadata are the record's attributes, its text
    the attribute `text_key`. Other records of the namespace are left out of what is found.

    `filter`, wherever it is taken, is a filter of Varve: text, or a dict (see varve.filters). Further keyword
    arguments of searches (ef_search, exact, min_sequence ...) go to Namespace.search(). Errors are
    varve.Error. Methods that begin with "a" run the others in LangChain's executor.
    """

    def __init__(
        self, namespace: varve.Namespace, embedding: Embeddings, *, text_key: str = "text"
    ):
        """`namespace`: of the embedding's dimension; it must exist when the store is used."""
        self.namespace = namespace
        self._embedding = embedding
        self._text_key = text_key

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: Optional[list[dict]] = None,
        *,
        client: varve.Client,
        namespace: str,
        ids: Optional[list[str]] = None,
        metric: str = "cosine",
        text_key: str = "text",
        **kwargs: Any,
    ) -> "VarveVectorStore":
        """A store with these texts, in a namespace that is made, with this metric, unless it exists."""
        vectors = embedding.embed_documents(texts) if texts else [embedding.embed_query("dimension")]
        try:
            client.create_namespace(namespace, len(vectors[0]), metric=metric, id_type="text")
        except varve.AlreadyExists:
            pass
        store = cls(client.namespace(namespace), embedding, text_key=text_key)
        if texts:
            store._add(texts, vectors, metadatas, ids)
        return store

    @property
    def embeddings(self) -> Embeddings:
        return self._embedding

    # --- Writing ---

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Optional[list[dict]] = None,
        *,
        ids: Optional[list[Optional[str]]] = None,
        **kwargs: Any,
    ) -> list[str]:
        """Commits texts; returns their ids, those that are not given made up. An id that exists is replaced."""
        texts = list(texts)
        return self._add(texts, self._embedding.embed_documents(texts), metadatas, ids)

    def _add(self, texts: Sequence[str], vectors: Any, metadatas: Any, ids: Any) -> list[str]:
        for what, given in (("metadatas", metadatas), ("ids", ids)):
            if given and len(given) != len(texts):
                raise varve.InvalidArgument(
                    f"{what} must be one for each text: {len(texts)}, are {len(given)}"
                )
        found = [one or str(uuid.uuid4()) for one in ids or [None] * len(texts)]
        metadata = [
            self._attributes(text, one) for text, one in zip(texts, metadatas or [{}] * len(texts))
        ]
        _common.write(self.namespace, found, vectors, metadata)
        return found

    def _attributes(self, text: str, metadata: Optional[dict]) -> dict[str, Any]:
        if metadata and self._text_key in metadata:
            raise varve.InvalidArgument(
                f"metadata must not have {self._text_key!r}, which holds the text: give another text_key"
            )
        return {**(metadata or {}), self._text_key: text}

    def delete(
        self,
        ids: Optional[list[str]] = None,
        *,
        filter: Optional[Filter] = None,
        **kwargs: Any,
    ) -> bool:
        """Deletes documents by id (those that do not exist are passed over), by filter, or without either
        all records of the namespace."""
        if ids is not None and filter is not None:
            raise varve.InvalidArgument("either ids or filter can be given")
        if ids is not None:
            self.namespace.delete(ids)
        else:
            self.namespace.delete(filter=_EVERYTHING if filter is None else filter)
        return True

    # --- Reading ---

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Documents in the order of the ids; those that do not exist are left out."""
        found = self.namespace.get(list(ids), include_vectors=False)
        return [self._document(id, metadata) for id, metadata in _common.records(found)]

    def _document(self, id: str, metadata: dict[str, Any]) -> Document:
        return Document(id=id, page_content=metadata.pop(self._text_key, ""), metadata=metadata)

    def similarity_search(
        self, query: str, k: int = 4, filter: Optional[Filter] = None, **kwargs: Any
    ) -> list[Document]:
        """The k documents nearest to the query."""
        return self.similarity_search_by_vector(
            self._embedding.embed_query(query), k, filter=filter, **kwargs
        )

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: Optional[Filter] = None, **kwargs: Any
    ) -> list[Document]:
        """The k documents nearest to the vector."""
        return [document for document, _ in self._search(embedding, k, filter, kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Optional[Filter] = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """With distances in the metric's own terms, of which less is nearer."""
        return self._search(self._embedding.embed_query(query), k, filter, kwargs)

    def _search(
        self, vector: Any, k: int, filter: Optional[Filter], options: dict[str, Any]
    ) -> list[tuple[Document, float]]:
        documents = {self._text_key: {"$exists": True}}
        hits = self.namespace.search(
            np.asarray(vector, np.float32), k, filter=_common.all_of([documents, filter]), **options
        )
        return [(self._document(hit.id, hit.metadata), hit.distance) for hit in hits]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        metric = _common.metric_of(self.namespace)
        return lambda distance: _common.similarity(metric, distance)

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Optional[Filter] = None,
        **kwargs: Any,
    ) -> list[Document]:
        """As max_marginal_relevance_search_by_vector()."""
        return self.max_marginal_relevance_search_by_vector(
            self._embedding.embed_query(query), k, fetch_k, lambda_mult, filter=filter, **kwargs
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Optional[Filter] = None,
        **kwargs: Any,
    ) -> list[Document]:
        """k of the fetch_k nearest documents that are near the query and differ from each other; lambda_mult
        of 1: the nearest, of 0: the most different. The server picks them."""
        diversity = varve.Diversity(weight=1 - lambda_mult, candidates=max(k, fetch_k))
        found = self._search(embedding, k, filter, {**kwargs, "diversity": diversity})
        return [document for document, _ in found]
