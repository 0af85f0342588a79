import { varve } from "../generated/varve.js";
import {
  type IndexingProgress,
  type NamespaceStats,
  namespaceStatsFromWire,
  progressFromWire,
  type Segment,
  segmentFromWire,
} from "./admin.js";
import type { CallOptions, Channel } from "./channel.js";
import { GET_IDS_MAX, GET_WHOLE_RECORDS_MAX, idsPerCall, PATCH_BYTES_MAX, UPDATE_IDS_MAX } from "./cutting.js";
import { invalid, VarveError } from "./errors.js";
import { type Filter, filterToWire } from "./filter.js";
import { concatIds, type Ids, idsFromWire, idsToWire, type ReadIds } from "./ids.js";
import { type Chunks, ingest, type IngestArrayOptions, type IngestOptions, type IngestTotals } from "./ingest.js";
import { type MetadataPatch, metadataToWire } from "./metadata.js";
import { methods } from "./methods.js";
import { concatRecords, type Include, includeToWire, type ReadRecords, recordsFromWire } from "./records.js";
import {
  type Description,
  type IndexOptions,
  indexToWire,
  limitsToWire,
  type NamespaceLimits,
  namespaceFromWire,
} from "./schema.js";
import {
  type Examples,
  examplesToWire,
  queryToWire,
  search,
  searchBatch,
  type SearchBatchOptions,
  type SearchBatchResult,
  type SearchOptions,
  type SearchResult,
} from "./search.js";
import type { Vectors } from "./tensor.js";
import { type Durability, durabilityToWire, IngestWriter, type WriterOptions } from "./writer.js";

import v1 = varve.v1;

export interface GetOptions extends CallOptions, Include {}

/** Records found, in the order asked for, and the ids that do not exist. */
export interface GetResult extends ReadRecords {
  missing: ReadIds;
}

export interface DeleteOptions extends CallOptions {
  durability?: Durability;
}

export interface DeleteMatchingOptions extends DeleteOptions {
  /** Count what would be deleted, name some of it, and delete nothing. */
  dryRun?: boolean;
}

export interface DeleteResult {
  /** Records that existed and are gone; with `dryRun`, that would be. */
  deleted: number;
  /** The (last) commit; 0 when no ids were given. */
  sequence: number;
  /** With `dryRun`: up to ten of them. */
  sample?: ReadIds;
}

export interface UpdateMetadataOptions extends CallOptions {
  durability?: Durability;
}

export interface UpdateMetadataResult {
  updated: number;
  /** The ids that do not exist. */
  missing: ReadIds;
  /** The (last) commit; 0 when no ids were given. */
  sequence: number;
}

export interface CountOptions extends CallOptions {
  filter?: Filter;
  /** The count waits until it sees this commit. */
  minSequence?: number;
}

export interface ScanOptions extends CallOptions, Include {
  filter?: Filter;
  /** The token of a page: goes on after it. */
  token?: Uint8Array;
}

/** Some records of a scan, one at least. */
export interface ScanPage extends ReadRecords {
  /** From which a new scan goes on after this page. */
  token: Uint8Array;
}

/**
 * One namespace of a server. Made by `Client.namespace` or `Client.createNamespace`; holds nothing but the name.
 *
 * Every call rejects with a VarveError: NOT_FOUND (no such namespace), INVALID_ARGUMENT (the message names the
 * field, what it must be and what it was), RESOURCE_EXHAUSTED (which limit), UNAVAILABLE (the server cannot be
 * reached or is draining), DEADLINE_EXCEEDED (`timeout`, 60 s for calls with one answer), CANCELLED (`signal`).
 */
export class Namespace {
  readonly #channel: Channel;

  /** @internal See Client.namespace. */
  constructor(
    channel: Channel,
    readonly name: string,
  ) {
    this.#channel = channel;
  }

  async describe(options?: CallOptions): Promise<Description> {
    const response = await this.#channel.unary(methods.getNamespace, { name: this.name }, options);
    return namespaceFromWire(response.namespace);
  }

  /** Changes those index options that are given, of the default field or of `field`. */
  async updateIndex(index: IndexOptions, options: CallOptions & { field?: string } = {}): Promise<Description> {
    const request = { name: this.name, field: options.field, index: indexToWire(index) };
    const response = await this.#channel.unary(methods.updateNamespace, request, options);
    return namespaceFromWire(response.namespace);
  }

  /** Changes those limits that are given; 0 takes one away. */
  async updateLimits(limits: NamespaceLimits, options?: CallOptions): Promise<Description> {
    const request = { name: this.name, limits: limitsToWire(limits) };
    const response = await this.#channel.unary(methods.updateNamespace, request, options);
    return namespaceFromWire(response.namespace);
  }

  // --- Writing ---

  /**
   * Writes records: ids.length vectors of `dimension` values each, packed in one array, or chunks of them that
   * an (async) iterable gives. Cuts them into batches, each committed exactly once and in order, and survives
   * broken connections and restarts of the server. Resolves when all is acknowledged.
   *
   * Of an array nothing is copied but the batches under way (16, 16 MiB, a stream); it must not change
   * meanwhile. Of an iterable the next chunk is asked for when the one before is in that window.
   *
   * INVALID_ARGUMENT: parts do not fit each other, or with `onError: "fail"` a row is bad (not finite, zero under
   * cosine, a bad id). Its message names the last batch that is committed for certain.
   */
  ingest(ids: Ids, vectors: Vectors, dimension: number, options?: IngestArrayOptions): Promise<IngestTotals>;
  ingest(chunks: Chunks, options?: IngestOptions): Promise<IngestTotals>;
  async ingest(
    source: Ids | Chunks,
    vectors?: Vectors | IngestOptions,
    dimension?: number,
    options: IngestArrayOptions = {},
  ): Promise<IngestTotals> {
    if (!ArrayBuffer.isView(vectors)) {
      return ingest(this.#channel, this.name, source as Chunks, undefined, vectors ?? {});
    }
    const ids = source as Ids;
    const { field, fields, metadata, expireTimes, dtype, offsets, ...rest } = options;
    const chunk = { ids, vectors, dimension, field, fields, metadata, expireTimes, dtype, offsets };
    return ingest(this.#channel, this.name, [chunk], ids.length, rest);
  }

  /** Opens a writer. NOT_FOUND comes at once; while the server cannot be reached it is tried for `giveUpAfter`. */
  writer(options: WriterOptions = {}): Promise<IngestWriter> {
    return IngestWriter.open(this.#channel, this.name, options);
  }

  /**
   * Deletes records by id, or those that satisfy a filter when it begins. Ids that do not exist are passed
   * over. Long lists go in several commits, and so does a filter of more than 100,000 records: begun again after
   * an error it goes on. INVALID_ARGUMENT: the filter is wrong, or empty.
   */
  delete(ids: Ids, options?: DeleteOptions): Promise<DeleteResult>;
  delete(filter: Filter, options?: DeleteMatchingOptions): Promise<DeleteResult>;
  delete(what: Ids | Filter, options: DeleteMatchingOptions = {}): Promise<DeleteResult> {
    if (Array.isArray(what) || what instanceof BigUint64Array) return this.#deleteIds(what as Ids, options);
    return this.#deleteMatching(what as Filter, options);
  }

  /**
   * Changes metadata by merge patches (RFC 7386), one for all records or one for each: null removes an
   * attribute, objects are merged, lists replaced. Nothing is indexed again. Long lists go in several commits.
   */
  async updateMetadata(
    ids: Ids,
    patches: MetadataPatch | readonly MetadataPatch[],
    options: UpdateMetadataOptions = {},
  ): Promise<UpdateMetadataResult> {
    const list = (Array.isArray(patches) ? patches : undefined) as readonly MetadataPatch[] | undefined;
    if (list && list.length !== ids.length)
      throw invalid(`${ids.length} ids have ${list.length} patches, wanted one each`);
    const result = { updated: 0, sequence: 0 };
    const missing: ReadIds[] = [];
    for (let first = 0; first < ids.length;) {
      const most = Math.min(UPDATE_IDS_MAX, ids.length - first);
      const wire = list ? patchesToWire(list, first, most) : [metadataToWire(patches as MetadataPatch)];
      const count = list ? wire.length : most;
      const response = await this.#channel.unary(
        methods.updateMetadata,
        {
          namespace: this.name,
          ids: idsToWire(ids, first, first + count),
          patches: wire,
          durability: durabilityToWire(options.durability ?? "applied"),
        },
        options,
      );
      result.updated += Number(response.recordsUpdated ?? 0);
      result.sequence = Number(response.sequence ?? 0);
      missing.push(idsFromWire(response.missing));
      first += count;
    }
    return { ...result, missing: concatIds(missing) };
  }

  // --- Reading ---

  /** The k records nearest to one vector; in a field of several vectors a record, to several (`dimension` each). */
  async search(query: Vectors | readonly number[], options: SearchOptions = {}): Promise<SearchResult> {
    return search(this.#channel, this.name, { query: queryToWire(query, options) }, options);
  }

  /** The k records nearest to records that exist. NOT_FOUND: one of them does not. */
  async searchLike(examples: Examples, options: SearchOptions = {}): Promise<SearchResult> {
    return search(this.#channel, this.name, { examples: examplesToWire(examples) }, options);
  }

  /**
   * The k nearest records for each of many queries, of `dimension` values each, packed in one array. In as many
   * calls as messages of 4 MiB ask for; the timeout is that of each of these.
   */
  async searchBatch(queries: Vectors, dimension: number, options: SearchBatchOptions = {}): Promise<SearchBatchResult> {
    return searchBatch(this.#channel, this.name, queries, dimension, options);
  }

  /** Records by id, any number of them. Ids that do not exist are in `missing`. */
  async get(ids: Ids, options: GetOptions = {}): Promise<GetResult> {
    const parts: ReadRecords[] = [];
    const missing: ReadIds[] = [];
    const whole = options.includeVectors || options.includeMetadata;
    let most = whole ? GET_WHOLE_RECORDS_MAX : GET_IDS_MAX;
    for (let first = 0; first < ids.length;) {
      const count = idsPerCall(ids, first, most);
      try {
        const request = { namespace: this.name, ids: idsToWire(ids, first, first + count), ...includeToWire(options) };
        const response = await this.#channel.unary(methods.get, request, options);
        parts.push(recordsFromWire(response.records, options));
        missing.push(idsFromWire(response.missing));
        first += count;
      } catch (error) {
        if (!(error instanceof VarveError) || error.code !== "RESOURCE_EXHAUSTED" || count === 1) throw error;
        most = count >> 1; // how long records are is the server's to know
      }
    }
    const records = concatRecords(parts, concatIds(parts.map((part) => part.ids)));
    return { ...records, missing: concatIds(missing) };
  }

  /** How many records there are, or satisfy a filter. */
  async count(options: CountOptions = {}): Promise<number> {
    const { filter, minSequence } = options;
    const request = { namespace: this.name, minSequence, filter: filterToWire(filter) };
    const response = await this.#channel.unary(methods.count, request, options);
    return Number(response.count ?? 0);
  }

  /**
   * All records, or those that satisfy a filter, in order of id (numbers ascending, texts by bytes), in pages of
   * up to a few thousand. Sees the namespace as it was when the scan began; after a connection that broke it goes
   * on where it was, in the namespace as it is then. Nothing is sent before the first page is asked for.
   */
  async *scan(options: ScanOptions = {}): AsyncGenerator<ScanPage, void, undefined> {
    const filter = filterToWire(options.filter);
    let token = options.token ?? new Uint8Array();
    const next = (): v1.IScanRequest => ({ namespace: this.name, token, filter, ...includeToWire(options) });
    for await (const response of this.#channel.resumable(methods.scan, next, options)) {
      token = Uint8Array.from(response.nextToken ?? []);
      const records = recordsFromWire(response.records, options);
      if (records.ids.length > 0) yield { ...records, token };
    }
  }

  // --- Looking inside ---

  /** The segments of the default field or of `field`, oldest first. */
  async segments(options: CallOptions & { field?: string } = {}): Promise<Segment[]> {
    const request = { namespace: this.name, field: options.field };
    const response = await this.#channel.unary(methods.listSegments, request, options);
    return (response.segments ?? []).map(segmentFromWire);
  }

  /** Resolves when every row committed before is in the file of a sealed segment. No timeout unless given. */
  async flush(options: CallOptions = {}): Promise<void> {
    await this.#channel.unary(methods.flush, { namespace: this.name }, { timeout: Infinity, ...options });
  }

  /**
   * Flushes, then merges and rebuilds segments until as few as can be are left, and no dead row. Resolves when
   * that is done, or with `wait: false` when it is begun. No timeout unless given; the work goes on after one.
   */
  async compact(options: CallOptions & { wait?: boolean } = {}): Promise<void> {
    const request = { namespace: this.name, wait: options.wait ?? true };
    await this.#channel.unary(methods.compact, request, { timeout: Infinity, ...options });
  }

  /** How far indexing is, every second at least; ends when every row committed before is indexed. */
  async *watchIndexing(options: CallOptions = {}): AsyncGenerator<IndexingProgress, void, undefined> {
    const next = (): v1.IWatchIndexingRequest => ({ namespace: this.name });
    for await (const response of this.#channel.resumable(methods.watchIndexing, next, options)) {
      yield progressFromWire(response);
    }
  }

  /** Resolves when every row committed before is indexed. No timeout unless given. */
  async waitIndexed(options: CallOptions & { onProgress?: (progress: IndexingProgress) => void } = {}): Promise<void> {
    for await (const progress of this.watchIndexing(options)) options.onProgress?.(progress);
  }

  async stats(options?: CallOptions): Promise<NamespaceStats> {
    const response = await this.#channel.unary(methods.stats, { namespace: this.name }, options);
    return namespaceStatsFromWire(response.namespace);
  }

  async #deleteIds(ids: Ids, options: DeleteMatchingOptions): Promise<DeleteResult> {
    if (options.dryRun) throw invalid("dryRun is for deletion by filter");
    const result = { deleted: 0, sequence: 0 };
    for (let first = 0; first < ids.length;) {
      const count = idsPerCall(ids, first, ids.length);
      const request = {
        namespace: this.name,
        ids: idsToWire(ids, first, first + count),
        durability: durabilityToWire(options.durability ?? "applied"),
      };
      const response = await this.#channel.unary(methods.delete, request, options);
      result.deleted += Number(response.recordsDeleted ?? 0);
      result.sequence = Number(response.sequence ?? 0);
      first += count;
    }
    return result;
  }

  async #deleteMatching(given: Filter, options: DeleteMatchingOptions): Promise<DeleteResult> {
    const filter = filterToWire(given);
    // An empty filter is every record: nobody means that.
    if (!filter || filter.text?.trim() === "" || filter.allOf?.filters?.length === 0) {
      throw invalid("the filter of a deletion is empty; to delete all records, delete the namespace");
    }
    const { durability = "applied", dryRun = false } = options;
    const request = { namespace: this.name, filter, durability: durabilityToWire(durability), dryRun };
    const response = await this.#channel.unary(methods.delete, request, options);
    const result = { deleted: Number(response.recordsDeleted ?? 0), sequence: Number(response.sequence ?? 0) };
    return dryRun ? { ...result, sample: idsFromWire(response.sample) } : result;
  }
}

/** As many patches from `first` on as one message carries, one at least. */
function patchesToWire(patches: readonly MetadataPatch[], first: number, most: number): v1.IMetadata[] {
  const wire: v1.IMetadata[] = [];
  let bytes = 0;
  for (let i = first; i < first + most; ++i) {
    const patch = metadataToWire(patches[i]);
    bytes += v1.Metadata.encode(patch).len;
    if (wire.length > 0 && bytes > PATCH_BYTES_MAX) break;
    wire.push(patch);
  }
  return wire;
}
