"""Metadata's types where a file says less than Varve: text to values and back, and what several rows have
in common. A kind is what create_namespace(attributes=) calls it ("int64", "list of string"), or "json":
values of several types."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Optional

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_INT64 = range(-(1 << 63), 1 << 63)
_LIST = "list of "


def kind_of(value: Any) -> str:
    """The kind of one value that the client can send; of an empty list "list of "."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64"
    if isinstance(value, float):
        return "double"
    if isinstance(value, str):
        return "string"
    if isinstance(value, datetime.datetime):
        return "timestamp"
    if isinstance(value, list):
        inner = ""
        for one in value:
            inner = common_kind(inner, kind_of(one))
        return "json" if inner == "json" else _LIST + inner
    return "json"


def common_kind(one: Optional[str], other: str) -> str:
    """The kind that holds values of both."""
    if not one or one == other:
        return other
    if {one, other} == {"int64", "double"}:
        return "double"
    if one.startswith(_LIST) and other.startswith(_LIST):
        inner = [kind.removeprefix(_LIST) for kind in (one, other)]
        both = common_kind(*inner) if all(inner) else "".join(inner)
        return "json" if both == "json" else _LIST + both
    return "json"


def kind_of_text(text: str) -> str:
    """What a value in a CSV file looks like."""
    if text in ("true", "false", "True", "False"):
        return "bool"
    if _WHOLE.fullmatch(text) and int(text) in _INT64:
        return "int64"
    if _NUMBER.fullmatch(text):
        return "double"
    if _TIME.fullmatch(text):
        return "timestamp"
    if text.startswith("["):
        try:
            kind = kind_of(json.loads(text))
        except ValueError:
            return "string"
        return kind if kind.startswith(_LIST) else "string"
    return "string"


def common_kind_of_texts(one: Optional[str], other: str) -> str:
    both = common_kind(one, other)
    return "string" if both == "json" else both


def parse(text: str, kind: str) -> Any:
    """A value of this kind; ValueError when the text is none."""
    if kind == "bool":
        return {"true": True, "True": True, "false": False, "False": False}[text]
    if kind == "int64":
        return int(text)
    if kind == "double":
        return float(text)
    if kind == "timestamp":
        return parse_time(text)
    if kind.startswith(_LIST):
        return as_kind(json.loads(text), kind)
    return text


def as_kind(value: Any, kind: Optional[str]) -> Any:
    """A value of JSON, which knows no times and one kind of number, as the kind that was declared."""
    if kind == "timestamp" and isinstance(value, str):
        return parse_time(value)
    if kind == "double" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is not None and kind.startswith(_LIST) and isinstance(value, list):
        return [as_kind(one, kind.removeprefix(_LIST)) for one in value]
    return value


def parse_time(text: str) -> datetime.datetime:
    """RFC 3339; without a time zone, UTC."""
    whole, dot, rest = text.partition(".")
    if dot:  # Python 3.10 knows fractions of six digits only
        digits = re.match(r"\d*", rest).group()
        text = f"{whole}.{digits[:6]:0<6}{rest[len(digits):]}"
    time = datetime.datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text))
    return time if time.tzinfo is not None else time.replace(tzinfo=datetime.timezone.utc)


def time_text(time: datetime.datetime) -> str:
    return time.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=time_text, separators=(",", ":"))


def flat(attributes: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Attributes by path: {"size": {"eu": 44}} is "size.eu"."""
    for name, value in attributes.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}.")
        else:
            yield above + name, value
