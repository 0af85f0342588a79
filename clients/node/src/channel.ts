import { type ChannelCredentials, Client, type ClientDuplexStream, Metadata, type ServiceError } from "@grpc/grpc-js";
import type { varve } from "../generated/varve.js";
import { codeName, invalid, VarveError } from "./errors.js";
import { type Method, methods } from "./methods.js";
import { isTransient, Retry } from "./retry.js";

/** What every call takes. */
export interface CallOptions {
  /** Ends the call with CANCELLED. */
  signal?: AbortSignal;
  /** Milliseconds the call may take; then it ends with DEADLINE_EXCEEDED. Infinity: no limit. */
  timeout?: number;
}

export interface ChannelOptions {
  timeout: number;
  maxReceiveBytes: number;
  credentials: ChannelCredentials;
  /** The metadata of that name, of every call. */
  authorization: string | undefined;
}

export type IngestStream = ClientDuplexStream<Buffer, varve.v1.IngestResponse>;

/** Milliseconds without progress after which a stream is not opened again. */
export const GIVE_UP_AFTER = 30_000;

interface Cancellable {
  cancel(): void;
}

/**
 * What a Client, its writers and its scans share: the gRPC connection, and the means to cancel all that is
 * under way. The connection is made by the first call, and made again by later ones when it broke.
 */
export class Channel {
  readonly #client: Client;
  readonly #timeout: number;
  readonly #authorization: string | undefined;
  readonly #cancels = new Set<() => void>();
  #closed = false;

  constructor(
    readonly address: string,
    options: ChannelOptions,
  ) {
    this.#timeout = options.timeout;
    this.#authorization = options.authorization;
    this.#client = new Client(address, options.credentials, {
      "grpc.max_receive_message_length": options.maxReceiveBytes,
      // A peer that is gone without a word (a cut cable, a frozen process) is noticed within 30 seconds.
      "grpc.keepalive_time_ms": 20_000,
      "grpc.keepalive_timeout_ms": 10_000,
      // A server that comes back is found soon: gRPC's own pauses grow to two minutes.
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1_000,
      "grpc.dns_min_time_between_resolutions_ms": 5_000,
      // The writer keeps what it may have to send again; gRPC must not keep it a second time.
      "grpc.enable_retries": 0,
      // http_proxy is meant for the web; a database is spoken to directly.
      "grpc.enable_http_proxy": 0,
      // Two clients of one process share no fate.
      "grpc.use_local_subchannel_pool": 1,
    });
  }

  unary<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    { signal, timeout = this.#timeout }: CallOptions = {},
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      this.#check(signal);
      let release = (): void => {};
      const call = this.#client.makeUnaryRequest(
        method.path,
        method.encode,
        method.decode,
        request,
        this.#metadata(),
        { deadline: deadlineOf(timeout) },
        (error, response) => {
          release();
          if (error) reject(this.error(error, signal));
          else resolve(response as Response);
        },
      );
      release = this.#onCancel(call, signal);
    });
  }

  /** The answers of a server stream. Left early, the call is cancelled. */
  async *stream<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    { signal, timeout = Infinity }: CallOptions = {},
  ): AsyncGenerator<Response, void, undefined> {
    this.#check(signal);
    const call = this.#client.makeServerStreamRequest(
      method.path,
      method.encode,
      method.decode,
      request,
      this.#metadata(),
      { deadline: deadlineOf(timeout) },
    );
    call.on("error", () => {}); // also one that comes after the loop was left
    const release = this.#onCancel(call, signal);
    try {
      for await (const response of call) yield response as Response;
    } catch (error) {
      throw this.error(error as ServiceError, signal);
    } finally {
      release();
      call.cancel();
    }
  }

  /**
   * The answers of a server stream that is opened again when its connection broke, with the request that
   * `next` then gives. One that never got an answer fails at once, like any call.
   */
  async *resumable<Request, Response>(
    method: Method<Request, Response>,
    next: () => Request,
    { signal, timeout = Infinity }: CallOptions = {},
  ): AsyncGenerator<Response, void, undefined> {
    const retry = new Retry(GIVE_UP_AFTER);
    const end = Date.now() + checkedTimeout(timeout);
    let answered = false;
    for (;;) {
      try {
        for await (const response of this.stream(method, next(), { signal, timeout: Math.max(1, end - Date.now()) })) {
          answered = true;
          retry.onProgress();
          yield response;
        }
        return;
      } catch (error) {
        const resume = answered && error instanceof VarveError && isTransient(error.code) && Date.now() < end;
        if (!resume || signal?.aborted || this.#closed) throw error;
        const delay = retry.onFailure(Date.now());
        if (delay === undefined) throw error;
        await this.pause(delay, signal);
      }
    }
  }

  /** A stream of encoded IngestRequests. Whoever opens it listens to its errors and cancels it. */
  ingest(): IngestStream {
    const { path, decode } = methods.ingest;
    return this.#client.makeBidiStreamRequest(path, (bytes: Buffer) => bytes, decode, this.#metadata());
  }

  /** Waits for so many milliseconds, less when the channel is closed or the signal says so. */
  pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed || signal?.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        release();
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      const release = this.#onCancel({ cancel: done }, signal);
    });
  }

  /** Runs `hook` when the channel is closed. Returns what takes that back. */
  onClose(hook: () => void): () => void {
    this.#check();
    this.#cancels.add(hook);
    return () => this.#cancels.delete(hook);
  }

  /** What gRPC says, as a VarveError: the same code and message; UNAVAILABLE names the server too. */
  error(error: Partial<ServiceError>, signal?: AbortSignal): VarveError {
    if (error instanceof VarveError) return error;
    const code = codeName(error.code ?? 2);
    if (code === "CANCELLED" && signal?.aborted) return cancelled(signal);
    if (code === "CANCELLED" && this.#closed) return closed();
    const text = error.details || error.message || `the server gave no reason (${code})`;
    return new VarveError(code, code === "UNAVAILABLE" ? `server ${this.address}: ${text}` : text, { cause: error });
  }

  close(): void {
    this.#closed = true;
    for (const cancel of [...this.#cancels]) cancel();
    this.#client.close();
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    if (this.#authorization !== undefined) metadata.set("authorization", this.#authorization);
    return metadata;
  }

  #check(signal?: AbortSignal): void {
    if (this.#closed) throw closed();
    if (signal?.aborted) throw cancelled(signal);
  }

  #onCancel(call: Cancellable, signal?: AbortSignal): () => void {
    const cancel = (): void => call.cancel();
    this.#cancels.add(cancel);
    signal?.addEventListener("abort", cancel);
    return () => {
      this.#cancels.delete(cancel);
      signal?.removeEventListener("abort", cancel);
    };
  }
}

export function cancelled(signal?: AbortSignal): VarveError {
  return new VarveError("CANCELLED", "the call was cancelled", { cause: signal?.reason });
}

export function checkedTimeout(timeout: number): number {
  if (!(timeout > 0)) throw invalid(`timeout must be more than 0 milliseconds, is ${timeout}`);
  return timeout;
}

function deadlineOf(timeout: number): number {
  return Date.now() + checkedTimeout(timeout);
}

function closed(): VarveError {
  return new VarveError("CANCELLED", "the client is closed");
}
