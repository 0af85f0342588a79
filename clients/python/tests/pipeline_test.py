"""Documents through chunking and embedding into a namespace."""

import asyncio
import threading
import zlib

import numpy as np
import pytest

import varve
import varve.aio

DIMENSION = 16


def embed(texts):
    """A vector for each text, the same every time: words hashed into buckets."""
    out = np.zeros((len(texts), DIMENSION), np.float32)
    for i, text in enumerate(texts):
        for word in text.split():
            out[i, zlib.crc32(word.encode()) % DIMENSION] += 1
    return out


def words(text):
    return (varve.Chunk(word, {"at": i}) for i, word in enumerate(text.split()))


@pytest.fixture
def ns(client, space):
    return client.create_namespace(space, DIMENSION)


def test_chunks_are_found_with_their_document(ns):
    documents = [("d1", "red green", {"lang": "en"}), varve.Document("d2", "blue")]
    result = varve.pipeline(documents, chunk=words, embed=embed, sink=ns.writer())
    assert (result.documents, result.chunks, result.failures) == (2, 3, [])
    (hit,) = ns.search(embed(["green"])[0], k=1)
    assert hit.id == "d1#1" and hit.metadata == {"document": "d1", "lang": "en", "at": 1}


def test_a_second_run_replaces_and_does_not_double(ns):
    documents = [(f"d{i}", "a b c") for i in range(50)]
    for _ in range(2):
        varve.pipeline(documents, chunk=words, embed=embed, sink=ns.writer())
    assert ns.count() == 150


def test_multi_vector_output(client, space):
    ns = client.create_namespace(
        space, fields=[varve.VectorField(DIMENSION, multi_vector=True)]
    )
    each_word = lambda texts: [embed(text.split()) for text in texts]  # noqa: E731
    varve.pipeline([("a", "x y z"), ("b", "u v")], embed=each_word, sink=ns.writer())
    assert ns.search(embed(["u", "v"]), k=1).ids == ["b#0"]
    assert len(ns.get(["a#0"]).vectors[0]) == 3


def test_a_failing_stage_names_the_document_and_its_cause(ns):
    def bad_embed(texts):
        if any("poison" in text for text in texts):
            raise RuntimeError("model broke")
        return embed(texts)

    def bad_chunk(text):
        if "poison" in text:
            raise KeyError("no title")
        return words(text)

    def bad_source():
        yield "d1", "fine"
        raise OSError("disk gone")

    documents = [(f"d{i}", "poison" if i == 7 else "fine") for i in range(20)]
    for arguments, stage, names in (
        ({"embed": bad_embed}, "embed", ["d6", "d7"]),
        ({"embed": embed, "chunk": bad_chunk}, "chunk", ["d7"]),
    ):
        with pytest.raises(varve.PipelineError) as raised:
            varve.pipeline(documents, sink=ns.writer(), batch=2, **arguments)
        assert raised.value.stage == stage and raised.value.documents == names
        assert raised.value.__cause__ is not None
        result = varve.pipeline(
            documents, sink=ns.writer(), batch=2, on_error="skip", **arguments
        )
        assert [failure.documents for failure in result.failures] == [names]
        assert result.documents == 20 - len(names)
    with pytest.raises(varve.PipelineError, match="source: disk gone"):
        varve.pipeline(bad_source(), embed=embed, sink=ns.writer(), on_error="skip")
    wrong = lambda texts: np.ones((len(texts), 3))  # noqa: E731
    with pytest.raises(varve.PipelineError, match="sink"):
        varve.pipeline(documents, embed=wrong, sink=ns.writer())
    with pytest.raises(varve.PipelineError, match="one vector for each content: 2, returned 1"):
        varve.pipeline([("a", ""), ("b", "")], embed=lambda _: np.ones((1, 16)), sink=ns.writer())


class Sink:
    """Calls `before` with the ids of each batch, then counts them."""

    def __init__(self, before):
        self.before = before
        self.chunks = 0

    def add(self, ids, vectors, metadata):
        self.before(ids)
        self.chunks += len(ids)

    def finish(self):
        pass

    cancel = finish


def test_a_slow_sink_holds_the_source_back():
    rows, batch, buffer = 400, 2, 3
    # In the buffers, in the hands of the two stages that wait for room in them, and of the sink.
    held = batch * (2 * buffer + 3)
    asked, changed, ahead = 0, threading.Condition(), []

    def when_all_is_full(_):
        with changed:
            assert changed.wait_for(lambda: asked >= min(rows, sink.chunks + held), timeout=60)

    sink = Sink(when_all_is_full)

    def source():
        nonlocal asked
        for i in range(rows):
            with changed:
                asked += 1
                ahead.append(asked - sink.chunks)
                changed.notify_all()
            yield f"d{i}", "x"

    varve.pipeline(source(), embed=embed, sink=sink, batch=batch, buffer=buffer)
    assert held <= max(ahead) <= held + batch
    assert sink.chunks == rows


def test_the_stages_run_at_the_same_time():
    # Each goes on only when the two others are at work as well, on the documents before and behind its own.
    together, rows = threading.Barrier(3, timeout=60), 20

    def meeting_chunk(number):
        if number >= 2:
            together.wait()
        yield number

    def meeting_embed(numbers):
        if 1 <= numbers[0] < rows - 1:
            together.wait()
        return np.ones((len(numbers), DIMENSION))

    sink = Sink(lambda ids: together.wait() if sink.chunks < rows - 2 else None)
    documents = [(f"d{i}", i) for i in range(rows)]
    varve.pipeline(documents, chunk=meeting_chunk, embed=meeting_embed, sink=sink, batch=1)
    assert sink.chunks == rows


def test_a_source_of_something_else_ends_the_pipeline(ns):
    with pytest.raises(varve.PipelineError, match="source"):
        varve.pipeline([7], embed=embed, sink=ns.writer(), on_error="skip")


def test_asyncio_source_and_embedding(server, space):
    async def source():
        for i in range(100):
            await asyncio.sleep(0)
            yield f"d{i}", f"word{i} and more"

    async def async_embed(texts):
        await asyncio.sleep(0)
        return embed(texts)

    async def main():
        async with varve.aio.Client(server.address) as client:
            ns = await client.create_namespace(space, DIMENSION)
            async with ns.writer() as writer:
                result = await varve.aio.pipeline(
                    source(), chunk=words, embed=async_embed, sink=writer
                )
            assert result.chunks == 300 == await ns.count()

    asyncio.run(main())


def test_a_cancelled_pipeline_ends_though_its_source_waits(server, space):
    async def source(asked):
        yield "d0", "one"
        asked.set()
        await asyncio.Event().wait()  # for ever

    async def main():
        async with varve.aio.Client(server.address) as client:
            ns = await client.create_namespace(space, DIMENSION)
            asked = asyncio.Event()

            async def run():
                async with ns.writer() as writer:
                    await varve.aio.pipeline(source(asked), embed=embed, sink=writer)

            task = asyncio.create_task(run())
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())  # waits for every thread
