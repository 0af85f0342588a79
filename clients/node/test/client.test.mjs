import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, VarveError } from "@varve/client";
import { ADDRESS, connect, fresh, Server } from "./support/server.mjs";
import { numbers, random } from "./support/vectors.mjs";

const rejects = (promise, code, message = /./) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof VarveError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });

test("a namespace is created, described, listed, changed and deleted", async (t) => {
  const { client, name } = await connect(t);
  const namespace = await client.createNamespace(name, {
    dimension: 4,
    metric: "cosine",
    elementType: "f16",
    index: { m: 8, quantization: "none" },
    fields: { tokens: { dimension: 2, metric: "dot", multiVector: true } },
    idType: "text",
    attributes: [
      { path: "price", type: "double" },
      { path: "tags", type: "string", list: true },
    ],
    defaultTtl: 86_400_000,
    limits: { maxStreams: 3 },
  });
  const description = await namespace.describe();
  assert.equal(description.name, name);
  assert.equal(description.idType, "text");
  assert.equal(description.defaultTtl, 86_400_000);
  assert.ok(Math.abs(description.createTime - Date.now()) < 60_000);
  assert.deepEqual(description.attributes, [
    { path: "price", type: "double", list: false },
    { path: "tags", type: "string", list: true },
  ]);
  const [main, tokens] = description.fields;
  assert.deepEqual([main.dimension, main.metric, main.elementType, main.multiVector], [4, "cosine", "f16", false]);
  assert.deepEqual([main.index.m, main.index.quantization, main.index.efSearch], [8, "none", 64]);
  assert.deepEqual([tokens.name, tokens.dimension, tokens.metric, tokens.multiVector], ["tokens", 2, "dot", true]);

  const changed = await namespace.updateIndex({ efSearch: 99, autoCompaction: false });
  assert.equal(changed.fields[0].index.efSearch, 99);
  assert.equal(changed.fields[0].index.autoCompaction, false);
  assert.equal((await namespace.updateIndex({ efSearch: 7 }, { field: "tokens" })).fields[1].index.efSearch, 7);

  const limited = await namespace.updateLimits({ maxVectors: 2 ** 40, maxK: 5 });
  assert.deepEqual(limited.limits, { maxVectors: 2 ** 40, maxK: 5, maxStreams: 3 });
  await rejects(namespace.search([1, 0, 0, 0], { k: 6 }), "RESOURCE_EXHAUSTED", /max_k/);
  assert.deepEqual((await namespace.updateLimits({ maxK: 0 })).limits, { maxVectors: 2 ** 40, maxStreams: 3 });
  await rejects(namespace.updateLimits({ maxSpeed: 1 }), "INVALID_ARGUMENT", /no limit/);

  assert.ok((await client.listNamespaces()).some((one) => one.name === name));
  await rejects(client.createNamespace(name, { dimension: 4 }), "ALREADY_EXISTS");
  await client.deleteNamespace(name);
  await rejects(namespace.count(), "NOT_FOUND", new RegExp(name));
});

test("what a search finds is nearest first, with the parts asked for", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  const metadata = [{ name: "east", size: { eu: 44 } }, { name: "north" }, { name: "far" }];
  await namespace.ingest([1, 2, 3], new Float32Array([1, 0, 0, 1, 9, 9]), 2, { metadata });

  const { hits, sequence } = await namespace.search([1, 0.25], { k: 2 });
  assert.deepEqual(hits, [
    { id: 1n, distance: 0.0625 },
    { id: 2n, distance: 1.5625 },
  ]);
  assert.ok(sequence >= 1);

  const include = { includeVectors: true, includeMetadata: true, metadataPaths: ["size"] };
  const [hit] = (await namespace.search(new Float32Array([1, 0]), { k: 1, explain: true, ...include })).hits;
  assert.deepEqual(hit.vector, new Float32Array([1, 0]));
  assert.deepEqual(hit.metadata, { size: { eu: 44 } });

  const told = await namespace.search([1, 0], { k: 1, explain: true, exact: true });
  assert.equal(told.explanation.segments[0].plan, "scan");
  assert.equal(told.explanation.segments[0].rows, 3);
  assert.deepEqual((await namespace.search([1, 0], { offset: 1, k: 1 })).hits[0].id, 2n);
  assert.equal((await namespace.search([1, 0], { maxDistance: 3 })).hits.length, 2);
  await rejects(namespace.search([1, 0, 0]), "INVALID_ARGUMENT", /2.*3|3.*2/);
});

test("filters as text and as objects find the same records", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  const metadata = [
    { category: "boot", price: 9.5, tags: ["sale", "new"], seen: new Date("2026-01-01T00:00:00Z") },
    { category: "boot", price: 20, sold: true },
    { category: "shoe", price: 5, tags: ["sale"], name: "abc" },
    { price: 10n },
  ];
  await namespace.ingest(numbers(4), random(8), 2, { metadata });
  const same = [
    ['category = "boot"', { category: "boot" }, [0, 1]],
    ["price < 10", { price: { $lt: 10 } }, [0, 2]],
    ["price >= 10 AND price <= 20", { price: { $gte: 10, $lte: 20 } }, [1, 3]],
    ["price > 5 AND price != 20", { price: { $gt: 5, $ne: 20 } }, [0, 3]],
    ['category IN ("boot", "shoe")', { category: { $in: ["boot", "shoe"] } }, [0, 1, 2]],
    ['NOT category IN ("boot")', { category: { $nin: ["boot"] } }, [2, 3]],
    ['tags:"sale"', { tags: { $has: "sale" } }, [0, 2]],
    ["sold:*", { sold: { $exists: true } }, [1]],
    ["NOT sold:*", { sold: { $exists: false } }, [0, 2, 3]],
    ['name = "a*"', { name: { $prefix: "a" } }, [2]],
    ["sold OR price = 10", { $or: [{ sold: true }, { price: 10 }] }, [1, 3]],
    ['NOT (category = "boot")', { $not: { category: "boot" } }, [2, 3]],
    ["NOT price < 10", { price: { $not: { $lt: 10 } } }, [1, 3]],
    ['seen >= "2025-12-31T00:00:00Z"', { seen: { $gte: new Date("2025-12-31T00:00:00Z") } }, [0]],
    ["price:*", {}, [0, 1, 2, 3]],
  ];
  for (const [text, object, expected] of same) {
    for (const filter of [text, object]) {
      const { hits } = await namespace.search([0, 0], { filter });
      assert.deepEqual(hits.map(({ id }) => Number(id)).sort(), expected, JSON.stringify(filter));
      assert.equal(await namespace.count({ filter }), expected.length);
    }
  }
  await rejects(namespace.count({ filter: "price <" }), "INVALID_ARGUMENT", /column/);
});

test("every kind of metadata comes back as it was written", async (t) => {
  const namespace = await fresh(t, { dimension: 1 });
  const written = {
    text: "日本",
    empty: "",
    int: -7,
    zero: 0,
    safe: Number.MAX_SAFE_INTEGER,
    big: 2n ** 63n - 1n,
    least: -(2n ** 63n),
    double: 0.1,
    huge: 1e300,
    yes: true,
    no: false,
    time: new Date("1969-12-31T23:59:59.123Z"),
    list: [1, "a", true, 2.5],
    object: { a: { b: "c" } },
    __proto__name: "x",
  };
  Object.defineProperty(written, "__proto__", { value: "own", enumerable: true });
  await namespace.ingest(["a", "b"], random(2), 1, { metadata: [{ ...written, gone: null, unset: undefined }, {}] });
  const { metadata } = await namespace.get(["a", "b"], { includeMetadata: true });
  const plain = (object) => Object.fromEntries(Object.entries(object).sort());
  assert.deepEqual(plain(metadata[0]), plain(written));
  assert.deepEqual(metadata[1], {});
  assert.equal(Object.getPrototypeOf(metadata[0]), Object.prototype);
});

test("packed results of a batch are those of single searches", async (t) => {
  const namespace = await fresh(t, { dimension: 8 });
  await namespace.ingest(numbers(500), random(500 * 8), 8);
  const queries = random(20 * 8, 7);
  const found = await namespace.searchBatch(queries, 8, { k: 5, exact: true });
  assert.deepEqual([...found.counts], new Array(20).fill(5));
  assert.ok(found.ids instanceof BigUint64Array && found.distances instanceof Float32Array);
  for (let i = 0; i < 20; ++i) {
    const { hits } = await namespace.search(queries.subarray(i * 8, (i + 1) * 8), { k: 5, exact: true });
    assert.deepEqual(
      hits.map(({ id }) => id),
      [...found.ids.subarray(i * 5, (i + 1) * 5)],
    );
    assert.deepEqual(
      hits.map(({ distance }) => distance),
      [...found.distances.subarray(i * 5, (i + 1) * 5)],
    );
  }
  const none = await namespace.searchBatch(new Float32Array(), 8);
  assert.deepEqual([none.counts.length, none.ids.length, none.distances.length], [0, 0, 0]);
});

test("a batch of more queries than a message carries is cut and put together again", async (t) => {
  const namespace = await fresh(t, { dimension: 512 });
  const rows = 3_000; // 6 MiB
  const vectors = random(rows * 512);
  await namespace.ingest(numbers(rows), vectors, 512);
  const { counts, ids } = await namespace.searchBatch(vectors, 512, { k: 1 });
  assert.equal(counts.length, rows);
  const right = ids.reduce((sum, id, i) => sum + (id === BigInt(i) ? 1 : 0), 0);
  assert.ok(right > rows * 0.99, `${right} of ${rows} found themselves`);
});

test("a search by examples finds what is like them, and not them", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  await namespace.ingest(["a", "b", "c", "d"], new Float32Array([1, 0, 1.1, 0, 5, 5, 0, 1]), 2);
  assert.equal((await namespace.searchLike({ positive: ["a"] }, { k: 1 })).hits[0].id, "b");
  const away = await namespace.searchLike({ positive: ["a"], negative: ["d"] }, { k: 3 });
  assert.ok(!away.hits.some(({ id }) => id === "a" || id === "d"));
  await rejects(namespace.searchLike({ positive: ["nobody"] }), "NOT_FOUND", /example 0/);
  await rejects(namespace.searchLike({ positive: [] }), "INVALID_ARGUMENT");
});

test("groups and diversity shape the results", async (t) => {
  const namespace = await fresh(t, { dimension: 1 });
  const metadata = ["x", "x", "y", "y"].map((kind) => ({ kind }));
  await namespace.ingest([1, 2, 3, 4], new Float32Array([0, 1, 2, 3]), 1, { metadata });
  const grouped = await namespace.search([0], { k: 2, groupBy: "kind" });
  assert.deepEqual(
    grouped.hits.map(({ id, group }) => [id, group]),
    [
      [1n, "x"],
      [3n, "y"],
    ],
  );
  const diverse = await namespace.search([0], { k: 2, diversity: { weight: 1 } });
  assert.equal(diverse.hits.length, 2);
});

test("get returns the records found in the order asked for, and the ids that are missing", async (t) => {
  const namespace = await fresh(t, { dimension: 2 });
  const vectors = random(2_500 * 2);
  await namespace.ingest(numbers(2_500), vectors, 2);
  const asked = [...numbers(2_500)].reverse();
  const got = await namespace.get([...asked, 9_999n], { includeVectors: true, includeMetadata: true });
  assert.deepEqual([...got.ids], asked);
  assert.deepEqual([...got.missing], [9_999n]);
  assert.equal(got.metadata.length, 2_500);
  assert.deepEqual([got.dtype, got.dimension, got.vectors.length], ["f32", 2, 5_000]);
  for (const i of [0, 1_000, 2_499]) {
    assert.deepEqual(got.vectors.subarray(2 * i, 2 * i + 2), vectors.subarray(2 * (2_499 - i), 2 * (2_500 - i)));
  }
  const nothing = await namespace.get([]);
  assert.deepEqual([nothing.ids.length, nothing.missing.length], [0, 0]);
});

test("every dtype is stored and read as it is", async (t) => {
  const arrays = {
    f32: new Float32Array([0.5, -1]),
    f16: new Uint16Array([0x3800, 0xbc00]),
    bf16: new Uint16Array([0x3f00, 0xbf80]),
    u8: new Uint8Array([7, 255]),
    i8: new Int8Array([-128, 127]),
  };
  for (const [dtype, vectors] of Object.entries(arrays)) {
    const namespace = await fresh(t, { dimension: 2, elementType: dtype });
    await namespace.ingest([1], vectors, 2, { dtype });
    const got = await namespace.get([1], { includeVectors: true });
    assert.equal(got.dtype, dtype);
    assert.deepEqual(got.vectors, vectors);
    assert.equal((await namespace.search(vectors, { dtype, k: 1 })).hits[0].distance, 0);
  }
});

test("further fields and fields of several vectors are written, searched and read", async (t) => {
  const { client, name } = await connect(t);
  const fields = { tokens: { dimension: 2, metric: "dot", multiVector: true } };
  const namespace = await client.createNamespace(name, { dimension: 1, fields });
  const tokens = { vectors: new Float32Array([1, 0, 0, 1, 5, 5]), dimension: 2, offsets: [0, 2, 3] };
  await namespace.ingest(["a", "b"], new Float32Array([1, 2]), 1, { fields: { tokens } });
  const query = new Float32Array([1, 0, 0, 1]);
  const found = await namespace.search(query, { field: "tokens", dimension: 2, includeVectors: true });
  assert.deepEqual(
    found.hits.map(({ id, distance }) => [id, distance]),
    [
      ["b", -10],
      ["a", -2],
    ],
  );
  assert.deepEqual(found.hits[1].fields.tokens.vectors, new Float32Array([1, 0, 0, 1]));
  const got = await namespace.get(["b", "a"], { includeVectors: true });
  assert.deepEqual([...got.fields.tokens.offsets], [0, 1, 3]);
  assert.deepEqual(got.fields.tokens.vectors, new Float32Array([5, 5, 1, 0, 0, 1]));
});

test("records expire at their time", async (t) => {
  const namespace = await fresh(t, { dimension: 1 });
  const later = new Date(Date.now() + 3_600_000);
  await namespace.ingest([1, 2, 3], random(3), 1, { expireTimes: [new Date(1_000), later, null] });
  const got = await namespace.get([1, 2, 3], { includeMetadata: true });
  assert.deepEqual([...got.ids], [2n, 3n]);
  assert.deepEqual(got.expireTimes, [later, null]);
});

test("a deletion is by ids or by filter, and can be tried first", async (t) => {
  const namespace = await fresh(t, { dimension: 1 });
  const metadata = Array.from({ length: 20 }, (_, price) => ({ price }));
  await namespace.ingest(numbers(20), random(20), 1, { metadata });
  const dry = await namespace.delete({ price: { $gte: 5 } }, { dryRun: true });
  assert.equal(dry.deleted, 15);
  assert.equal(dry.sample.length, 10);
  assert.equal(await namespace.count(), 20);
  assert.equal((await namespace.delete("price >= 5", { durability: "synced" })).deleted, 15);
  assert.equal((await namespace.delete([0, 1, 999])).deleted, 2);
  assert.equal(await namespace.count(), 3);
  for (const empty of ["", "  ", {}]) await rejects(namespace.delete(empty), "INVALID_ARGUMENT", /empty/);
  assert.deepEqual(await namespace.delete([]), { deleted: 0, sequence: 0 });
});

test("metadata is patched, one patch for all or one each", async (t) => {
  const namespace = await fresh(t, { dimension: 1 });
  await namespace.ingest([1, 2], random(2), 1, { metadata: [{ a: 1, size: { eu: 44 } }, { a: 2 }] });
  const each = await namespace.updateMetadata([1, 2, 3], [{ a: null }, { b: 5 }, { c: 1 }]);
  assert.deepEqual([each.updated, [...each.missing]], [2, [3n]]);
  assert.equal((await namespace.updateMetadata([1, 2], { size: { us: 10 } })).updated, 2);
  const { metadata } = await namespace.get([1, 2], { includeMetadata: true });
  assert.deepEqual(metadata, [{ size: { eu: 44, us: 10 } }, { a: 2, b: 5, size: { us: 10 } }]);
  await rejects(namespace.updateMetadata([1, 2], [{ a: 1 }]), "INVALID_ARGUMENT", /2 ids have 1 patches/);
});

test("a scan gives all records in order of id, and goes on from a token", async (t) => {
  const namespace = await fresh(t, { dimension: 64 });
  const rows = 20_000;
  const vectors = random(rows * 64);
  const metadata = Array.from({ length: rows }, (_, i) => ({ even: i % 2 === 0 }));
  await namespace.ingest(numbers(rows), vectors, 64, { metadata });
  let at = 0;
  let middle;
  for await (const page of namespace.scan({ includeVectors: true })) {
    assert.deepEqual(page.vectors, vectors.subarray(at * 64, (at + page.ids.length) * 64));
    for (const id of page.ids) assert.equal(id, BigInt(at++));
    middle ??= { token: page.token, next: at };
  }
  assert.equal(at, rows);
  for await (const page of namespace.scan({ token: middle.token })) {
    assert.equal(page.ids[0], BigInt(middle.next)); // and the call is cancelled, as the loop is left
    break;
  }
  let even = 0;
  for await (const page of namespace.scan({ filter: { even: true } })) even += page.ids.length;
  assert.equal(even, rows / 2);
});

test("indexing is watched and waited for; flush and compact leave sealed segments", async (t) => {
  const { client, name } = await connect(t);
  const namespace = await client.createNamespace(name, { dimension: 16, index: { segmentSizeThreshold: 1_000 } });
  await namespace.ingest(numbers(3_500), random(3_500 * 16), 16);
  let last;
  for await (const progress of namespace.watchIndexing()) last = progress;
  assert.deepEqual([last.indexedRows, last.totalRows], [3_500, 3_500]);
  await namespace.waitIndexed();
  await namespace.flush();
  await namespace.compact();
  const segments = await namespace.segments();
  assert.equal(
    segments.filter(({ state }) => state === "sealed").reduce((sum, { rows }) => sum + rows, 0),
    3_500,
  );
  const stats = await namespace.stats();
  assert.deepEqual([stats.records, stats.unindexedRows], [3_500, 0]);
  const server = await client.stats();
  assert.ok(server.version && server.namespaces >= 1 && server.residentBytes > 0 && server.diskBytes > 0);
});

test("snapshots are made, verified, restored and deleted", async (t) => {
  const { client, name } = await connect(t);
  const namespace = await client.createNamespace(name, { dimension: 8 });
  const { sequence } = await namespace.ingest(numbers(200), random(200 * 8), 8);
  const made = await client.createSnapshot({ name, namespace: name });
  t.after(() => new Client(ADDRESS).deleteSnapshot(name).catch(() => {}));
  assert.deepEqual([made.name, made.onlyNamespace], [name, name]);
  assert.deepEqual(made.namespaces, [{ name, sequence }]);
  assert.ok(made.bytes > 0 && Math.abs(made.createTime - Date.now()) < 60_000);
  assert.deepEqual(
    (await client.listSnapshots()).find((one) => one.name === name),
    made,
  );
  await rejects(client.createSnapshot({ name }), "ALREADY_EXISTS");
  const report = await client.verifySnapshot(name);
  assert.deepEqual([report.clean, report.namespaces, report.records], [true, 1, 200]);

  await namespace.delete([...numbers(100)]);
  await rejects(client.restoreSnapshot(name), "ALREADY_EXISTS");
  const as = `${name}-restored`;
  t.after(() => new Client(ADDRESS).deleteNamespace(as).catch(() => {}));
  const restored = await client.restoreSnapshot(name, { namespace: name, as });
  assert.equal(restored.name, as);
  assert.deepEqual([await restored.count(), await namespace.count()], [200, 100]);

  await client.deleteSnapshot(name);
  await rejects(client.verifySnapshot(name), "NOT_FOUND", new RegExp(name));
});

test("a snapshot without a name is of all namespaces, and named by the time", async (t) => {
  const { client, name } = await connect(t);
  await client.createNamespace(name, { dimension: 8 });
  const made = await client.createSnapshot();
  t.after(() => new Client(ADDRESS).deleteSnapshot(made.name));
  assert.match(made.name, /^\d{8}T\d{6}Z$/);
  assert.equal(made.onlyNamespace, undefined);
  assert.ok(made.namespaces.some((one) => one.name === name));
});

test("a call that takes longer than its timeout ends with DEADLINE_EXCEEDED", async (t) => {
  const namespace = await fresh(t, { dimension: 1 });
  await namespace.ingest([1], random(1), 1);
  // A commit that nobody makes is waited for.
  await rejects(namespace.search([0], { minSequence: 1_000, timeout: 100 }), "DEADLINE_EXCEEDED");
  await rejects(namespace.count({ timeout: 0 }), "INVALID_ARGUMENT", /timeout/);
});

test("a signal ends a call, a scan and a wait with CANCELLED", async (t) => {
  const namespace = await fresh(t, { dimension: 1 });
  await namespace.ingest([1], random(1), 1);
  const controller = new AbortController();
  const { signal } = controller;
  const waiting = namespace.search([0], { minSequence: 1_000, signal });
  setTimeout(() => controller.abort("enough"), 50);
  await assert.rejects(waiting, { code: "CANCELLED", cause: "enough" });
  await rejects(namespace.count({ signal }), "CANCELLED");
  await rejects(namespace.scan({ signal }).next(), "CANCELLED");
  await rejects(namespace.ingest([1], random(1), 1, { signal }), "CANCELLED");
});

test("closing the client ends what is under way and what comes later", async (t) => {
  const { client, name } = await connect(t);
  const namespace = await client.createNamespace(name, { dimension: 1 });
  const writer = await namespace.writer();
  const waiting = namespace.search([0], { minSequence: 1_000 });
  setTimeout(() => client.close(), 50);
  await rejects(waiting, "CANCELLED", /closed/);
  await rejects(writer.finish(), "CANCELLED", /closed/);
  await rejects(namespace.count(), "CANCELLED", /closed/);
  await rejects(namespace.writer(), "CANCELLED", /closed/);
});

test("a server that is not there is UNAVAILABLE and named", async (t) => {
  const server = new Server(t);
  await server.start();
  await server.kill();
  const client = new Client(server.address);
  t.after(() => client.close());
  await rejects(client.listNamespaces(), "UNAVAILABLE", new RegExp(server.address));
  await rejects(client.namespace("a").writer({ giveUpAfter: 500 }), "UNAVAILABLE", /gave up after 0.5 s.*127/);
  for (const wrong of ["localhost", "localhost:0", ":7780", "a:99999", ""]) {
    assert.throws(() => new Client(wrong), { code: "INVALID_ARGUMENT", message: /HOST:PORT/ });
  }
  assert.ok(ADDRESS !== server.address);
});
