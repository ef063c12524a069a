"""systemd: which boot this is, and whether it is complete (org.freedesktop.systemd1(5))."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from rebootmgr.bus.connection import Bus, Signal
from rebootmgr.bus.words import ABSENT
from rebootmgr.core.facts import BootTimes
from rebootmgr.core.model import BootId
from rebootmgr.errors import BusError, RebootmgrError
from rebootmgr.systemd.units import ServiceManager, unit_path
from rebootmgr.text import harmless

_TARGET: Final = "boot-complete.target"
_TARGET_PATH: Final = unit_path(_TARGET)
_FINALIZING: Final = ("ostree-boot-complete.service", "ostree-finalize-staged.service")
"""The first fails in the boot after the one whose shutdown did not finalize, and tells why."""
_ENTERED: Final = "ActiveEnterTimestampMonotonic"
_BEFORE_256: Final = frozenset(
    {"org.freedesktop.DBus.Error.UnknownProperty", "org.freedesktop.DBus.Error.InvalidArgs"}
)
_LONGEST_UPTIME_US: Final = 10**15
_LONGEST_WAIT_S: Final = 240.0
_UUID_LENGTH: Final = 36
_PROC_BOOT_ID: Final = "proc/sys/kernel/random/boot_id"

log = logging.getLogger(__name__)


class BootWatch:
    """What systemd knows of our boot.

    `may_be_absent`: where nobody answers, the boot counts as complete, and as the first after its
    kernel started (SPEC 12); else that says nothing, and systemd is waited for. `first_wait_s`:
    after so long what could not be read is read again, and then slower and slower.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        patience_s: float = 10.0,
        may_be_absent: bool = False,
        first_wait_s: float = 5.0,
    ) -> None:
        self._systemd = ServiceManager(bus, patience_s=patience_s, may_be_absent=may_be_absent)
        self._patience_s = patience_s
        self._is_complete = False
        self._times: BootTimes | None = None
        self._changed: Callable[[str], None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._wait_s = 0.0
        self._first_wait_s = first_wait_s
        self._not_finalized: str | None = None

    async def read_boot(self, *, root: Path, environ: Mapping[str, str]) -> BootId:
        """Read which boot this is, soft reboots counted. It never changes while we run.

        RebootmgrError if systemd gives no answer: a guess would judge the wrong boot.
        """
        came_or_went = asyncio.Event()
        await self._systemd.follow_owner(came_or_went.set)
        try:
            async with asyncio.timeout(self._patience_s):
                while (count := await self._soft_reboots()) is None:
                    await came_or_went.wait()
                    came_or_went.clear()
        except TimeoutError:
            text = f"systemd is not on the bus, not after {self._patience_s:.0f} s either"
            raise RebootmgrError(text) from None
        if not isinstance(count, int):
            raise RebootmgrError(f"systemd counts soft reboots as {harmless(repr(count))}")
        return BootId(f"{read_boot_id(root, environ)}:{count}")

    async def _soft_reboots(self) -> object:
        """Read how often userspace was started anew; None while systemd is not on the bus."""
        try:
            return await self._systemd.get("SoftRebootsCount")
        except BusError as error:
            if error.name in _BEFORE_256 or self._systemd.has_none(error):
                return 0
            if error.name not in ABSENT:
                raise
            return None

    async def read_boot_incomplete(self) -> str:
        """Say what boot-complete.target waits for, or which units failed; "" once it is reached."""
        if self._is_complete:
            return ""
        try:
            if await self._systemd.get_of(_TARGET_PATH, "ActiveState") == "active":
                self._is_complete = True
                return ""
            running, failed = await self._running_jobs(), await self._failed_units()
        except BusError as error:
            if self._systemd.has_none(error):
                return ""
            self._ask_again()
            if error.name in ABSENT:
                return f"systemd is not on the bus, it is asked for {_TARGET} when it comes back"
            return harmless(f"systemd cannot be asked for {_TARGET}, and is asked again: {error}")
        self._wait_s = 0.0
        found = {"still starting": running, "failed": failed}
        rest = [f"; {what}: {', '.join(units)}" for what, units in found.items() if units]
        head = f"{_TARGET} is not reached" if failed else f"waiting for {_TARGET}"
        return harmless("".join((head, *rest)))

    def _ask_again(self) -> None:
        """Have it read again before long: not to be able to ask is not to wait."""
        if self._changed is None or (self._again is not None and self._again.when() > _now()):
            return
        self._wait_s = min(max(2 * self._wait_s, self._first_wait_s), _LONGEST_WAIT_S)
        loop = asyncio.get_running_loop()
        self._again = loop.call_later(self._wait_s, self._changed, "systemd is asked again")

    async def read_boot_times(self) -> BootTimes | None:
        """Read what systemd measured of this boot, once it is complete; None where nobody tells."""
        if self._times is None and self._is_complete:
            try:
                self._times = await self._measured()
            except (BusError, ValueError) as error:
                log.debug("systemd does not tell how long the boot took: %s", error)
        return self._times

    async def read_not_finalized(self) -> str:
        """Say which unit failed to finalize the last shutdown's update; "" if none, or not yet."""
        if self._not_finalized is None and self._is_complete:
            self._not_finalized = await self._failed_to_finalize()
        return self._not_finalized or ""

    async def _failed_to_finalize(self) -> str:
        for unit in _FINALIZING:
            try:
                result = await self._systemd.read_failure(unit)
            except BusError as error:
                if not error.name:
                    raise
                log.debug("systemd does not tell of %s: %s", unit, error)
                continue
            if result:
                return f"{unit} failed ({result}); `journalctl -b -u {unit}` tells why"
        return ""

    async def watch(self, changed: Callable[[str], None]) -> None:
        """Call `changed` when boot-complete.target may have been reached, and until then only."""
        if self._is_complete:
            return

        def heard(_: Signal) -> None:
            if not self._is_complete:
                changed(_TARGET)

        def came_or_went() -> None:
            if not self._is_complete:
                changed("systemd")

        def reloaded(signal: Signal) -> None:
            if signal.body == [False] and not self._is_complete:
                changed("systemd has reloaded its units")

        self._changed = changed
        await self._systemd.follow_owner(came_or_went)
        await self._systemd.follow_reloads(reloaded)
        await self._systemd.follow(_TARGET_PATH, heard)  # a job of it that fails is told, too

    async def _running_jobs(self) -> list[str]:
        """Name the units whose jobs run; those that wait do so for these."""
        match await self._systemd.call("ListJobs"):
            case [[*jobs]]:
                return [str(job[1]) for job in jobs if _is_running(job)]
            case _:
                return []

    async def _failed_units(self) -> list[str]:
        match await self._systemd.call("ListUnitsFiltered", "as", [["failed"]]):
            case [[*units]]:
                return [str(unit[0]) for unit in units if isinstance(unit, list) and unit]
            case _:
                return []

    async def _measured(self) -> BootTimes:
        names = [f"{name}TimestampMonotonic" for name in ("Firmware", "Loader", "Userspace")]
        stamps = [(name, await self._systemd.get(name)) for name in names]
        stamps.append((_ENTERED, await self._systemd.get_of(_TARGET_PATH, _ENTERED)))
        firmware, loader, userspace, entered = (_seconds(*stamp) for stamp in stamps)
        # Those of firmware and loader count back from 0.
        return BootTimes(
            firmware_s=max(firmware, loader), userspace_s=userspace, complete_s=entered
        )


def _is_running(job: object) -> bool:
    """Whether a row of ListJobs is of a job that is being done (id, unit, type, state, …)."""
    match job:
        case [int(), str(), str(), "running", *_]:
            return True
        case _:
            return False


def _now() -> float:
    return asyncio.get_running_loop().time()


def _seconds(name: str, stamp: object) -> float:
    """Read a time stamp in microseconds; ValueError for one that no clock can show."""
    if not isinstance(stamp, int) or not 0 <= stamp < _LONGEST_UPTIME_US:
        raise ValueError(f"{name} is {harmless(repr(stamp))}")
    return stamp / 1e6


def read_boot_id(root: Path, environ: Mapping[str, str]) -> str:
    """Read the boot id as 32 hex digits, as systemd writes it; OSError if it cannot be read.

    REBOOTMGR_BOOT_ID (the unit's %b) wins, because a sandbox may show another one in /proc.
    """
    text = environ.get("REBOOTMGR_BOOT_ID", "")
    if not text:
        try:
            text = (root / _PROC_BOOT_ID).read_text()
        except FileNotFoundError:
            text = (Path("/") / _PROC_BOOT_ID).read_text()
    text = harmless(text)
    return text.replace("-", "") if len(text) == _UUID_LENGTH else text  # %b has no dashes
