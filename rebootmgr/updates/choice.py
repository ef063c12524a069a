"""Which source of updates this host has, and why (SPEC 4)."""

from pathlib import Path
from typing import Final

from rebootmgr.bus.connection import Bus
from rebootmgr.bus.words import DRIVER
from rebootmgr.core.facts import Deployments, NotOstree, OsUnknown
from rebootmgr.core.model import Choice, Source
from rebootmgr.updates.boot_words import decode_root
from rebootmgr.updates.file_source import COMPOSEFS, OSTREE, FileSource
from rebootmgr.updates.ostree_files import BOOTED, read_mounts
from rebootmgr.updates.rpm_ostree import NAME, RpmOstree
from rebootmgr.updates.source import Told, UpdateSource

_PATIENCE_S: Final = 25.0
_ACTIVATION: Final = f"dbus-1/system-services/{NAME}.service"
_SERVICES: Final = ("etc", "run", "usr/local/share", "usr/share")  # dbus-daemon(1)


async def choose_source(bus: Bus, root: Path, wanted: Source) -> Choice:
    """Say where this host has its updates from, and why; BusError."""
    if (settled := _settled(root, wanted)) is not None:
        return settled
    if await _is_on(bus, NAME):
        return Choice(Source.RPM_OSTREE, "rpm-ostreed is on the bus, or can be started")
    return Choice(Source.OSTREE, "there is no rpm-ostreed on the bus, nor one to start")


def foretell_source(root: Path, wanted: Source) -> Choice:
    """Say which source a daemon would take below `root`, and why, by files alone."""
    if (settled := _settled(root, wanted)) is not None:
        return settled
    kind = "" if (root / BOOTED).exists() else "; on a composefs of bootc it would be `composefs`"
    if any((root / folder / _ACTIVATION).exists() for folder in _SERVICES):
        return Choice(Source.RPM_OSTREE, f"rpm-ostreed can be started{kind}")
    return Choice(Source.OSTREE, f"there is no rpm-ostreed to start{kind}")


def _settled(root: Path, wanted: Source) -> Choice | None:
    """Choose what nobody needs to be asked for."""
    if wanted is not Source.AUTO:
        return Choice(wanted, "updates.source says so")
    if is_composefs(root):
        return Choice(Source.COMPOSEFS, "/ is a composefs of bootc")
    return None


def is_composefs(root: Path) -> bool:
    """Whether bootc runs this host without ostree; false where it cannot be told."""
    try:
        return not (root / BOOTED).exists() and decode_root(read_mounts(root)) is not None
    except OSError:
        return False


async def _is_on(bus: Bus, name: str) -> bool:
    for member in ("ListNames", "ListActivatableNames"):
        match await bus.call(*DRIVER, member, timeout_s=_PATIENCE_S):
            case [list(names)] if name in names:
                return True
            case _:
                pass
    return False


class ChosenSource:
    """The source that was chosen last; another choice takes its place. Close it at the end."""

    def __init__(self, bus: Bus, root: Path, choice: Choice) -> None:
        self._bus = bus
        self._root = root
        self.choice = choice
        self._source = self._opened(choice)
        self._told: tuple[Told, Told] | None = None

    def _opened(self, choice: Choice) -> UpdateSource:
        match choice.source:
            case Source.COMPOSEFS:
                return FileSource(COMPOSEFS, self._bus, self._root)
            case Source.OSTREE:
                return FileSource(OSTREE, self._bus, self._root)
            case Source.RPM_OSTREE | Source.AUTO:
                return RpmOstree(self._bus, self._root)

    @property
    def name(self) -> Source:
        """Which one it is."""
        return self._source.name

    async def choose(self, wanted: Source) -> bool:
        """Choose anew, and say whether it is another; BusError, and all is as before."""
        choice = await choose_source(self._bus, self._root, wanted)
        if choice.source is self.choice.source:
            self.choice = choice
            return False
        source = self._opened(choice)
        if self._told is not None:
            await source.watch(*self._told)
        self._source.close()
        self._source, self.choice = source, choice
        return True

    async def watch(self, changed: Told, locking: Told) -> None:
        """Have the source of the time call these."""
        self._told = (changed, locking)
        await self._source.watch(changed, locking)

    async def read(self) -> Deployments | OsUnknown | NotOstree:
        """Look, at one moment."""
        return await self._source.read()

    def is_sysroot_locked(self) -> bool:
        """Look whether somebody works on the deployments."""
        return self._source.is_sysroot_locked()

    def close(self) -> None:
        """Watch no longer."""
        self._source.close()
