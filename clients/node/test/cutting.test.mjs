import assert from "node:assert/strict";
import { test } from "node:test";
import { internal, numbers, random } from "./support/vectors.mjs";

const { idsPerCall, queriesPerCall, rowsPerBatch } = await internal("cutting");
const { BatchTooLarge, bytesPerRow, checkRecords, encodeBatch } = await internal("records");

const MESSAGE_BYTES = 4 << 20;

test("a batch has about 1 MiB of rows, or as many as asked for that fit a message", () => {
  assert.equal(rowsPerBatch(1024), 1024);
  assert.equal(rowsPerBatch(1024, 10), 10);
  assert.ok(rowsPerBatch(1024, 1_000_000) * 1024 < MESSAGE_BYTES);
  assert.equal(rowsPerBatch(10 << 20), 1);
});

test("a call has as many ids and queries as fit a message, both ways", () => {
  assert.equal(idsPerCall(numbers(100), 0, 10), 10);
  assert.equal(idsPerCall(numbers(100), 95, 10), 5);
  const texts = Array.from({ length: 20_000 }, () => "x".repeat(512));
  const count = idsPerCall(texts, 0, texts.length);
  assert.ok(count * 515 < MESSAGE_BYTES && count > 7_000, `${count} ids`);
  assert.ok(queriesPerCall(4 * 768, 10) * 4 * 768 < MESSAGE_BYTES);
  assert.ok(queriesPerCall(4, 10_000) * 10_000 * 522 < MESSAGE_BYTES || queriesPerCall(4, 10_000) === 1);
  assert.ok(queriesPerCall(1, 1) <= 4_000_000);
});

test("the size of a row counts ids, vectors and metadata", () => {
  const vectors = random(8 * 4);
  assert.equal(bytesPerRow(checkRecords({ ids: numbers(8), vectors, dimension: 4 })), 16 + 8);
  const texts = Array.from({ length: 8 }, () => "é");
  assert.equal(bytesPerRow(checkRecords({ ids: texts, vectors, dimension: 4 })), 16 + 2 + 4);
  const metadata = Array.from({ length: 8 }, () => ({ text: "x".repeat(1000) }));
  assert.ok(bytesPerRow(checkRecords({ ids: numbers(8), vectors, dimension: 4, metadata })) > 1024);
});

test("a batch is encoded from views of the caller's memory and its size is exact", () => {
  const whole = random(1024 * 4);
  const vectors = whole.subarray(4);
  const records = checkRecords({ ids: numbers(1023), vectors, dimension: 4 });
  const bytes = encodeBatch(1, records, 1, 100, MESSAGE_BYTES);
  const tensor = Buffer.from(whole.buffer, 8 * 4, 100 * 16);
  assert.notEqual(bytes.indexOf(tensor), -1);
  assert.notEqual(bytes.indexOf(Buffer.from(numbers(100, 1).buffer)), -1);
  assert.ok(bytes.length < 100 * 24 + 64);
  assert.equal(encodeBatch(1, records, 1, 100, bytes.length).length, bytes.length);
  assert.throws(() => encodeBatch(1, records, 1, 100, bytes.length - 1), BatchTooLarge);
});

test("parts that do not fit each other are refused with both numbers", () => {
  const refused = [
    [{ ids: [1, 2], vectors: new Float32Array(5), dimension: 2 }, /5 values, wanted 4/],
    [{ ids: [1, 2], vectors: new Float32Array(5) }, /5 values .* 2 ids/],
    [{ ids: [1], vectors: [1, 2], dimension: 2 }, /Float32Array.* are in a Array/],
    [{ ids: [1], vectors: new Uint16Array(2), dimension: 2 }, /'f16' or 'bf16'/],
    [{ ids: [1], vectors: new Float32Array(2), dimension: 2, dtype: "u8" }, /Uint8Array, are in a Float32Array/],
    [{ ids: [1], vectors: new Float32Array(2), dimension: 2, metadata: [{}, {}] }, /1 ids have metadata of 2/],
    [{ ids: [1], vectors: new Float32Array(2), dimension: 2, expireTimes: [null, null] }, /1 ids have 2 expire times/],
    [{ ids: [1, 2], vectors: new Float32Array(4), dimension: 2, offsets: [0, 2] }, /2 ids have 2 offsets/],
    [{ ids: [1, 2], vectors: new Float32Array(4), dimension: 2, offsets: [0, 2, 1] }, /ascend.* 2 to 1 at record 1/],
    [
      {
        ids: [1],
        vectors: new Float32Array(4),
        dimension: 2,
        fields: { b: { vectors: new Float32Array(3), dimension: 2 } },
      },
      /.*/,
    ],
  ];
  for (const [chunk, message] of refused) {
    assert.throws(() => checkRecords(chunk), { code: "INVALID_ARGUMENT", message });
  }
});

test("ids that are no ids are refused by row", () => {
  const vectors = new Float32Array(4);
  const refused = [
    [[1, -1], /row 1.* is -1/],
    [[1, 2.5], /row 1.* is 2.5/],
    [[1, 2 ** 53], /row 1.* bigint/],
    [[1n, 1n << 64n], /row 1/],
    [[1, "a"], /row 1.* string/],
    [["a", 1], /row 1.* number/],
    ["ab", /BigUint64Array or an array/],
  ];
  for (const [ids, message] of refused) {
    const encode = () => encodeBatch(1, checkRecords({ ids, vectors, dimension: 2 }), 0, 2, MESSAGE_BYTES);
    assert.throws(encode, { code: "INVALID_ARGUMENT", message });
  }
});
