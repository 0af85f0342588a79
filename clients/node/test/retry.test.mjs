import assert from "node:assert/strict";
import { test } from "node:test";
import { internal } from "./support/vectors.mjs";

const { isTransient, Retry } = await internal("retry");

test("pauses grow and are random parts of their bound", () => {
  const parts = [0, 0.25, 0.5, 0.999];
  for (const part of parts) {
    const retry = new Retry(3_600_000, () => part);
    let bound = 50;
    for (let attempt = 0; attempt < 10; ++attempt) {
      assert.equal(retry.onFailure(0), bound * part);
      bound = Math.min(bound * 2, 2_000);
    }
  }
});

test("it gives up when nothing succeeded for so long", () => {
  const retry = new Retry(30_000);
  assert.notEqual(retry.onFailure(0), undefined);
  assert.notEqual(retry.onFailure(25_000), undefined);
  assert.equal(retry.onFailure(30_000), undefined);
});

test("an attempt that hangs counts from its start", () => {
  const retry = new Retry(30_000);
  assert.equal(retry.onAttempt(1_000), 31_000);
  assert.equal(retry.onAttempt(6_000), 31_000);
  assert.equal(retry.onFailure(31_000), undefined);
});

test("even without patience an attempt has time to succeed", () => {
  const retry = new Retry(0);
  assert.equal(retry.onAttempt(1_000), 6_000);
  assert.equal(retry.onFailure(1_000), undefined);
});

test("progress starts the clock anew", () => {
  const retry = new Retry(30_000);
  retry.onFailure(0);
  retry.onProgress();
  assert.notEqual(retry.onFailure(40_000), undefined);
});

test("time connected does not count but outages add up", () => {
  const retry = new Retry(30_000);
  retry.onFailure(0);
  retry.onConnected(20_000);
  assert.notEqual(retry.onFailure(3_600_000), undefined);
  assert.equal(retry.onFailure(3_610_000), undefined);
});

test("what the caller must mend is not transient", () => {
  const transient = [
    "UNAVAILABLE",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    "ABORTED",
    "CANCELLED",
    "INTERNAL",
    "UNKNOWN",
  ];
  for (const code of transient) assert.ok(isTransient(code), code);
  const lasting = ["INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION", "UNAUTHENTICATED"];
  for (const code of [...lasting, "PERMISSION_DENIED", "DATA_LOSS", "UNIMPLEMENTED"])
    assert.ok(!isTransient(code), code);
});
