import { endianness } from "node:os";
import { varve } from "../generated/varve.js";
import { invalid, serverSent } from "./errors.js";

import v1 = varve.v1;

/** The type of one element: IEEE float32, float16, bfloat16, unsigned and signed bytes. */
export type Dtype = "f32" | "f16" | "bf16" | "u8" | "i8";

/**
 * Elements of vectors, one vector after another. A Uint16Array holds the bits of float16 or bfloat16: which
 * of the two its `dtype` says.
 */
export type Vectors = Float32Array | Uint16Array | Uint8Array | Int8Array;

const WIRE = {
  f32: v1.Dtype.DTYPE_F32,
  f16: v1.Dtype.DTYPE_F16,
  bf16: v1.Dtype.DTYPE_BF16,
  u8: v1.Dtype.DTYPE_U8,
  i8: v1.Dtype.DTYPE_I8,
} as const;

const ARRAYS = { f32: Float32Array, f16: Uint16Array, bf16: Uint16Array, u8: Uint8Array, i8: Int8Array } as const;

// The wire is little-endian, and arrays are sent as they lie in memory.
if (endianness() !== "LE") throw new Error("@varve/client needs a little-endian machine, this one is big-endian");

export function dtypeToWire(dtype: Dtype): v1.Dtype {
  const wire = WIRE[dtype];
  if (wire === undefined) throw invalid(`dtype must be one of ${Object.keys(WIRE).join(", ")}, is ${dtype}`);
  return wire;
}

export function dtypeFromWire(wire: v1.Dtype): Dtype {
  const found = (Object.keys(WIRE) as Dtype[]).find((dtype) => WIRE[dtype] === wire);
  if (found === undefined) throw serverSent(`dtype ${wire}, which this client does not know`);
  return found;
}

/** The dtype of an array: its own, or the one given, which must fit it. */
export function dtypeOf(vectors: Vectors, given?: Dtype): Dtype {
  const usual = usualDtype(vectors);
  const dtype = given ?? usual;
  if (dtype === undefined) throw invalid("a Uint16Array needs a dtype, 'f16' or 'bf16'");
  dtypeToWire(dtype);
  if (!(vectors instanceof ARRAYS[dtype])) {
    throw invalid(`vectors of dtype ${dtype} must be in a ${ARRAYS[dtype].name}, are in a ${vectors.constructor.name}`);
  }
  return dtype;
}

function usualDtype(vectors: Vectors): Dtype | undefined {
  if (vectors instanceof Float32Array) return "f32";
  if (vectors instanceof Uint8Array) return "u8";
  if (vectors instanceof Int8Array) return "i8";
  if (vectors instanceof Uint16Array) return undefined;
  const found = (vectors as object | undefined)?.constructor?.name ?? typeof vectors;
  throw invalid(`vectors must be in a Float32Array, Uint8Array, Int8Array or Uint16Array, are in a ${found}`);
}

/** Elements [first, last) as a tensor of this shape. Its bytes are a view of the caller's memory. */
export function tensorToWire(
  vectors: Vectors,
  dtype: Dtype,
  shape: number[],
  first = 0,
  last = vectors.length,
): v1.ITensor {
  const size = vectors.BYTES_PER_ELEMENT;
  const data = Buffer.from(vectors.buffer, vectors.byteOffset + first * size, (last - first) * size);
  return { dtype: dtypeToWire(dtype), shape, data };
}

export interface ReadTensor {
  dtype: Dtype;
  rows: number;
  dimension: number;
  vectors: Vectors;
}

/** A tensor of two dimensions, in memory of its own: a view would keep the whole answer alive. */
export function tensorFromWire(tensor: v1.ITensor): ReadTensor {
  const [rows, dimension, ...more] = (tensor.shape ?? []).map(Number);
  if (dimension === undefined || more.length > 0) {
    throw serverSent(`a tensor of ${tensor.shape?.length ?? 0} dimensions, not 2`);
  }
  const dtype = dtypeFromWire(tensor.dtype ?? v1.Dtype.DTYPE_UNSPECIFIED);
  const bytes = tensor.data ?? new Uint8Array();
  const wanted = rows * dimension * ARRAYS[dtype].BYTES_PER_ELEMENT;
  if (bytes.length !== wanted) {
    throw serverSent(
      `a tensor of shape [${rows}, ${dimension}] and ${dtype} with ${bytes.length} bytes, not ${wanted}`,
    );
  }
  return { dtype, rows, dimension, vectors: new ARRAYS[dtype](ownBuffer(bytes)) };
}

/** Packed values of one part after those of another. */
export function concat<T extends Vectors | BigUint64Array | Uint32Array>(parts: T[]): T {
  if (parts.length === 1) return parts[0];
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const whole = new (parts[0].constructor as new (length: number) => T)(length);
  let at = 0;
  for (const part of parts) {
    (whole as { set(from: ArrayLike<unknown>, at: number): void }).set(part, at);
    at += part.length;
  }
  return whole;
}

/** The bytes in a buffer that begins with them, as typed arrays with elements of several bytes ask for. */
export function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  const own = new Uint8Array(bytes.length);
  own.set(bytes);
  return own.buffer;
}
