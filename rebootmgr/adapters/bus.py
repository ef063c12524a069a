"""The system bus: the only place that knows dbus-next, and the cover for its defects."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

# Values on the bus are of any type by nature; adapters hand them to a codec at once.


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
    """A method call on one of our objects. Variants in `body` are unwrapped."""

    sender: str
    path: str
    interface: str
    member: str
    signature: str
    body: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a served method answers; wrap variants with `variant`. Raise BusError to refuse."""

    signature: str = ""
    body: Sequence[Any] = ()


def variant(signature: str, value: object) -> object:
    """Wrap `value` as a D-Bus variant for a `Reply` or an `emit`."""
    raise NotImplementedError


class Bus:
    """One connection. Every method raises `BusError` with name "" once the connection is lost."""

    @classmethod
    async def connect(cls, address: str, *, timeout_s: float = 10.0) -> "Bus":
        """Connect and say Hello."""
        raise NotImplementedError

    @property
    def unique_name(self) -> str:
        """Our name on the bus, like `:1.7`."""
        raise NotImplementedError

    async def call(  # noqa: PLR0913 - a D-Bus call has this many parts
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        timeout_s: float = 25.0,
        autostart: bool = True,
    ) -> Sequence[Any]:
        """Call a method; the reply's body with variants unwrapped.

        Raises BusError with the error's name; `org.freedesktop.DBus.Error.NoReply` after
        `timeout_s`. A cancelled or timed-out call leaves nothing behind.
        """
        raise NotImplementedError

    async def get_all(self, destination: str, path: str, interface: str, **options: Any) -> dict[str, Any]:
        """org.freedesktop.DBus.Properties.GetAll, unwrapped; options as for `call`."""
        raise NotImplementedError

    async def subscribe(self, rule: str, handler: Callable[[Signal], None]) -> None:
        """AddMatch `rule` (D-Bus specification, match rules), by a low-level message.

        `handler` is called for each signal that the rule's type, sender (a well-known name is
        followed through its owners), path, path_namespace, interface, member and arg0 match.
        """
        raise NotImplementedError

    async def own(self, name: str) -> None:
        """RequestName without queueing; BusError when somebody else has it."""
        raise NotImplementedError

    def serve(self, path: str, handler: Callable[[Request], Awaitable[Reply]]) -> None:
        """Answer calls on `path`; an exception of the handler that is no BusError ends the bus."""
        raise NotImplementedError

    async def emit(self, path: str, interface: str, member: str, signature: str, body: Sequence[Any]) -> None:
        """Send a signal."""
        raise NotImplementedError

    async def wait_lost(self) -> str:
        """Wait until the connection ends; why it did. At once if it already has."""
        raise NotImplementedError

    async def close(self) -> None:
        """Disconnect; the socket and every descriptor are closed when this returns."""
        raise NotImplementedError
