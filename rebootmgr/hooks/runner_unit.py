"""The hook runner in its unit, as it is run on a real host (SPEC 8, org.freedesktop.systemd1(5)).

A unit is followed by its own properties: JobRemoved would wake us for every job of the host, for
as long as the daemon lives.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from rebootmgr.bus.connection import Bus, Signal
from rebootmgr.core.model import Phase
from rebootmgr.errors import BusError
from rebootmgr.text import harmless

log = logging.getLogger(__name__)

_NAME: Final = "org.freedesktop.systemd1"
_PATH: Final = "/org/freedesktop/systemd1"
_MANAGER: Final = "org.freedesktop.systemd1.Manager"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_UNIT: Final = "org.freedesktop.systemd1.Unit"
_ALIVE: Final = ("activating", "active", "reloading", "deactivating")
_OVER: Final = frozenset({"inactive", "failed"})
_NOT_LOADED: Final = "org.freedesktop.systemd1.NoSuchUnit"
_NO_REPLY: Final = "org.freedesktop.DBus.Error.NoReply"


class HookUnits:
    """Starts and stops rebootmgr-hook@PHASE.service over the bus, one at a time.

    `patience_s` is for one answer: systemd has none to spare while it reloads all units.
    `ask_again_s`: how often it is asked, in case that a signal is lost.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        patience_s: float = 60.0,
        stop_s: float = 60.0,
        ask_again_s: float = 30.0,
    ) -> None:
        self._bus = bus
        self._patience_s = patience_s
        self._stop_s = stop_s
        self._ask_again_s = ask_again_s
        self._changed = asyncio.Event()
        self._is_watching = False

    async def run(self, phase: Phase, *, within_s: float) -> str:
        """Run a phase to its end; "" or why that could not be done. Cancelled: it is stopped."""
        unit = _unit(phase)
        try:
            await self._watch()
            for left in await self._alive():
                log.warning("stopping %s, which runs from before", left)
                if not await self._stop(left):
                    return f"{left} is still running and cannot be stopped"
        except BusError as error:
            return _explain(unit, error)
        return await self._run(unit, within_s)

    async def _run(self, unit: str, within_s: float) -> str:
        is_over = False
        try:
            await self._manager("StartUnit", "ss", [unit, "fail"])
            async with asyncio.timeout(within_s):
                await self._wait_until_over(unit)
            is_over = True
        except BusError as error:
            is_over = error.name not in {"", _NO_REPLY}  # refused, so that nothing was started
            return _explain(unit, error)
        except TimeoutError:
            return f"{unit} did not end within {within_s:g} s"
        finally:
            if not is_over:
                await self._stop(unit)
        return ""

    async def _stop(self, unit: str) -> bool:
        """End a unit, whoever started it; whether it is really gone."""
        try:
            await self._manager("StopUnit", "ss", [unit, "replace"])
            async with asyncio.timeout(self._stop_s):
                await self._wait_until_over(unit)
        except BusError as error:
            if error.name == _NOT_LOADED:
                return True
            log.warning("%s cannot be stopped: %s", unit, error)
            return False
        except TimeoutError:
            log.warning("%s did not end within %g s after it was stopped", unit, self._stop_s)
            return False
        return True

    async def _wait_until_over(self, unit: str) -> None:
        """Wait as long as it takes; BusError only if the bus is lost."""
        while True:
            self._changed.clear()
            try:
                if await self._is_over(unit):
                    return
            except BusError as error:
                if not error.name:
                    raise
                log.debug("systemd does not tell of %s: %s", unit, error)  # it may be reloading
            with suppress(TimeoutError):
                async with asyncio.timeout(self._ask_again_s):
                    await self._changed.wait()

    async def _is_over(self, unit: str) -> bool:
        """Whether it neither runs nor will. Asked in this order: a job outlives its process."""
        if await self._get(unit, "ActiveState") not in _OVER:
            return False
        match await self._get(unit, "Job"):
            case [0, _]:
                return True
            case _:
                return False

    async def _alive(self) -> list[str]:
        """Name the units of ours that run."""
        ours = {_unit(phase) for phase in Phase}
        body = await self._manager("ListUnitsByPatterns", "asas", [_ALIVE, sorted(ours)])
        match body:
            case [[*rows]]:
                return [row[0] for row in rows if isinstance(row, list) and row and row[0] in ours]
            case _:
                return []

    async def _watch(self) -> None:
        if self._is_watching:
            return

        def heard(_: Signal) -> None:
            self._changed.set()

        for phase in Phase:
            await self._bus.subscribe(
                f"type='signal',sender='{_NAME}',path='{_object(_unit(phase))}',"
                f"interface='{_PROPERTIES}',member='PropertiesChanged'",
                heard,
            )
        self._is_watching = True
        try:
            await self._manager("Subscribe")  # for good, as in systemd/boot.py
        except BusError as error:
            log.debug("systemd will not tell of changes, or does so already: %s", error)

    async def _get(self, unit: str, name: str) -> object:
        body = await self._call(_object(unit), _PROPERTIES, "Get", "ss", [_UNIT, name])
        return body[0] if body else None

    async def _manager(
        self, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> Sequence[Any]:
        return await self._call(_PATH, _MANAGER, member, signature, body)

    async def _call(
        self, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
    ) -> Sequence[Any]:
        return await self._bus.call(
            _NAME,
            path,
            interface,
            member,
            signature,
            body,
            timeout_s=self._patience_s,
            autostart=False,
        )


def _unit(phase: Phase) -> str:
    return f"rebootmgr-hook@{phase.value}.service"


def _object(unit: str) -> str:
    """As sd_bus_path_encode(3) does it."""
    escaped = "".join(c if c.isalnum() else f"_{ord(c):02x}" for c in unit)
    return f"{_PATH}/unit/{escaped}"


def _explain(unit: str, error: BusError) -> str:
    """Say why systemd did not run it, and what to do about that."""
    match error.name.removeprefix("org.freedesktop."):
        case "systemd1.NoSuchUnit":
            return f"there is no {unit}: reinstall rebootmgr"
        case "systemd1.UnitMasked":
            return f"{unit} is masked: systemctl unmask {unit}"
        case "DBus.Error.AccessDenied" | "DBus.Error.InteractiveAuthorizationRequired":
            return f"polkit does not allow us to start {unit}: is 50-rebootmgr.rules installed?"
        case "DBus.Error.NameHasNoOwner" | "DBus.Error.ServiceUnknown":
            return f"systemd is not on the bus to start {unit}"
        case _:
            return harmless(f"{unit} cannot be started: {error.text}")
