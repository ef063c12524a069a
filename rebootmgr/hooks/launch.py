"""The two ways to run the hook runner: in its unit on a real host, as our child with --root."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from rebootmgr.bus.connection import Bus, Signal
from rebootmgr.bus.words import ABSENT, NO_REPLY
from rebootmgr.child import Child
from rebootmgr.core.model import Phase
from rebootmgr.errors import BusError
from rebootmgr.systemd.units import NO_SUCH_UNIT, ServiceManager, unit_path
from rebootmgr.text import harmless

log = logging.getLogger(__name__)

_RUNNER: Final = "rebootmgr.hooks.runner"
_STDERR: Final = 2
_ALIVE: Final = ("activating", "active", "reloading", "deactivating")
_OVER: Final = frozenset({"inactive", "failed"})


class PhaseRunner(Protocol):
    """Whatever runs the hook runner."""

    async def run(self, phase: Phase, *, within_s: float) -> str:
        """Run a phase to its end; "" or why that could not be done. Cancelled: end it."""
        ...


def choose_hook_runner(root: Path, bus: Bus) -> PhaseRunner:
    """Choose how hooks are run: on a real host as root, by their units (SPEC 8)."""
    return HookUnits(bus) if root.samefile("/") else HookChild(root)


class HookChild:
    """Starts the runner directly, as our own user; its log is ours."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def run(self, phase: Phase, *, within_s: float) -> str:
        """Run a phase to its end; "" or why that could not be done."""
        command = [sys.executable, "-P", "-s", "-m", _RUNNER, phase.value, "--root", self._root]
        try:
            runner = Child(
                command,
                environment=_environment(),
                stdin=subprocess.DEVNULL,
                stderr=_STDERR,
                heard=lambda _: None,
            )
        except OSError as error:
            return f"the hook runner cannot be started: {error.strerror}"
        try:
            async with asyncio.timeout(within_s):
                await runner.exited.wait()
        except TimeoutError:
            return f"the hook runner did not end within {within_s:g} s"
        finally:
            runner.signal(signal.SIGTERM)  # which ends its hook, too; a dead one does not mind
            await runner.finish()
        return ""


def _environment() -> dict[str, str]:
    """Find modules where we find them."""
    return {"PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)}


class HookUnits:
    """Starts and stops rebootmgr-hook@PHASE.service over the bus, one at a time.

    A unit is followed by its own properties: JobRemoved would wake us for every job of the host,
    for as long as the daemon lives.

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
        self._systemd = ServiceManager(bus, patience_s=patience_s)
        self._stop_s = stop_s
        self._ask_again_s = ask_again_s
        self._changed = asyncio.Event()

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
            await self._systemd.call("StartUnit", "ss", [unit, "fail"])
            async with asyncio.timeout(within_s):
                await self._wait_until_over(unit)
            is_over = True
        except BusError as error:
            is_over = error.name not in {"", NO_REPLY}  # refused, so that nothing was started
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
            await self._systemd.call("StopUnit", "ss", [unit, "replace"])
            async with asyncio.timeout(self._stop_s):
                await self._wait_until_over(unit)
        except BusError as error:
            if error.name == NO_SUCH_UNIT:
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
        path = unit_path(unit)
        if await self._systemd.get_of(path, "ActiveState") not in _OVER:
            return False
        match await self._systemd.get_of(path, "Job"):
            case [0, _]:
                return True
            case _:
                return False

    async def _alive(self) -> list[str]:
        """Name the units of ours that run."""
        ours = {_unit(phase) for phase in Phase}
        body = await self._systemd.call("ListUnitsByPatterns", "asas", [_ALIVE, sorted(ours)])
        match body:
            case [[*rows]]:
                return [row[0] for row in rows if isinstance(row, list) and row and row[0] in ours]
            case _:
                return []

    async def _watch(self) -> None:
        def heard(_: Signal) -> None:
            self._changed.set()

        for phase in Phase:
            await self._systemd.follow(unit_path(_unit(phase)), heard)


def _unit(phase: Phase) -> str:
    return f"rebootmgr-hook@{phase.value}.service"


def _explain(unit: str, error: BusError) -> str:
    """Say why systemd did not run it, and what to do about that."""
    match error.name.removeprefix("org.freedesktop."):
        case "systemd1.NoSuchUnit":
            return f"there is no {unit}: reinstall rebootmgr"
        case "systemd1.UnitMasked":
            return f"{unit} is masked: systemctl unmask {unit}"
        case "DBus.Error.AccessDenied" | "DBus.Error.InteractiveAuthorizationRequired":
            return f"polkit does not allow us to start {unit}: is 50-rebootmgr.rules installed?"
        case _ if error.name in ABSENT:
            return f"systemd is not on the bus to start {unit}"
        case _:
            return harmless(f"{unit} cannot be started: {error.text}")
