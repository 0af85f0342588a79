import { randomUUID } from "node:crypto";
import { varve } from "../generated/varve.js";
import {
  type CallOptions,
  type Channel,
  cancelled,
  checkedTimeout,
  GIVE_UP_AFTER,
  type IngestStream,
} from "./channel.js";
import { MESSAGE_BYTES_MAX } from "./cutting.js";
import { invalid, serverSent, VarveError } from "./errors.js";
import { type Chunk, checkRecords, encodeBatch, type Records } from "./records.js";
import { isTransient, Retry } from "./retry.js";

import v1 = varve.v1;

/** What an acknowledgement promises: the batch survives a killed server (applied) or power loss (synced). */
export type Durability = "applied" | "synced";

/** What happens to a batch with bad rows: it is refused and the stream ends, or its good rows are written. */
export type OnError = "fail" | "skip";

/** A row that was not written, and why. */
export interface RowError {
  /** Counted from 0 over all rows given to the writer, or to `ingest`. */
  row: number;
  message: string;
}

/** A batch is committed. */
export interface Ack {
  number: number;
  /** The commit; a search with this `minSequence` sees it. 0 if the acknowledgement was lost. */
  sequence: number;
  /** It had been committed before, and was not applied again. */
  duplicate: boolean;
  /** Rows given: all of them are committed but for those of `rowErrors` and those with the id of a later row. */
  rows: number;
  rowErrors: RowError[];
}

/** What a writer, or `ingest`, got done. */
export interface IngestResult {
  /** Records written; fewer than rows when some were refused or have the id of a later row of their batch. */
  rowsWritten: number;
  batches: number;
  /** The last commit; a search with this `minSequence` sees all. 0 if nothing was written. */
  sequence: number;
  /** Rows refused, with `onError: "skip"`. */
  rowsRefused: number;
  /** Why, of the first 10,000 of them. */
  rowErrors: RowError[];
  /**
   * Batches that are committed but whose acknowledgement a broken connection took along: all of their rows are
   * counted as written, and `rowErrors` does not have theirs.
   */
  batchesUnreported: number;
}

export interface WriterOptions extends CallOptions {
  /**
   * Names this sequence of batches, 1 to 256 bytes. Whoever opens a writer under the name again goes on where
   * the last one ended; two at the same time are an error. Not given: a name that nobody else has.
   */
  producer?: string;
  durability?: Durability;
  onError?: OnError;
  /** Milliseconds without a connection and without a batch committed after which the writer ends; 30,000. */
  giveUpAfter?: number;
  /** Called for every batch, in order. */
  onAck?: (ack: Ack) => void;
  /** Called when the connection broke and will be tried again. */
  onDisconnect?: (error: VarveError) => void;
}

interface Batch {
  number: number;
  rows: number;
  /** Position of its first row among all. */
  firstRow: number;
  bytes: Buffer;
}

const PRODUCER_BYTES_MAX = 256;
const ROW_ERRORS_MAX = 10_000;
/** How long the server may take to end a stream in which all is said. */
const CLOSE_TIMEOUT = 5_000;

/**
 * Streams batches into a namespace: each is committed exactly once, in order, whatever happens to the
 * connection and the server.
 *
 * Batches are numbered 1, 2, 3 ... in the order of `add`, over all writers that ever opened under the same
 * producer. They are kept in memory until they are acknowledged, as many as the server's window allows (16
 * batches, 16 MiB); after a broken connection the writer reconnects (with growing, jittered pauses), asks the
 * server for the last batch it has, and sends again only what comes after. A program that crashed does the
 * same: `lastBatch` tells it from which batch on to repeat, and it must cut its records into the same batches.
 *
 * End it with `finish` or `abort`.
 */
export class IngestWriter {
  readonly #channel: Channel;
  readonly #open: v1.IIngestOpen;
  readonly #options: WriterOptions;
  readonly #giveUpAfter: number;
  readonly #retry: Retry;
  readonly #release: (() => void)[] = [];

  /** Batches that are not acknowledged, oldest first; the first `#sent` are on their way in the present stream. */
  readonly #queue: Batch[] = [];
  #sent = 0;
  #queueBytes = 0;
  #nextNumber = 1;
  #committed = 0;
  #lastBatch = 0;
  #rowsAdded = 0;
  /** Calls of `add` take turns. */
  #turn: Promise<unknown> = Promise.resolve();

  // What the server allows.
  #windowBatches = 1;
  #windowBytes = 0;
  #batchBytesMax = 0;

  // The present stream.
  #stream: IngestStream | undefined;
  #streamOpen = false;
  #fault: VarveError | undefined; // why we ended it ourselves

  readonly #stopping = new AbortController();
  #stopError: Error | undefined;
  #everOpen = false;
  #finishing = false;
  #ended = false;
  #error: Error | undefined;
  readonly #result: IngestResult = {
    rowsWritten: 0,
    batches: 0,
    sequence: 0,
    rowsRefused: 0,
    rowErrors: [],
    batchesUnreported: 0,
  };
  /** Woken by every change. */
  readonly #waiting = new Set<() => void>();

  private constructor(channel: Channel, namespace: string, options: WriterOptions) {
    const { producer = `node-${randomUUID()}`, durability = "applied", onError = "fail" } = options;
    const bytes = Buffer.byteLength(producer);
    if (bytes < 1 || bytes > PRODUCER_BYTES_MAX) {
      throw invalid(`producer must have 1 to ${PRODUCER_BYTES_MAX} bytes, has ${bytes}`);
    }
    this.#channel = channel;
    this.#options = options;
    this.#giveUpAfter = options.giveUpAfter ?? GIVE_UP_AFTER;
    this.#retry = new Retry(this.#giveUpAfter);
    this.#open = { namespace, producer, durability: durabilityToWire(durability), onError: onErrorToWire(onError) };
    this.#bind(options);
  }

  /** @internal See Namespace.writer. */
  static async open(channel: Channel, namespace: string, options: WriterOptions): Promise<IngestWriter> {
    const writer = new IngestWriter(channel, namespace, options);
    void writer.#run();
    await writer.#until(() => writer.#everOpen);
    return writer;
  }

  /** The producer's last committed batch when the writer was opened; 0 when there was none. */
  get lastBatch(): number {
    return this.#lastBatch;
  }

  /** Every batch up to this number is committed for certain. */
  get committed(): number {
    return this.#committed;
  }

  /**
   * Takes the next batch and resolves to its number; the caller's arrays are free again then. Waits while more
   * is unacknowledged than the server's window allows: await it, and memory is bounded.
   *
   * INVALID_ARGUMENT: vectors, offsets, metadata or expire times are not one for each id. RESOURCE_EXHAUSTED:
   * the batch is more than 4 MiB. After either the writer goes on: the number is not spent. Any other error is
   * the one the writer ended with, as `finish` rejects with it.
   */
  async add(chunk: Chunk): Promise<number> {
    const records = checkRecords(chunk);
    return this.addPart(records, 0, records.rows);
  }

  /** @internal Records [first, first + count). Rows are counted from `firstRow`, or after those added before. */
  addPart(records: Records, first: number, count: number, firstRow?: number): Promise<number> {
    const turn = this.#turn.then(() => this.#add(records, first, count, firstRow));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** @internal What a message may have at most. */
  get batchBytesMax(): number {
    return this.#batchBytesMax;
  }

  /**
   * Sends what is left and waits until all is acknowledged. No `add` after it.
   *
   * An error is what the stream ended with; its message names the last batch that is committed for certain.
   * When the server refused a batch (INVALID_ARGUMENT), it is the one after: mend it. With UNAVAILABLE wait for
   * the server. Then open again under the same producer.
   */
  async finish(): Promise<IngestResult> {
    await this.#turn;
    this.#finishing = true;
    this.#pump();
    await this.#until(() => this.#ended);
    return this.#result;
  }

  /** Ends the writer and drops what is not acknowledged; what waits rejects with CANCELLED. */
  async abort(reason?: unknown): Promise<void> {
    this.#stop(new VarveError("CANCELLED", "ingest was cancelled", { cause: reason }));
    while (!this.#ended) await this.#change();
  }

  /** @internal Runs `hook` with the error the writer ended with. Returns what takes that back. */
  onFailure(hook: (error: Error) => void): () => void {
    const look = (): void => {
      if (this.#error) hook(this.#error);
      else this.#waiting.add(look);
    };
    look();
    return () => this.#waiting.delete(look);
  }

  #bind({ signal, timeout = Infinity }: CallOptions): void {
    if (checkedTimeout(timeout) !== Infinity) {
      const late = new VarveError("DEADLINE_EXCEEDED", `ingest took more than ${timeout} ms`);
      const timer = setTimeout(() => this.#stop(late), timeout);
      this.#release.push(() => clearTimeout(timer));
    }
    this.#release.push(this.#channel.onClose(() => this.#stop(new VarveError("CANCELLED", "the client is closed"))));
    if (!signal) return;
    const abort = (): void => this.#stop(cancelled(signal));
    signal.addEventListener("abort", abort);
    this.#release.push(() => signal.removeEventListener("abort", abort));
    if (signal.aborted) abort();
  }

  async #add(records: Records, first: number, count: number, firstRow = this.#rowsAdded): Promise<number> {
    if (this.#error) throw this.#error;
    if (this.#finishing) throw new VarveError("FAILED_PRECONDITION", "add() after finish()");
    const number = this.#nextNumber;
    const bytes = encodeBatch(number, records, first, count, this.#batchBytesMax);
    await this.#until(() => this.#hasRoom(bytes.length));
    this.#nextNumber = number + 1;
    this.#rowsAdded = firstRow + count;
    this.#queue.push({ number, rows: count, firstRow, bytes });
    this.#queueBytes += bytes.length;
    this.#pump();
    return number;
  }

  #hasRoom(bytes: number): boolean {
    if (this.#queue.length === 0) return true; // a batch larger than the window goes alone
    return this.#queue.length < this.#windowBatches && this.#queueBytes + bytes <= this.#windowBytes;
  }

  /** Keeps a stream going, one after another, until the writer ends. */
  async #run(): Promise<void> {
    try {
      while (await this.#readyForAnother(await this.#runStream()));
    } catch (error) {
      this.#end(error as Error); // a callback of the caller's threw
    }
  }

  /** Opens a stream and works it until it ends; resolves to why it ended. */
  #runStream(): Promise<VarveError> {
    if (this.#stopError) return Promise.resolve(cancelled());
    const stream = this.#channel.ingest();
    this.#stream = stream;
    this.#streamOpen = false;
    this.#fault = undefined;
    this.#sent = 0;
    const now = Date.now();
    const silence = setTimeout(
      () => {
        if (!this.#streamOpen) this.#cut(new VarveError("UNAVAILABLE", "the server does not answer"));
      },
      this.#retry.onAttempt(now) - now,
    );
    return new Promise((resolve) => {
      stream.on("error", () => {}); // the status says it
      stream.on("data", (response: v1.IngestResponse) => this.#onResponse(response));
      stream.on("status", (status) => {
        clearTimeout(silence);
        // After the answers that came before it.
        setImmediate(() => {
          this.#stream = undefined;
          resolve(this.#fault ?? (status.code === 0 ? ended() : this.#channel.error(status)));
        });
      });
      stream.write(v1.IngestRequest.encode({ open: this.#open }).finish() as Buffer);
    });
  }

  /** Sends what is there to send. */
  #pump(): void {
    const stream = this.#stream;
    if (!stream || !this.#streamOpen || this.#fault) return;
    while (this.#sent < this.#queue.length) stream.write(this.#queue[this.#sent++].bytes);
    if (!this.#finishing || this.#queue.length > 0 || stream.writableEnded) return;
    stream.end();
    const timer = setTimeout(() => stream.cancel(), CLOSE_TIMEOUT);
    stream.on("status", () => clearTimeout(timer));
  }

  /** After a stream ended: waits and resolves to true to open another; false: the writer has ended. */
  async #readyForAnother(error: VarveError): Promise<boolean> {
    if (this.#stopError) return this.#end(this.#stopError);
    // A stream that ended after its last acknowledgement did all it was for, however it ended.
    if (this.#finishing && this.#everOpen && this.#queue.length === 0) return this.#end();
    if (!isTransient(error.code)) return this.#end(error);
    const delay = this.#retry.onFailure(Date.now());
    if (delay === undefined) {
      const message = `gave up after ${this.#giveUpAfter / 1_000} s: ${error.message}`;
      return this.#end(new VarveError("UNAVAILABLE", message, { cause: error }));
    }
    this.#options.onDisconnect?.(error);
    await this.#channel.pause(delay, this.#stopping.signal);
    return true;
  }

  #onResponse(response: v1.IngestResponse): void {
    if (this.#fault || this.#stopError) return;
    try {
      if (response.opened) this.#onOpened(response.opened);
      else if (response.ack) this.#onAck(response.ack);
      else throw serverSent("what this client does not know");
    } catch (error) {
      if (error instanceof VarveError) this.#cut(error);
      else this.#stop(error as Error); // a callback of the caller's threw
    }
  }

  #onOpened(opened: v1.IIngestOpened): void {
    if (this.#streamOpen) throw new VarveError("FAILED_PRECONDITION", "the server opened the stream twice");
    const last = Number(opened.lastBatch ?? 0);
    this.#retry.onConnected(Date.now());
    if (!this.#everOpen) {
      this.#lastBatch = this.#committed = last;
      this.#nextNumber = last + 1;
    }
    this.#checkPosition(last);
    const unheard: Batch[] = [];
    while (this.#queue.length > 0 && this.#queue[0].number <= last) unheard.push(this.#shift());
    // An idle writer has nothing to make progress with.
    if (unheard.length > 0 || this.#queue.length === 0) this.#retry.onProgress();
    this.#windowBatches = Math.max(1, opened.windowBatches ?? 0);
    this.#windowBytes = Number(opened.windowBytes ?? 0);
    this.#batchBytesMax = Math.min(MESSAGE_BYTES_MAX, Number(opened.maxMessageBytes ?? 0));
    this.#everOpen = this.#streamOpen = true;
    this.#pump();
    this.#changed();
    for (const batch of unheard) this.#acknowledge(batch, undefined);
  }

  #checkPosition(last: number): void {
    const { producer } = this.#open;
    if (last < this.#committed) {
      throw new VarveError(
        "FAILED_PRECONDITION",
        `the server acknowledged batch ${this.#committed} of producer ${producer} and now knows only ${last}: ` +
          "the namespace is not the one it was",
      );
    }
    if (last >= this.#nextNumber) {
      throw new VarveError(
        "FAILED_PRECONDITION",
        `batch ${last} of producer ${producer} is committed, but this writer got to ${this.#nextNumber - 1} only: ` +
          "another one uses the name",
      );
    }
  }

  #onAck(ack: v1.IIngestAck): void {
    const number = Number(ack.number ?? 0);
    const expected = this.#sent > 0 ? this.#queue[0].number : undefined;
    if (number !== expected) {
      const wanted = expected === undefined ? "none was sent" : `${expected} was to come`;
      throw new VarveError("FAILED_PRECONDITION", `the server acknowledged batch ${number} where ${wanted}`);
    }
    --this.#sent;
    const batch = this.#shift();
    this.#retry.onProgress();
    this.#pump();
    this.#changed();
    this.#acknowledge(batch, ack);
  }

  /** Without `ack` it was lost: the batch is committed, and what became of its rows is not known. */
  #acknowledge(batch: Batch, ack: v1.IIngestAck | undefined): void {
    const { number, rows, firstRow } = batch;
    const duplicate = ack?.duplicate ?? false;
    const reported = ack !== undefined && !duplicate;
    const sequence = Number(ack?.sequence ?? 0);
    const rowErrors = (ack?.rowErrors ?? []).map((error) => ({
      row: firstRow + (error.row ?? 0),
      message: error.message ?? "",
    }));
    const result = this.#result;
    ++result.batches;
    result.rowsWritten += reported ? Number(ack.recordsWritten ?? 0) : rows;
    result.sequence = Math.max(result.sequence, sequence);
    result.rowsRefused += rowErrors.length;
    result.rowErrors.push(...rowErrors.slice(0, ROW_ERRORS_MAX - result.rowErrors.length));
    if (!reported) ++result.batchesUnreported;
    this.#options.onAck?.({ number, sequence, duplicate, rows, rowErrors });
  }

  #shift(): Batch {
    const batch = this.#queue.shift() as Batch;
    this.#committed = batch.number;
    this.#queueBytes -= batch.bytes.length;
    return batch;
  }

  /** Ends the present stream. */
  #cut(fault: VarveError): void {
    this.#fault ??= fault;
    this.#stream?.cancel();
  }

  /** Ends everything; `#run` returns soon. */
  #stop(error: Error): void {
    this.#stopError ??= error;
    this.#stopping.abort();
    this.#stream?.cancel();
  }

  #end(error?: Error): false {
    this.#ended = true;
    this.#error = error;
    if (error instanceof VarveError && this.#everOpen) {
      const message = `ingest ended after batch ${this.#committed}: ${error.message}`;
      this.#error = new VarveError(error.code, message, { cause: error.cause });
    }
    this.#queue.length = 0;
    for (const release of this.#release) release();
    this.#changed();
    return false;
  }

  /** Waits until `there`; rejects with the error the writer ended with. */
  async #until(there: () => boolean): Promise<void> {
    for (;;) {
      if (this.#error) throw this.#error;
      if (there()) return;
      await this.#change();
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  #changed(): void {
    const woken = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of woken) wake();
  }
}

export function durabilityToWire(durability: Durability): v1.Durability {
  if (durability === "applied") return v1.Durability.DURABILITY_APPLIED;
  if (durability === "synced") return v1.Durability.DURABILITY_SYNCED;
  throw invalid(`durability must be "applied" or "synced", is ${JSON.stringify(durability)}`);
}

function onErrorToWire(onError: OnError): v1.OnError {
  if (onError === "fail") return v1.OnError.ON_ERROR_FAIL_BATCH;
  if (onError === "skip") return v1.OnError.ON_ERROR_SKIP;
  throw invalid(`onError must be "fail" or "skip", is ${JSON.stringify(onError)}`);
}

function ended(): VarveError {
  return new VarveError("UNAVAILABLE", "the server ended the stream");
}
