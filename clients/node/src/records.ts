import { varve } from "../generated/varve.js";
import { invalid, serverSent, VarveError } from "./errors.js";
import { idBytes, type Ids, idsFromWire, idsToWire, type ReadIds } from "./ids.js";
import { type Metadata, metadataFromWire, metadataToWire, timeFromWire, timeToWire } from "./metadata.js";
import { concat, type Dtype, dtypeOf, type ReadTensor, tensorFromWire, tensorToWire, type Vectors } from "./tensor.js";

import v1 = varve.v1;

/** The vectors of one field of some records, one after another. */
export interface FieldVectors {
  /** records x `dimension` values; with `offsets`, as many vectors as these say. */
  vectors: Vectors;
  /** Values per vector. Not given: the array's length divided by the number of records. */
  dimension?: number;
  /** Needed for a Uint16Array: "f16" or "bf16". */
  dtype?: Dtype;
  /**
   * For a field of several vectors a record: record i has the vectors offsets[i] to offsets[i + 1] - 1. One
   * more than records, from 0, ascending, to the number of vectors.
   */
  offsets?: ArrayLike<number>;
}

/** What records to write have besides ids and the vectors of one field. */
export interface RecordParts {
  /** The field that the vectors are of; the default one if not given. */
  field?: string;
  /** The vectors of further fields, by name. */
  fields?: Record<string, FieldVectors>;
  /** Attributes, one object for each record. */
  metadata?: readonly Metadata[];
  /** When the records expire: one time for all, or one for each (null: after the namespace's ttl, if it has one). */
  expireTimes?: Date | readonly (Date | null)[];
}

/** Records to write: position i of every column belongs to record i. */
export interface Chunk extends FieldVectors, RecordParts {
  ids: Ids;
}

interface Column {
  field: string;
  vectors: Vectors;
  dimension: number;
  dtype: Dtype;
  offsets?: ArrayLike<number>;
}

/** A Chunk whose parts fit each other, to be cut into batches. Its memory is the caller's. */
export interface Records {
  rows: number;
  ids: Ids;
  columns: Column[];
  metadata?: readonly Metadata[];
  expireTimes: readonly (Date | null)[];
}

/** A batch is larger than a message may be: it must be cut smaller. */
export class BatchTooLarge extends VarveError {
  constructor(rows: number, bytes: number, most: number) {
    super("RESOURCE_EXHAUSTED", `a batch of ${rows} records has ${bytes} bytes; at most ${most} are taken`);
  }
}

/** INVALID_ARGUMENT: vectors, offsets, metadata or expire times are not one for each id. */
export function checkRecords(chunk: Chunk): Records {
  const rows = chunk.ids?.length;
  if (rows === undefined) throw invalid("records have no ids");
  const columns = [checkColumn(chunk.field ?? "", chunk, rows)];
  for (const [field, vectors] of Object.entries(chunk.fields ?? {})) columns.push(checkColumn(field, vectors, rows));
  if (chunk.metadata !== undefined && chunk.metadata.length !== rows) {
    throw invalid(`${rows} ids have metadata of ${chunk.metadata.length} records, wanted one each or none`);
  }
  const { expireTimes: times = [] } = chunk;
  const expireTimes = times instanceof Date ? [times] : times;
  if (expireTimes.length > 1 && expireTimes.length !== rows) {
    throw invalid(`${rows} ids have ${expireTimes.length} expire times, wanted one each, one for all or none`);
  }
  return { rows, ids: chunk.ids, columns, metadata: chunk.metadata, expireTimes };
}

function checkColumn(field: string, given: FieldVectors, rows: number): Column {
  const { vectors, offsets } = given;
  const name = field === "" ? "the default field" : `field ${field}`;
  const dtype = dtypeOf(vectors, given.dtype);
  const dimension = given.dimension ?? (offsets ? undefined : vectors.length / Math.max(rows, 1));
  if (dimension === undefined || !Number.isInteger(dimension) || (dimension < 1 && rows > 0)) {
    throw invalid(
      given.dimension === undefined && !offsets
        ? `${vectors.length} values of ${name} are no vectors for ${rows} ids`
        : `dimension of ${name} must be a whole number of 1 or more, is ${dimension}`,
    );
  }
  const wanted = offsets ? checkOffsets(name, offsets, rows) : rows;
  if (vectors.length !== wanted * dimension) {
    const found = `${name} has ${vectors.length} values`;
    throw invalid(
      `${found}, wanted ${wanted * dimension}: ${wanted} vectors of dimension ${dimension} for ${rows} ids`,
    );
  }
  return { field, vectors, dimension, dtype, offsets };
}

/** How many vectors there are. */
function checkOffsets(name: string, offsets: ArrayLike<number>, rows: number): number {
  if (offsets.length !== rows + 1) {
    throw invalid(`${rows} ids have ${offsets.length} offsets for ${name}, wanted one more than ids`);
  }
  if (offsets[0] !== 0) throw invalid(`the offsets of ${name} must begin with 0, begin with ${offsets[0]}`);
  for (let i = 0; i < rows; ++i) {
    if (!(offsets[i] <= offsets[i + 1])) {
      throw invalid(`the offsets of ${name} must ascend, go from ${offsets[i]} to ${offsets[i + 1]} at record ${i}`);
    }
  }
  return offsets[rows];
}

/** About how many bytes one record has on the wire. Depends on the records alone. */
export function bytesPerRow(records: Records): number {
  if (records.rows === 0) return 1;
  let bytes = idBytes(records.ids, 0, records.rows) + records.expireTimes.length * 16;
  for (const { vectors, offsets } of records.columns) bytes += vectors.byteLength + (offsets ? records.rows * 4 : 0);
  return bytes / records.rows + metadataBytesPerRow(records);
}

/** The mean of some. */
function metadataBytesPerRow({ metadata, rows }: Records): number {
  if (!metadata) return 0;
  const step = Math.ceil(rows / 32);
  let bytes = 0;
  let count = 0;
  for (let i = 0; i < rows; i += step, ++count) bytes += v1.Metadata.encode(metadataToWire(metadata[i])).len + 4;
  return bytes / count;
}

/**
 * Records [first, first + count) as batch `number` of a stream. The tensors' bytes are copied once, from the
 * caller's array into the message. BatchTooLarge: they are more than `most` bytes.
 */
export function encodeBatch(number: number, records: Records, first: number, count: number, most: number): Buffer {
  const writer = v1.IngestRequest.encode({ batch: { number, records: toWire(records, first, first + count) } });
  if (writer.len > most) throw new BatchTooLarge(count, writer.len, most);
  return writer.finish() as Buffer;
}

function toWire(records: Records, first: number, last: number): v1.IRecordBatch {
  const { ids, columns, metadata, expireTimes } = records;
  const times = expireTimes.length > 1 ? expireTimes.slice(first, last) : expireTimes;
  return {
    ids: idsToWire(ids, first, last),
    fields: columns.map((column) => columnToWire(column, first, last)),
    metadata: metadata?.slice(first, last).map((one) => metadataToWire(one)),
    expireTimes: times.map((time) => (time === null ? {} : timeToWire(time, "expireTimes"))),
  };
}

function columnToWire(column: Column, first: number, last: number): v1.IFieldVectors {
  const { field, vectors, dimension, dtype, offsets } = column;
  if (!offsets) {
    const shape = [last - first, dimension];
    return { field, dense: tensorToWire(vectors, dtype, shape, first * dimension, last * dimension) };
  }
  const begin = offsets[first];
  const end = offsets[last];
  const tensor = tensorToWire(vectors, dtype, [end - begin, dimension], begin * dimension, end * dimension);
  const own = Array.from({ length: last - first + 1 }, (_, i) => offsets[first + i] - begin);
  return { field, ragged: { vectors: tensor, offsets: own } };
}

/** The vectors of one field of records read, in the field's element type. */
export interface ReadField {
  dtype: Dtype;
  dimension: number;
  /** records x dimension values, packed; with `offsets`, as many vectors as these say. */
  vectors: Vectors;
  /** Of a field of several vectors a record; see FieldVectors. */
  offsets?: Float64Array;
  /** Positions of records without a vector: zeros stand in its place, or nothing. */
  missing: number[];
}

/** Records read: position i of every column belongs to record i. */
export interface ReadRecords {
  ids: ReadIds;
  /** With `includeVectors`, those of the default field (of `dimension` and `dtype`): records x dimension values. */
  vectors?: Vectors;
  dimension?: number;
  dtype?: Dtype;
  /** With `includeVectors`, every field by name, the default one as "". */
  fields?: Record<string, ReadField>;
  /** With `includeMetadata`. */
  metadata?: Metadata[];
  /** With `includeMetadata`, if any of the records expires; null: that one does not. */
  expireTimes?: (Date | null)[];
}

export function recordsFromWire(batch: v1.IRecordBatch | null | undefined, include: Include): ReadRecords {
  const ids = idsFromWire(batch?.ids);
  const records: ReadRecords = { ids };
  if (include.includeVectors) setFields(records, fieldsFromWire(batch?.fields ?? [], ids.length));
  if (include.includeMetadata) {
    records.metadata = (batch?.metadata ?? []).map(metadataFromWire);
    checkCount("records' metadata", records.metadata.length, ids.length);
    const times = batch?.expireTimes ?? [];
    if (times.length > 0) {
      checkCount("expire times", times.length, ids.length);
      records.expireTimes = times.map((time) =>
        Number(time.seconds ?? 0) === 0 && !time.nanos ? null : timeFromWire(time),
      );
    }
  }
  return records;
}

/** Which parts of records to return. */
export interface Include {
  includeVectors?: boolean;
  includeMetadata?: boolean;
  /** With `includeMetadata`: of it only these attributes and objects. */
  metadataPaths?: readonly string[];
}

export function includeToWire({ includeVectors, includeMetadata, metadataPaths }: Include) {
  return { includeVectors, includeMetadata, metadataPaths: [...(metadataPaths ?? [])] };
}

/** `rows`: how many records they are of; undefined for all of one record, as a hit has them. */
export function fieldsFromWire(fields: v1.IFieldVectors[], rows: number | undefined): Record<string, ReadField> {
  return Object.fromEntries(fields.map((field) => [field.field ?? "", fieldFromWire(field, rows)]));
}

function fieldFromWire(field: v1.IFieldVectors, rows: number | undefined): ReadField {
  const tensor = tensorFromWire(field.ragged?.vectors ?? field.dense ?? {});
  const { dtype, dimension, vectors } = tensor;
  const read: ReadField = { dtype, dimension, vectors, missing: field.missing ?? [] };
  if (field.ragged) read.offsets = Float64Array.from(field.ragged.offsets ?? [], Number);
  if (rows !== undefined) checkField(field.field ?? "", tensor, read, rows);
  return read;
}

function checkField(name: string, tensor: ReadTensor, { offsets, missing }: ReadField, rows: number): void {
  const fits = offsets
    ? offsets.length === rows + 1 && offsets[0] === 0 && offsets[rows] === tensor.rows
    : tensor.rows === rows;
  if (fits && missing.every((row) => row < rows)) return;
  throw serverSent(`${rows} ids with ${tensor.rows} vectors of field "${name}" and ${missing.length} missing`);
}

function setFields(records: ReadRecords, fields: Record<string, ReadField>): void {
  records.fields = fields;
  const main = fields[""];
  if (!main) return;
  records.vectors = main.vectors;
  records.dimension = main.dimension;
  records.dtype = main.dtype;
}

function checkCount(what: string, found: number, rows: number): void {
  if (found !== rows) throw serverSent(`${rows} ids with ${found} ${what}`);
}

/** Records of several answers to one question, in order. */
export function concatRecords(parts: ReadRecords[], ids: ReadIds): ReadRecords {
  const some = parts.filter((part) => part.ids.length > 0);
  if (some.length <= 1) return { ...(some[0] ?? parts[0]), ids };
  const records: ReadRecords = { ids };
  if (some[0].fields) {
    const names = Object.keys(some[0].fields);
    setFields(records, Object.fromEntries(names.map((name) => [name, concatField(name, some)])));
  }
  if (some[0].metadata) records.metadata = some.flatMap((part) => part.metadata ?? []);
  if (some.some((part) => part.expireTimes)) {
    records.expireTimes = some.flatMap((part) => part.expireTimes ?? new Array<null>(part.ids.length).fill(null));
  }
  return records;
}

function concatField(name: string, parts: ReadRecords[]): ReadField {
  const fields = parts.map((part) => part.fields?.[name]);
  const [first] = fields;
  const same = (field: ReadField | undefined): field is ReadField =>
    field !== undefined &&
    field.dtype === first?.dtype &&
    field.dimension === first.dimension &&
    !field.offsets === !first.offsets;
  if (!first || !fields.every(same)) throw serverSent(`vectors of different shapes for field "${name}"`);
  const missing: number[] = [];
  const offsets = [0];
  let rows = 0;
  fields.forEach((field, i) => {
    for (const row of field.missing) missing.push(rows + row);
    const before = offsets[offsets.length - 1];
    field.offsets?.forEach((offset, at) => at > 0 && offsets.push(before + offset));
    rows += parts[i].ids.length;
  });
  const whole: ReadField = { ...first, vectors: concat(fields.map((field) => field.vectors)), missing };
  if (first.offsets) whole.offsets = Float64Array.from(offsets);
  return whole;
}
