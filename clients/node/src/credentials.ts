import { readFileSync } from "node:fs";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { invalid } from "./errors.js";

/** A file in PEM: its path, or as bytes what it holds. */
export type Pem = string | Uint8Array;

/** How a connection is encrypted. Files are read when the client is made. */
export interface TlsOptions {
  /** Authorities, one of which signed the server's certificate; those that Node trusts if not given. */
  ca?: Pem;
  /** The client's own certificate, for servers that ask for one; with `key` or not at all. */
  cert?: Pem;
  /** The private key of `cert`. */
  key?: Pem;
}

/** INVALID_ARGUMENT: a file cannot be read or used. No error shows what is in it. */
export function channelCredentials(tls: boolean | TlsOptions): ChannelCredentials {
  if (tls === false) return credentials.createInsecure();
  if (tls !== true && (typeof tls !== "object" || tls === null)) {
    throw invalid(`tls must be true or { ca, cert, key }, is a ${tls === null ? "null" : typeof tls}`);
  }
  const { ca, cert, key } = tls === true ? ({} as TlsOptions) : tls;
  if ((cert === undefined) !== (key === undefined)) {
    throw invalid("a client's certificate and its key must be given together");
  }
  const authorities = read("ca", ca, "CERTIFICATE");
  const pair = [read("key", key, "PRIVATE KEY"), read("cert", cert, "CERTIFICATE")] as const;
  try {
    return credentials.createSsl(authorities, ...pair);
  } catch (error) {
    throw invalid(`tls: the certificates cannot be used: ${(error as Error).message}`);
  }
}

/** The metadata `authorization` of every call; undefined: none. */
export function authorization(apiKey: string): string | undefined {
  if (apiKey === "") return undefined;
  // The message does not show it.
  if (!/^[!-~]+$/.test(apiKey)) throw invalid("an API key has no spaces, line ends or characters beyond ASCII");
  return `Bearer ${apiKey}`;
}

function read(name: keyof TlsOptions, source: Pem | undefined, kind: string): Buffer | null {
  if (source === undefined) return null;
  let where = `tls.${name}`;
  let data: Buffer;
  if (typeof source !== "string") {
    data = Buffer.from(source);
  } else if (source.includes("-----BEGIN")) {
    throw invalid(`${where} must be a path, or PEM as bytes, is PEM as text`);
  } else {
    where += ` ${source}`;
    try {
      data = readFileSync(source);
    } catch (error) {
      throw invalid(`${where} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
    }
  }
  if (new RegExp(`-----BEGIN [A-Z ]*${kind}-----`).test(data.toString("latin1"))) return data;
  throw invalid(`${where} must be PEM with a ${kind}, has none`);
}
