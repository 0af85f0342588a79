// Prints how fast 200,000 x 384 float32 are ingested (all acknowledged), by this client and by the command line from
// the same data as .npy, in turn, and how much memory the client takes besides the array. Where the client is
// installed and built (`npm run build` here, or the folder of `install.mjs`):
//
//   VARVE_ADDRESS=127.0.0.1:7780 node test/measure.mjs path/to/varve [runs]

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@varve/client";
import { numbers, random } from "./support/vectors.mjs";

const ROWS = 200_000;
const DIMENSION = 384;
const [varve, runs = "3"] = process.argv.slice(2);

const client = new Client(process.env.VARVE_ADDRESS);
const vectors = random(ROWS * DIMENSION);
const ids = numbers(ROWS);
const folder = mkdtempSync(join(tmpdir(), "varve-node-measure-"));
const npy = join(folder, "vectors.npy");
const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${ROWS}, ${DIMENSION}), }`.padEnd(117) + "\n";
writeFileSync(
  npy,
  Buffer.concat([Buffer.from("\x93NUMPY\x01\x00", "latin1"), Buffer.from([header.length, 0]), Buffer.from(header)]),
);
writeFileSync(npy, Buffer.from(vectors.buffer), { flag: "a" });

async function timed(name, ingest) {
  const namespace = await client.createNamespace(`measure-${process.pid}`, { dimension: DIMENSION });
  try {
    const begin = performance.now();
    await ingest(namespace);
    const seconds = (performance.now() - begin) / 1_000;
    if ((await namespace.count()) !== ROWS) throw new Error(`${name} wrote ${await namespace.count()} rows`);
    console.log(`${name}: ${Math.round(ROWS / seconds).toLocaleString("en")} rows/s`);
  } finally {
    await client.deleteNamespace(namespace.name);
  }
}

async function withMemory(ingest) {
  const before = process.memoryUsage().rss;
  let peak = before;
  const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 5);
  await ingest();
  clearInterval(timer);
  console.log(`  memory: ${((peak - before) / 2 ** 20).toFixed(0)} MiB more than before`);
}

try {
  for (let run = 0; run < Number(runs); ++run) {
    await timed("client, 1 stream", (namespace) => withMemory(() => namespace.ingest(ids, vectors, DIMENSION)));
    await timed("client, 2 streams", (namespace) =>
      withMemory(() => namespace.ingest(ids, vectors, DIMENSION, { streams: 2 })),
    );
    await timed("command line", (namespace) =>
      execFileSync(varve, ["--server", process.env.VARVE_ADDRESS, "ingest", namespace.name, "--input", npy], {
        stdio: "ignore",
      }),
    );
  }
  const peak = process.resourceUsage().maxRSS / 1024;
  console.log(
    `peak RSS ${peak.toFixed(0)} MiB, of which the array is ${(vectors.byteLength / 2 ** 20).toFixed(0)} MiB`,
  );
} finally {
  rmSync(folder, { recursive: true });
  client.close();
}
