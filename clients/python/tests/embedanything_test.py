"""EmbedAnything's own pipeline into a server, with a model of its own kind that is made here: a BERT of one
layer with random weights."""

import json
import struct

import embed_anything
import numpy as np
import pytest

import varve
from varve.integrations.embedanything import VarveAdapter

DIMENSION = 32
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["warm", "boots", "red", "for", "winter", "sea", "ship", "the", "."]
VOCABULARY = [*SPECIAL, *WORDS]

CONFIG = {
    "architectures": ["BertModel"], "model_type": "bert", "vocab_size": len(VOCABULARY),
    "hidden_size": DIMENSION, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 64, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 128, "type_vocab_size": 2,
    "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0,
    "position_embedding_type": "absolute", "use_cache": True,
}  # fmt: skip


def tokenizer():
    def special(token):
        return {"id": token, "ids": [VOCABULARY.index(token)], "tokens": [token]}

    def place(token):
        return {"SpecialToken": {"id": token, "type_id": 0}}

    first, second = ({"Sequence": {"id": name, "type_id": i}} for i, name in enumerate("AB"))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
            "strip_accents": None, "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [place("[CLS]"), first, place("[SEP]")],
            "pair": [first, second],
            "special_tokens": {"[CLS]": special("[CLS]"), "[SEP]": special("[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": {t: i for i, t in enumerate(VOCABULARY)},
        },
    }  # fmt: skip


def weights():
    """Tensors by name, of the smallest BERT."""
    rng = np.random.default_rng(0)
    hidden, inner, layer = DIMENSION, 64, "encoder.layer.0."
    shapes = {
        "embeddings.word_embeddings": (len(VOCABULARY), hidden),
        "embeddings.position_embeddings": (128, hidden),
        "embeddings.token_type_embeddings": (2, hidden),
        **{f"{layer}attention.self.{name}": (hidden, hidden) for name in ("query", "key", "value")},
        f"{layer}attention.output.dense": (hidden, hidden),
        f"{layer}intermediate.dense": (inner, hidden),
        f"{layer}output.dense": (hidden, inner),
        "pooler.dense": (hidden, hidden),
    }
    tensors = {}
    for name, shape in shapes.items():
        tensors[f"{name}.weight"] = rng.standard_normal(shape).astype("<f4") * 0.3
        tensors[f"{name}.bias"] = rng.standard_normal(shape[0]).astype("<f4") * 0.3
    for name in ("embeddings", f"{layer}attention.output", f"{layer}output"):
        tensors[f"{name}.LayerNorm.weight"] = np.ones(hidden, "<f4")
        tensors[f"{name}.LayerNorm.bias"] = np.zeros(hidden, "<f4")
    return tensors


def safetensors(tensors):
    head, end = {}, 0
    for name, array in tensors.items():
        offsets = [end, end := end + array.nbytes]
        head[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": offsets}
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for a in tensors.values())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The model, where EmbedAnything keeps those it has downloaded; and no way to download any."""
    home = tmp_path_factory.mktemp("models")
    repository = home / "hub/models--varve--tiny"
    snapshot = repository / "snapshots/0"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("0")
    (snapshot / "config.json").write_text(json.dumps(CONFIG))
    (snapshot / "tokenizer.json").write_text(json.dumps(tokenizer()))
    (snapshot / "tokenizer_config.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(safetensors(weights()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(home))
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        yield embed_anything.EmbeddingModel.from_pretrained_hf("varve/tiny")


@pytest.fixture
def adapter(client, space):
    adapter = VarveAdapter(client)
    adapter.create_index(dimension=DIMENSION, metric="cosine", index_name=space)
    return adapter


def test_the_adapter_is_one_of_embed_anythings():
    assert issubclass(VarveAdapter, embed_anything.vectordb.Adapter)


def test_a_file_that_is_embedded_is_found_by_its_text(adapter, model, tmp_path):
    path = tmp_path / "boots.txt"
    path.write_text("warm red boots for the winter.")
    done = embed_anything.embed_file(str(path), embedder=model, adapter=adapter)
    assert done is None  # all of it went to the adapter
    (query,) = embed_anything.embed_query(["warm red boots for the winter."], embedder=model)
    (hit,) = adapter.namespace.search(query.embedding, k=5)
    assert hit.distance == pytest.approx(0, abs=1e-5)
    assert hit.metadata["text"] == "warm red boots for the winter."
    assert hit.metadata["file_name"] == str(path)


def test_a_directory_is_embedded_and_again_without_doubling_anything(adapter, model, tmp_path):
    for name, text in (("a", "warm boots."), ("b", "the red ship."), ("c", "the sea.")):
        (tmp_path / f"{name}.txt").write_text(text)
    for _ in range(2):
        embed_anything.embed_directory(
            str(tmp_path), embedder=model, extensions=["txt"], adapter=adapter
        )
        (tmp_path / "a.txt").touch()
        assert adapter.namespace.count() == 3
    names = [hit.metadata["file_name"] for hit in adapter.namespace.search([1.0] * DIMENSION, k=3)]
    assert sorted(name[-5:] for name in names) == ["a.txt", "b.txt", "c.txt"]


def test_convert_makes_records_of_what_was_embedded(adapter, model):
    data = embed_anything.embed_query(["warm boots", "red ship"], embedder=model)
    first, second = adapter.convert(data)
    assert first["metadata"] == {"text": "warm boots"} and first["id"] != second["id"]
    np.testing.assert_array_equal(first["vector"], np.float32(data[0].embedding))
    adapter.upsert(data)
    adapter.upsert([])
    assert adapter.namespace.get([first["id"]]).metadata == [{"text": "warm boots"}]


def test_several_vectors_for_each_text_go_into_a_field_of_several(client, space):
    class Embedded:  # what a late interaction model makes; EmbedAnything lets nobody else make one
        def __init__(self, text, vectors):
            self.text, self.embedding, self.metadata = text, vectors, None

    adapter = VarveAdapter(client)
    adapter.create_index(4, "dotproduct", space, multi_vector=True)
    assert client.namespace(space).describe().fields[0].metric == "dot"
    eye = np.eye(4).tolist()
    adapter.upsert([Embedded("one", eye[:3]), Embedded("two", eye[2:])])
    found = adapter.namespace.search(np.eye(4)[:2], k=2)
    assert [hit.metadata["text"] for hit in found] == ["one", "two"]
    assert found[0].distance == -2


def test_an_index_is_made_once_and_deleted(server, client, space):
    with_address = VarveAdapter(server.address)
    for _ in range(2):
        with_address.create_index(8, "euclidean", space)
    assert client.namespace(space).describe().fields[0].metric == "l2"
    with_address.delete_index(space)
    with pytest.raises(varve.NotFound):
        client.namespace(space).describe()
    with pytest.raises(varve.FailedPrecondition, match="call create_index"):
        with_address.namespace.count()
    with_address.client.close()


def test_an_index_that_exists_can_be_named(client, space, model):
    client.create_namespace(space, DIMENSION)
    adapter = VarveAdapter(client, index_name=space)
    adapter.upsert(embed_anything.embed_query(["sea"], embedder=model))
    assert client.namespace(space).count() == 1
