"""LlamaIndex's vector store, alone and under an index."""

import asyncio

import numpy as np
import pytest
from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

import varve
from varve.integrations.llamaindex import VarveVectorStore

DIMENSION = 32


def embed(text):
    words = [sum(map(ord, word)) for word in text.lower().split()]
    vectors = [np.random.default_rng(word).standard_normal(DIMENSION) for word in words]
    total = np.sum(vectors, axis=0)
    return (total / np.linalg.norm(total)).tolist()


class Words(BaseEmbedding):
    """A text's vector is the sum of its words' random ones: texts with the same words are near."""

    def _get_query_embedding(self, query):
        return embed(query)

    async def _aget_query_embedding(self, query):
        return embed(query)

    def _get_text_embedding(self, text):
        return embed(text)


def node(id, text, document, **metadata):
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)}
    return TextNode(
        id_=id, text=text, metadata=metadata, relationships=source, embedding=embed(text)
    )


NODES = [
    node("a", "warm winter boots", "d1", price=120, colour="brown", tags=["new", "sale"]),
    node("b", "red summer shoes", "d1", price=60.5, colour="red", tags=["old"]),
    node("c", "warm woollen socks", "d2", price=9, colour="red", tags=["sale"]),
    node("d", "a ship at sea", "d2", colour=""),
]


@pytest.fixture
def store(client, space):
    store = VarveVectorStore(client.create_namespace(space, DIMENSION, metric="cosine"))
    assert store.add(NODES) == ["a", "b", "c", "d"]
    return store


def found(store, text="warm winter boots", k=4, **options):
    query = VectorStoreQuery(query_embedding=embed(text), similarity_top_k=k, **options)
    return store.query(query).ids


def one(key, operator, value):
    filters = [MetadataFilter(key=key, operator=operator, value=value)]
    return MetadataFilters(filters=filters)


def test_a_query_returns_nodes_as_they_were_given_with_similarities(store):
    query = VectorStoreQuery(query_embedding=embed("warm winter boots"), similarity_top_k=2)
    result = store.query(query)
    assert result.ids == ["a", "c"]
    assert result.similarities[0] == pytest.approx(1, abs=1e-5)
    assert result.similarities[0] > result.similarities[1]
    given, back = NODES[0], result.nodes[0]
    assert (back.text, back.metadata, back.ref_doc_id) == (given.text, given.metadata, "d1")
    assert back.relationships == given.relationships


OPERATORS = [
    ("price", FilterOperator.EQ, 9),
    ("price", FilterOperator.NE, 9),
    ("price", FilterOperator.GT, 60.5),
    ("price", FilterOperator.GTE, 60.5),
    ("price", FilterOperator.LT, 60.5),
    ("price", FilterOperator.LTE, 60.5),
    ("colour", FilterOperator.EQ, "red"),
    ("colour", FilterOperator.IN, ["red", "blue"]),
    ("colour", FilterOperator.NIN, ["red", "blue"]),
    ("tags", FilterOperator.CONTAINS, "sale"),
    ("tags", FilterOperator.ANY, ["new", "old"]),
    ("tags", FilterOperator.ALL, ["new", "sale"]),
    ("tags", FilterOperator.IS_EMPTY, None),
    ("colour", FilterOperator.IS_EMPTY, None),
]


@pytest.mark.parametrize("key, operator, value", OPERATORS)
def test_every_operator_finds_what_llama_index_itself_would(store, key, operator, value):
    filters = one(key, operator, value)
    metadata = {node.node_id: node.metadata for node in NODES}
    holds = build_metadata_filter_fn(metadata.get, filters)
    expected = [id for id in metadata if holds(id)]
    assert sorted(found(store, filters=filters)) == expected
    assert sorted(node.node_id for node in store.get_nodes(filters=filters)) == expected


@pytest.mark.parametrize(
    "condition, expected",
    [
        (FilterCondition.AND, ["c"]),
        (FilterCondition.OR, ["b", "c", "d"]),
        (FilterCondition.NOT, ["a"]),
    ],
)
def test_conditions_join_filters_and_nest(store, condition, expected):
    red = MetadataFilter(key="colour", value="red")
    cheap = one("price", FilterOperator.LT, 10)
    ship = MetadataFilters(
        filters=[cheap, one("price", FilterOperator.IS_EMPTY, None)], condition="or"
    )
    filters = MetadataFilters(filters=[red, ship], condition=condition)
    assert sorted(found(store, filters=filters)) == expected


def test_a_query_can_be_of_some_documents_or_nodes(store):
    assert found(store, doc_ids=["d2"]) == ["c", "d"]
    assert found(store, node_ids=["d", "a"]) == ["a", "d"]
    assert found(store, doc_ids=["d2"], filters=one("colour", FilterOperator.EQ, "red")) == ["c"]
    assert found(store, filters=MetadataFilters(filters=[])) != []


def test_an_operator_or_mode_without_counterpart_is_an_error(store):
    with pytest.raises(varve.InvalidArgument, match="'colour' must have .*, has text_match"):
        found(store, filters=one("colour", FilterOperator.TEXT_MATCH, "re"))
    with pytest.raises(varve.InvalidArgument, match="mode must be default or mmr, is hybrid"):
        found(store, mode=VectorStoreQueryMode.HYBRID)


def test_mmr_picks_nodes_that_differ(client, space):
    store = VarveVectorStore(client.create_namespace(space, DIMENSION, metric="cosine"))
    texts = ["red boots", "red boots red", "red boots red boots", "red ship"]
    store.add([node(text, text, "d") for text in texts])
    assert "red ship" not in found(store, "red boots", k=2)
    mixed = found(
        store, "red boots", k=2, mode=VectorStoreQueryMode.MMR, mmr_threshold=0.3
    )
    assert "red ship" in mixed


def test_nodes_are_fetched_with_their_embeddings(store):
    back = store.get_nodes(["d", "nobody", "a"])
    assert [node.node_id for node in back] == ["d", "a"]
    np.testing.assert_allclose(back[1].embedding, NODES[0].embedding, atol=1e-6)
    assert [node.node_id for node in store.get_nodes()] == ["a", "b", "c", "d"]
    some = store.get_nodes(["a", "b"], one("colour", FilterOperator.EQ, "red"))
    assert [node.node_id for node in some] == ["b"]
    assert store.get_nodes(["nobody"]) == []


def test_nodes_are_deleted_by_document_by_id_by_filter_or_all(store):
    store.delete("d2")
    assert found(store) == ["a", "b"]
    store.add(NODES)
    store.delete_nodes(["a", "c"], one("colour", FilterOperator.EQ, "red"))
    assert sorted(found(store)) == ["a", "b", "d"]
    store.delete_nodes(["a"])
    store.delete_nodes(filters=one("price", FilterOperator.GT, 10))
    store.delete_nodes()  # nothing is named, so nothing goes
    assert found(store) == ["d"]
    store.clear()
    assert found(store) == []


def test_an_index_of_documents_is_searched_filtered_and_changed(client, space):
    store = VarveVectorStore(client.create_namespace(space, DIMENSION, metric="cosine"))
    documents = [
        Document(id_=f"doc{i}", text=text, metadata={"n": i})
        for i, text in enumerate(["warm winter boots", "red summer shoes", "a ship at sea"])
    ]
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex.from_documents(
        documents, storage_context=context, embed_model=Words(), show_progress=False
    )
    best = index.as_retriever(similarity_top_k=1).retrieve("warm winter boots")[0]
    assert best.node.get_content() == "warm winter boots" and best.node.ref_doc_id == "doc0"
    filters = one("n", FilterOperator.GT, 0)
    best = index.as_retriever(similarity_top_k=5, filters=filters).retrieve("warm winter boots")
    assert sorted(node.metadata["n"] for node in best) == [1, 2]
    index.delete_ref_doc("doc0")
    again = VectorStoreIndex.from_vector_store(store, embed_model=Words())
    left = again.as_retriever(similarity_top_k=5).retrieve("warm winter boots")
    assert sorted(node.node.ref_doc_id for node in left) == ["doc1", "doc2"]


def test_async_methods_do_the_same(store):
    query = VectorStoreQuery(query_embedding=embed("warm winter boots"), similarity_top_k=1)

    async def run():
        await store.async_add([node("e", "warm gloves", "d3")])
        await store.adelete("d1")
        await store.adelete_nodes(["c"])
        nodes = await store.aget_nodes()
        results = await asyncio.gather(*(store.aquery(query) for _ in range(10)))
        await store.aclear()
        return [node.node_id for node in nodes], {tuple(result.ids) for result in results}

    left, best = asyncio.run(run())
    assert left == ["d", "e"] and best == {("e",)}
    assert store.client.count() == 0
