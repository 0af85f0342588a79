import { status } from "@grpc/grpc-js";

/** gRPC's name of an error: what went wrong, for code to act on. Messages are for people and may change. */
export type Code = Exclude<keyof typeof status, "OK">;

/**
 * What every call rejects with. `code` says what kind of error it is, `message` is the server's own
 * (or names what was wanted and what was found), `cause` is what it came from, if anything.
 */
export class VarveError extends Error {
  override readonly name = "VarveError";

  constructor(
    readonly code: Code,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** The name of a status number; UNKNOWN for one that gRPC does not have. */
export function codeName(code: number): Code {
  const name = status[code] as keyof typeof status | undefined;
  return name === undefined || name === "OK" ? "UNKNOWN" : name;
}

export function invalid(message: string): VarveError {
  return new VarveError("INVALID_ARGUMENT", message);
}

/** For what a server must not do. */
export function serverSent(what: string): VarveError {
  return new VarveError("INTERNAL", `the server sent ${what}`);
}
