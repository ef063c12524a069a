"""systemd-logind: who works here, who objects to a reboot, and the reboot itself."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rebootmgr.bus.connection import Bus, Signal
from rebootmgr.bus.peer import Peer
from rebootmgr.bus.words import ABSENT
from rebootmgr.core.events import RebootAccepted, RebootRefused, RebootUnclear
from rebootmgr.core.facts import Logind, LogindUnreachable
from rebootmgr.errors import BusError
from rebootmgr.logind.words import (
    NO_SESSION,
    ROOT_CHECK_INHIBITORS,
    SKIP_INHIBITORS,
    NotKnown,
    RebootAnswer,
    decode_inhibitors,
    decode_logind,
    decode_reboot_error,
    decode_session_paths,
)
from rebootmgr.text import harmless

_NAME: Final = "org.freedesktop.login1"
_POLKIT: Final = "org.freedesktop.PolicyKit1"
_PATH: Final = "/org/freedesktop/login1"
_INTERFACE: Final = f"{_NAME}.Manager"
_MANAGER: Final = (_PATH, _INTERFACE)
_SESSION: Final = f"{_NAME}.Session"

# Others (as IdleHint) change all day long and are no concern of any gate.
_TELLING: Final = {
    _INTERFACE: frozenset({"BlockInhibited", "ScheduledShutdown", "PreparingForShutdown"}),
    _SESSION: frozenset({"State", "Class", "Type", "TTY", "Remote"}),
}

# That of systemd 257 lives on, but stays away for good, when the bus was restarted under it.
NOT_THERE: Final = "systemd-logind is not on the bus (systemctl restart systemd-logind)"

IN_VAIN_AFTER_S: Final = 300.0
"""logind prepares a shutdown as soon as it has accepted it: none will come of a call so old."""

log = logging.getLogger(__name__)


def _uptime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Login1:
    """One logind on one bus; `patience_s` bounds a whole look.

    `call_patience_s` bounds a reboot call: logind waits 25 s for polkit, and whoever gives up
    before it has answered could see the machine go down after all. `uptime_s` tells the time.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        patience_s: float = 10.0,
        call_patience_s: float = 60.0,
        uptime_s: Callable[[], float] = _uptime_s,
    ) -> None:
        self._peer = Peer(bus, _NAME, patience_s=patience_s)
        self._polkit = Peer(bus, _POLKIT, patience_s=patience_s)
        self._patience_s = patience_s
        self._call_patience_s = call_patience_s
        self._uptime_s = uptime_s
        self._announced_at = 0.0
        self._is_announced = False
        self._is_announced_in_vain = False  # if no shutdown is under way

    async def watch(self, changed: Callable[[str], None], shutdown: Callable[[bool], None]) -> None:
        """Call `changed` with what a gate should look at again, `shutdown` for PrepareForShutdown.

        Not everything is told: systemd 252 keeps quiet about ScheduledShutdown, and none says that
        polkit lets us past inhibitors now. Both are looked at in each `read`.
        """

        def heard(signal: Signal) -> None:
            match signal.member, signal.body:
                case "PrepareForShutdown", [bool(begins)]:
                    self._is_announced_in_vain |= self._is_announced and not begins
                    shutdown(begins)
                case ("SessionNew" | "SessionRemoved") as member, _:
                    changed(member)
                case "PropertiesChanged", [str(interface), dict(new), [*invalidated]]:
                    names = {str(name) for name in (*new, *invalidated)}
                    if told := names & _TELLING.get(interface, frozenset()):
                        changed(f"{interface} {' '.join(sorted(told))}")
                case "NameOwnerChanged", [name, *_]:
                    who = "polkit" if name == _POLKIT else "systemd-logind"
                    changed(f"{who} came or went")
                case _:
                    pass

        await self._peer.subscribe(heard, path=_PATH, interface=_INTERFACE)
        await self._peer.subscribe_properties(heard, path=_PATH)
        await self._peer.subscribe_properties(heard, path_namespace=f"{_PATH}/session")
        await self._peer.subscribe_owner(heard)
        await self._polkit.subscribe_owner(heard)

    async def read(self) -> Logind | LogindUnreachable:
        """Look at inhibitors, sessions and shutdowns; never starts a logind that is not there.

        The message of a reboot that did not come about is withdrawn then.
        """
        announced_at, in_vain = self._announced_at, self._announces_nothing()
        try:
            async with asyncio.timeout(self._patience_s):
                found = await self._look()
                if in_vain and announced_at == self._announced_at and not found.preparing:
                    await self._withdraw(found)
                return found
        except TimeoutError:
            return LogindUnreachable(f"logind did not answer within {self._patience_s:g} s")
        except (BusError, ValueError) as error:
            if isinstance(error, BusError) and error.name in ABSENT:
                return LogindUnreachable(NOT_THERE)
            return LogindUnreachable(harmless(f"logind cannot be read: {error}"))

    async def reboot(self, message: str, *, overrides: bool) -> RebootAnswer:
        """Ask for a reboot; `message` goes to all terminals.

        It respects block inhibitors, unless it `overrides` them and polkit grants that.
        """
        self._is_announced, self._is_announced_in_vain = True, False
        self._announced_at = self._uptime_s()
        await self._announce(message)
        answer = await self._ask_for_reboot(overrides=overrides)
        match answer:
            case RebootRefused():
                self._is_announced = False
                await self._announce("")  # or it would go with somebody else's shutdown
            case RebootUnclear():
                self._is_announced_in_vain = True
            case RebootAccepted():
                pass
        return answer

    def _announces_nothing(self) -> bool:
        is_old = self._uptime_s() - self._announced_at >= IN_VAIN_AFTER_S
        return self._is_announced_in_vain or (self._is_announced and is_old)

    async def _withdraw(self, found: Logind) -> None:
        """Take the message back, unless whoever has scheduled a shutdown since left his own."""
        self._is_announced = self._is_announced_in_vain = False
        if not found.scheduled:
            await self._announce("")

    async def _ask_for_reboot(self, *, overrides: bool) -> RebootAnswer:
        """Ask in the first of the ways that this logind knows."""
        flags = [SKIP_INHIBITORS] if overrides else []
        for flag in (*flags, ROOT_CHECK_INHIBITORS):
            answer = await self._ask("RebootWithFlags", "t", argument=flag)
            if not isinstance(answer, NotKnown):
                return answer
        answer = await self._ask("Reboot", "b", argument=False)
        if not isinstance(answer, NotKnown):
            return answer
        return RebootRefused("logind knows no way to reboot")

    async def _look(self) -> Logind:
        held, properties, rows = await asyncio.gather(
            self._peer.call(*_MANAGER, "ListInhibitors"),
            self._peer.get_all(*_MANAGER),
            self._peer.call(*_MANAGER, "ListSessions"),
        )
        paths = decode_session_paths(_only(rows))
        sessions = await asyncio.gather(*(self._session(path) for path in paths))
        there = [session for session in sessions if session is not None]
        inhibitors = decode_inhibitors(_only(held))
        can_reboot = _only(await self._peer.call(*_MANAGER, "CanReboot")) if inhibitors else None
        return decode_logind(inhibitors, can_reboot, properties, there)

    async def _session(self, path: str) -> Mapping[str, Any] | None:
        try:
            return await self._peer.get_all(path, _SESSION)
        except BusError as error:
            if error.name in NO_SESSION:  # it ended since it was listed
                return None
            raise

    async def _ask(
        self, member: str, signature: str, *, argument: object
    ) -> RebootAnswer | NotKnown:
        try:
            where = (*_MANAGER, member, signature, [argument])
            await self._peer.call(*where, patience_s=self._call_patience_s)
        except BusError as error:
            answer = decode_reboot_error(error.name, error.text)
            if isinstance(answer, RebootUnclear):
                log.warning("no answer to %s, asking for the shutdown instead: %s", member, error)
            return answer
        return RebootAccepted()

    async def _announce(self, message: str) -> None:
        try:
            await self._peer.call(*_MANAGER, "SetWallMessage", "sb", [harmless(message), True])
        except BusError as error:
            log.warning("no message will go with the reboot: %s", error)


def _only(body: Sequence[Any]) -> object:
    match body:
        case [value]:
            return value
        case _:
            raise ValueError(f"a reply of {len(body)} values")
