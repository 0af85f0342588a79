"""Messages that carry arrays, made without a copy for every layer they are nested in.

Protobuf's own classes copy a tensor into its message, that one into the batch, and the batch into the
request. Here a message is a list of parts, joined once: what is small is serialized by Protobuf, what is
large is the caller's memory. A message's parts may come in any order and in several pieces (Protobuf,
"Encoding": concatenated messages are merged), which is what makes this simple.
"""

from __future__ import annotations

from typing import Union

Buffer = Union[bytes, memoryview]

_LENGTH_DELIMITED = 2


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Parts:
    """A message as parts that follow each other. Holds the buffers it is given until it is joined."""

    def __init__(self, *parts: Buffer):
        self.parts: list[Buffer] = list(parts)
        self.size = sum(len(part) for part in parts)

    def add(self, part: Buffer) -> "Parts":
        """Adds fields that are encoded already."""
        self.parts.append(part)
        self.size += len(part)
        return self

    def nest(self, number: int, child: Union["Parts", Buffer]) -> "Parts":
        """Adds a field that is a message, a text, bytes or packed numbers."""
        if not isinstance(child, Parts):
            child = Parts(child)
        self.add(_varint(number << 3 | _LENGTH_DELIMITED) + _varint(child.size))
        self.parts += child.parts
        self.size += child.size
        return self

    def join(self) -> bytes:
        return b"".join(self.parts)
