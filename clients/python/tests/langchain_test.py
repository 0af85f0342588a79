"""LangChain's vector store: its own standard tests, and what is particular to Varve."""

import asyncio
import inspect

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests.vectorstores import VectorStoreIntegrationTests

import varve
from varve.integrations.langchain import VarveVectorStore

for _name, _test in inspect.getmembers(VectorStoreIntegrationTests, inspect.iscoroutinefunction):
    setattr(VectorStoreIntegrationTests, _name, pytest.mark.asyncio(_test))


class TestStandard(VectorStoreIntegrationTests):
    """What every vector store of LangChain does."""

    @pytest.fixture
    def vectorstore(self, client, space):
        embedding = self.get_embeddings()
        return VarveVectorStore.from_texts([], embedding, client=client, namespace=space)


class Words(Embeddings):
    """A text's vector is the sum of its words' random ones: texts with the same words are near."""

    dimension = 32

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        words = [sum(map(ord, word)) for word in text.lower().split()]
        vectors = [np.random.default_rng(word).standard_normal(self.dimension) for word in words]
        total = np.sum(vectors, axis=0)
        return (total / np.linalg.norm(total)).tolist()


TEXTS = ["warm winter boots", "red summer shoes", "warm woollen socks", "a ship at sea"]
METADATAS = [
    {"price": 120, "tags": ["new", "sale"]},
    {"price": 60.5, "shop": {"city": "Kiel"}},
    {"price": 9},
    {},
]


@pytest.fixture
def store(client, space):
    return VarveVectorStore.from_texts(
        TEXTS, Words(), METADATAS, client=client, namespace=space, ids=["a", "b", "c", "d"]
    )


def texts(documents):
    return [document.page_content for document in documents]


def test_from_texts_makes_the_namespace_and_goes_on_in_one_that_exists(client, space, store):
    info = client.namespace(space).describe()
    assert (info.fields[0].dimension, info.fields[0].metric, info.id_type) == (32, "cosine", "text")
    more = VarveVectorStore.from_texts(["new one"], Words(), client=client, namespace=space)
    assert client.namespace(space).count() == 5
    assert texts(more.similarity_search("warm winter boots", k=1)) == ["warm winter boots"]
    assert more.embeddings is not None


def test_a_search_returns_documents_as_they_were_given(store):
    (found,) = store.similarity_search("summer shoes red", k=1)
    assert found == Document(
        id="b", page_content="red summer shoes", metadata={"price": 60.5, "shop": {"city": "Kiel"}}
    )
    by_vector = store.similarity_search_by_vector(Words().embed_query("summer shoes red"), k=1)
    assert by_vector == [found]


@pytest.mark.parametrize(
    "filter", ["price < 100 AND price:*", {"price": {"$lt": 100}}, {"$not": {"tags": "sale"}, "price": 9}]
)
def test_filters_are_text_or_dicts(store, filter):
    found = texts(store.similarity_search("warm winter boots", k=4, filter=filter))
    assert found[0] == "warm woollen socks" and "warm winter boots" not in found
    assert texts(store.similarity_search("x", filter={"shop.city": "Kiel"})) == ["red summer shoes"]


def test_scores_are_distances_and_relevances_grow_with_nearness(client, space, store):
    scored = store.similarity_search_with_score("warm winter boots", k=4)
    assert scored[0][1] == pytest.approx(0, abs=1e-5)
    distances = [distance for _, distance in scored]
    assert distances == sorted(distances)
    for metric in ("cosine", "dot", "l2"):
        other = VarveVectorStore.from_texts(
            TEXTS, Words(), client=client, namespace=f"{space}-{metric}", metric=metric
        )
        relevant = other.similarity_search_with_relevance_scores("warm winter boots", k=2)
        assert relevant[0][1] == pytest.approx(1, abs=1e-4) and relevant[0][1] > relevant[1][1]


def test_mmr_picks_documents_that_differ(client, space):
    near = ["red boots", "red boots red", "red boots red boots", "red ship"]
    store = VarveVectorStore.from_texts(near, Words(), client=client, namespace=space)
    plain = texts(store.similarity_search("red boots", k=2))
    assert "red ship" not in plain
    mixed = texts(store.max_marginal_relevance_search("red boots", k=2, fetch_k=4, lambda_mult=0.3))
    assert "red ship" in mixed
    same = store.max_marginal_relevance_search("red boots", k=2, fetch_k=4, lambda_mult=1)
    assert texts(same) == plain
    by_vector = store.max_marginal_relevance_search_by_vector(
        Words().embed_query("red boots"), k=2, lambda_mult=0.3
    )
    assert texts(by_vector) == mixed


def test_a_retriever_searches_with_its_options(store):
    retriever = store.as_retriever(search_kwargs={"k": 2, "filter": "price < 100", "exact": True})
    assert texts(retriever.invoke("warm winter boots")) == ["warm woollen socks", "red summer shoes"]
    assert len(store.as_retriever(search_type="mmr", search_kwargs={"k": 3}).invoke("warm")) == 3
    strict = {"score_threshold": 0.99}
    retriever = store.as_retriever(search_type="similarity_score_threshold", search_kwargs=strict)
    assert texts(retriever.invoke("warm winter boots")) == ["warm winter boots"]


def test_documents_are_deleted_by_id_by_filter_or_all(store):
    assert store.delete(["a", "nobody"]) is True
    assert texts(store.get_by_ids(["a", "c", "b"])) == ["warm woollen socks", "red summer shoes"]
    store.delete(filter="price > 50")
    assert store.namespace.count() == 2
    store.delete([])
    assert store.namespace.count() == 2
    store.delete()
    assert store.namespace.count() == 0
    with pytest.raises(varve.InvalidArgument, match="either ids or filter"):
        store.delete(["c"], filter="price > 50")


def test_thousands_of_texts_are_added_at_once(store):
    many = [f"text {i} of many" for i in range(5_000)]
    assert len(set(store.add_texts(many))) == 5_000
    assert store.namespace.count() == 5_004


def test_what_cannot_be_added_is_an_error_and_adds_nothing(store):
    with pytest.raises(varve.InvalidArgument, match="metadata must not have 'text'"):
        store.add_texts(["x"], [{"text": "y"}])
    with pytest.raises(varve.InvalidArgument, match="ids must be one for each text: 2, are 1"):
        store.add_texts(["x", "y"], ids=["1"])
    assert store.namespace.count() == 4


def test_records_that_are_no_documents_are_not_found(store):
    store.namespace.upsert(["e"], [Words().embed_query("warm winter boots")], [{"price": 1}])
    assert len(store.similarity_search("warm winter boots", k=10)) == 4


def test_async_methods_work_side_by_side(store):
    async def run():
        await store.aadd_texts(["warm gloves"], [{"price": 5}], ids=["g"])
        found = await asyncio.gather(
            *(store.asimilarity_search("warm gloves", k=1, filter="price < 10") for _ in range(20))
        )
        await store.adelete(["g"])
        return found

    assert [texts(one) for one in asyncio.run(run())] == [["warm gloves"]] * 20
    assert store.get_by_ids(["g"]) == []
