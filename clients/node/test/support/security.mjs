// Certificates, made by the openssl command, and keys, made by `varved key`.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** A folder of one test. */
export function folder(t) {
  const made = mkdtempSync(join(tmpdir(), "varve-node-test-"));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** Signs certificates of servers on 127.0.0.1, and of clients. */
export class Authority {
  constructor(folder, name = "authority") {
    this.folder = folder;
    this.certificate = join(folder, `${name}.pem`);
    this.key = join(folder, `${name}.key`);
    openssl("req", "-x509", "-subj", `/CN=${name}`, ...NEW_KEY, "-keyout", this.key, "-out", this.certificate);
  }

  /** The paths of a certificate and its key. */
  sign(name) {
    const [cert, key, request] = ["pem", "key", "csr"].map((suffix) => join(this.folder, `${name}.${suffix}`));
    const extensions = join(this.folder, "extensions");
    writeFileSync(extensions, "subjectAltName=IP:127.0.0.1\n");
    openssl("req", "-subj", `/CN=${name}`, ...NEW_KEY, "-keyout", key, "-out", request);
    const signed = ["-CA", this.certificate, "-CAkey", this.key, "-CAcreateserial", "-extfile", extensions];
    openssl("x509", "-req", "-in", request, ...signed, "-out", cert);
    return { cert, key };
  }
}

/** A file of one key for each scope, and the keys by scope. */
export function makeKeys(folder) {
  const path = join(folder, "keys.json");
  writeFileSync(path, '{"keys": []}');
  const make = (scope) => ["key", "--id", scope, "--scope", scope, "--file", path];
  const scopes = ["read", "write", "admin"];
  const keys = scopes.map((scope) => [scope, run(process.env.VARVED, ...make(scope)).trim()]);
  return { path, ...Object.fromEntries(keys) };
}

function openssl(...args) {
  run("openssl", ...args);
}

function run(command, ...args) {
  return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}
