"""A service on the bus that may not run, and is not started by our questions."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from rebootmgr.bus.connection import Bus, Signal
from rebootmgr.bus.words import PROPERTIES, MatchRule, encode_match_rule, encode_owner_rule
from rebootmgr.errors import BusError

_ODD: Final = "org.freedesktop.DBus.Error.Failed"


AT_ONCE: Final = 16
"""Questions to one service that wait for their answers: dbus-daemon allows us 128 in all."""


class Peer:
    """Whoever has `name` on `bus`; each answer is waited for `patience_s`.

    Of more than `at_once` questions the others wait for their turn, before their time begins.
    Every method raises BusError; where its name is in `ABSENT`, nobody is there. Only a call with
    `autostart` has the bus start somebody.
    """

    def __init__(self, bus: Bus, name: str, *, patience_s: float, at_once: int = AT_ONCE) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._bus = bus
        self._name = name
        self._patience_s = patience_s

    async def call(  # noqa: PLR0913 - a D-Bus call has this many parts
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        patience_s: float | None = None,
        autostart: bool = False,
    ) -> Sequence[Any]:
        """Call a method; the reply's body with variants unwrapped."""
        where = (self._name, path, interface, member, signature, body)
        timeout_s = self._patience_s if patience_s is None else patience_s
        async with self._turns:
            return await self._bus.call(*where, timeout_s=timeout_s, autostart=autostart)

    async def get(self, path: str, interface: str, name: str, *, autostart: bool = False) -> Any:
        """Read one property, unwrapped."""
        which = (PROPERTIES, "Get", "ss", [interface, name])
        match await self.call(path, *which, autostart=autostart):
            case [value]:
                return value
            case _:
                raise BusError(_ODD, f"{self._name} answered Get with something else")

    async def get_all(self, path: str, interface: str) -> dict[str, Any]:
        """Read every property of an interface, unwrapped."""
        match await self.call(path, PROPERTIES, "GetAll", "s", [interface]):
            case [dict() as found]:
                return found
            case _:
                raise BusError(_ODD, f"{self._name} answered GetAll with something else")

    async def subscribe(self, handler: Callable[[Signal], None], **subject: str) -> None:
        """Have `handler` called for its signals; the subject is in the terms of `MatchRule`."""
        rule = MatchRule(sender=self._name, **subject)
        await self._bus.subscribe(encode_match_rule(rule), handler)

    async def subscribe_properties(self, handler: Callable[[Signal], None], **subject: str) -> None:
        """Have `handler` called for changes of properties."""
        await self.subscribe(handler, interface=PROPERTIES, member="PropertiesChanged", **subject)

    async def subscribe_owner(self, handler: Callable[[Signal], None]) -> None:
        """Have `handler` called when it comes or goes: NameOwnerChanged, of the bus itself."""
        await self._bus.subscribe(encode_owner_rule(self._name), handler)
