"""Writes GVariant dictionaries `a{sv}` as GLib does, and ostree's commits.

Values are `s`, `b`, `as`, `(tt)` and `a{sv}`.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Pair(NamedTuple):
    """A value of type `(tt)`."""

    first: int
    second: int


Value = str | bool | Pair | Sequence[str] | Mapping[str, "Value"]


def encode_dictionary(table: Mapping[str, Value]) -> bytes:
    """Serialise; entries are aligned to 8 bytes and followed by their ends."""
    data = b""
    ends = []
    for key, value in table.items():
        data = _aligned(data) + _entry(key, value)
        ends.append(len(data))
    return _framed(data, ends)


def encode_commit(
    about: Mapping[str, Value], *, timestamp: int, parent: bytes = b"", root: bytes = b"r" * 32
) -> bytes:
    """Serialise a commit object, `(a{sv}aya(say)sstayay)`."""
    data = encode_dictionary(about)
    ends = [len(data)]
    for part in (parent, b"", b"subject\0", b"\0"):
        data += part
        ends.append(len(data))
    data = _aligned(data) + timestamp.to_bytes(8, "big") + root
    ends.append(len(data))
    data += b"m" * 32
    return _framed(data, ends[::-1])


def _entry(key: str, value: Value) -> bytes:
    match value:
        case bool():
            body, kind = bytes([value]), b"b"
        case str():
            body, kind = value.encode() + b"\0", b"s"
        case Pair(first, second):
            body, kind = struct.pack("<QQ", first, second), b"(tt)"
        case Mapping():
            body, kind = encode_dictionary(value), b"a{sv}"
        case _:
            body, kind = _strings(value), b"as"
    name = key.encode() + b"\0"
    return _framed(_aligned(name) + body + b"\0" + kind, [len(name)])


def _strings(texts: Sequence[str]) -> bytes:
    data = b""
    ends = []
    for text in texts:
        data += text.encode() + b"\0"
        ends.append(len(data))
    return _framed(data, ends)


def _framed(data: bytes, ends: Sequence[int]) -> bytes:
    for width in (1, 2, 4, 8):
        if len(data) + width * len(ends) < 1 << 8 * width:
            return data + b"".join(end.to_bytes(width, "little") for end in ends)
    raise ValueError(data)


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)
