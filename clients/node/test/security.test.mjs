import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { inspect, promisify } from "node:util";
import { Client, VarveError } from "@varve/client";
import { Authority, folder, makeKeys } from "./support/security.mjs";
import { Server, until } from "./support/server.mjs";
import { numbers, random } from "./support/vectors.mjs";

const DIMENSION = 8;
const ROWS = 500;
const VECTORS = random(ROWS * DIMENSION);

/** A server with TLS and keys, and what its clients need. */
async function secured(t, { mutual = false } = {}) {
  const place = folder(t);
  const authority = new Authority(place);
  const { cert, key } = authority.sign("server");
  const keys = makeKeys(place);
  const flags = ["--tls-cert", cert, "--tls-key", key, "--api-keys", keys.path];
  if (mutual) flags.push("--tls-client-ca", authority.certificate);
  const server = new Server(t, ...flags);
  await server.start();
  const connect = (options) => {
    const client = new Client(server.address, { apiKey: "", tls: { ca: authority.certificate }, ...options });
    t.after(() => client.close());
    return client;
  };
  return { authority, keys, server, connect };
}

// How to use a namespace; each is refused to whoever has no right to it.
const USES = {
  count: (namespace) => namespace.count(),
  search: (namespace) => namespace.search(VECTORS.subarray(0, DIMENSION), { k: 1 }),
  scan: (namespace) => namespace.scan().next(),
  watchIndexing: (namespace) => namespace.watchIndexing().next(),
  ingest: (namespace) => namespace.ingest(numbers(ROWS), VECTORS, DIMENSION, { giveUpAfter: 10_000_000 }),
};

/** Asserts that it is refused with this code, and that the error shows no key; with all that is in it. */
async function refused(promise, code, message, ...keys) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof VarveError);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    const shown = inspect(error, { depth: Infinity, showHidden: true }) + error.stack;
    for (const key of keys) assert.ok(!shown.includes(key), "the error shows the key");
    return true;
  });
}

test("with certificate and key every kind of call works", async (t) => {
  const { keys, connect } = await secured(t);
  const client = connect({ apiKey: keys.admin });
  const namespace = await client.createNamespace("shoes", { dimension: DIMENSION });
  for (const use of [USES.ingest, ...Object.values(USES)]) await use(namespace);
  assert.equal(await namespace.count(), ROWS);
  const { hits } = await namespace.search(VECTORS.subarray(7 * DIMENSION, 8 * DIMENSION), { k: 1 });
  assert.equal(hits[0].id, 7n);
  await namespace.waitIndexed();
});

test("a writer whose stream breaks shows the key again", async (t) => {
  const { keys, server, connect } = await secured(t);
  const client = connect({ apiKey: keys.admin });
  const namespace = await client.createNamespace("shoes", { dimension: DIMENSION });
  const writer = await namespace.writer();
  await writer.add({ ids: numbers(250), vectors: VECTORS.subarray(0, 250 * DIMENSION), dimension: DIMENSION });
  await server.kill();
  await server.start();
  const rest = VECTORS.subarray(250 * DIMENSION);
  await writer.add({ ids: numbers(250, 250), vectors: rest, dimension: DIMENSION });
  assert.equal((await writer.finish()).rowsWritten, ROWS);
  assert.equal(await namespace.count(), ROWS);
});

test("a writer whose key is removed ends at once", async (t) => {
  const { keys, server, connect } = await secured(t);
  const admin = connect({ apiKey: keys.admin });
  await admin.createNamespace("shoes", { dimension: 2 });
  const writer = await connect({ apiKey: keys.write }).namespace("shoes").writer({ giveUpAfter: 10_000_000 });
  const entries = JSON.parse(readFileSync(keys.path, "utf8")).keys;
  writeFileSync(keys.path, JSON.stringify({ keys: entries.filter(({ id }) => id !== "write") }));
  const before = server.log.length;
  server.process.kill("SIGHUP");
  await until(() => server.log.slice(before).includes("API keys read"), "the keys are read");
  const late = async () => {
    await writer.add({ ids: [1], vectors: new Float32Array(2), dimension: 2 });
    await writer.finish();
  };
  await refused(late(), "UNAUTHENTICATED", /API key/, keys.write);
  assert.equal(await admin.namespace("shoes").count(), 0);
});

test("without a valid key every kind of call is unauthenticated at once", async (t) => {
  const { keys, connect } = await secured(t);
  for (const apiKey of ["", "wrong-key", keys.admin.slice(0, -1)]) {
    const namespace = connect({ apiKey }).namespace("any");
    for (const use of Object.values(USES)) {
      await refused(use(namespace), "UNAUTHENTICATED", /API key|Bearer/, ...(apiKey ? [apiKey] : []));
    }
  }
});

test("a key of too small a scope is refused and not shown", async (t) => {
  const { keys, connect } = await secured(t);
  await connect({ apiKey: keys.admin }).createNamespace("shoes", { dimension: DIMENSION });
  const client = connect({ apiKey: keys.read });
  const namespace = client.namespace("shoes");
  assert.equal(await namespace.count(), 0);
  for (const attempt of [
    () => USES.ingest(namespace),
    () => namespace.delete([1]),
    () => client.deleteNamespace("shoes"),
  ]) {
    await refused(attempt(), "PERMISSION_DENIED", /takes a key of scope/, keys.read);
  }
  const shown = inspect([client, namespace], { depth: Infinity, showHidden: true });
  assert.ok(!shown.includes(keys.read));
});

test("a server that nobody vouches for is refused, and so is one that wants encryption", async (t) => {
  const { authority, keys, server, connect } = await secured(t);
  const stranger = new Authority(folder(t), "stranger");
  const apiKey = keys.read;
  for (const tls of [true, { ca: stranger.certificate }]) {
    const client = connect({ apiKey, tls });
    await refused(client.listNamespaces(), "UNAVAILABLE", /certificate/, apiKey);
    await refused(client.namespace("any").writer({ giveUpAfter: 100 }), "UNAVAILABLE", /certificate/, apiKey);
  }
  await refused(connect({ apiKey, tls: false }).listNamespaces(), "UNAVAILABLE", /server 127/, apiKey);

  // Node trusts what the variable has too.
  const program = `import { Client } from "@varve/client";
    const client = new Client("${server.address}", { tls: true });
    await client.listNamespaces();
    client.close();`;
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: authority.certificate, VARVE_API_KEY: apiKey };
  delete env.GRPC_DEFAULT_SSL_ROOTS_FILE_PATH;
  const options = { env, cwd: fileURLToPath(new URL(".", import.meta.url)), timeout: 60_000 };
  await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], options);
});

test("a client shows its certificate", async (t) => {
  const { authority, keys, connect } = await secured(t, { mutual: true });
  const { cert, key } = authority.sign("me");
  const paths = { ca: authority.certificate, cert, key };
  const bytes = Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, readFileSync(path)]));
  for (const tls of [paths, bytes]) await connect({ apiKey: keys.read, tls }).listNamespaces();
  await refused(connect({ apiKey: keys.read }).listNamespaces(), "UNAVAILABLE", /server 127/, keys.read);
});

test("a key goes over an unencrypted connection too", async (t) => {
  const keys = makeKeys(folder(t));
  const server = new Server(t, "--api-keys", keys.path);
  await server.start();
  const client = new Client(server.address, { apiKey: keys.read });
  t.after(() => client.close());
  assert.deepEqual(await client.listNamespaces(), []);
});

test("what is wrong with keys and certificates is said", (t) => {
  const place = folder(t);
  const authority = new Authority(place);
  const [me, other] = [authority.sign("me"), authority.sign("other")];
  const secret = readFileSync(other.key, "utf8");
  writeFileSync(join(place, "empty.pem"), "nothing");
  for (const [options, message] of [
    [{ apiKey: "two words" }, /no spaces, line ends/],
    [{ apiKey: "key\n" }, /no spaces, line ends/],
    [{ tls: "ca.pem" }, /true or \{ ca, cert, key \}, is a string/],
    [{ tls: { ca: join(place, "none.pem") } }, /tls.ca .*none.pem cannot be read: ENOENT/],
    [{ tls: { ca: join(place, "empty.pem") } }, /tls.ca .*empty.pem must be PEM with a CERTIFICATE/],
    [{ tls: { cert: me.cert } }, /given together/],
    [{ tls: { cert: me.cert, key: me.cert } }, /tls.key .*me.pem must be PEM with a PRIVATE KEY/],
    [{ tls: { cert: me.cert, key: secret } }, /PEM as bytes, is PEM as text/],
    [{ tls: { cert: me.cert, key: other.key } }, /certificates cannot be used/],
  ]) {
    assert.throws(
      () => new Client("127.0.0.1:1", options),
      (error) => {
        assert.equal(error.code, "INVALID_ARGUMENT");
        assert.match(error.message, message);
        const shown = inspect(error, { depth: Infinity, showHidden: true });
        return !shown.includes("two words") && !shown.includes(secret.slice(40, 80));
      },
    );
  }
});
