import { randomUUID } from "node:crypto";
import type { CallOptions, Channel } from "./channel.js";
import { rowsPerBatch } from "./cutting.js";
import { invalid } from "./errors.js";
import {
  BatchTooLarge,
  bytesPerRow,
  type Chunk,
  checkRecords,
  encodeBatch,
  type RecordParts,
  type Records,
} from "./records.js";
import type { Dtype } from "./tensor.js";
import { type Ack, type Durability, type IngestResult, IngestWriter, type OnError } from "./writer.js";

/** How far an ingest is. */
export interface IngestProgress {
  /** Rows that are committed, those of an earlier run of the producer too. */
  rows: number;
  /** Rows there are; undefined when they come from an iterable. */
  total: number | undefined;
}

export interface IngestOptions extends CallOptions {
  /**
   * Names this load, 1 to 200 bytes: run again under the same name with the same rows, `batchRows` and `streams`,
   * it sends only what is missing. Not given: a name of its own.
   */
  producer?: string;
  /** Rows per batch; about 1 MiB of them if not given. Fewer where a message would pass 4 MiB. */
  batchRows?: number;
  /** Streams that send side by side, 1 to 64; 1. With more, batches are committed in any order. */
  streams?: number;
  durability?: Durability;
  onError?: OnError;
  /** Milliseconds without a connection and without a batch committed after which it ends; 30,000. */
  giveUpAfter?: number;
  /** Called after every batch. */
  onProgress?: (progress: IngestProgress) => void;
}

/** Options of records in one array. */
export interface IngestArrayOptions extends IngestOptions, RecordParts {
  dtype?: Dtype;
  offsets?: ArrayLike<number>;
}

/** What `ingest` got done. */
export interface IngestTotals extends IngestResult {
  /** Rows that an earlier run of the producer had committed. */
  rowsResumed: number;
}

export type Chunks = Iterable<Chunk> | AsyncIterable<Chunk>;

const STREAMS_MAX = 64;

/** Cuts chunks into batches and deals these out to writers, one after the other. */
class Dealer {
  #turn = 0;
  #rows = 0;
  #rowsResumed = 0;
  /** The number of each writer's last batch. */
  readonly #numbers: number[];

  constructor(
    readonly writers: IngestWriter[],
    readonly batchRows: number | undefined,
  ) {
    this.#numbers = writers.map(() => 0);
  }

  get rowsResumed(): number {
    return this.#rowsResumed;
  }

  async deal(chunk: Chunk): Promise<void> {
    const records = checkRecords(chunk);
    const rows = rowsPerBatch(bytesPerRow(records), this.batchRows);
    for (let first = 0; first < records.rows; first += rows) {
      await this.#add(records, first, Math.min(rows, records.rows - first));
    }
  }

  /** One batch; halves of it, where it is larger than a message may be. */
  async #add(records: Records, first: number, count: number): Promise<void> {
    try {
      await this.#addWhole(records, first, count);
    } catch (error) {
      if (!(error instanceof BatchTooLarge) || count === 1) throw error;
      const half = count >> 1;
      await this.#add(records, first, half);
      await this.#add(records, first + half, count - half);
    }
  }

  async #addWhole(records: Records, first: number, count: number): Promise<void> {
    const at = this.#turn % this.writers.length;
    const writer = this.writers[at];
    const number = this.#numbers[at] + 1;
    if (number <= writer.lastBatch) {
      // It is committed; encoded all the same, as its size decides how batches are cut.
      encodeBatch(number, records, first, count, writer.batchBytesMax);
      this.#rowsResumed += count;
    } else {
      await writer.addPart(records, first, count, this.#rows);
    }
    this.#numbers[at] = number;
    this.#rows += count;
    ++this.#turn;
  }

  /** Rows that are fewer than those of the earlier run are not the same rows. */
  checkEnd(): void {
    this.writers.forEach((writer, at) => {
      if (this.#numbers[at] >= writer.lastBatch) return;
      throw invalid(
        `the producer has ${writer.lastBatch} batches of an earlier run, and these rows make ${this.#numbers[at]}: ` +
          "they, batchRows or streams are not the same",
      );
    });
  }
}

/** Ingests all chunks. `total`, if known, is how many rows they have. */
export async function ingest(
  channel: Channel,
  namespace: string,
  chunks: Chunks,
  total: number | undefined,
  options: IngestOptions,
): Promise<IngestTotals> {
  let committed = 0;
  let dealer: Dealer | undefined;
  const onAck = ({ rows }: Ack): void => {
    committed += rows;
    options.onProgress?.({ rows: committed + (dealer?.rowsResumed ?? 0), total });
  };
  const writers = await openWriters(channel, namespace, options, onAck);
  try {
    dealer = new Dealer(writers, checkedCount("batchRows", options.batchRows, Infinity));
    await dealAll(chunks, dealer);
    dealer.checkEnd();
    const results = await Promise.all(writers.map((writer) => writer.finish()));
    return { ...sum(results), rowsResumed: dealer.rowsResumed };
  } catch (error) {
    await Promise.all(writers.map((writer) => writer.abort(error)));
    throw error;
  }
}

async function openWriters(
  channel: Channel,
  namespace: string,
  options: IngestOptions,
  onAck: (ack: Ack) => void,
): Promise<IngestWriter[]> {
  const streams = checkedCount("streams", options.streams, STREAMS_MAX) ?? 1;
  const { producer = `node-${randomUUID()}`, durability, onError, giveUpAfter, signal, timeout } = options;
  const opening = Array.from({ length: streams }, (_, i) => {
    const name = streams === 1 ? producer : `${producer}/${i + 1}of${streams}`;
    return IngestWriter.open(channel, namespace, {
      producer: name,
      durability,
      onError,
      giveUpAfter,
      signal,
      timeout,
      onAck,
    });
  });
  const opened = await Promise.allSettled(opening);
  const failed = opened.find((one) => one.status === "rejected");
  const writers = opened.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  if (!failed) return writers;
  await Promise.all(writers.map((writer) => writer.abort()));
  throw failed.reason;
}

/** The next chunk is asked for when the one before is in the window, so that no more are in memory. */
async function dealAll(chunks: Chunks, dealer: Dealer): Promise<void> {
  const iterator = Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
  let done: boolean | undefined = false;
  try {
    while (!done) {
      const next = await unlessFailed(dealer.writers, Promise.resolve(iterator.next()));
      done = next.done;
      if (!next.done) await dealer.deal(next.value);
    }
  } finally {
    // Not awaited: a source that hangs must not hold us.
    if (!done) void Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

/** What `promise` resolves to, unless a writer ends first. */
function unlessFailed<T>(writers: IngestWriter[], promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const releases = writers.map((writer) => writer.onFailure(reject));
    void promise.then(resolve, reject).finally(() => releases.forEach((release) => release()));
  });
}

function sum(results: IngestResult[]): IngestResult {
  return results.reduce((all, one) => ({
    rowsWritten: all.rowsWritten + one.rowsWritten,
    batches: all.batches + one.batches,
    sequence: Math.max(all.sequence, one.sequence),
    rowsRefused: all.rowsRefused + one.rowsRefused,
    rowErrors: [...all.rowErrors, ...one.rowErrors].sort((a, b) => a.row - b.row),
    batchesUnreported: all.batchesUnreported + one.batchesUnreported,
  }));
}

function checkedCount(name: string, count: number | undefined, most: number): number | undefined {
  if (count === undefined || (Number.isInteger(count) && count >= 1 && count <= most)) return count;
  throw invalid(`${name} must be a whole number of 1 ${most === Infinity ? "or more" : `to ${most}`}, is ${count}`);
}
