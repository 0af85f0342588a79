// The driver of tests/conformance for this client: a request per line in, an answer per line out.

import { createInterface } from "node:readline";
import { Client, VarveError } from "@varve/client";

const ARRAYS = { f32: Float32Array, f16: Uint16Array, bf16: Uint16Array, u8: Uint8Array, i8: Int8Array };

let client;

const operations = {
  connect({ address }) {
    client?.close();
    client = new Client(address);
    return {};
  },

  async create_namespace({ name, dimension, metric, element_type, id_type }) {
    await client.createNamespace(name, given({ dimension, metric, elementType: element_type, idType: id_type }));
    return {};
  },

  async list_namespaces() {
    return { names: (await client.listNamespaces()).map(({ name }) => name) };
  },

  async delete_namespace({ name }) {
    await client.deleteNamespace(name);
    return {};
  },

  async ingest(request) {
    const { vectors, dimension, dtype } = readTensor(request.vectors);
    const options = given({ ...ingestOptions(request), dtype, metadata: request.metadata });
    return ingested(await namespace(request).ingest(readIds(request.ids), vectors, dimension, options));
  },

  async ingest_many(request) {
    const { vectors, dimension, dtype } = readTensor(request.vectors);
    const first = BigUint64Array.from(readIds(request.ids));
    function* rounds() {
      for (let round = 0; round < request.repeat; ++round) {
        const ids = first.map((id) => id + BigInt(round * first.length));
        yield given({ ids, vectors, dimension, dtype, metadata: request.metadata });
      }
    }
    return ingested(await namespace(request).ingest(rounds(), ingestOptions(request)));
  },

  async search(request) {
    const { vectors, dimension, dtype, rank } = readTensor(request.query);
    const options = { ...searchOptions(request), dtype, dimension: rank > 1 ? dimension : undefined };
    const { hits } = await namespace(request).search(vectors, given(options));
    return {
      ids: writeIds(hits.map(({ id }) => id)),
      distances: hits.map(({ distance }) => distance),
      ...(request.include_vectors && { vectors: hits.map(({ fields }) => writeTensor(fields[""])) }),
      ...(request.include_metadata && { metadata: hits.map(({ metadata }) => metadata) }),
    };
  },

  async search_batch(request) {
    const { vectors, dimension, dtype } = readTensor(request.queries);
    const options = given({ ...searchOptions(request), dtype });
    const { counts, ids, distances } = await namespace(request).searchBatch(vectors, dimension, options);
    return { counts: [...counts], ids: writeIds(ids), distances: [...distances] };
  },

  async get(request) {
    const found = await namespace(request).get(readIds(request.ids), include(request));
    return { ...writeRecords([found], request), missing: writeIds(found.missing) };
  },

  async delete(request) {
    const what = request.ids ? readIds(request.ids) : (request.filter ?? "");
    const { deleted } = await namespace(request).delete(what, given({ dryRun: request.dry_run }));
    return { deleted };
  },

  async update_metadata(request) {
    const ids = readIds(request.ids);
    const { patches } = request;
    const result = await namespace(request).updateMetadata(ids, patches.length === 1 ? patches[0] : patches);
    return { updated: result.updated, missing: writeIds(result.missing) };
  },

  async count(request) {
    return { count: await namespace(request).count(given({ filter: request.filter })) };
  },

  async scan(request) {
    const pages = [];
    const options = given({ ...include(request), filter: request.filter });
    for await (const page of namespace(request).scan(options)) pages.push(page);
    return writeRecords(pages, request);
  },

  async flush(request) {
    await namespace(request).flush();
    return {};
  },
};

function namespace(request) {
  return client.namespace(request.namespace);
}

/** Without the parts that are missing or null. */
function given(parts) {
  return Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined && part !== null));
}

function ingestOptions({ producer, batch_rows, durability, on_error }) {
  return given({ producer, batchRows: batch_rows, durability, onError: on_error });
}

function searchOptions(request) {
  const { k, filter, ef_search: efSearch, exact } = request;
  return given({ k, filter, efSearch, exact, ...include(request) });
}

function include({ include_vectors: includeVectors, include_metadata: includeMetadata }) {
  return given({ includeVectors, includeMetadata });
}

function ingested({ rowsWritten, rowErrors }) {
  return { rows_written: rowsWritten, row_errors: rowErrors };
}

function readIds({ numbers, texts }) {
  return texts ?? numbers.map(BigInt);
}

function writeIds(ids) {
  return typeof ids[0] === "string" ? { texts: [...ids] } : { numbers: Array.from(ids, String) };
}

function readTensor({ dtype, shape, data }) {
  const bytes = Uint8Array.from(Buffer.from(data, "base64"));
  return { vectors: new ARRAYS[dtype](bytes.buffer), dimension: shape.at(-1), dtype, rank: shape.length };
}

function writeTensor({ dtype, dimension, vectors }) {
  const data = Buffer.from(vectors.buffer, vectors.byteOffset, vectors.byteLength).toString("base64");
  return { dtype, shape: [vectors.length / dimension, dimension], data };
}

function writeRecords(pages, request) {
  const answer = { ids: writeIds(pages.flatMap(({ ids }) => [...ids])) };
  if (request.include_vectors) answer.vectors = joinTensors(pages.filter(({ vectors }) => vectors?.length > 0));
  if (request.include_metadata) answer.metadata = pages.flatMap(({ metadata }) => metadata ?? []);
  return answer;
}

function joinTensors(pages) {
  if (pages.length === 0) return { dtype: "f32", shape: [0, 0], data: "" };
  const [{ dtype, dimension }] = pages;
  const bytes = Buffer.concat(
    pages.map(({ vectors: { buffer, byteOffset, byteLength } }) => Buffer.from(buffer, byteOffset, byteLength)),
  );
  const size = ARRAYS[dtype].BYTES_PER_ELEMENT;
  return { dtype, shape: [bytes.length / size / dimension, dimension], data: bytes.toString("base64") };
}

// JSON's integers may be larger than a number holds exactly: such are bigints on this side, as a user writes them.
const MARK = "\u0001bigint:";
const BIG_INTEGER = /"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g;

function parse(line) {
  const marked = line.replace(BIG_INTEGER, (token) => (token[0] === '"' ? token : JSON.stringify(MARK + token)));
  return JSON.parse(marked, (_, value) => {
    if (typeof value !== "string" || !value.startsWith(MARK)) return value;
    const integer = BigInt(value.slice(MARK.length));
    return Number.isSafeInteger(Number(integer)) ? Number(integer) : integer;
  });
}

function print(answer) {
  const text = JSON.stringify(answer, (_, value) => (typeof value === "bigint" ? MARK + value : value));
  return text.replace(/"\\u0001bigint:(-?\d+)"/g, "$1");
}

async function answer(line) {
  const { op, ...request } = parse(line);
  if (!Object.hasOwn(operations, op)) return { error: { code: "UNIMPLEMENTED", message: `no operation ${op}` } };
  try {
    return { ok: await operations[op](request) };
  } catch (error) {
    return { error: { code: error instanceof VarveError ? error.code : "UNKNOWN", message: error.message } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${print(await answer(line))}\n`);
}
client?.close();
