import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Client } from "@varve/client";
import { ADDRESS } from "./support/server.mjs";

test("the samples of the README run, one after the other", async (t) => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const samples = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, sample]) => sample);
  assert.ok(samples.length >= 5, `${samples.length} samples`);
  const program = fileURLToPath(new URL("../readme-samples.mjs", import.meta.url));
  writeFileSync(program, samples.join("\n").replaceAll("127.0.0.1:7780", ADDRESS));
  t.after(async () => {
    rmSync(program);
    const client = new Client(ADDRESS);
    await client.deleteNamespace("shoes").catch(() => {});
    client.close();
  });
  await promisify(execFile)(process.execPath, [program], { timeout: 60_000 });
});
