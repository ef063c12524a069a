"""The sources that read files alone, `ostree` and `composefs`: no program is run, no bus asked.

Only who else reboots, and who works on the deployments, is systemd's to say.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rebootmgr.bus.connection import Bus
from rebootmgr.core.facts import Deployments, NotOstree, OsUnknown
from rebootmgr.core.model import Source
from rebootmgr.errors import BusError
from rebootmgr.updates.composefs_files import COMPOSEFS_LOCK, WATCHED_COMPOSEFS, look_at_composefs
from rebootmgr.updates.file_watch import FileWatch
from rebootmgr.updates.ostree_files import SYSROOT_LOCK, read_sysroot_holders
from rebootmgr.updates.rivals import Rivals
from rebootmgr.updates.sight import Sight
from rebootmgr.updates.source import Told
from rebootmgr.updates.tree_files import WATCHED_TREES, look_at_trees

_LOOKS: Final = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the files of one kind of host are, and how to look at them."""

    name: Source
    watched: tuple[str, ...]
    lock: str
    look: Callable[[Path], Sight | NotOstree | OsUnknown]


OSTREE: Final = Layout(
    name=Source.OSTREE, watched=WATCHED_TREES, lock=SYSROOT_LOCK, look=look_at_trees
)
COMPOSEFS: Final = Layout(
    name=Source.COMPOSEFS, watched=WATCHED_COMPOSEFS, lock=COMPOSEFS_LOCK, look=look_at_composefs
)


class FileSource:
    """Reads and watches one host of this layout; `root` is `--root`."""

    def __init__(self, layout: Layout, bus: Bus, root: Path, *, patience_s: float = 25.0) -> None:
        self._layout = layout
        self._root = root
        self._rivals = Rivals(bus, root, patience_s=patience_s)
        self._files: FileWatch | None = None
        self._changed: Told = log.debug
        self._locking: Told = log.debug

    @property
    def name(self) -> Source:
        """Which source it is."""
        return self._layout.name

    async def watch(self, changed: Told, locking: Told) -> None:
        """Call `changed` when a fresh `read` is due, `locking` when the lock may have changed."""
        self._changed, self._locking = changed, locking
        self._files = FileWatch(self._root, self._layout.watched, self._touched)

    def _touched(self, path: str) -> None:
        tell = self._locking if path == self._layout.lock else self._changed
        tell(f"/{path}")

    def close(self) -> None:
        """Watch no longer."""
        self._changed = self._locking = log.debug
        if self._files is not None:
            self._files.close()

    def is_sysroot_locked(self) -> bool:
        """Look at that alone; true where it cannot be told."""
        try:
            return bool(read_sysroot_holders(self._root, self._layout.lock))
        except OSError as error:
            log.debug("cannot tell who has locked the sysroot: %s", error)
            return True

    async def read(self) -> Deployments | OsUnknown | NotOstree:
        """Look at the files, all of one moment; BusError only when the bus is lost."""
        answer: OsUnknown | NotOstree | None = None
        for _ in range(_LOOKS):
            sight = self._layout.look(self._root)
            if not isinstance(sight, Sight):
                answer = sight  # maybe of a moment between two
                continue
            try:
                found = await self._complete(sight)
            except BusError as error:
                if not error.name:
                    raise
                return OsUnknown(f"systemd: {error}")
            if self._layout.look(self._root) == sight:
                return found
        return answer or OsUnknown(f"{self.name}: deployments keep changing while they are read")

    async def _complete(self, sight: Sight) -> Deployments | OsUnknown:
        rivals = await self._rivals.read(sight.driver, self._changed)
        if isinstance(rivals, OsUnknown):
            return rivals
        return replace(
            sight.deployments,
            driver=rivals.driver or rivals.applier,
            registered=bool(rivals.driver),
            resting_driver=rivals.resting,
            sysroot=await self._rivals.describe_holder(
                sight.holders, self._changed, lock=self._layout.lock
            ),
        )
