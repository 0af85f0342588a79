import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ADDRESS, connect } from "./support/server.mjs";

const tensor = (values, ...shape) => ({
  dtype: "f32",
  shape,
  data: Buffer.from(Float32Array.from(values).buffer).toString("base64"),
});

test("the conformance driver answers every operation, in order, and ends with its input", async (t) => {
  const { name } = await connect(t);
  const driver = spawn(process.execPath, [fileURLToPath(new URL("../conformance/driver.mjs", import.meta.url))], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(() => driver.kill());
  const lines = createInterface({ input: driver.stdout })[Symbol.asyncIterator]();
  const ask = async (request) => {
    driver.stdin.write(`${typeof request === "string" ? request : JSON.stringify(request)}\n`);
    const { value } = await lines.next();
    return { ...JSON.parse(value), line: value };
  };
  const ok = async (request) => {
    const answer = await ask({ namespace: name, ...request });
    assert.ok(answer.ok, answer.line);
    return answer.ok;
  };
  const numbers = (...ids) => ({ numbers: ids.map(String) });

  await ok({ op: "connect", address: ADDRESS });
  await ok({ op: "create_namespace", name, dimension: 2, metric: "l2", element_type: null });
  const metadata = [{ a: 1, b: { c: "x" } }, { a: 2.5 }];
  const vectors = tensor([1, 0, 0, 1], 2, 2);
  const written = await ok({ op: "ingest", ids: numbers(1, "18446744073709551615"), vectors, metadata, batch_rows: 1 });
  assert.deepEqual(written, { rows_written: 2, row_errors: [] });
  const include = { include_vectors: true, include_metadata: true };
  const found = await ok({ op: "search", query: tensor([1, 0], 2), k: 5, filter: "a < 2", ...include });
  assert.deepEqual(found, {
    ids: numbers(1),
    distances: [0],
    vectors: [tensor([1, 0], 1, 2)],
    metadata: [metadata[0]],
  });
  const batch = await ok({ op: "search_batch", queries: vectors, k: 1, exact: true });
  assert.deepEqual(batch, { counts: [1, 1], ids: numbers(1, "18446744073709551615"), distances: [0, 0] });
  const got = await ok({ op: "get", ids: numbers(1, 7), ...include });
  assert.deepEqual(got, {
    ids: numbers(1),
    vectors: tensor([1, 0], 1, 2),
    metadata: [metadata[0]],
    missing: numbers(7),
  });
  assert.deepEqual(await ok({ op: "update_metadata", ids: numbers(1, 9), patches: [{ a: null }] }), {
    updated: 1,
    missing: numbers(9),
  });
  const scanned = await ok({ op: "scan", ...include });
  assert.deepEqual(scanned.vectors, vectors);
  assert.deepEqual(scanned.metadata, [{ b: { c: "x" } }, { a: 2.5 }]);
  assert.deepEqual(await ok({ op: "delete", filter: "a > 2", dry_run: true }), { deleted: 1 });
  assert.deepEqual(await ok({ op: "delete", ids: numbers(1) }), { deleted: 1 });
  const many = await ok({ op: "ingest_many", ids: numbers(10, 11), vectors, repeat: 30 });
  assert.equal(many.rows_written, 60);
  assert.deepEqual(await ok({ op: "count" }), { count: 61 });
  await ok({ op: "flush" });
  assert.ok((await ok({ op: "list_namespaces" })).names.includes(name));

  // As text: JSON.stringify would round the integer.
  const small = JSON.stringify({ op: "ingest", namespace: name, ids: numbers(5), vectors: tensor([1, 1], 1, 2) });
  const big = await ask(`${small.slice(0, -1)},"metadata":[{"n":9223372036854775807}]}`);
  assert.ok(big.ok, big.line);
  assert.match(
    (await ask({ op: "get", namespace: name, ids: numbers(5), include_metadata: true })).line,
    /"n":9223372036854775807\}/,
  );

  assert.equal((await ask({ op: "dance" })).error.code, "UNIMPLEMENTED");
  assert.equal((await ask({ op: "count", namespace: "nobody" })).error.code, "NOT_FOUND");
  assert.equal(
    (await ask({ op: "search", namespace: name, query: tensor([1], 1), k: 1 })).error.code,
    "INVALID_ARGUMENT",
  );
  await ok({ op: "delete_namespace", name });
  driver.stdin.end();
  assert.deepEqual(await once(driver, "exit"), [0, null]);
});
