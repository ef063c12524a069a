"""The daemon's JSON (control/words.py), read by a client that may be older or newer than it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rebootmgr.errors import RebootmgrError
from rebootmgr.instants import decode_instant
from rebootmgr.table import FaultError, Json, finite, is_deep
from rebootmgr.text import harmless

WHY: Final = (
    "pending",
    "request",
    "source",
    "verdict",
    "blockers",
    "gates",
    "notices",
    "predicted",
)
UNKNOWN: Final = "unknown"
BIGGEST: Final = 1e15
EARLIEST_YEAR: Final = 2
LATEST_YEAR: Final = 9998
LONGEST_SHOWN: Final = 1000
MOST_SHOWN: Final = 1000
LARGEST: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """An object of the daemon's JSON, read without trust: the one place before a terminal.

    What is missing or of another type is `UNKNOWN` or None; text is stripped of control characters,
    and no list is longer than `MOST_SHOWN`, if nobody wants more.
    """

    members: Mapping[str, Json]

    def has(self, name: str) -> bool:
        """Whether the daemon spoke of it, be it to say null."""
        return name in self.members

    def text(self, name: str) -> str:
        """Give a string or number, as shown to people."""
        match self.members.get(name):
            case str() | int() | float() as value:
                return harmless(str(value), longest=LONGEST_SHOWN)
            case _:
                return UNKNOWN

    def texts(self, name: str) -> tuple[str, ...]:
        """Give a list of strings."""
        match self.members.get(name):
            case list() as values:
                return tuple(Record({"": value}).text("") for value in values[:MOST_SHOWN])
            case _:
                return ()

    def instant(self, name: str) -> datetime | None:
        """Give a time, None where there is none or it makes no sense."""
        match self.members.get(name):
            case str() as value:
                try:
                    at = decode_instant(value)
                except (ValueError, OverflowError):
                    return None
                has_room = EARLIEST_YEAR <= at.year <= LATEST_YEAR  # for any zone to add its offset
                return at if has_room else None
            case _:
                return None

    def number(self, name: str) -> float | None:
        """Give a number that is none of JSON's true and false."""
        match self.members.get(name):
            case bool():
                return None
            case int() | float() as value if abs(value) < BIGGEST:  # nor NaN
                return value
            case _:
                return None

    def is_true(self, name: str) -> bool:
        """Whether it is there and true."""
        return self.members.get(name) is True

    def part(self, name: str) -> "Record | None":
        """Give an object, None where there is none."""
        match self.members.get(name):
            case dict() as members:
                return Record(members)
            case _:
                return None

    def parts(self, name: str, *, most: int = MOST_SHOWN) -> "tuple[Record, ...]":
        """Give a list of objects."""
        match self.members.get(name):
            case list() as values:
                some = values[:most]
                return tuple(Record(value) for value in some if isinstance(value, dict))
            case _:
                return ()


def decode_status(text: str) -> Record:
    """Read what `Describe` answered; RebootmgrError when it is no JSON object."""
    try:
        if len(text) <= LARGEST:
            match json.loads(text, parse_float=_finite, parse_constant=_finite):
                case dict() as members if not is_deep(members):
                    return Record(members)
                case _:
                    pass
    except (ValueError, RecursionError):  # JSONDecodeError is a ValueError
        pass
    raise RebootmgrError(
        "rebootmgrd answered with something that is not its status:"
        " compare `rebootmgrctl --version` with `rebootmgrd --version`"
    )


def _finite(text: str) -> float | None:
    """Read a number that JSON can say; null for NaN, Infinity and what overflows to it."""
    try:
        return finite(text)
    except FaultError:
        return None


def decode_why(status: Record) -> dict[str, Json]:
    """Pick what `why --json` prints; null where an older daemon does not say."""
    why = {name: status.members.get(name) for name in WHY}
    if status.has("deadlines"):
        why["deadlines"] = status.members["deadlines"]
    return why
