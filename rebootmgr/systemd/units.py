"""Whether a systemd unit runs, and when that changes."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from rebootmgr.bus.connection import Bus, Signal
from rebootmgr.errors import BusError
from rebootmgr.text import harmless

_SYSTEMD: Final = "org.freedesktop.systemd1"
_MANAGER: Final = (_SYSTEMD, "/org/freedesktop/systemd1", f"{_SYSTEMD}.Manager")
_UNIT: Final = f"{_SYSTEMD}.Unit"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_NOT_THERE: Final = frozenset(
    {
        f"{_SYSTEMD}.NoSuchUnit",
        "org.freedesktop.DBus.Error.NameHasNoOwner",  # there is no systemd, as with --root
        "org.freedesktop.DBus.Error.ServiceUnknown",
    }
)


class UnitStates:
    """ActiveState of units (org.freedesktop.systemd1(5)).

    A unit that was read is followed: `changed` is called when its state changes.
    """

    def __init__(self, bus: Bus, changed: Callable[[str], None], *, patience_s: float) -> None:
        self._bus = bus
        self._changed = changed
        self._patience_s = patience_s
        self._followed: set[str] = set()

    async def read(self, unit: str) -> str:
        """Read a unit's state, "inactive" where it or systemd is not there; BusError."""
        try:
            path = await self._call(*_MANAGER, "GetUnit", unit)
            await self._follow(unit, path)
            state = await self._call(_SYSTEMD, path, _PROPERTIES, "Get", _UNIT, "ActiveState")
        except BusError as error:
            if error.name not in _NOT_THERE:
                raise
            return "inactive"
        return harmless(state)

    async def _follow(self, unit: str, path: str) -> None:
        if path in self._followed:
            return
        self._followed.add(path)

        def properties_changed(signal: Signal) -> None:
            match signal.body:
                case [_, {"ActiveState": state}, *_]:
                    self._changed(harmless(f"{unit} is {state}"))
                case _:
                    pass

        rule = f"sender='{_SYSTEMD}',path='{path}',member='PropertiesChanged',arg0='{_UNIT}'"
        await self._bus.subscribe(f"{rule},interface='{_PROPERTIES}'", properties_changed)
        try:
            await self._call(*_MANAGER, "Subscribe")  # without it systemd sends no signals
        except BusError as error:
            if error.name != f"{_SYSTEMD}.AlreadySubscribed":
                raise

    async def _call(
        self, destination: str, path: str, interface: str, member: str, *texts: str
    ) -> str:
        """Call a method that takes texts and answers at most one."""
        reply = await self._bus.call(
            destination,
            path,
            interface,
            member,
            "s" * len(texts),
            texts,
            timeout_s=self._patience_s,
            autostart=False,
        )
        return str(reply[0]) if reply else ""


UNIT: Final = "zincati.service"
DIRECTORIES: Final = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system")
"""The first that has a file of a name hides the same name in the others."""


def find_enabled_zincati(root: Path) -> Path | None:
    """Find the link that lets Zincati start; None if there is none, no such unit, or a mask."""
    directories = [root / each for each in DIRECTORIES]
    units = [each / UNIT for each in directories if os.path.lexists(each / UNIT)]
    if not units or _is_mask(units[0]):
        return None
    links: dict[str, Path] = {}
    for directory in directories:
        with suppress(OSError):  # what we may not see, we cannot warn of
            for folder in sorted(directory.iterdir()):
                if folder.suffix in {".wants", ".requires"} and os.path.lexists(folder / UNIT):
                    links.setdefault(folder.name, folder / UNIT)
    return next((link for link in links.values() if not _is_mask(link)), None)


def _is_mask(path: Path) -> bool:
    """Whether it is a link to the null device, or empty."""
    if path.is_symlink():
        return os.fspath(path.readlink()) == os.devnull
    return path.is_file() and path.stat().st_size == 0
