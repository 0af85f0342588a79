import { varve } from "../generated/varve.js";
import type { CallOptions, Channel } from "./channel.js";
import { queriesPerCall } from "./cutting.js";
import { invalid, serverSent } from "./errors.js";
import { type Filter, filterToWire } from "./filter.js";
import { concatIds, type Id, idFromWire, type Ids, idsFromWire, idsToWire, type ReadIds } from "./ids.js";
import { durationFromWire, type Metadata, metadataFromWire, type MetadataValue, valueFromWire } from "./metadata.js";
import { methods } from "./methods.js";
import { fieldsFromWire, type Include, includeToWire, type ReadField } from "./records.js";
import { concat, type Dtype, dtypeOf, ownBuffer, tensorToWire, type Vectors } from "./tensor.js";

import v1 = varve.v1;

/** What every kind of search takes. */
export interface SearchBatchOptions extends CallOptions {
  /** Results per query, 1 to 10,000; 10. */
  k?: number;
  /** The vector field to search; the default one if not given. */
  field?: string;
  /** Effort: size of the candidate list, up to 10,000; the field's default if not given. */
  efSearch?: number;
  /** Compare with every record instead of walking graphs. */
  exact?: boolean;
  /** The search waits until it sees this commit. */
  minSequence?: number;
  /** Only records that satisfy it are found. */
  filter?: Filter;
  /** Tell how the (first) search went. */
  explain?: boolean;
  /** Leave out the first so many results; offset + k is at most 10,000. */
  offset?: number;
  /** Leave out results farther away. */
  maxDistance?: number;
  /** Needed for queries in a Uint16Array: "f16" or "bf16". */
  dtype?: Dtype;
}

/**
 * Results that differ from each other: each is the one, of more candidates, with the smallest
 * (1 - weight) * distance to the query - weight * distance to the nearest result before it.
 */
export interface Diversity {
  /** 0 (nearness alone) to 1 (difference alone). */
  weight: number;
  /** Nearest records to choose among, up to 10,000; 4 k. */
  candidates?: number;
}

export interface SearchOptions extends SearchBatchOptions, Include {
  /** Find the best of each group, k groups: a record's group is its value of this attribute. */
  groupBy?: string;
  /** Records for each group, 1 to 100; 1. */
  groupSize?: number;
  diversity?: Diversity;
  /** Values per vector of a query of several, for a field of several vectors a record. */
  dimension?: number;
}

/** One record found. */
export interface Hit {
  id: Id;
  /** In the metric's own terms; smaller is nearer. */
  distance: number;
  /** With `includeVectors`: that of the default field; of a field of several, one after another. */
  vector?: Vectors;
  /** With `includeVectors`: those of all fields, by name. */
  fields?: Record<string, ReadField>;
  /** With `includeMetadata`. */
  metadata?: Metadata;
  /** With `groupBy`. */
  group?: MetadataValue;
}

/** How one segment was searched: by comparing all that match, or by walking its graph. */
export interface SegmentExplanation {
  segmentId: number;
  rows: number;
  plan: "scan" | "filtered walk" | "walk" | "unknown";
  /** Share of the rows expected to satisfy the filter. */
  estimatedSelectivity: number;
  /** Share that does. */
  selectivity: number;
  /** Distances worked out. */
  distances: number;
  /** Nodes whose links were followed. */
  hops: number;
  deadRows: number;
  /** Rows compared again by their full vectors. */
  rescoredRows: number;
  /** A walk became dearer than a scan, which was done instead. */
  gaveUp: boolean;
  milliseconds: number;
}

export interface Explanation {
  segments: SegmentExplanation[];
  filterMilliseconds: number;
}

export interface SearchResult {
  /** Nearest first; fewer than k when there are fewer records. */
  hits: Hit[];
  /** The commit the search saw. */
  sequence: number;
  /** With `explain`. */
  explanation?: Explanation;
}

/** Results of all queries, packed: those of query 0 first, nearest first. */
export interface SearchBatchResult {
  /** How many results each query has; `ids` and `distances` hold their sum. */
  counts: Uint32Array;
  ids: ReadIds;
  distances: Float32Array;
  /** The oldest commit that a part of the batch saw. */
  sequence: number;
  /** With `explain`, of the first query. */
  explanation?: Explanation;
}

/** Records to go by: the mean of their vectors, moved away from that of the negative ones. */
export interface Examples {
  /** One at least. */
  positive: Ids;
  negative?: Ids;
}

const DEFAULT_K = 10;
/** Parts of one searchBatch that are on their way at a time: enough to keep the server busy while answers travel. */
const SEARCHES_IN_FLIGHT = 3;
const PLANS = ["unknown", "scan", "filtered walk", "walk"] as const;

export async function search(
  channel: Channel,
  namespace: string,
  what: Pick<v1.ISearchRequest, "query" | "examples">,
  options: SearchOptions,
): Promise<SearchResult> {
  const request = { namespace, ...what, options: optionsToWire(options) };
  const response = await channel.unary(methods.search, request, options);
  const result: SearchResult = {
    hits: (response.hits ?? []).map((hit) => hitFromWire(hit, options)),
    sequence: Number(response.sequence ?? 0),
  };
  if (response.explanation) result.explanation = explanationFromWire(response.explanation);
  return result;
}

export function queryToWire(query: Vectors | readonly number[], { dtype, dimension }: SearchOptions): v1.ITensor {
  const vector = Array.isArray(query) ? Float32Array.from(query as number[]) : (query as Vectors);
  const type = dtypeOf(vector, dtype);
  if (dimension === undefined) return tensorToWire(vector, type, [vector.length]);
  return tensorToWire(vector, type, [rowsOf(vector, dimension), dimension]);
}

export function examplesToWire({ positive, negative }: Examples): v1.IExamples {
  if (!positive?.length) throw invalid("a search by examples needs a positive one at least");
  return { positive: idsToWire(positive), negative: negative?.length ? idsToWire(negative) : undefined };
}

/** In as many calls, some of them side by side, as the limits on messages ask for. */
export async function searchBatch(
  channel: Channel,
  namespace: string,
  queries: Vectors,
  dimension: number,
  options: SearchBatchOptions,
): Promise<SearchBatchResult> {
  const dtype = dtypeOf(queries, options.dtype);
  const rows = rowsOf(queries, dimension);
  const perCall = queriesPerCall(dimension * queries.BYTES_PER_ELEMENT, options.k ?? DEFAULT_K);
  // No queries are one call too: the server checks the rest of the request.
  const parts = new Array<SearchBatchResult>(Math.max(1, Math.ceil(rows / perCall)));
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < parts.length) {
      const i = next++;
      const first = i * perCall;
      const count = Math.min(perCall, rows - first);
      const tensor = tensorToWire(queries, dtype, [count, dimension], first * dimension, (first + count) * dimension);
      const wire = optionsToWire({ ...options, explain: options.explain && i === 0 });
      const response = await channel.unary(methods.searchBatch, { namespace, queries: tensor, options: wire }, options);
      parts[i] = batchFromWire(response, count);
    }
  };
  await Promise.all(Array.from({ length: SEARCHES_IN_FLIGHT }, work));
  return {
    counts: concat(parts.map((part) => part.counts)),
    ids: concatIds(parts.map((part) => part.ids)),
    distances: concat(parts.map((part) => part.distances)),
    sequence: Math.min(...parts.map((part) => part.sequence)),
    ...(parts[0].explanation && { explanation: parts[0].explanation }),
  };
}

function rowsOf(vectors: Vectors, dimension: number): number {
  const rows = vectors.length / dimension;
  if (Number.isInteger(dimension) && dimension > 0 && Number.isInteger(rows)) return rows;
  throw invalid(`${vectors.length} values are no vectors of dimension ${dimension}`);
}

function optionsToWire(options: SearchOptions): v1.ISearchOptions {
  const { field, k = DEFAULT_K, efSearch, exact, minSequence, filter, explain, offset, maxDistance } = options;
  const { groupBy, groupSize, diversity } = options;
  return {
    ...includeToWire(options),
    ...{ field, k, efSearch, exact, minSequence, explain, offset, maxDistance, groupBy, groupSize, diversity },
    filter: filterToWire(filter),
  };
}

function hitFromWire(hit: v1.IHit, include: Include): Hit {
  const read: Hit = { id: idFromWire(hit.id), distance: hit.distance ?? 0 };
  if (include.includeVectors) {
    // A field of several vectors comes as [vectors, dimension], all of them of this one record.
    read.fields = fieldsFromWire(hit.fields ?? [], undefined);
    read.vector = read.fields[""]?.vectors;
  }
  if (include.includeMetadata) read.metadata = metadataFromWire(hit.metadata);
  if (hit.group) read.group = valueFromWire(hit.group);
  return read;
}

function batchFromWire(response: v1.ISearchBatchResponse, queries: number): SearchBatchResult {
  const counts = Uint32Array.from(response.counts ?? []);
  const ids = idsFromWire(response.ids);
  const bytes = response.distances ?? new Uint8Array();
  const hits = counts.reduce((sum, count) => sum + count, 0);
  if (counts.length !== queries || ids.length !== hits || bytes.length !== hits * 4) {
    const found = `${counts.length} counts (${hits} results in all), ${ids.length} ids`;
    throw serverSent(`${found} and ${bytes.length} bytes of distances for ${queries} queries`);
  }
  const result: SearchBatchResult = {
    counts,
    ids,
    distances: new Float32Array(ownBuffer(bytes)),
    sequence: Number(response.sequence ?? 0),
  };
  if (response.explanation) result.explanation = explanationFromWire(response.explanation);
  return result;
}

function explanationFromWire(explanation: v1.IExplanation): Explanation {
  return {
    filterMilliseconds: durationFromWire(explanation.filterTime),
    segments: (explanation.segments ?? []).map((segment) => ({
      segmentId: Number(segment.segmentId ?? 0),
      rows: Number(segment.rows ?? 0),
      plan: PLANS[segment.plan ?? 0] ?? "unknown",
      estimatedSelectivity: segment.estimatedSelectivity ?? 0,
      selectivity: segment.selectivity ?? 0,
      distances: Number(segment.distances ?? 0),
      hops: Number(segment.hops ?? 0),
      deadRows: Number(segment.deadRows ?? 0),
      rescoredRows: Number(segment.rescoredRows ?? 0),
      gaveUp: segment.gaveUp ?? false,
      milliseconds: durationFromWire(segment.time),
    })),
  };
}
