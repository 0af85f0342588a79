// Makes generated/varve.js and generated/varve.d.ts, the messages of the protocol, from proto/varve/v1.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const proto = join(here, "../../../proto");
const generated = join(here, "../generated");
const cli = dirname(createRequire(import.meta.url).resolve("protobufjs-cli/package.json"));

// Lists that are taken as the packed bytes they are on the wire: the same bytes, without an object or a
// number for each element. Typed arrays are made of them, and they of typed arrays.
const PACKED = [
  ["NumberIds", "values"],
  ["SearchBatchResponse", "distances"],
];

function run(tool, ...args) {
  execFileSync(process.execPath, [join(cli, "bin", tool), ...args], { stdio: "inherit" });
}

const work = mkdtempSync(join(tmpdir(), "varve-generate-"));
try {
  const descriptor = join(work, "descriptor.json");
  const files = readdirSync(join(proto, "varve/v1")).filter((name) => name.endsWith(".proto"));
  run("pbjs", "-t", "json", "-p", proto, "-o", descriptor, ...files.map((name) => join(proto, "varve/v1", name)));

  const root = JSON.parse(readFileSync(descriptor, "utf8"));
  for (const [message, field] of PACKED) {
    const { id } = root.nested.varve.nested.v1.nested[message].fields[field];
    root.nested.varve.nested.v1.nested[message].fields[field] = { type: "bytes", id };
  }
  writeFileSync(descriptor, JSON.stringify(root));

  mkdirSync(generated, { recursive: true });
  const js = join(generated, "varve.js");
  const without = ["create", "verify", "convert", "delimited", "service", "typeurl"].map((part) => `--no-${part}`);
  run(
    "pbjs",
    "-t",
    "static-module",
    "-w",
    "es6",
    "-r",
    "varve",
    "--dependency",
    "protobufjs/minimal.js",
    ...without,
    "-o",
    js,
    descriptor,
  );
  // protobuf.js is CommonJS, which Node imports as one default.
  writeFileSync(js, readFileSync(js, "utf8").replace("import * as $protobuf", "import $protobuf"));
  run("pbts", "-o", join(generated, "varve.d.ts"), js);
} finally {
  rmSync(work, { recursive: true, force: true });
}
