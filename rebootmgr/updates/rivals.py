"""Who else reboots this host by himself, and who works on its deployments, as systemd knows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rebootmgr.bus.connection import Bus
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
        self._root = root

    async def read(self, registered: FileContent, changed: Told) -> Found | OsUnknown:
        """Find the registered driver, and bootc's timer; `changed` is called when that changes."""
        driver = decode_driver(registered)
        if isinstance(driver, OsUnknown):
            return driver
        active, resting = "", ""
        if driver is not None:
            state = await self._systemd.read_state(driver.unit, changed)
            active, resting = describe_driver(driver, state)
        return Found(driver=active, resting=resting, applier=await self._applier(changed))

    async def _applier(self, changed: Told) -> str:
        """Describe bootc's timer, if what it starts may run here and reboots."""
        if await self._systemd.read_state(BOOTC_TIMER, changed) in _IDLE:
            return ""
        commands = await self._systemd.read_commands(_BOOTC)
        paths = await self._systemd.read_needed_paths(_BOOTC)
        can_run = all(self._is_there(path) is wanted for path, wanted in paths)
        return describe_applier(BOOTC_TIMER, commands) if can_run else ""

    def _is_there(self, path: str) -> bool:
        return (self._root / path.lstrip("/")).exists()

    async def describe_holder(
        self, holders: tuple[int, ...], changed: Told, *, lock: str = SYSROOT_LOCK
    ) -> Work | None:
        """Say who has locked the sysroot: bootc tells nobody but systemd that it is at work."""
        if not holders:
            return None
        state = await self._systemd.read_state(_BOOTC, changed)
        return describe_holder(holders, _BOOTC if state == "activating" else "", lock=f"/{lock}")
