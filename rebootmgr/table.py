"""A JSON object from outside, read field by field: the right kind of value, or a FaultError."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar

from rebootmgr.text import harmless

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Value = TypeVar("Value")


class FaultError(ValueError):
    """A value that cannot be what it should be; the text names its place."""


def finite(text: str) -> float:
    """Read a JSON number; FaultError for NaN, Infinity and what overflows to it."""
    value = float(text)
    if not math.isfinite(value):
        raise FaultError(f"{text[:40]} is not a finite number")
    return value


def encode_time(at: datetime) -> str:
    """Write RFC 3339 in UTC, with a Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


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
        """Read a string that is shown to people."""
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
        """Read an RFC 3339 instant, in UTC."""
        text = self.text(key)
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise self._fault(key, "a time", text) from None
        if at.tzinfo is None:
            raise self._fault(key, "a time with an offset", text)
        return at.astimezone(UTC)

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

    def counts(self, key: str) -> tuple[tuple[str, int], ...]:
        """Read an object of whole numbers; empty when it is missing."""
        inner = Table(self._value(key, {}), f"{self.where}.{key}")
        return tuple((name, inner.whole(name)) for name in inner.names())

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
