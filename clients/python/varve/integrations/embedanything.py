"""EmbedAnything's adapter: what it embeds goes into a Varve namespace; needs embed-anything.

    import embed_anything
    from varve.integrations.embedanything import VarveAdapter

    adapter = VarveAdapter("127.0.0.1:7780")
    adapter.create_index(dimension=384, metric="cosine", index_name="papers")
    embed_anything.embed_directory("papers", embedder=model, adapter=adapter)
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Optional, Union

import numpy as np

import varve
from varve.integrations import _common

try:
    from embed_anything import EmbedData
    from embed_anything.vectordb import Adapter
except ImportError as error:
    raise _common.missing("embed-anything", error) from error

__all__ = ["VarveAdapter"]

_METRICS = {"euclidean": "l2", "dotproduct": "dot"}
_PASSING = {"created", "modified"}
_IDS = uuid.UUID("6f1d1c56-6b0c-5a3e-9a39-0d9a1f5b7f11")


class VarveAdapter(Adapter):
    """Writes what embed_file(), embed_directory() and their like embed: the text (for images the path) is the
    attribute "text", beside the metadata that comes with it. The id is made of both, save when the file was
    created and modified: a file that is embedded again replaces what it wrote. Thread-safe. Errors are
    varve.Error.
    """

    def __init__(
        self,
        client: Union[varve.Client, str] = "127.0.0.1:7780",
        index_name: Optional[str] = None,
    ):
        """`client`: a client, or the address of a server. `index_name`: a namespace that exists; instead of
        create_index()."""
        super().__init__(api_key="")
        self.client = varve.Client(client) if isinstance(client, str) else client
        self.index_name = index_name

    @property
    def namespace(self) -> varve.Namespace:
        """The namespace that is written to, to be searched."""
        if self.index_name is None:
            raise varve.FailedPrecondition("there is no index yet: call create_index() first")
        return self.client.namespace(self.index_name)

    def create_index(
        self,
        dimension: int,
        metric: str = "cosine",
        index_name: str = "anything",
        *,
        multi_vector: bool = False,
        **kwargs: Any,
    ) -> None:
        """Makes a namespace, unless it exists, and writes to it from now on. `multi_vector`: for late
        interaction models such as ColBERT. Other arguments are create_namespace()'s."""
        field = varve.VectorField(
            dimension, metric=_METRICS.get(metric, metric), multi_vector=multi_vector
        )
        try:
            self.client.create_namespace(index_name, fields=[field], id_type="text", **kwargs)
        except varve.AlreadyExists:
            pass
        self.index_name = index_name

    def delete_index(self, index_name: str) -> None:
        """Deletes a namespace and all its records."""
        self.client.delete_namespace(index_name)
        if index_name == self.index_name:
            self.index_name = None

    def convert(self, embeddings: Sequence[EmbedData]) -> list[dict[str, Any]]:
        """Records: "id", "vector" and "metadata"."""
        records = []
        for one in embeddings:
            metadata = dict(one.metadata or {})
            if one.text is not None:
                metadata["text"] = one.text
            lasting = {name: metadata[name] for name in metadata.keys() - _PASSING}
            id = str(uuid.uuid5(_IDS, repr(sorted(lasting.items()))))
            vector = np.asarray(one.embedding, np.float32)
            records.append({"id": id, "vector": vector, "metadata": metadata})
        return records

    def upsert(self, data: Sequence[EmbedData]) -> None:
        """Commits what was embedded."""
        records = self.convert(data)
        if records:
            self.namespace.ingest(
                [record["id"] for record in records],
                [record["vector"] for record in records],
                [record["metadata"] for record in records],
                progress=False,
            )
