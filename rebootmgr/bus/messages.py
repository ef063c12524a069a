"""What goes over the bus, as plain values. Bodies are of any type by nature."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A signal that matched. Variants in `body` are unwrapped, recursively."""

    sender: str
    path: str
    interface: str
    member: str
    body: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A method call on one of our objects. Variants in `body` are unwrapped.

    `interactive`: the caller allows us to ask its user for a password.
    """

    sender: str
    path: str
    interface: str
    member: str
    signature: str
    body: Sequence[Any]
    interactive: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """What a served method answers; wrap variants with `variant`. Raise BusError to refuse."""

    signature: str = ""
    body: Sequence[Any] = ()


def listed(value: Any) -> Any:
    """Make lists of the tuples in `value`, recursively: dbus-next takes no other structs."""
    match value:
        case list() | tuple():
            return [listed(item) for item in value]
        case dict():
            return {key: listed(item) for key, item in value.items()}
        case _:
            return value
