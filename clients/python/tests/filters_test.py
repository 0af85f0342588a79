"""Filters as dicts: what they become, and what is refused."""

import pytest

from varve.errors import InvalidArgument
from varve.filters import to_filter
from varve.v1 import filter_pb2


def shown(message):
    """A filter as nested tuples."""
    kind = message.WhichOneof("kind")
    if kind in ("all_of", "any_of"):
        return (kind, *[shown(one) for one in getattr(message, kind).filters])
    if kind == "negation":
        return ("not", shown(message.negation))
    if kind == "text":
        return message.text
    condition = message.condition
    values = tuple(getattr(value, value.WhichOneof("kind")) for value in condition.values)
    operator = filter_pb2.Operator.Name(condition.operator).removeprefix("OPERATOR_").lower()
    return (condition.path, operator, *values)


CASES = [
    ("a = 1", "a = 1"),
    ({"a": 1}, ("a", "equal", 1)),
    ({"a": "x", "b": True}, ("all_of", ("a", "equal", "x"), ("b", "equal", True))),
    ({"a": {"$gte": 1, "$lt": 2.5}},
     ("all_of", ("a", "greater_or_equal", 1), ("a", "less", 2.5))),
    ({"a.b": {"$in": [1, 2]}}, ("a.b", "in", 1, 2)),
    ({"a": {"$nin": ["x"]}}, ("not", ("a", "in", "x"))),
    ({"a": {"$ne": 1}}, ("a", "not_equal", 1)),
    ({"a": {"$has": "x"}}, ("a", "has", "x")),
    ({"a": {"$prefix": "x"}}, ("a", "prefix", "x")),
    ({"a": {"$exists": True}}, ("a", "exists")),
    ({"a": {"$exists": False}}, ("not", ("a", "exists"))),
    ({"a": {"$not": {"$gt": 1}}}, ("not", ("a", "greater", 1))),
    ({"$or": [{"a": 1}, {"b": 2}]}, ("any_of", ("a", "equal", 1), ("b", "equal", 2))),
    ({"$and": [{"a": 1}]}, ("all_of", ("a", "equal", 1))),
    ({"$not": {"a": 1, "b": 2}}, ("not", ("all_of", ("a", "equal", 1), ("b", "equal", 2)))),
    ({"$or": []}, ("any_of",)),
    ({}, ("all_of",)),
]  # fmt: skip


@pytest.mark.parametrize("given, wanted", CASES, ids=[str(case[0]) for case in CASES])
def test_a_dict_becomes_a_tree(given, wanted):
    assert shown(to_filter(given)) == wanted


@pytest.mark.parametrize(
    "given, words",
    [
        ({"a": {"$foo": 1}}, r"'\$foo' of 'a' is not an operator"),
        ({"$xor": []}, r"names '\$xor'"),
        ({"$or": {"a": 1}}, "a list of filters"),
        ({"a": {"$in": 1}}, "a list of values"),
        ({"a": [1, 2]}, r"use \$in"),
        ({"a": None}, r"use \$exists"),
        ({"a": {}}, "must have an operator"),
        ({"a": object()}, "the filter of 'a' must be"),
        ({1: 2}, "names 1"),
        (7, "text or a dict"),
    ],
    ids=str,
)
def test_a_dict_that_is_no_filter_is_refused_in_words(given, words):
    with pytest.raises(InvalidArgument, match=words):
        to_filter(given)


def test_no_filter_is_none():
    assert to_filter(None) is None
