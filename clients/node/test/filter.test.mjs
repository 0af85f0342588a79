import assert from "node:assert/strict";
import { test } from "node:test";
import { internal } from "./support/vectors.mjs";

const { filterToWire } = await internal("filter");

const EQUAL = 1,
  NOT_EQUAL = 2,
  LESS = 3,
  LESS_OR_EQUAL = 4,
  GREATER = 5,
  GREATER_OR_EQUAL = 6,
  IN = 7,
  HAS = 8;
const PREFIX = 9,
  EXISTS = 10;

const text = (stringValue) => ({ stringValue });
const int = (int64Value) => ({ int64Value });
const condition = (path, operator, ...values) => ({ condition: { path, operator, ...(values.length && { values }) } });

test("text goes as it is and no filter is none", () => {
  assert.deepEqual(filterToWire("price < 10"), { text: "price < 10" });
  assert.equal(filterToWire(undefined), undefined);
});

test("a value means equal, of every type", () => {
  assert.deepEqual(filterToWire({ a: "boot" }), condition("a", EQUAL, text("boot")));
  assert.deepEqual(filterToWire({ a: 3 }), condition("a", EQUAL, int(3)));
  assert.deepEqual(filterToWire({ a: 3.5 }), condition("a", EQUAL, { doubleValue: 3.5 }));
  assert.deepEqual(filterToWire({ a: true }), condition("a", EQUAL, { boolValue: true }));
  const time = { timestampValue: { seconds: 1, nanos: 500_000_000 } };
  assert.deepEqual(filterToWire({ a: new Date(1_500) }), condition("a", EQUAL, time));
  const big = filterToWire({ a: -1n }).condition.values[0].int64Value;
  assert.deepEqual([big.low, big.high], [-1, -1]);
});

test("each comparison has its operator", () => {
  const operators = {
    $eq: EQUAL,
    $ne: NOT_EQUAL,
    $lt: LESS,
    $lte: LESS_OR_EQUAL,
    $gt: GREATER,
    $gte: GREATER_OR_EQUAL,
  };
  for (const [name, operator] of Object.entries({ ...operators, $has: HAS, $prefix: PREFIX })) {
    assert.deepEqual(filterToWire({ a: { [name]: "x" } }), condition("a", operator, text("x")), name);
  }
  assert.deepEqual(filterToWire({ a: { $in: [1, "x"] } }), condition("a", IN, int(1), text("x")));
  assert.deepEqual(filterToWire({ a: { $nin: [1] } }), { negation: condition("a", IN, int(1)) });
  assert.deepEqual(filterToWire({ a: { $exists: true } }), condition("a", EXISTS));
  assert.deepEqual(filterToWire({ a: { $exists: false } }), { negation: condition("a", EXISTS) });
});

test("several keys and several comparisons must all hold", () => {
  assert.deepEqual(filterToWire({ a: 1, b: { $gt: 2, $lt: 5 } }), {
    allOf: {
      filters: [
        condition("a", EQUAL, int(1)),
        { allOf: { filters: [condition("b", GREATER, int(2)), condition("b", LESS, int(5))] } },
      ],
    },
  });
});

test("$and, $or and $not nest, also inside a comparison", () => {
  assert.deepEqual(filterToWire({ $or: [{ a: 1 }, { $not: { b: 2 } }] }), {
    anyOf: { filters: [condition("a", EQUAL, int(1)), { negation: condition("b", EQUAL, int(2)) }] },
  });
  assert.deepEqual(filterToWire({ $and: [{ a: 1 }] }), { allOf: { filters: [condition("a", EQUAL, int(1))] } });
  assert.deepEqual(filterToWire({ a: { $not: { $lt: 1 } } }), { negation: condition("a", LESS, int(1)) });
  assert.deepEqual(filterToWire({}), { allOf: { filters: [] } });
});

test("what is no filter is refused by name", () => {
  const refused = [
    [{ $nor: [] }, /\$nor/],
    [{ a: { $like: "x" } }, /a: \$like/],
    [{ size: { eu: 44 } }, /"size\.eu"/],
    [{ a: {} }, /a must be compared/],
    [{ a: null }, /a must be compared .* not null/],
    [{ a: { $in: 3 } }, /a: \$in must be a list/],
    [{ a: [1] }, /a must be compared .* a Array/],
    [{ a: { $exists: 1 } }, /a: \$exists must be true or false/],
    [{ $or: { a: 1 } }, /\$or must be a list/],
    [{ a: 1n << 64n }, /a must fit 64 bits/],
    [7, /must be text or a plain object/],
    [{ a: { constructor: 1 } }, /a: constructor is no comparison/],
  ];
  for (const [filter, message] of refused) {
    assert.throws(() => filterToWire(filter), { name: "VarveError", code: "INVALID_ARGUMENT", message });
  }
  let deep = { a: 1 };
  for (let i = 0; i < 100; ++i) deep = { $not: deep };
  assert.throws(() => filterToWire(deep), { message: /at most 64 deep/ });
});
