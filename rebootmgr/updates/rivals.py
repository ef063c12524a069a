"""Who else reboots this host by himself, and who works on its deployments, as systemd knows."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rebootmgr.bus.connection import Bus, Signal
from rebootmgr.core.facts import OsUnknown, Work
from rebootmgr.systemd.units import ServiceManager
from rebootmgr.updates.ostree_files import SYSROOT_LOCK
from rebootmgr.updates.source import Told
from rebootmgr.updates.words import (
    FileContent,
    decode_driver,
    describe_applier,
    describe_driver,
    describe_holder,
)

BOOTC_TIMER: Final = "bootc-fetch-apply-updates.timer"
_BOOTC: Final = "bootc-fetch-apply-updates.service"
_IDLE: Final = frozenset({"inactive", "failed"})

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`driver` registered and is active, `resting` registered and is not; `applier` is bootc's."""

    driver: str = ""
    resting: str = ""
    applier: str = ""


class Rivals:
    """Asks systemd; every method raises BusError."""

    def __init__(self, bus: Bus, root: Path, *, patience_s: float) -> None:
        self._systemd = ServiceManager(bus, patience_s=patience_s, may_be_absent=root != Path("/"))
        self._applier = _Applier(self._systemd, root)

    async def read(self, registered: FileContent, changed: Told) -> Found | OsUnknown:
        """Find the registered driver, and bootc's timer; `changed` is called when that changes."""
        driver = decode_driver(registered)
        if isinstance(driver, OsUnknown):
            return driver
        active, resting = "", ""
        if driver is not None:
            state = await self._systemd.read_state(driver.unit, changed)
            active, resting = describe_driver(driver, state)
        return Found(driver=active, resting=resting, applier=await self._applier.read(changed))

    async def describe_holder(
        self, holders: tuple[int, ...], changed: Told, *, lock: str = SYSROOT_LOCK
    ) -> Work | None:
        """Say who has locked the sysroot: bootc tells nobody but systemd that it is at work."""
        if not holders:
            return None
        state = await self._systemd.read_state(_BOOTC, changed)
        return describe_holder(holders, _BOOTC if state == "activating" else "", lock=f"/{lock}")


@dataclass(frozen=True, slots=True)
class _Timer:
    """bootc's timer: what it starts while it is active, and which paths that needs."""

    is_active: bool = False
    commands: tuple[tuple[str, ...], ...] = ()
    paths: tuple[tuple[str, bool], ...] = ()


class _Applier:
    """bootc's timer, of which systemd is asked once, and again when it has told of a change.

    While systemd is away, as during `daemon-reexec`, it starts nothing, and its last answer stands.
    """

    def __init__(self, systemd: ServiceManager, root: Path) -> None:
        self._systemd = systemd
        self._root = root
        self._changed: Told = log.debug
        self._timer = _Timer()
        self._news = 0
        self._asked_at = -1
        self._is_followed = False

    async def read(self, changed: Told) -> str:
        """Describe it, if what it starts may run here and reboots; BusError."""
        self._changed = changed
        if not self._is_followed:
            await self._systemd.follow_return(self._returned)
            await self._systemd.follow_reloads(self._reloaded)
            self._is_followed = True
        news = self._news  # what is told while it is asked has it asked again
        if self._asked_at != news or not self._systemd.tells:
            self._timer = await self._ask()
            self._asked_at = news
        can_run = all(self._is_there(path) is wanted for path, wanted in self._timer.paths)
        return describe_applier(BOOTC_TIMER, self._timer.commands) if can_run else ""

    async def _ask(self) -> _Timer:
        if await self._systemd.read_state(BOOTC_TIMER, self._heard) in _IDLE:
            return _Timer()
        return _Timer(
            is_active=True,
            commands=await self._systemd.read_commands(_BOOTC),
            paths=await self._systemd.read_needed_paths(_BOOTC),
        )

    def _is_there(self, path: str) -> bool:
        return (self._root / path.lstrip("/")).exists()

    def _heard(self, what: str) -> None:
        self._news += 1
        self._changed(what)

    def _returned(self) -> None:
        self._heard("systemd is on the bus again")

    def _reloaded(self, signal: Signal) -> None:
        if self._timer.is_active and signal.body == [False]:
            self._heard("systemd has reloaded its units")
