"""Filters: AIP-160 text as it is, or a dict.

    {"category": "boot", "price": {"$gte": 5, "$lt": 10}}        all of these
    {"$or": [{"tags": {"$has": "sale"}}, {"sold": False}]}       any of these
    {"$not": {"size.eu": {"$in": [42, 43]}}}
    {"name": {"$prefix": "Ab"}, "expires": {"$exists": True}}

Operators: $eq $ne $lt $lte $gt $gte $in $nin $has $prefix $exists $not, and $and $or $not around dicts.
$ne and $nin hold for records without the attribute too, as $not does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, Union

from varve import _values
from varve.errors import InvalidArgument
from varve.v1 import filter_pb2

Filter = Union[str, Mapping[str, Any], filter_pb2.Filter]

_COMPARISONS = {
    "$eq": filter_pb2.OPERATOR_EQUAL,
    "$ne": filter_pb2.OPERATOR_NOT_EQUAL,
    "$lt": filter_pb2.OPERATOR_LESS,
    "$lte": filter_pb2.OPERATOR_LESS_OR_EQUAL,
    "$gt": filter_pb2.OPERATOR_GREATER,
    "$gte": filter_pb2.OPERATOR_GREATER_OR_EQUAL,
    "$in": filter_pb2.OPERATOR_IN,
    "$has": filter_pb2.OPERATOR_HAS,
    "$prefix": filter_pb2.OPERATOR_PREFIX,
}
_OPERATORS = [*_COMPARISONS, "$nin", "$exists", "$not"]


def to_filter(given: Optional[Filter]) -> Optional[filter_pb2.Filter]:
    """The message of a filter; None of None, which every record satisfies."""
    if given is None or isinstance(given, filter_pb2.Filter):
        return given
    if isinstance(given, str):
        return filter_pb2.Filter(text=given)
    return _all_of(given)


def _all_of(given: Any) -> filter_pb2.Filter:
    if not isinstance(given, Mapping):
        raise InvalidArgument(f"a filter must be text or a dict, is {given!r}")
    parts = []
    for key, wanted in given.items():
        if key in ("$and", "$or"):
            parts.append(_list(key, wanted))
        elif key == "$not":
            parts.append(_negation(_all_of(wanted)))
        elif isinstance(key, str) and not key.startswith("$"):
            parts += _of_attribute(key, wanted)
        else:
            raise InvalidArgument(
                f"a filter must name an attribute, $and, $or or $not, names {key!r}"
            )
    return _joined(parts)


def _joined(parts: list[filter_pb2.Filter]) -> filter_pb2.Filter:
    if len(parts) == 1:
        return parts[0]
    return filter_pb2.Filter(all_of=filter_pb2.FilterList(filters=parts))


def _list(key: str, wanted: Any) -> filter_pb2.Filter:
    if not isinstance(wanted, (list, tuple)):
        raise InvalidArgument(f"{key} must have a list of filters, has {wanted!r}")
    filters = filter_pb2.FilterList(filters=[_all_of(one) for one in wanted])
    if key == "$and":
        return filter_pb2.Filter(all_of=filters)
    return filter_pb2.Filter(any_of=filters)


def _negation(negated: filter_pb2.Filter) -> filter_pb2.Filter:
    return filter_pb2.Filter(negation=negated)


def _of_attribute(path: str, wanted: Any) -> list[filter_pb2.Filter]:
    if not isinstance(wanted, Mapping):
        return [_condition(path, "$eq", wanted)]
    if not wanted:
        raise InvalidArgument(f"the filter of {path!r} must have an operator, has none")
    return [_condition(path, operator, value) for operator, value in wanted.items()]


def _condition(path: str, operator: str, wanted: Any) -> filter_pb2.Filter:
    if operator == "$exists":
        exists = filter_pb2.Condition(path=path, operator=filter_pb2.OPERATOR_EXISTS)
        found = filter_pb2.Filter(condition=exists)
        return found if wanted else _negation(found)
    if operator == "$not":
        return _negation(_joined(_of_attribute(path, wanted)))
    if operator == "$nin":
        return _negation(_condition(path, "$in", wanted))
    if operator not in _COMPARISONS:
        raise InvalidArgument(
            f"{operator!r} of {path!r} is not an operator: use {', '.join(_OPERATORS)}"
        )
    several = isinstance(wanted, (list, tuple, set, frozenset))
    if several != (operator == "$in"):
        need = "a list of values" if operator == "$in" else "one value (for several use $in)"
        raise InvalidArgument(f"{operator} of {path!r} must have {need}, has {wanted!r}")
    if wanted is None:
        raise InvalidArgument(f"{operator} of {path!r} must have a value; for none use $exists")
    what = f"the filter of {path!r}"
    values = [_values.to_value(value, what) for value in (wanted if several else [wanted])]
    condition = filter_pb2.Condition(path=path, operator=_COMPARISONS[operator], values=values)
    return filter_pb2.Filter(condition=condition)
