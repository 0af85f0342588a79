import {
  type Snapshot,
  snapshotFromWire,
  type SnapshotReport,
  snapshotReportFromWire,
  type Stats,
  statsFromWire,
} from "./admin.js";
import { type CallOptions, Channel, checkedTimeout } from "./channel.js";
import { authorization, channelCredentials, type TlsOptions } from "./credentials.js";
import { invalid } from "./errors.js";
import { type Method, methods } from "./methods.js";
import { Namespace } from "./namespace.js";
import { type Description, namespaceFromWire, type NamespaceSpec, namespaceToWire } from "./schema.js";

export interface ClientOptions {
  /** Milliseconds a call with one answer may take, unless it says otherwise; 60,000. Streams have no limit. */
  timeout?: number;
  /** Larger answers fail with RESOURCE_EXHAUSTED; 64 MiB. */
  maxReceiveBytes?: number;
  /** Encrypts the connection. True: the authorities that Node trusts vouch for the server. */
  tls?: boolean | TlsOptions;
  /**
   * Goes with every call, for servers that ask for one; the environment's VARVE_API_KEY if not given, none if empty.
   * Without `tls` everybody on the way to the server can read it.
   */
  apiKey?: string;
}

export interface CreateSnapshotOptions extends CallOptions {
  /** Its name; the time, 20060102T150405Z, if not given. */
  name?: string;
  /** The only namespace that it is of; all if not given. */
  namespace?: string;
}

export interface RestoreSnapshotOptions extends CallOptions {
  /** The namespace in the snapshot; need not be given if there is only one. */
  namespace?: string;
  /** The name of the namespace to make; the same if not given. */
  as?: string;
}

const NAMESPACES_PER_PAGE = 1_000;

/**
 * Speaks to one Varve server. It owns the connection, which is made by the first call and made again by later
 * ones when it broke; share one per server, and close it at the end. No call is retried behind the caller's
 * back, save that ingest, scan and watchIndexing resume.
 */
export class Client {
  readonly #channel: Channel;

  /**
   * `address` is "host:port". INVALID_ARGUMENT when it is not, or when a certificate or key cannot be read or used.
   */
  constructor(
    address: string,
    {
      timeout = 60_000,
      maxReceiveBytes = 64 << 20,
      tls = false,
      apiKey = process.env.VARVE_API_KEY ?? "",
    }: ClientOptions = {},
  ) {
    this.#channel = new Channel(checkedAddress(address), {
      timeout: checkedTimeout(timeout),
      maxReceiveBytes,
      credentials: channelCredentials(tls),
      authorization: authorization(apiKey),
    });
  }

  /** A handle of the namespace of this name; asks nothing of the server. */
  namespace(name: string): Namespace {
    return new Namespace(this.#channel, name);
  }

  /** Creates a namespace, durably. ALREADY_EXISTS: there is one of that name; it is not changed. */
  async createNamespace(name: string, spec: NamespaceSpec, options?: CallOptions): Promise<Namespace> {
    const request = { namespace: namespaceToWire(name, spec) };
    await this.#channel.unary(methods.createNamespace, request, options);
    return this.namespace(name);
  }

  /** All namespaces, in order of name. */
  async listNamespaces(options?: CallOptions): Promise<Description[]> {
    const all: Description[] = [];
    let pageToken = "";
    do {
      const request = { pageSize: NAMESPACES_PER_PAGE, pageToken };
      const page = await this.#channel.unary(methods.listNamespaces, request, options);
      all.push(...(page.namespaces ?? []).map(namespaceFromWire));
      pageToken = page.nextPageToken ?? "";
    } while (pageToken !== "");
    return all;
  }

  /** Deletes a namespace and all its records, durably. NOT_FOUND. */
  async deleteNamespace(name: string, options?: CallOptions): Promise<void> {
    await this.#channel.unary(methods.deleteNamespace, { name }, options);
  }

  /** Figures of the server. */
  async stats(options?: CallOptions): Promise<Stats> {
    return statsFromWire(await this.#channel.unary(methods.stats, {}, options));
  }

  /**
   * Makes a copy, kept by the server, of all namespaces as of one moment, or of one. Every write acknowledged
   * before is in it; writes and searches go on meanwhile. ALREADY_EXISTS; NOT_FOUND: no such namespace. No
   * timeout unless given.
   */
  async createSnapshot({ name, namespace, ...options }: CreateSnapshotOptions = {}): Promise<Snapshot> {
    const response = await this.#patient(methods.createSnapshot, { name, namespace }, options);
    return snapshotFromWire(response.snapshot);
  }

  /** The snapshots that the server keeps, the oldest first. */
  async listSnapshots(options?: CallOptions): Promise<Snapshot[]> {
    const response = await this.#channel.unary(methods.listSnapshots, {}, options);
    return (response.snapshots ?? []).map(snapshotFromWire);
  }

  /**
   * Reads all of a snapshot, and compares its records with each other and with its index. Damage is in the report,
   * no error. NOT_FOUND. No timeout unless given.
   */
  async verifySnapshot(name: string, options?: CallOptions): Promise<SnapshotReport> {
    return snapshotReportFromWire(await this.#patient(methods.verifySnapshot, { name }, options));
  }

  /**
   * Makes a namespace out of one in a snapshot: records, index and producers' positions as they were. NOT_FOUND: no
   * such snapshot, or no such namespace in it; ALREADY_EXISTS: the namespace to make is there. No timeout unless given.
   */
  async restoreSnapshot(
    name: string,
    { namespace, as, ...options }: RestoreSnapshotOptions = {},
  ): Promise<Namespace> {
    const response = await this.#patient(methods.restoreSnapshot, { name, namespace, as }, options);
    return this.namespace(response.namespace ?? "");
  }

  /** Deletes a snapshot. NOT_FOUND; FAILED_PRECONDITION: it is being read. No timeout unless given. */
  async deleteSnapshot(name: string, options?: CallOptions): Promise<void> {
    await this.#patient(methods.deleteSnapshot, { name }, options);
  }

  /** Ends every call that is under way, writers and scans too, and every later one, with CANCELLED. */
  close(): void {
    this.#channel.close();
  }

  /** A call that takes as long as the data is large. */
  #patient<Request, Response>(method: Method<Request, Response>, request: Request, options?: CallOptions) {
    return this.#channel.unary(method, request, { timeout: Infinity, ...options });
  }
}

function checkedAddress(address: string): string {
  const port = /^.+:(\d{1,5})$/.exec(address)?.[1];
  if (port !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return address;
  throw invalid(`server must be HOST:PORT with a port of 1 to 65535, is "${address}"`);
}
