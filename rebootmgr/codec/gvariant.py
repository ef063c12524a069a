"""GVariant dictionaries `a{sv}`, as far as rebootmgr reads them: their strings.

Source: the GVariant specification, sections 3.2 (serialisation) and 3.3 (non-normal form). What
GLib would replace by default values is an error here.
"""

from collections.abc import Iterator
from typing import Final

_ALIGNMENT: Final = 8


def decode_strings(data: bytes) -> dict[str, str]:
    """Read the strings of a serialised `a{sv}`, other values left out; ValueError for junk."""
    strings: dict[str, str] = {}
    for entry in _elements(data):
        width = _offset_width(len(entry))
        key_end = _offset(entry, len(entry) - width, width)
        value, separator, kind = entry[_aligned(key_end) : -width].rpartition(b"\0")
        if not separator:
            raise ValueError("a value without a type")
        key = _string(entry[:key_end])
        if kind == b"s":
            strings[key] = _string(value)
    return strings


def _elements(data: bytes) -> Iterator[bytes]:
    if not data:
        return
    width = _offset_width(len(data))
    table = _offset(data, len(data) - width, width)
    if (len(data) - table) % width:
        raise ValueError("a table of offsets that does not fit")
    start = 0
    for place in range(table, len(data), width):
        end = _offset(data, place, width)
        start = _aligned(start)
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


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _string(data: bytes) -> str:
    if not data.endswith(b"\0") or b"\0" in data[:-1]:
        raise ValueError("a string without an end")
    return data[:-1].decode()
