// A program that must compile against the installed package; it is not run.

import { type Chunk, Client, type Hit, type IngestTotals, VarveError } from "@varve/client";

export async function program(signal: AbortSignal): Promise<Hit[]> {
  const client = new Client("127.0.0.1:7780", { timeout: 5_000 });
  const shoes = await client.createNamespace("shoes", { dimension: 2, metric: "cosine", index: { m: 32 } });

  const vectors = new Float32Array([1, 0, 0, 1]);
  const totals: IngestTotals = await shoes.ingest(["a", "b"], vectors, 2, {
    metadata: [{ price: 9.5, tags: ["sale"], since: new Date(), size: { eu: 44 }, big: 1n << 60n }, {}],
    onProgress: ({ rows, total }) => console.log(rows, total),
    signal,
  });
  async function* chunks(): AsyncGenerator<Chunk> {
    yield { ids: new BigUint64Array([1n]), vectors: new Int8Array(2), dimension: 2 };
  }
  await shoes.ingest(chunks(), { durability: "synced", onError: "skip", streams: 2 });

  for await (const page of shoes.scan({ filter: { price: { $lt: 10 }, $or: [{ tags: { $has: "sale" } }] } })) {
    const ids: BigUint64Array | string[] = page.ids;
    console.log(ids.length, page.token);
  }
  new Client("db.example:7780", { apiKey: "key", tls: true }).close();
  new Client("db.example:7780", { tls: { ca: "ca.pem", cert: new Uint8Array(1), key: Buffer.alloc(1) } }).close();
  // @ts-expect-error There is no such metric.
  await client.createNamespace("wrong", { dimension: 2, metric: "manhattan" });
  // @ts-expect-error A dry run is for deletion by filter.
  await shoes.delete(["a"], { dryRun: true });
  try {
    const { hits } = await shoes.search([1, 0], { k: totals.rowsWritten, filter: 'price < 10 AND tags:"sale"' });
    return hits;
  } catch (error) {
    if (error instanceof VarveError && error.code === "NOT_FOUND") return [];
    throw error;
  }
}
