/** Values of 0 to 1 that are the same for the same seed. */
export function random(length, seed = 1) {
  const values = new Float32Array(length);
  let state = seed >>> 0;
  for (let i = 0; i < length; ++i) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = state / 2 ** 32;
  }
  return values;
}

/** first, first + 1, ... */
export function numbers(count, first = 0) {
  return BigUint64Array.from({ length: count }, (_, i) => BigInt(first + i));
}

/** The whole part of the package, also what it does not export. */
export function internal(name) {
  return import(new URL(`../../node_modules/@varve/client/dist/${name}.js`, import.meta.url));
}
