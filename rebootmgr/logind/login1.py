"""systemd-logind: who works here, who objects to a reboot, and the reboot itself."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rebootmgr.bus.connection import Bus, Signal
from rebootmgr.core import facts
from rebootmgr.core.events import RebootAccepted, RebootRefused
from rebootmgr.core.facts import LogindUnreachable
from rebootmgr.errors import BusError
from rebootmgr.logind.words import (
    NO_SESSION,
    NOT_RUNNING,
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
_PATH: Final = "/org/freedesktop/login1"
_MANAGER: Final = "org.freedesktop.login1.Manager"
_SESSION: Final = "org.freedesktop.login1.Session"
_DRIVER: Final = "org.freedesktop.DBus"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"

# Others (as IdleHint) change all day long and are no concern of any gate.
_TELLING: Final = {
    _MANAGER: frozenset({"BlockInhibited", "ScheduledShutdown", "PreparingForShutdown"}),
    _SESSION: frozenset({"State", "Class", "Type", "TTY", "Remote"}),
}
_CHANGES: Final = f"type='signal',sender='{_NAME}',interface='{_PROPERTIES}'"
_RULES: Final = (
    f"type='signal',sender='{_NAME}',path='{_PATH}',interface='{_MANAGER}'",
    f"{_CHANGES},path='{_PATH}'",
    f"{_CHANGES},path_namespace='{_PATH}/session'",
    f"type='signal',sender='{_DRIVER}',member='NameOwnerChanged',arg0='{_NAME}'",
)

_OVERRIDE: Final = ("RebootWithFlags", "t", SKIP_INHIBITORS)

# That of systemd 257 lives on, but stays away for good, when the bus was restarted under it.
NOT_THERE: Final = "systemd-logind is not on the bus (systemctl restart systemd-logind)"

log = logging.getLogger(__name__)


class Logind:
    """One logind on one bus; `patience_s` bounds a whole look and each part of a reboot call."""

    def __init__(self, bus: Bus, *, patience_s: float = 10.0) -> None:
        self._bus = bus
        self._patience_s = patience_s

    async def watch(self, changed: Callable[[str], None], shutdown: Callable[[bool], None]) -> None:
        """Call `changed` with what a gate should look at again, `shutdown` for PrepareForShutdown.

        Not everything is told: systemd 252 keeps quiet about ScheduledShutdown, and none says that
        polkit lets us past inhibitors now. Both are looked at in each `read`.
        """

        def heard(signal: Signal) -> None:
            match signal.member, signal.body:
                case "PrepareForShutdown", [bool(begins)]:
                    shutdown(begins)
                case ("SessionNew" | "SessionRemoved") as member, _:
                    changed(member)
                case "PropertiesChanged", [str(interface), dict(new), [*invalidated]]:
                    names = {str(name) for name in (*new, *invalidated)}
                    if told := names & _TELLING.get(interface, frozenset()):
                        changed(f"{interface} {' '.join(sorted(told))}")
                case "NameOwnerChanged", _:
                    changed("systemd-logind came or went")
                case _:
                    pass

        for rule in _RULES:
            await self._bus.subscribe(rule, heard)

    async def read(self) -> facts.Logind | LogindUnreachable:
        """Look at inhibitors, sessions and shutdowns; never starts a logind that is not there."""
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._look()
        except TimeoutError:
            return LogindUnreachable(f"logind did not answer within {self._patience_s:g} s")
        except (BusError, ValueError) as error:
            if isinstance(error, BusError) and error.name in NOT_RUNNING:
                return LogindUnreachable(NOT_THERE)
            return LogindUnreachable(harmless(f"logind cannot be read: {error}"))

    async def reboot(self, message: str, *, overrides: bool) -> RebootAccepted | RebootRefused:
        """Ask for a reboot; `message` goes to all terminals.

        It respects block inhibitors, unless it `overrides` them and polkit grants that. No answer
        counts as accepted, see `decode_reboot_error`.
        """
        await self._announce(message)
        ways = (("RebootWithFlags", "t", ROOT_CHECK_INHIBITORS), ("Reboot", "b", False))
        for way in (_OVERRIDE, *ways) if overrides else ways:
            answer = await self._ask(*way)
            if isinstance(answer, RebootAccepted):
                return answer
            if isinstance(answer, RebootRefused):
                break
        else:
            answer = RebootRefused("logind knows no way to reboot")
        await self._announce("")  # or it would go with somebody else's shutdown
        return answer

    async def _look(self) -> facts.Logind:
        held, properties, rows = await asyncio.gather(
            self._manager("ListInhibitors"),
            self._get_all(_PATH, _MANAGER),
            self._manager("ListSessions"),
        )
        paths = decode_session_paths(_only(rows))
        sessions = await asyncio.gather(*(self._session(path) for path in paths))
        there = [session for session in sessions if session is not None]
        inhibitors = decode_inhibitors(_only(held))
        can_reboot = _only(await self._manager("CanReboot")) if inhibitors else None
        return decode_logind(inhibitors, can_reboot, properties, there)

    async def _session(self, path: str) -> Mapping[str, Any] | None:
        try:
            return await self._get_all(path, _SESSION)
        except BusError as error:
            if error.name in NO_SESSION:  # it ended since it was listed
                return None
            raise

    async def _ask(self, member: str, signature: str, argument: object) -> RebootAnswer | NotKnown:
        try:
            await self._manager(member, signature, [argument])
        except BusError as error:
            answer = decode_reboot_error(error.name, error.text)
            if isinstance(answer, RebootAccepted):
                log.warning("logind did not confirm %s, waiting for it: %s", member, error)
            return answer
        return RebootAccepted()

    async def _announce(self, message: str) -> None:
        try:
            await self._manager("SetWallMessage", "sb", [harmless(message), True])
        except BusError as error:
            log.warning("no message will go with the reboot: %s", error)

    async def _manager(
        self, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> Sequence[Any]:
        return await self._bus.call(
            _NAME,
            _PATH,
            _MANAGER,
            member,
            signature,
            body,
            timeout_s=self._patience_s,
            autostart=False,
        )

    async def _get_all(self, path: str, interface: str) -> dict[str, Any]:
        return await self._bus.get_all(
            _NAME, path, interface, timeout_s=self._patience_s, autostart=False
        )


def _only(body: Sequence[Any]) -> object:
    match body:
        case [value]:
            return value
        case _:
            raise ValueError(f"a reply of {len(body)} values")
