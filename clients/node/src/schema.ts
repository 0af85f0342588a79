import { varve } from "../generated/varve.js";
import { invalid, serverSent } from "./errors.js";
import { durationFromWire, timeFromWire } from "./metadata.js";
import { type Dtype, dtypeFromWire, dtypeToWire } from "./tensor.js";

import v1 = varve.v1;

/** How distances are measured: squared Euclidean, 1 - cosine, negated dot product. Smaller is nearer. */
export type Metric = "l2" | "cosine" | "dot";

/** What kind of ids a namespace holds; "undecided" until its first batch. */
export type IdType = "undecided" | "number" | "text";

export type AttributeType = "bool" | "int64" | "double" | "timestamp" | "string";

/** Options of a field's index. One that is not given takes the server's default, or stays as it is. */
export interface IndexOptions {
  /** Links per node, 4 to 128; 16. */
  m?: number;
  /** Candidates while linking, 16 to 4,096; 200. */
  efConstruction?: number;
  /** Candidates of a search that does not say its own, 1 to 10,000; 64. */
  efSearch?: number;
  /** Rows at which a segment is sealed, 1,000 to 10,000,000; 50,000. */
  segmentSizeThreshold?: number;
  /** Rows waiting to be linked from which on all cores link one segment; 256. */
  parallelInsertThreshold?: number;
  /** Rows that may wait to be linked before ingest is held back, 1,000 or more; 1,000,000. */
  maxUnindexedRows?: number;
  /** Share of dead rows that has a segment rebuilt, 1 to 100 percent; 20. */
  tombstoneRebuildPct?: number;
  /** Whether segments are merged and rebuilt in the background; true. */
  autoCompaction?: boolean;
  /** What graphs are walked on: codes of one byte per value, or the vectors themselves; "int8". */
  quantization?: "int8" | "none";
}

/**
 * What a namespace may take of its server, beside the server's own limits. One that is not given is none; in an
 * update it stays as it is, and 0 takes it away. Calls beyond one fail with RESOURCE_EXHAUSTED.
 */
export interface NamespaceLimits {
  /** Vectors that it may hold, all fields together. */
  maxVectors?: number;
  /** Bytes of these vectors, as they are stored. */
  maxVectorBytes?: number;
  /** Bytes of a search, a write, or a batch of a stream. */
  maxRequestBytes?: number;
  /** Results that a search may ask for. */
  maxK?: number;
  /** Effort that a search may ask for. */
  maxEfSearch?: number;
  /** Searches at a time. */
  maxSearches?: number;
  /** Ingest streams at a time. */
  maxStreams?: number;
  /** Bytes written each second; streams are held back. */
  maxIngestBytesPerSecond?: number;
}

/** A field of vectors to create. */
export interface FieldSpec {
  /** Values per vector, 1 to 65,535. */
  dimension: number;
  /** "l2" if not given. */
  metric?: Metric;
  /** How vectors are stored. "f32", the default, takes vectors of every dtype, any other only its own. */
  elementType?: Dtype;
  /** Whether a record, and a query, has several vectors in this field (ranked by MaxSim). */
  multiVector?: boolean;
  index?: IndexOptions;
}

/** What an attribute must be where a record has it. */
export interface AttributeSpec {
  path: string;
  type: AttributeType;
  /** A list of such values. */
  list?: boolean;
}

/** A namespace to create: its default field, or `fields` by name (the default one's is ""), or both. */
export interface NamespaceSpec extends Partial<FieldSpec> {
  fields?: Record<string, FieldSpec>;
  idType?: IdType;
  /** Attributes that must be of a type; others may be of any. */
  attributes?: readonly AttributeSpec[];
  /** Milliseconds after which records expire that do not say themselves; not given: never. */
  defaultTtl?: number;
  limits?: NamespaceLimits;
}

/** A field as the server describes it: every default filled in. */
export interface Field extends Required<FieldSpec> {
  name: string;
}

/** A namespace as the server describes it. */
export interface Description {
  name: string;
  fields: Field[];
  idType: IdType;
  attributes: Required<AttributeSpec>[];
  createTime: Date;
  /** Milliseconds; undefined: records do not expire by themselves. */
  defaultTtl: number | undefined;
  limits: NamespaceLimits;
}

const METRICS = { l2: v1.Metric.METRIC_L2, cosine: v1.Metric.METRIC_COSINE, dot: v1.Metric.METRIC_DOT } as const;

const ID_TYPES = {
  undecided: v1.IdType.ID_TYPE_UNSPECIFIED,
  number: v1.IdType.ID_TYPE_NUMBER,
  text: v1.IdType.ID_TYPE_TEXT,
} as const;

const ATTRIBUTE_TYPES = {
  bool: v1.AttributeType.ATTRIBUTE_TYPE_BOOL,
  int64: v1.AttributeType.ATTRIBUTE_TYPE_INT64,
  double: v1.AttributeType.ATTRIBUTE_TYPE_DOUBLE,
  timestamp: v1.AttributeType.ATTRIBUTE_TYPE_TIMESTAMP,
  string: v1.AttributeType.ATTRIBUTE_TYPE_STRING,
} as const;

const QUANTIZATIONS = { int8: v1.Quantization.QUANTIZATION_INT8, none: v1.Quantization.QUANTIZATION_NONE } as const;

function toWire<Names extends Record<string, number>>(what: string, names: Names, name: string): Names[keyof Names] {
  if (Object.hasOwn(names, name)) return names[name as keyof Names];
  throw invalid(`${what} must be one of ${Object.keys(names).join(", ")}, is ${name}`);
}

function fromWire<Names extends Record<string, number>>(what: string, names: Names, wire: number): keyof Names {
  const found = Object.keys(names).find((name) => names[name] === wire);
  if (found === undefined) throw serverSent(`${what} ${wire}, which this client does not know`);
  return found;
}

export function indexToWire({ quantization, ...index }: IndexOptions): v1.IIndexOptions {
  return { ...index, quantization: quantization && toWire("quantization", QUANTIZATIONS, quantization) };
}

const LIMITS = [
  "maxVectors",
  "maxVectorBytes",
  "maxRequestBytes",
  "maxK",
  "maxEfSearch",
  "maxSearches",
  "maxStreams",
  "maxIngestBytesPerSecond",
] as const satisfies readonly (keyof NamespaceLimits)[];

export function limitsToWire(limits: NamespaceLimits): v1.INamespaceLimits {
  for (const [name, value] of Object.entries(limits)) {
    if (!(LIMITS as readonly string[]).includes(name)) {
      throw invalid(`${name} is no limit: there are ${LIMITS.join(", ")}`);
    }
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0)) {
      throw invalid(`${name} must be a whole number, is ${value}`);
    }
  }
  return limits;
}

function limitsFromWire(limits: v1.INamespaceLimits): NamespaceLimits {
  const set = LIMITS.filter((name) => limits[name] !== undefined && limits[name] !== null);
  return Object.fromEntries(set.map((name) => [name, Number(limits[name])]));
}

export function namespaceToWire(name: string, spec: NamespaceSpec): v1.INamespace {
  const fields = Object.entries(spec.fields ?? {}).map(([field, own]) => fieldToWire(field, own));
  const { dimension } = spec;
  if (dimension !== undefined) fields.unshift(fieldToWire("", { ...spec, dimension }));
  return {
    name,
    fields,
    idType: toWire("idType", ID_TYPES, spec.idType ?? "undecided"),
    attributes: spec.attributes?.map(({ path, type, list }) => ({
      path,
      type: toWire(`type of attribute ${path}`, ATTRIBUTE_TYPES, type),
      list,
    })),
    defaultTtl: spec.defaultTtl === undefined ? undefined : durationToWire(spec.defaultTtl),
    limits: limitsToWire(spec.limits ?? {}),
  };
}

function fieldToWire(name: string, spec: FieldSpec): v1.IVectorField {
  if (!(Number.isInteger(spec.dimension) && spec.dimension >= 0 && spec.dimension < 2 ** 32)) {
    throw invalid(`dimension must be a whole number, is ${spec.dimension}`);
  }
  return {
    name,
    dimension: spec.dimension,
    metric: toWire("metric", METRICS, spec.metric ?? "l2"),
    elementType: dtypeToWire(spec.elementType ?? "f32"),
    multiVector: spec.multiVector,
    index: indexToWire(spec.index ?? {}),
  };
}

export function namespaceFromWire(namespace: v1.INamespace | null | undefined): Description {
  const ttl = namespace?.defaultTtl;
  return {
    name: namespace?.name ?? "",
    fields: (namespace?.fields ?? []).map(fieldFromWire),
    idType: fromWire("id type", ID_TYPES, namespace?.idType ?? 0),
    attributes: (namespace?.attributes ?? []).map(({ path, type, list }) => ({
      path: path ?? "",
      type: fromWire("attribute type", ATTRIBUTE_TYPES, type ?? 0),
      list: list ?? false,
    })),
    createTime: timeFromWire(namespace?.createTime),
    defaultTtl: ttl ? durationFromWire(ttl) : undefined,
    limits: limitsFromWire(namespace?.limits ?? {}),
  };
}

function fieldFromWire(field: v1.IVectorField): Field {
  const index = field.index ?? {};
  return {
    name: field.name ?? "",
    dimension: field.dimension ?? 0,
    metric: fromWire("metric", METRICS, field.metric ?? 0),
    elementType: dtypeFromWire(field.elementType ?? 0),
    multiVector: field.multiVector ?? false,
    index: {
      m: index.m ?? undefined,
      efConstruction: index.efConstruction ?? undefined,
      efSearch: index.efSearch ?? undefined,
      segmentSizeThreshold: index.segmentSizeThreshold ?? undefined,
      parallelInsertThreshold: index.parallelInsertThreshold ?? undefined,
      maxUnindexedRows: index.maxUnindexedRows ?? undefined,
      tombstoneRebuildPct: index.tombstoneRebuildPct ?? undefined,
      autoCompaction: index.autoCompaction ?? undefined,
      quantization: index.quantization ? fromWire("quantization", QUANTIZATIONS, index.quantization) : undefined,
    },
  };
}

function durationToWire(milliseconds: number): { seconds: number; nanos: number } {
  if (!(milliseconds >= 0 && milliseconds <= Number.MAX_SAFE_INTEGER)) {
    throw invalid(`defaultTtl must be 0 milliseconds or more, is ${milliseconds}`);
  }
  const seconds = Math.floor(milliseconds / 1_000);
  return { seconds, nanos: Math.round((milliseconds - seconds * 1_000) * 1_000_000) };
}
