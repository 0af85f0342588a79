import { varve } from "../generated/varve.js";
import { invalid } from "./errors.js";
import { isPlainObject, type MetadataValue, valueToWire } from "./metadata.js";

import v1 = varve.v1;

/** What an attribute is compared with. A Date compares with timestamps. */
export type FilterValue = string | number | bigint | boolean | Date;

/** Conditions on one attribute; all of them must hold. Of a list each holds when it does for any element. */
export interface Comparison {
  $eq?: FilterValue;
  /** Not equal, or not there. */
  $ne?: FilterValue;
  $lt?: FilterValue;
  $lte?: FilterValue;
  $gt?: FilterValue;
  $gte?: FilterValue;
  /** Equal to any of them. */
  $in?: readonly FilterValue[];
  /** Equal to none of them, or not there. */
  $nin?: readonly FilterValue[];
  /** A list has the value. */
  $has?: FilterValue;
  /** Text that begins with it. */
  $prefix?: string;
  /** The attribute, or the object, is there, or is not. */
  $exists?: boolean;
  $not?: Comparison;
}

/** Conditions by path of the attribute (`size.eu`); all of them must hold. */
export interface FilterObject {
  $and?: readonly FilterObject[];
  $or?: readonly FilterObject[];
  $not?: FilterObject;
  [path: string]: FilterValue | Comparison | FilterObject | readonly FilterObject[] | undefined;
}

/**
 * Which records: text after AIP-160 (`category = "boot" AND price < 10`), or an object
 * (`{ category: "boot", price: { $lt: 10 } }`).
 */
export type Filter = string | FilterObject;

const DEPTH_MAX = 64;

const OPERATORS: Record<string, v1.Operator> = {
  $eq: v1.Operator.OPERATOR_EQUAL,
  $ne: v1.Operator.OPERATOR_NOT_EQUAL,
  $lt: v1.Operator.OPERATOR_LESS,
  $lte: v1.Operator.OPERATOR_LESS_OR_EQUAL,
  $gt: v1.Operator.OPERATOR_GREATER,
  $gte: v1.Operator.OPERATOR_GREATER_OR_EQUAL,
  $in: v1.Operator.OPERATOR_IN,
  $has: v1.Operator.OPERATOR_HAS,
  $prefix: v1.Operator.OPERATOR_PREFIX,
};

/** The protocol's filter; undefined where there is none. INVALID_ARGUMENT names the path and what is wrong. */
export function filterToWire(filter: Filter | undefined): v1.IFilter | undefined {
  if (filter === undefined) return undefined;
  if (typeof filter === "string") return { text: filter };
  return objectToWire(filter, 0);
}

function objectToWire(filter: FilterObject, depth: number): v1.IFilter {
  if (!isPlainObject(filter)) throw invalid(`a filter must be text or a plain object, is ${show(filter)}`);
  checkDepth(depth);
  return all(
    Object.entries(filter)
      .filter(([, wanted]) => wanted !== undefined)
      .map(([key, wanted]) => entryToWire(key, wanted, depth)),
  );
}

function entryToWire(key: string, wanted: unknown, depth: number): v1.IFilter {
  switch (key) {
    case "$and":
      return { allOf: { filters: listToWire(key, wanted, depth) } };
    case "$or":
      return { anyOf: { filters: listToWire(key, wanted, depth) } };
    case "$not":
      return { negation: objectToWire(wanted as FilterObject, depth + 1) };
  }
  if (key.startsWith("$")) throw invalid(`a filter has $and, $or, $not and paths of attributes, not ${key}`);
  if (isPlainObject(wanted)) return comparisonToWire(key, wanted as Comparison, depth);
  return condition(key, v1.Operator.OPERATOR_EQUAL, [wanted]);
}

function listToWire(key: string, wanted: unknown, depth: number): v1.IFilter[] {
  if (!Array.isArray(wanted)) throw invalid(`${key} must be a list of filters, is ${show(wanted)}`);
  return wanted.map((one: FilterObject) => objectToWire(one, depth + 1));
}

function comparisonToWire(path: string, comparison: Comparison, depth: number): v1.IFilter {
  checkDepth(depth);
  const entries = Object.entries(comparison).filter(([, wanted]) => wanted !== undefined);
  if (entries.length === 0) throw invalid(`${path} must be compared with something, has {}`);
  return all(entries.map(([operator, wanted]) => operatorToWire(path, operator, wanted, depth)));
}

function operatorToWire(path: string, operator: string, wanted: unknown, depth: number): v1.IFilter {
  switch (operator) {
    case "$not":
      if (!isPlainObject(wanted)) throw invalid(`${path}: $not must be a comparison, is ${show(wanted)}`);
      return { negation: comparisonToWire(path, wanted, depth + 1) };
    case "$exists":
      if (typeof wanted !== "boolean") throw invalid(`${path}: $exists must be true or false, is ${show(wanted)}`);
      return wanted ? exists(path) : { negation: exists(path) };
    case "$in":
      return condition(path, v1.Operator.OPERATOR_IN, valuesOf(path, operator, wanted));
    case "$nin":
      return { negation: condition(path, v1.Operator.OPERATOR_IN, valuesOf(path, operator, wanted)) };
  }
  if (!Object.hasOwn(OPERATORS, operator)) {
    const hint = operator.startsWith("$") ? "" : `; an attribute of an object is written "${path}.${operator}"`;
    throw invalid(`${path}: ${operator} is no comparison${hint}`);
  }
  return condition(path, OPERATORS[operator], [wanted]);
}

function condition(path: string, operator: v1.Operator, values: unknown[]): v1.IFilter {
  for (const value of values) {
    const scalar = ["string", "number", "bigint", "boolean"].includes(typeof value) || value instanceof Date;
    if (!scalar) throw invalid(`${path} must be compared with text, a number, a boolean or a Date, not ${show(value)}`);
  }
  return { condition: { path, operator, values: values.map((value) => valueToWire(value as MetadataValue, 0, path)) } };
}

function exists(path: string): v1.IFilter {
  return { condition: { path, operator: v1.Operator.OPERATOR_EXISTS } };
}

function valuesOf(path: string, operator: string, wanted: unknown): unknown[] {
  if (!Array.isArray(wanted)) throw invalid(`${path}: ${operator} must be a list of values, is ${show(wanted)}`);
  return wanted;
}

function all(filters: v1.IFilter[]): v1.IFilter {
  return filters.length === 1 ? filters[0] : { allOf: { filters } };
}

function checkDepth(depth: number): void {
  if (depth > DEPTH_MAX) throw invalid(`a filter must be at most ${DEPTH_MAX} deep`);
}

function show(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === "object" ? `a ${value.constructor?.name ?? "object"}` : JSON.stringify(value);
}
