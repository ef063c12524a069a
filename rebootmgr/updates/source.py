"""What every source of updates is to the daemon (SPEC 4)."""

from collections.abc import Callable
from typing import Protocol

from rebootmgr.core.facts import Deployments, NotOstree, OsUnknown
from rebootmgr.core.model import Source

Told = Callable[[str], None]


class UpdateSource(Protocol):
    """Whatever knows the deployments of this host."""

    @property
    def name(self) -> Source:
        """Which one it is; never `auto`."""
        ...

    async def watch(self, changed: Told, locking: Told) -> None:
        """Call `changed` with what happened whenever a fresh `read` is due; BusError, OSError.

        Call `locking` when the sysroot may have been locked or unlocked: `is_sysroot_locked`.
        """
        ...

    async def read(self) -> Deployments | OsUnknown | NotOstree:
        """Look, at one moment; BusError only when the bus is lost."""
        ...

    def is_sysroot_locked(self) -> bool:
        """Look whether somebody works on the deployments, and ask nobody."""
        ...

    def close(self) -> None:
        """Watch no longer; the bus is the caller's."""
        ...
