"""A JSON object from outside, read field by field: the right kind of value, or a FaultError."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias, TypeVar

from rebootmgr.instants import YEARS, decode_instant
from rebootmgr.text import harmless

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Value = TypeVar("Value")

DEEPEST: Final = 64
"""What can be read must be written somewhere further down the stack."""
LONGEST_S: Final = 1e10
"""A bit more than three centuries, in seconds: no clock of ours has counted that far."""
MOST: Final = 2**53
"""Counts are exact in a float up to here, and so everywhere where they are shown."""


def is_deep(json: Json) -> bool:
    """Whether something is nested in it more than `DEEPEST` levels down."""
    level = [json]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
    return bool(level)


def _inside(json: Json) -> Iterable[Json]:
    match json:
        case dict():
            return json.values()
        case list():
            return json
        case _:
            return ()


class FaultError(ValueError):
    """A value that cannot be what it should be; the text names its place."""


def finite(text: str) -> float:
    """Read a JSON number; FaultError for NaN, Infinity and what overflows to it."""
    value = float(text)
    if not math.isfinite(value):
        raise FaultError(f"{text[:40]} is not a finite number")
    return value


@dataclass(frozen=True, slots=True)
class Table:
    """One JSON object; `where` is its place for people. A missing key is read as null."""

    json: Json
    where: str

    def text(self, key: str) -> str:
        """Read a string, as it is."""
        match self._value(key):
            case str(value):
                return value
            case other:
                raise self._fault(key, "a string", other)

    def prose(self, key: str) -> str:
        """Read a string that is shown to people, as text from anywhere (SPEC 7)."""
        return harmless(self.text(key))

    def whole(self, key: str, *, default: int | None = None) -> int:
        """Read an integer that D-Bus could have carried."""
        match self._value(key, default):
            case bool() as other:
                raise self._fault(key, "a whole number", other)
            case int(value) if -(2**63) <= value < 2**64:
                return value
            case other:
                raise self._fault(key, "a whole number", other)

    def count(self, key: str, *, default: int | None = None) -> int:
        """Read how often something happened."""
        value = self.whole(key, default=default)
        if not 0 <= value <= MOST:
            raise FaultError(f"{self.where}.{key}: {value} is no count")
        return value

    def seconds(self, key: str, *, default: float | None = None, least: float = 0.0) -> float:
        """Read how long something took, or what a clock showed that counts from 0."""
        value = self.number(key, default=default)
        if not least <= value <= LONGEST_S:
            raise FaultError(f"{self.where}.{key}: {value} s is out of range")
        return value

    def number(self, key: str, *, default: float | None = None) -> float:
        """Read a finite number."""
        match self._value(key, default):
            case bool() as other:
                raise self._fault(key, "a number", other)
            case int() | float() as value:
                return float(value)
            case other:
                raise self._fault(key, "a number", other)

    def flag(self, key: str) -> bool:
        """Read a boolean; false when it is missing."""
        match self._value(key, default=False):
            case bool(value):
                return value
            case other:
                raise self._fault(key, "true or false", other)

    def time(self, key: str) -> datetime:
        """Read an RFC 3339 instant, in UTC; FaultError for one that no clock shows."""
        text = self.text(key)
        try:
            at = decode_instant(text)
        except ValueError as error:
            raise self._fault(key, str(error), text) from None
        except OverflowError:
            raise self._out_of_range(key) from None
        if at.year not in YEARS:
            raise self._out_of_range(key)
        return at

    def _out_of_range(self, key: str) -> FaultError:
        return FaultError(f"{self.where}.{key}: no clock shows such a time, it is out of range")

    def maybe(self, key: str, read: Callable[[str], Value]) -> Value | None:
        """Let `read` read `key`, unless it is null or missing."""
        return None if self._value(key) is None else read(key)

    def table(self, key: str) -> "Table":
        """Enter an object within."""
        return Table(self._value(key), f"{self.where}.{key}")

    def each(self, key: str, read: Callable[["Table"], Value]) -> tuple[Value, ...]:
        """Read a list of objects; empty when it is missing."""
        match self._value(key, []):
            case list(items):
                place = f"{self.where}.{key}"
                return tuple(read(Table(item, f"{place}[{n}]")) for n, item in enumerate(items))
            case other:
                raise self._fault(key, "a list", other)

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of strings that are shown to people; empty when it is missing."""
        match self._value(key, []):
            case list(items) if all(isinstance(item, str) for item in items):
                return tuple(harmless(str(item)) for item in items)
            case other:
                raise self._fault(key, "a list of strings", other)

    def counts(self, key: str) -> tuple[tuple[str, int], ...]:
        """Read an object of whole numbers; empty when it is missing."""
        inner = Table(self._value(key, {}), f"{self.where}.{key}")
        return tuple((name, inner.count(name)) for name in inner.names())

    def _object(self) -> dict[str, Json]:
        match self.json:
            case dict(table):
                return table
            case other:
                raise FaultError(f"{self.where}: expected an object, found {_kind(other)}")

    def names(self) -> list[str]:
        """List the keys, in the order of the file."""
        return list(self._object())

    def _value(self, key: str, default: Json = None) -> Json:
        value = self._object().get(key)
        return default if value is None else value

    def _fault(self, key: str, expected: str, found: Json) -> FaultError:
        return FaultError(f"{self.where}.{key}: expected {expected}, found {_kind(found)}")


def _kind(value: Json) -> str:
    match value:
        case None:
            return "nothing"
        case bool() | int() | float():
            return "a number or truth value"
        case str():
            return "another text"
        case list():
            return "a list"
        case dict():
            return "an object"
