"""systemd: which boot this is, and whether it is complete (org.freedesktop.systemd1(5))."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rebootmgr.bus.connection import Bus, Signal
from rebootmgr.core.facts import BootTimes
from rebootmgr.core.model import BootId
from rebootmgr.errors import BusError
from rebootmgr.text import harmless

_NAME: Final = "org.freedesktop.systemd1"
_PATH: Final = "/org/freedesktop/systemd1"
_MANAGER: Final = "org.freedesktop.systemd1.Manager"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_UNIT: Final = "org.freedesktop.systemd1.Unit"
_TARGET: Final = "boot-complete.target"
_TARGET_PATH: Final = f"{_PATH}/unit/boot_2dcomplete_2etarget"
_ABSENT: Final = frozenset(
    {"org.freedesktop.DBus.Error.NameHasNoOwner", "org.freedesktop.DBus.Error.ServiceUnknown"}
)
_BEFORE_256: Final = frozenset(
    {"org.freedesktop.DBus.Error.UnknownProperty", "org.freedesktop.DBus.Error.InvalidArgs"}
)
_LONGEST_UPTIME_US: Final = 10**15
_UUID_LENGTH: Final = 36
_PROC_BOOT_ID: Final = "proc/sys/kernel/random/boot_id"

log = logging.getLogger(__name__)


class Systemd:
    """The service manager. Where none answers on the bus, the boot counts as complete (SPEC 12)."""

    def __init__(self, bus: Bus, *, patience_s: float = 10.0) -> None:
        self._bus = bus
        self._patience_s = patience_s
        self._is_complete = False
        self._times: BootTimes | None = None

    async def read_boot(self, *, root: Path, environ: Mapping[str, str]) -> BootId:
        """Read which boot this is, soft reboots counted. It never changes while we run.

        BusError if systemd is there but does not answer: a guess would judge the wrong boot.
        """
        try:
            count = await self._get(_PATH, _MANAGER, "SoftRebootsCount")
        except BusError as error:
            if error.name not in _ABSENT | _BEFORE_256:
                raise
            count = 0
        if not isinstance(count, int):
            raise BusError("", f"systemd counts soft reboots as {harmless(repr(count))}")
        return BootId(f"{read_boot_id(root, environ)}:{count}")

    async def read_boot_incomplete(self) -> str:
        """Say what boot-complete.target waits for, or which units failed; "" once it is reached."""
        if self._is_complete:
            return ""
        try:
            if await self._get(_TARGET_PATH, _UNIT, "ActiveState") == "active":
                self._is_complete = True
                return ""
            failed = await self._failed_units()
        except BusError as error:
            if error.name in _ABSENT:
                return ""
            return harmless(f"systemd cannot be asked for {_TARGET}: {error}")
        if not failed:
            return f"waiting for {_TARGET}"
        return harmless(f"{_TARGET} is not reached; failed: {', '.join(failed)}")

    async def read_boot_times(self) -> BootTimes | None:
        """Read what systemd measured of this boot, once it is complete; None where nobody tells."""
        if self._times is None and self._is_complete:
            try:
                self._times = BootTimes(
                    firmware_s=max(
                        await self._seconds(_PATH, _MANAGER, "FirmwareTimestampMonotonic"),
                        await self._seconds(_PATH, _MANAGER, "LoaderTimestampMonotonic"),
                    ),
                    userspace_s=await self._seconds(_PATH, _MANAGER, "UserspaceTimestampMonotonic"),
                    complete_s=await self._seconds(
                        _TARGET_PATH, _UNIT, "ActiveEnterTimestampMonotonic"
                    ),
                )
            except BusError as error:
                log.debug("systemd does not tell how long the boot took: %s", error)
        return self._times

    async def watch(self, changed: Callable[[str], None]) -> None:
        """Call `changed` when boot-complete.target may have been reached, and until then only."""
        if self._is_complete:
            return

        def heard(_: Signal) -> None:
            if not self._is_complete:
                changed(_TARGET)

        # A job of the target that fails is told here, too, since Job is one of its properties.
        await self._bus.subscribe(
            f"type='signal',sender='{_NAME}',path='{_TARGET_PATH}',"
            "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'",
            heard,
        )
        try:
            # For good: it counts for the whole connection, and others follow units, too. It costs
            # nothing more, since logind is subscribed on every host, so that systemd tells anyway.
            await self._manager("Subscribe")
        except BusError as error:
            log.debug("systemd will not tell of changes: %s", error)

    async def _failed_units(self) -> list[str]:
        match await self._manager("ListUnitsFiltered", "as", [["failed"]]):
            case [[*units]]:
                return [str(unit[0]) for unit in units if isinstance(unit, list) and unit]
            case _:
                return []

    async def _manager(
        self, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> Sequence[Any]:
        return await self._call(_PATH, _MANAGER, member, signature, body)

    async def _get(self, path: str, interface: str, name: str) -> object:
        body = await self._call(path, _PROPERTIES, "Get", "ss", [interface, name])
        return body[0] if body else None

    async def _seconds(self, path: str, interface: str, name: str) -> float:
        """Read a time stamp in microseconds; those of firmware and loader count back from 0."""
        found = await self._get(path, interface, name)
        if not isinstance(found, int) or not 0 <= found < _LONGEST_UPTIME_US:
            raise BusError("", f"{name} is {harmless(repr(found))}")
        return found / 1e6

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
