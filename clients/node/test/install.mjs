// Packs the client and installs it in a folder, with the tests beside it, which then run against what is installed:
//
//   node test/install.mjs FOLDER
//   cd FOLDER; VARVE_ADDRESS=127.0.0.1:7780 VARVED=path/to/varved node --test test/*.test.mjs
//
// The folder is made if it is missing. VARVE_ADDRESS: a server that is running, on which the tests make and delete
// namespaces of their own. VARVED: the program of the server, for tests that kill and restart one.

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const home = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const [folder] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node test/install.mjs FOLDER");
  process.exit(2);
}
const room = resolve(folder);

function run(command, args, cwd) {
  execFileSync(command, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });
}

mkdirSync(room, { recursive: true });
for (const name of readdirSync(room)) {
  if (name === "node_modules" || name.endsWith(".tgz")) rmSync(join(room, name), { recursive: true }); // of another run
}
writeFileSync(join(room, "package.json"), JSON.stringify({ name: "varve-client-test", private: true, type: "module" }));
run("npm", ["pack", "--silent", "--pack-destination", room], home);
const tarball = readdirSync(room).find((name) => name.endsWith(".tgz"));
// The types of Node, which a TypeScript program has anyway, are for the test of the client's types.
const nodeTypes = createRequire(join(home, "package.json"))("@types/node/package.json").version;
run("npm", ["install", "--silent", "--no-audit", "--no-fund", join(room, tarball), `@types/node@${nodeTypes}`], room);
for (const part of ["test", "conformance", "README.md"])
  cpSync(join(home, part), join(room, part), { recursive: true });

run(join(home, "node_modules/.bin/tsc"), ["-p", "test/types"], room);
