import { varve } from "../generated/varve.js";
import { invalid, serverSent } from "./errors.js";
import { ownBuffer } from "./tensor.js";

import v1 = varve.v1;

/**
 * Ids of records to write or to ask for, all numbers or all texts. Numbers are unsigned and of 64 bits (as
 * `number` up to 2^53 - 1), texts have 1 to 512 bytes of UTF-8.
 */
export type Ids = BigUint64Array | readonly number[] | readonly bigint[] | readonly string[];

/** Ids of records read: packed numbers, or texts. */
export type ReadIds = BigUint64Array | string[];

/** One id read. */
export type Id = bigint | string;

/** An integer of 64 bits as protobuf.js takes and gives it. */
export interface Long {
  low: number;
  high: number;
  unsigned: boolean;
}

const MAX_U64 = (1n << 64n) - 1n;
/** Tag and length of a text. */
const TEXT_OVERHEAD = 4;

export function isText(ids: Ids): ids is readonly string[] {
  return typeof ids[0] === "string";
}

/** Ids [first, last) for the wire. */
export function idsToWire(ids: Ids, first = 0, last = ids.length): v1.IIds {
  if (ids instanceof BigUint64Array) return numbersToWire(ids.subarray(first, last));
  if (!Array.isArray(ids)) throw invalid(`ids must be a BigUint64Array or an array, are ${describe(ids)}`);
  if (isText(ids)) return { texts: { values: ids.slice(first, last).map((id, i) => checkedText(id, first + i)) } };
  return numbersToWire(packed(ids as readonly (number | bigint)[], first, last));
}

/** Bytes of ids [first, last) on the wire. */
export function idBytes(ids: Ids, first: number, last: number): number {
  if (!isText(ids)) return (last - first) * 8;
  let bytes = 0;
  for (let i = first; i < last; ++i) bytes += Buffer.byteLength(ids[i]) + TEXT_OVERHEAD;
  return bytes;
}

export function idsFromWire(ids: v1.IIds | null | undefined): ReadIds {
  if (ids?.texts) return ids.texts.values ?? [];
  const bytes = ids?.numbers?.values ?? new Uint8Array();
  if (bytes.length % 8 !== 0) throw serverSent(`${bytes.length} bytes of numeric ids, not a multiple of 8`);
  return new BigUint64Array(ownBuffer(bytes));
}

export function idFromWire(id: v1.IId | null | undefined): Id {
  if (typeof id?.text === "string") return id.text;
  const { low, high } = (id?.number ?? { low: 0, high: 0 }) as Long;
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

/** Ids of one part after those of another. */
export function concatIds(parts: ReadIds[]): ReadIds {
  const some = parts.filter((part) => part.length > 0);
  if (some.length === 0) return parts[0] ?? new BigUint64Array();
  if (some.length === 1) return some[0];
  if (some.every((part) => Array.isArray(part))) return (some as string[][]).flat();
  if (some.some((part) => Array.isArray(part))) throw serverSent("numeric and text ids for one namespace");
  const whole = new BigUint64Array(some.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of some as BigUint64Array[]) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function numbersToWire(ids: BigUint64Array): v1.IIds {
  return { numbers: { values: Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength) } };
}

function packed(ids: readonly (number | bigint)[], first: number, last: number): BigUint64Array {
  const out = new BigUint64Array(last - first);
  const halves = new Uint32Array(out.buffer); // of a number: no bigint is made of it
  for (let i = first; i < last; ++i) {
    const id = ids[i];
    const at = i - first;
    if (typeof id === "bigint" && id >= 0n && id <= MAX_U64) {
      out[at] = id;
    } else if (Number.isSafeInteger(id) && (id as number) >= 0) {
      halves[2 * at] = (id as number) >>> 0;
      halves[2 * at + 1] = Math.floor((id as number) / 2 ** 32);
    } else {
      throw badNumber(id, i);
    }
  }
  return out;
}

function badNumber(id: unknown, row: number): Error {
  if (typeof id !== "number" && typeof id !== "bigint")
    return invalid(`row ${row}: id must be a number, is ${describe(id)}`);
  const hint = typeof id === "number" && id > 0 && Number.isInteger(id) ? "; write it as a bigint" : "";
  return invalid(
    `row ${row}: id must be an integer of 0 to ${typeof id === "bigint" ? "2^64 - 1" : "2^53 - 1"}, is ${id}${hint}`,
  );
}

function checkedText(id: unknown, row: number): string {
  if (typeof id !== "string") throw invalid(`row ${row}: id must be a text like the ids before, is ${describe(id)}`);
  return id;
}

function describe(value: unknown): string {
  return value === null ? "null" : typeof value === "object" ? (value.constructor?.name ?? "an object") : typeof value;
}
