import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { fresh, Server } from "./support/server.mjs";
import { Client } from "@varve/client";
import { numbers, random } from "./support/vectors.mjs";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc");

test("an array is written whole, whatever kind of ids it has", async (t) => {
  const kinds = [
    numbers(100),
    [...numbers(100)],
    Array.from({ length: 100 }, (_, i) => i),
    Array.from({ length: 100 }, (_, i) => `id ${i}`),
  ];
  for (const ids of kinds) {
    const namespace = await fresh(t, { dimension: 4 });
    const vectors = random(400);
    const progress = [];
    const result = await namespace.ingest(ids, vectors, 4, { batchRows: 30, onProgress: (one) => progress.push(one) });
    assert.deepEqual([result.rowsWritten, result.batches, result.sequence], [100, 4, 4]);
    assert.deepEqual(
      progress.map(({ rows }) => rows),
      [30, 60, 90, 100],
    );
    assert.equal(progress[0].total, 100);
    const got = await namespace.get(ids, { includeVectors: true });
    assert.deepEqual(got.vectors, vectors);
  }
});

test("large numeric ids keep all of their bits", async (t) => {
  const namespace = await fresh(t, { dimension: 1 });
  const ids = [0, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
  await namespace.ingest(ids, random(3), 1);
  await namespace.ingest([2n ** 64n - 1n], random(1), 1);
  const read = [];
  for await (const page of namespace.scan()) read.push(...page.ids);
  assert.deepEqual(read, [...ids.map(BigInt), 2n ** 64n - 1n]);
});

test("chunks of an async iterable and of a list are written in order", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  async function* chunks() {
    for (let i = 0; i < 10; ++i) {
      await sleep(1);
      yield {
        ids: numbers(100, i * 100),
        vectors: random(200, i + 1),
        metadata: Array.from({ length: 100 }, () => ({ i })),
      };
    }
  }
  assert.equal((await namespace.ingest(chunks())).rowsWritten, 1_000);
  assert.equal(await namespace.count({ filter: "i = 9" }), 100);
  const list = [
    { ids: [5_000], vectors: random(2) },
    { ids: [5_001], vectors: random(2) },
  ];
  assert.equal((await namespace.ingest(list)).batches, 2);
  assert.equal((await namespace.ingest([])).batches, 0);
  assert.equal(await namespace.count(), 1_002);
});

test("batches with long metadata are cut until each fits a message", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  // The rows that are looked at to guess the size are short, most of the others long: 24 MB in all.
  const metadata = Array.from({ length: 4_000 }, (_, i) => (i % 125 === 0 ? {} : { text: "x".repeat(6_000) }));
  const result = await namespace.ingest(numbers(4_000), random(8_000), 2, { metadata });
  assert.equal(result.rowsWritten, 4_000);
  assert.ok(result.batches > 5, `${result.batches} batches`);
  assert.equal(await namespace.count(), 4_000);
});

test("several streams write all rows", async (t) => {
  const namespace = await fresh(t, { dimension: 8 });
  const result = await namespace.ingest(numbers(5_000), random(40_000), 8, { streams: 4, batchRows: 100 });
  assert.deepEqual([result.rowsWritten, result.batches], [5_000, 50]);
  assert.equal(await namespace.count(), 5_000);
});

test("a producer's second run sends only what is missing", async (t) => {
  for (const streams of [1, 3]) {
    const namespace = await fresh(t, { dimension: 2 });
    const ids = numbers(1_000);
    const vectors = random(2_000);
    const options = { producer: "load", batchRows: 100, streams };
    async function* broken() {
      yield { ids: ids.subarray(0, 500), vectors: vectors.subarray(0, 1_000) };
      while ((await namespace.count()) < 500) await sleep(10);
      throw new Error("the source broke");
    }
    await assert.rejects(namespace.ingest(broken(), options), { message: "the source broke" });
    const progress = [];
    const result = await namespace.ingest(ids, vectors, 2, {
      ...options,
      onProgress: ({ rows }) => progress.push(rows),
    });
    assert.deepEqual([result.rowsResumed, result.rowsWritten], [500, 500]);
    assert.equal(progress.at(-1), 1_000);
    assert.equal((await namespace.ingest(ids, vectors, 2, options)).rowsResumed, 1_000);
    const fewer = namespace.ingest(ids.subarray(0, 100), vectors.subarray(0, 200), 2, options);
    await assert.rejects(fewer, { code: "INVALID_ARGUMENT", message: /not the same/ });
  }
});

test("a bad row fails its batch and names it; the batches before are committed", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  const vectors = random(2_000);
  vectors[1_101] = NaN;
  await assert.rejects(namespace.ingest(numbers(1_000), vectors, 2, { batchRows: 100 }), (error) => {
    assert.equal(error.code, "INVALID_ARGUMENT");
    assert.match(error.message, /after batch 5: batch 6: row 50/);
    return true;
  });
  assert.equal(await namespace.count(), 500);
});

test("with skip the bad rows are listed by their place among all", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  const vectors = random(2_000);
  for (const row of [3, 550, 999]) vectors[2 * row] = Infinity;
  const result = await namespace.ingest(numbers(1_000), vectors, 2, { batchRows: 100, streams: 2, onError: "skip" });
  assert.deepEqual([result.rowsWritten, result.rowsRefused], [997, 3]);
  assert.deepEqual(
    result.rowErrors.map(({ row }) => row),
    [3, 550, 999],
  );
  assert.match(result.rowErrors[0].message, /finite/);
});

test("a slow source is waited for and a signal ends the wait", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  let closed = false;
  async function* hangs() {
    try {
      yield { ids: [1], vectors: random(2) };
      await new Promise(() => {});
    } finally {
      closed = true;
    }
  }
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 100);
  await assert.rejects(namespace.ingest(hangs(), { signal: controller.signal }), { code: "CANCELLED" });
  await assert.rejects(namespace.ingest(hangs(), { timeout: 100 }), { code: "DEADLINE_EXCEEDED", message: /100 ms/ });
  async function* endless() {
    try {
      for (let i = 0; ; ++i) yield { ids: [i], vectors: random(2) };
    } finally {
      closed = true;
    }
  }
  await assert.rejects(namespace.ingest(endless(), { timeout: 200 }), { code: "DEADLINE_EXCEEDED" });
  assert.ok(closed, "the source is told to end");
});

test("no more than the window is taken from a source while the server does not answer", async (t) => {
  const server = new Server(t);
  await server.start();
  const client = new Client(server.address);
  t.after(() => client.close());
  const namespace = await client.createNamespace("slow", { dimension: 256 });
  let pulled = 0;
  async function* chunks() {
    for (let i = 0; i < 400; ++i) {
      ++pulled;
      yield { ids: numbers(1_000, i * 1_000), vectors: random(256_000, i + 1) }; // 1 MB
      if (i === 0) while ((await namespace.count()) === 0) await sleep(10);
      if (i === 0) server.freeze();
    }
  }
  const controller = new AbortController();
  const ingest = namespace.ingest(chunks(), { signal: controller.signal });
  ingest.catch(() => {});
  while (pulled < 10) await sleep(10);
  await sleep(300);
  collectGarbage(); // else what is not used any more, of earlier tests too, would count
  await sleep(200); // Node gives it back, and counts, a little later
  const buffered = process.memoryUsage().arrayBuffers / 2 ** 20;
  const stuck = pulled;
  await sleep(1_000);
  assert.equal(pulled, stuck, "the source is not asked while the window is full");
  assert.ok(stuck <= 20, `${stuck} chunks of 1 MB for a window of 16 MiB`);
  assert.ok(buffered < 24, `${buffered} MiB of buffers for a window of 16 MiB`);
  server.thaw();
  while (pulled < stuck + 50) await sleep(10);
  controller.abort();
  await assert.rejects(ingest, { code: "CANCELLED" });
});

test("a writer numbers its batches, waits in add and reports what it wrote", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  const acks = [];
  const writer = await namespace.writer({
    producer: "mine",
    durability: "synced",
    onAck: (ack) => acks.push(ack.number),
  });
  assert.equal(writer.lastBatch, 0);
  const reused = new Float32Array(200);
  for (let i = 0; i < 40; ++i) {
    reused.fill(i); // the array is free again after add
    assert.equal(await writer.add({ ids: numbers(100, i * 100), vectors: reused }), i + 1);
  }
  await assert.rejects(writer.add({ ids: [1], vectors: random(3), dimension: 2 }), { code: "INVALID_ARGUMENT" });
  await assert.rejects(writer.add({ ids: numbers(600_000), vectors: random(1_200_000) }), {
    code: "RESOURCE_EXHAUSTED",
  });
  const result = await writer.finish();
  assert.deepEqual([result.rowsWritten, result.batches, writer.committed], [4_000, 40, 40]);
  assert.deepEqual(
    acks,
    Array.from({ length: 40 }, (_, i) => i + 1),
  );
  await assert.rejects(writer.add({ ids: [1], vectors: random(2) }), { code: "FAILED_PRECONDITION" });
  const { vectors } = await namespace.get([0, 3_999], { includeVectors: true });
  assert.deepEqual(vectors, new Float32Array([0, 0, 39, 39]));

  const again = await namespace.writer({ producer: "mine" });
  assert.equal(again.lastBatch, 40);
  assert.equal(await again.add({ ids: [9_999], vectors: random(2) }), 41);
  await again.finish();
  assert.equal(await namespace.count(), 4_001);
});

test("calls of add that nobody awaits are taken in order", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  const writer = await namespace.writer();
  const adding = Array.from({ length: 100 }, (_, i) =>
    writer.add({ ids: [i % 10], vectors: new Float32Array([i, i]) }),
  );
  assert.deepEqual(
    await Promise.all(adding),
    Array.from({ length: 100 }, (_, i) => i + 1),
  );
  await writer.finish();
  const { vectors } = await namespace.get([0, 9], { includeVectors: true });
  assert.deepEqual(vectors, new Float32Array([90, 90, 99, 99]));
});

test("an aborted writer ends what waits and drops what is not acknowledged", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  const writer = await namespace.writer();
  await writer.add({ ids: [1], vectors: random(2) });
  await writer.abort("reason");
  await assert.rejects(writer.finish(), { code: "CANCELLED", cause: "reason" });
  await assert.rejects(writer.add({ ids: [2], vectors: random(2) }), { code: "CANCELLED" });
  await assert.rejects(namespace.writer({ producer: "" }), { code: "INVALID_ARGUMENT" });
  await assert.rejects(namespace.writer({ durability: "never" }), { code: "INVALID_ARGUMENT", message: /durability/ });
});

test("an error in a callback ends the ingest with that error", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  const onProgress = () => {
    throw new RangeError("mine");
  };
  await assert.rejects(namespace.ingest(numbers(10), random(20), 2, { onProgress }), RangeError);
});

test("a batch that another writer of the producer committed is a duplicate and not applied again", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  const acks = [];
  const one = await namespace.writer({ producer: "same" });
  const two = await namespace.writer({
    producer: "same",
    onAck: ({ number, duplicate }) => acks.push([number, duplicate]),
  });
  await one.add({ ids: [1], vectors: random(2) });
  await one.finish();
  await two.add({ ids: [2], vectors: random(2) });
  await two.add({ ids: [3], vectors: random(2) });
  assert.equal((await two.finish()).batchesUnreported, 1);
  assert.deepEqual(acks, [
    [1, true],
    [2, false],
  ]);
  assert.deepEqual([...(await namespace.get([1, 2, 3])).ids], [1n, 3n]);
});
