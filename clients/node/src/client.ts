import { type Stats, statsFromWire } from "./admin.js";
import { type CallOptions, Channel, checkedTimeout } from "./channel.js";
import { invalid } from "./errors.js";
import { methods } from "./methods.js";
import { Namespace } from "./namespace.js";
import { type Description, namespaceFromWire, type NamespaceSpec, namespaceToWire } from "./schema.js";

export interface ClientOptions {
  /** Milliseconds a call with one answer may take, unless it says otherwise; 60,000. Streams have no limit. */
  timeout?: number;
  /** Larger answers fail with RESOURCE_EXHAUSTED; 64 MiB. */
  maxReceiveBytes?: number;
}

const NAMESPACES_PER_PAGE = 1_000;

/**
 * Speaks to one Varve server. It owns the connection, which is made by the first call and made again by later
 * ones when it broke; share one per server, and close it at the end. No call is retried behind the caller's
 * back, save that ingest, scan and watchIndexing resume.
 */
export class Client {
  readonly #channel: Channel;

  /** `address` is "host:port". INVALID_ARGUMENT when it is not. */
  constructor(address: string, { timeout = 60_000, maxReceiveBytes = 64 << 20 }: ClientOptions = {}) {
    this.#channel = new Channel(checkedAddress(address), { timeout: checkedTimeout(timeout), maxReceiveBytes });
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

  /** Ends every call that is under way, writers and scans too, and every later one, with CANCELLED. */
  close(): void {
    this.#channel.close();
  }
}

function checkedAddress(address: string): string {
  const port = /^.+:(\d{1,5})$/.exec(address)?.[1];
  if (port !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return address;
  throw invalid(`server must be HOST:PORT with a port of 1 to 65535, is "${address}"`);
}
