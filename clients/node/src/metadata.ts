import { varve } from "../generated/varve.js";
import { invalid } from "./errors.js";
import type { Long } from "./ids.js";

import v1 = varve.v1;

/**
 * The value of an attribute. A number that is a safe integer is stored as int64, any other as double; a
 * bigint as int64; a Date as a timestamp. Lists hold scalars. An object's attributes have a path each
 * (`size.eu`). Null, and undefined, is as if the attribute were not there.
 *
 * Read again, an int64 beyond 2^53 is a bigint, and a timestamp is a Date (to the millisecond).
 */
export type MetadataValue =
  | string
  | number
  | bigint
  | boolean
  | Date
  | null
  | undefined
  | readonly MetadataValue[]
  | { readonly [name: string]: MetadataValue };

/** Attributes of a record by name. */
export interface Metadata {
  readonly [name: string]: MetadataValue;
}

/** A merge patch (RFC 7386): null removes an attribute, objects are merged, lists replaced. */
export type MetadataPatch = Metadata;

const DEPTH_MAX = 64;
const MIN_I64 = -(1n << 63n);
const MAX_I64 = (1n << 63n) - 1n;

export function metadataToWire(metadata: Metadata, depth = 0, path = ""): v1.IMetadata {
  if (!isPlainObject(metadata)) throw invalid(`metadata must be a plain object, is ${describe(metadata)}`);
  if (depth > DEPTH_MAX) throw invalid(`metadata must be at most ${DEPTH_MAX} objects deep, is deeper at ${path}`);
  const attributes: Record<string, v1.IValue> = {};
  for (const [name, value] of Object.entries(metadata)) {
    if (value === undefined) continue;
    const wire = valueToWire(value, depth, path === "" ? name : `${path}.${name}`);
    // An own property, whatever its name is.
    Object.defineProperty(attributes, name, { value: wire, enumerable: true });
  }
  return { attributes };
}

export function metadataFromWire(metadata: v1.IMetadata | null | undefined): Metadata {
  const entries = Object.entries(metadata?.attributes ?? {});
  return Object.fromEntries(entries.map(([name, value]) => [name, valueFromWire(value)]));
}

/** `path` names the value in errors. */
export function valueToWire(value: MetadataValue, depth: number, path: string): v1.IValue {
  switch (typeof value) {
    case "string":
      return { stringValue: value };
    case "boolean":
      return { boolValue: value };
    case "number":
      return Number.isSafeInteger(value) ? { int64Value: value } : { doubleValue: value };
    case "bigint":
      return { int64Value: int64ToWire(value, path) };
  }
  if (value === null) return { nullValue: 0 };
  if (value instanceof Date) return { timestampValue: timeToWire(value, path) };
  if (Array.isArray(value)) return { listValue: { values: value.map((element) => elementToWire(element, path)) } };
  if (isPlainObject(value)) return { objectValue: metadataToWire(value as Metadata, depth + 1, path) };
  throw invalid(`${path} must be text, a number, a boolean, a Date, a list or a plain object, is ${describe(value)}`);
}

export function valueFromWire(value: v1.IValue): MetadataValue {
  switch ((value as v1.Value).kind) {
    case "stringValue":
      return value.stringValue;
    case "int64Value":
      return int64FromWire(value.int64Value as Long);
    case "doubleValue":
      return value.doubleValue;
    case "boolValue":
      return value.boolValue;
    case "timestampValue":
      return timeFromWire(value.timestampValue);
    case "listValue":
      return (value.listValue?.values ?? []).map(valueFromWire);
    case "objectValue":
      return metadataFromWire(value.objectValue);
    default:
      return null;
  }
}

export function timeToWire(time: Date, path: string): { seconds: number; nanos: number } {
  const milliseconds = time.getTime();
  if (Number.isNaN(milliseconds)) throw invalid(`${path} must be a time, is an invalid Date`);
  const seconds = Math.floor(milliseconds / 1_000);
  return { seconds, nanos: (milliseconds - seconds * 1_000) * 1_000_000 };
}

export function timeFromWire(time: { seconds?: unknown; nanos?: number | null } | null | undefined): Date {
  return new Date(Number(time?.seconds ?? 0) * 1_000 + Math.floor((time?.nanos ?? 0) / 1_000_000));
}

/** Milliseconds. */
export function durationFromWire(duration: { seconds?: unknown; nanos?: number | null } | null | undefined): number {
  return Number(duration?.seconds ?? 0) * 1_000 + (duration?.nanos ?? 0) / 1_000_000;
}

function elementToWire(value: MetadataValue, path: string): v1.IValue {
  if (value === undefined || Array.isArray(value) || isPlainObject(value)) {
    throw invalid(`${path} must be a list of scalars, has ${describe(value)} in it`);
  }
  return valueToWire(value, 0, path);
}

function int64ToWire(value: bigint, path: string): never | import("long").default {
  if (value < MIN_I64 || value > MAX_I64) throw invalid(`${path} must fit 64 bits with a sign, is ${value}`);
  const bits = BigInt.asUintN(64, value);
  const long: Long = { low: Number(bits & 0xffffffffn) | 0, high: Number(bits >> 32n) | 0, unsigned: false };
  return long as import("long").default;
}

function int64FromWire({ low, high }: Long): number | bigint {
  const number = (high | 0) * 2 ** 32 + (low >>> 0);
  if (Number.isSafeInteger(number)) return number;
  return BigInt.asIntN(64, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null; // also of another realm
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === "object" ? `a ${value.constructor?.name ?? "object"}` : `a ${typeof value}`;
}
