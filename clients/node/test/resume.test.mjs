import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@varve/client";
import { CuttingProxy } from "./support/proxy.mjs";
import { ADDRESS, fresh, Server, until } from "./support/server.mjs";
import { numbers, random } from "./support/vectors.mjs";

const DIMENSION = 64;

/** All rows are there once, each with its own vector. */
async function checkAll(namespace, vectors) {
  const rows = vectors.length / DIMENSION;
  assert.equal(await namespace.count(), rows);
  let at = 0;
  for await (const page of namespace.scan({ includeVectors: true })) {
    assert.deepEqual(page.vectors, vectors.subarray(at * DIMENSION, (at + page.ids.length) * DIMENSION));
    for (const id of page.ids) assert.equal(id, BigInt(at++));
  }
  assert.equal(at, rows);
  // Every batch was applied once: nothing was replaced.
  assert.equal((await namespace.stats()).deadRows, 0);
}

test("connections that are cut in mid-ingest lose and double nothing", async (t) => {
  const rows = 40_000; // 10 MB
  const vectors = random(rows * DIMENSION);
  for (const streams of [1, 2]) {
    const namespace = await fresh(t, { dimension: DIMENSION });
    let connection = 0;
    // Also amid the first bytes of a connection, and between two batches.
    const limits = [700_000, 60, 1_500_000, 300, 900_001, 2_000_000, 1_000, 1_234_567];
    const proxy = await CuttingProxy.to(ADDRESS, t, () => limits[connection++] ?? Infinity);
    const client = new Client(proxy.address);
    t.after(() => client.close());
    const result = await client
      .namespace(namespace.name)
      .ingest(numbers(rows), vectors, DIMENSION, { streams, batchRows: 500 });
    assert.ok(proxy.cuts >= 5, `${proxy.cuts} cuts`);
    assert.equal(result.rowsWritten, rows);
    assert.equal(result.batches, 80);
    await checkAll(namespace, vectors);
  }
});

test("connections that are cut at random points lose and double nothing", async (t) => {
  for (let seed = 1; seed <= 8; ++seed) {
    const namespace = await fresh(t, { dimension: DIMENSION });
    const rows = 4_000; // 1 MB
    const vectors = random(rows * DIMENSION, seed);
    const limits = random(20, seed * 1_000).map((part) => 100 + part * 300_000);
    let connection = 0;
    const proxy = await CuttingProxy.to(ADDRESS, t, () => limits[connection++] ?? Infinity);
    const client = new Client(proxy.address);
    t.after(() => client.close());
    const options = { streams: 1 + (seed % 3), batchRows: 100 };
    const result = await client.namespace(namespace.name).ingest(numbers(rows), vectors, DIMENSION, options);
    assert.ok(proxy.cuts >= 1, `seed ${seed}: ${proxy.cuts} cuts`);
    assert.deepEqual([result.rowsWritten, result.batches], [rows, 40], `seed ${seed}`);
    await checkAll(namespace, vectors);
  }
});

test("a server that takes connections and does not answer is given up", async (t) => {
  const server = new Server(t);
  await server.start();
  const client = new Client(server.address);
  t.after(() => client.close());
  const namespace = await client.createNamespace("frozen", { dimension: 2 });
  server.freeze();
  await assert.rejects(namespace.writer({ giveUpAfter: 100 }), { code: "UNAVAILABLE", message: /does not answer/ });
  await assert.rejects(namespace.count({ timeout: 100 }), { code: "DEADLINE_EXCEEDED" });
  server.thaw();
  assert.equal(await namespace.count(), 0);
});

test("a server that is killed and started again in mid-ingest loses and doubles nothing", async (t) => {
  const server = new Server(t);
  await server.start();
  const client = new Client(server.address);
  t.after(() => client.close());
  const namespace = await client.createNamespace("killed", { dimension: DIMENSION });
  const rows = 60_000;
  const vectors = random(rows * DIMENSION);
  let committed = 0;
  const ingest = namespace.ingest(numbers(rows), vectors, DIMENSION, {
    batchRows: 250,
    onProgress: (progress) => (committed = progress.rows),
  });
  for (const at of [rows * 0.1, rows * 0.4, rows * 0.7]) {
    await until(() => committed >= at, `${at} rows are committed`);
    await server.kill();
    await sleep(200);
    await server.start();
  }
  assert.equal((await ingest).rowsWritten, rows);
  await checkAll(namespace, vectors);
});

test("a scan and a wait for the index go on when their connection is cut", async (t) => {
  const namespace = await fresh(t, { dimension: DIMENSION });
  const rows = 30_000;
  const vectors = random(rows * DIMENSION);
  await namespace.ingest(numbers(rows), vectors, DIMENSION);
  const proxy = await CuttingProxy.to(ADDRESS, t, () => 3_000_000);
  const client = new Client(proxy.address);
  t.after(() => client.close());
  let at = 0;
  for await (const page of client.namespace(namespace.name).scan({ includeVectors: true })) {
    for (const id of page.ids) assert.equal(id, BigInt(at++));
  }
  assert.equal(at, rows);
  assert.ok(proxy.cuts >= 2, `${proxy.cuts} cuts`);
  await client.namespace(namespace.name).waitIndexed();
});

test("a writer gives up when the server stays away, and says what is committed", async (t) => {
  const server = new Server(t);
  await server.start();
  const client = new Client(server.address);
  t.after(() => client.close());
  const namespace = await client.createNamespace("away", { dimension: 2 });
  const broken = [];
  const writer = await namespace.writer({ giveUpAfter: 1_000, onDisconnect: (error) => broken.push(error.code) });
  await writer.add({ ids: [1], vectors: random(2) });
  await until(() => writer.committed === 1, "the batch is committed");
  await server.kill();
  await writer.add({ ids: [2], vectors: random(2) });
  await assert.rejects(writer.finish(), { code: "UNAVAILABLE", message: /after batch 1: gave up after 1 s/ });
  assert.equal(broken.at(-1), "UNAVAILABLE");
});

test("a namespace that was made anew under a writer is noticed", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  const writer = await namespace.writer({ producer: "p" });
  await writer.add({ ids: [1], vectors: random(2) });
  await until(() => writer.committed === 1, "the batch is committed");
  const client = new Client(ADDRESS);
  t.after(() => client.close());
  await client.deleteNamespace(namespace.name);
  await assert.rejects(
    (async () => {
      await writer.add({ ids: [2], vectors: random(2) });
      await writer.finish();
    })(),
    { code: "NOT_FOUND" },
  );
});
