"""Serialised GVariant dictionaries, in which ostree and rpm-ostree write their files.

Only what those hold is decoded; the format is that of the GVariant specification.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

Value: TypeAlias = str | bool | tuple[str, ...] | bytes

_ALIGNMENT: Final = 8  # of the entries of a dictionary; strings have none


def decode_dictionary(data: bytes) -> dict[str, Value]:
    """Read a serialised `a{sv}`; ValueError for junk.

    Texts, booleans and lists of texts are decoded, values of other types stay bytes: so nothing is
    nested deeper than somebody asks for.
    """
    table: dict[str, Value] = {}
    for entry in _elements(data, _ALIGNMENT):
        width = _offset_width(len(entry))
        key_end = _offset(entry, len(entry) - width, width)
        value, separator, kind = entry[_aligned(key_end, _ALIGNMENT) : -width].rpartition(b"\0")
        key = _string(entry[:key_end])
        if not separator or key in table:
            raise ValueError("a value without a type, or a key that comes twice")
        match kind:
            case b"s":
                table[key] = _string(value)
            case b"b":
                table[key] = _boolean(value)
            case b"as":
                table[key] = tuple(_string(each) for each in _elements(value, 1))
            case _:
                table[key] = value
    return table


def decode_members(data: bytes, count: int) -> tuple[int, ...]:
    """Where the first `count` members of a tuple end that tell it: the offsets at its end.

    ValueError where they do not follow each other inside it.
    """
    width = _offset_width(len(data))
    last = len(data) - width * count
    if last < 0:
        raise ValueError("a tuple without its offsets")
    places = range(len(data) - width, last - 1, -width)
    ends = tuple(int.from_bytes(data[place : place + width], "little") for place in places)
    if sorted(ends) != list(ends) or ends[-1] > last:
        raise ValueError("offsets that overlap, or point outside")
    return ends


def _elements(data: bytes, alignment: int) -> Iterator[bytes]:
    if not data:
        return
    width = _offset_width(len(data))
    table = _offset(data, len(data) - width, width)
    if (len(data) - table) % width:
        raise ValueError("a table of offsets that does not fit")
    start = 0
    for place in range(table, len(data), width):
        end = _offset(data, place, width)
        start = _aligned(start, alignment)
        if not start < end <= table:
            raise ValueError("offsets that overlap")
        yield data[start:end]
        start = end


def _offset(data: bytes, place: int, width: int) -> int:
    found = int.from_bytes(data[max(place, 0) : place + width], "little")
    if place < 0 or found > place:
        raise ValueError("an offset that points outside")
    return found


def _offset_width(size: int) -> int:
    return 1 if size <= 0xFF else 2 if size <= 0xFFFF else 4 if size <= 0xFFFF_FFFF else 8


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


def _string(data: bytes) -> str:
    if not data.endswith(b"\0") or b"\0" in data[:-1]:
        raise ValueError("a string without an end")
    return data[:-1].decode()


def _boolean(data: bytes) -> bool:
    if data not in {b"\0", b"\1"}:
        raise ValueError("a boolean that is neither true nor false")
    return data == b"\1"
