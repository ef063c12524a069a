"""What an ostree commit object says of the update that it is (facts of SPEC 9's update key)."""

import json
from dataclasses import dataclass
from typing import Final

from rebootmgr.text import harmless
from rebootmgr.updates.gvariant_words import Value, decode_dictionary, decode_members

LONGEST_COMMIT: Final = 16 * 1024 * 1024
_DYNAMIC: Final = 6  # members of (a{sv}aya(say)sstayay) whose ends are told; the last needs none
_TIMESTAMP: Final = 8
_SHA256: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """`digest` is the container image's, "" of a plain commit; `timestamp` in s since the epoch.

    `base` is the commit below it, where rpm-ostree layered packages on one; "" for none.
    """

    version: str
    digest: str
    timestamp: int
    base: str


def decode_commit(data: bytes) -> Commit:
    """Read a commit object, `(a{sv}aya(say)sstayay)`; ValueError for junk."""
    if len(data) > LONGEST_COMMIT:
        raise ValueError("a commit longer than any")
    ends = decode_members(data, _DYNAMIC)
    table = decode_dictionary(data[: ends[0]])
    parent = data[ends[0] : ends[1]]
    place = -(-ends[4] // _TIMESTAMP) * _TIMESTAMP
    stamp = data[place : place + _TIMESTAMP]
    if len(stamp) < _TIMESTAMP or not ends[4] <= place + _TIMESTAMP <= ends[5]:
        raise ValueError("a commit without a time")
    layered = table.get("rpmostree.clientlayer") is True and len(parent) == _SHA256
    return Commit(
        version=harmless(_label(table) or _text(table, "version")),
        digest=harmless(_text(table, "ostree.manifest-digest")),
        timestamp=int.from_bytes(stamp, "big"),
        base=parent.hex() if layered else "",
    )


def _text(table: dict[str, Value], key: str) -> str:
    found = table.get(key, "")
    return found if isinstance(found, str) else ""


def _label(table: dict[str, Value]) -> str:
    """Read the version that the image's builder gave it; "" where there is none."""
    try:
        match json.loads(_text(table, "ostree.container.image-config") or "null"):
            case {"config": {"Labels": {"org.opencontainers.image.version": str(version)}}}:
                return version
            case _:
                return ""
    except (ValueError, RecursionError):
        return ""
