// A real server for the tests: the one that runs at VARVE_ADDRESS, or one of their own to kill and start again.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@varve/client";

export const ADDRESS = process.env.VARVE_ADDRESS;

// Bounds on waiting, generous because machines may be busy. Nobody waits for their whole length.
const START_MS = 60_000;

let names = 0;

/** A client for one test, and a name that no other test has; what is made under it is deleted after the test. */
export async function connect(t, address = ADDRESS) {
  assert.ok(address, "VARVE_ADDRESS must be set");
  const client = new Client(address);
  const name = `node-test-${process.pid}-${++names}`;
  t.after(async () => {
    await new Client(ADDRESS).deleteNamespace(name).catch(() => {});
    client.close();
  });
  return { client, name };
}

/** A namespace for one test. */
export async function fresh(t, spec) {
  const { client, name } = await connect(t);
  return client.createNamespace(name, spec);
}

/** Resolves when `there` does; a generous bound. */
export async function until(there, what) {
  const end = Date.now() + START_MS;
  while (!(await there())) {
    assert.ok(Date.now() < end, `waited in vain until ${what}`);
    await sleep(20);
  }
}

/** One server process over a folder of its own. Started again, it is a restart on the port it had. */
export class Server {
  port = 0;

  constructor(t, ...flags) {
    assert.ok(process.env.VARVED, "VARVED must be set");
    this.flags = flags;
    this.folder = mkdtempSync(join(tmpdir(), "varve-node-test-"));
    t.after(async () => {
      await this.kill();
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  get address() {
    return `127.0.0.1:${this.port}`;
  }

  get log() {
    return readFileSync(join(this.folder, "varved.log"), "utf8");
  }

  async start() {
    const portFile = join(this.folder, "ports.json");
    rmSync(portFile, { force: true });
    const log = openSync(join(this.folder, "varved.log"), "a");
    const places = ["--data-dir", join(this.folder, "data"), "--port-file", portFile];
    const ports = ["--address", "127.0.0.1", "--port", String(this.port), "--http-port", "0"];
    this.process = spawn(process.env.VARVED, [...places, ...ports, ...this.flags], { stdio: ["ignore", log, log], env: {} });
    closeSync(log);
    this.exited = once(this.process, "exit");
    await until(() => existsSync(portFile) || this.process.exitCode !== null, "the server is ready");
    assert.equal(this.process.exitCode, null, this.log);
    this.port = JSON.parse(readFileSync(portFile, "utf8")).grpc;
  }

  /** Ends it on the spot, as a crash would. */
  async kill() {
    if (!this.process || this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill("SIGKILL");
    await this.exited;
  }

  /** Stops it where it is, as a frozen machine would. */
  freeze() {
    this.process.kill("SIGSTOP");
  }

  thaw() {
    this.process.kill("SIGCONT");
  }
}
