"""The client for asyncio."""

import asyncio
import inspect

import numpy as np
import pytest

import varve
import varve.aio

RNG = np.random.default_rng(7)


def vectors(rows, dimension=8):
    return RNG.standard_normal((rows, dimension), dtype=np.float32)


def run(server, body):
    async def main():
        async with varve.aio.Client(server.address) as client:
            await body(client)

    asyncio.run(main())


def test_it_has_every_method_of_the_other_with_the_same_parameters():
    for ours, theirs in (
        (varve.aio.Client, varve.Client),
        (varve.aio.Namespace, varve.Namespace),
    ):
        for name, method in vars(theirs).items():
            if name.startswith("_") or not callable(method):
                continue
            assert hasattr(ours, name), f"{ours.__name__} has no {name}"
            if name in ("writer", "wait_indexed", "scan"):  # options pass through; no progress bar
                continue
            mine = inspect.signature(getattr(ours, name)).parameters
            assert list(mine) == list(inspect.signature(method).parameters), name


def test_everything_is_awaited(server, space):
    async def body(client):
        ns = await client.create_namespace(space, 8)
        data = vectors(300)
        done = await ns.ingest(range(300), data, {"n": np.arange(300)}, progress=False)
        assert done.records_written == 300
        assert (await ns.search(data[4], k=1)).ids == [4]
        assert (await ns.search_batch(data[:3], k=1)).ids[:, 0].tolist() == [0, 1, 2]
        assert (await ns.get([1, 999])).missing.tolist() == [999]
        assert sum([len(page) async for page in ns.scan()]) == 300
        assert await ns.count(filter="n < 5") == 5
        assert (await ns.delete(filter={"n": {"$lt": 5}})).records_deleted == 5
        await ns.flush()
        await ns.wait_indexed()
        assert (await ns.stats()).records == 295
        assert space in [one.name for one in await client.list_namespaces()]
        made = await client.create_snapshot(space, namespace=space)
        assert made in await client.list_snapshots()
        assert (await client.verify_snapshot(made.name)).clean
        restored = await client.restore_snapshot(made.name, as_=f"{space}-restored")
        assert await restored.count() == 295
        await client.delete_snapshot(made.name)
        with pytest.raises(varve.NotFound):
            await client.namespace("nothing").count()

    run(server, body)


def test_many_searches_run_side_by_side(server, space):
    async def body(client):
        ns = await client.create_namespace(space, 8)
        data = vectors(200)
        await ns.upsert(range(200), data)
        found = await asyncio.gather(*[ns.search(one, k=1) for one in data])
        assert [one.ids[0] for one in found] == list(range(200))

    run(server, body)


def test_a_writer_is_awaited(server, space):
    async def body(client):
        ns = await client.create_namespace(space, 8)
        async with ns.writer(batch_size=7) as writer:
            for i in range(10):
                await writer.add(range(i * 10, i * 10 + 10), vectors(10))
        assert writer.result.records_written == 100 == await ns.count()
        with pytest.raises(varve.FailedPrecondition, match="async with"):
            await ns.writer().add([1], vectors(1))

    run(server, body)


def test_a_cancelled_ingest_of_an_array_stops(server, space):
    async def body(client):
        ns = await client.create_namespace(space, 8)
        ingest = ns.ingest(range(200_000), vectors(200_000), batch_size=1, progress=False)
        task = asyncio.create_task(ingest)
        while await ns.count() == 0:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await ns.count() < 200_000

    run(server, body)


def test_a_cancelled_ingest_stops(server, space):
    async def body(client):
        ns = await client.create_namespace(space, 8)

        def endless():
            i = 0
            while True:
                yield [i], vectors(1)
                i += 1

        task = asyncio.create_task(ns.ingest(endless(), batch_size=10, progress=False))
        while await ns.count() == 0:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(server, body)
