"""rpm-ostree: what is booted, what is staged, and when to look again (SPEC 4).

It exits after a minute without clients. We never keep it alive and never poll: signals tell of
changes while it is awake, files while it is not, and each read asks it to look again (Reload).
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rebootmgr.bus.connection import Bus, Signal
from rebootmgr.bus.peer import Peer
from rebootmgr.bus.words import ABSENT, NO_REPLY
from rebootmgr.core.facts import Deployments, NotOstree, OsUnknown
from rebootmgr.errors import BusError
from rebootmgr.systemd.units import ServiceManager
from rebootmgr.updates.file_watch import FileWatch
from rebootmgr.updates.ostree_files import WATCHED, OstreeFiles, read_ostree_files
from rebootmgr.updates.words import (
    decode_booted_path,
    decode_deployments,
    decode_driver,
    describe_driver,
)

_NAME: Final = "org.projectatomic.rpmostree1"
_PATH: Final = "/org/projectatomic/rpmostree1"
_SYSROOT: Final = (f"{_PATH}/Sysroot", f"{_NAME}.Sysroot")
_OS: Final = f"{_NAME}.OS"
_ASLEEP: Final = ABSENT | {NO_REPLY}  # or it left the bus just before our call reached it
_LOOKS: Final = 3

log = logging.getLogger(__name__)


class RpmOstree:
    """Reads and watches one host; `root` is `--root`.

    `patience_s` bounds each answer of a running rpm-ostreed, `activation_s` the first answer of
    one that has to be started (its unit allows five minutes).
    """

    def __init__(
        self, bus: Bus, root: Path, *, patience_s: float = 25.0, activation_s: float = 300.0
    ) -> None:
        self._peer = Peer(bus, _NAME, patience_s=patience_s)
        self._systemd = ServiceManager(bus, patience_s=patience_s, may_be_absent=root != Path("/"))
        self._root = root
        self._patience_s = patience_s
        self._activation_s = activation_s
        self._files: FileWatch | None = None
        self._changed: Callable[[str], None] = log.debug
        self._news = 0

    async def watch(self, changed: Callable[[str], None]) -> None:
        """Call `changed` with what happened whenever a fresh `read` is due; BusError, OSError."""
        self._changed = changed
        await self._peer.subscribe_owner(self._owner_changed)
        await self._peer.subscribe_properties(self._properties_changed, path_namespace=_PATH)
        self._files = FileWatch(self._root, WATCHED, lambda path: changed(f"/{path}"))

    def close(self) -> None:
        """Stop watching files; the bus is the caller's."""
        if self._files is not None:
            self._files.close()

    async def read(self) -> Deployments | OsUnknown | NotOstree:
        """Look at files and properties, all of one moment; BusError only when the bus is lost.

        What changes while we look makes us look again, a few times.
        """
        for _ in range(_LOOKS):
            files = read_ostree_files(self._root)
            if not isinstance(files, OstreeFiles):
                return files
            answer, is_steady = await self._ask(files)
            if is_steady and read_ostree_files(self._root) == files:
                return answer
        return OsUnknown("rpm-ostree: deployments keep changing while they are read")

    async def _ask(self, files: OstreeFiles) -> tuple[Deployments | OsUnknown | NotOstree, bool]:
        """Ask rpm-ostreed, and say whether nothing changed between its answers.

        Signals arrive in the order of the answers, so one that was sent before the last answer
        has been counted by then.
        """
        news: int | None = None
        try:
            await self._reload()
            news = self._news
            answer = await self._properties(files)
        except BusError as error:
            if not error.name:
                raise
            answer = OsUnknown(f"rpm-ostree: {error}")
        except TimeoutError:
            answer = OsUnknown("rpm-ostree: rpm-ostreed does not answer")
        return answer, news in {None, self._news}

    async def _reload(self) -> None:
        """Make rpm-ostreed look at the disk, started if it sleeps; BusError, TimeoutError."""
        try:
            await self._call_reload(self._patience_s, autostart=False)
        except BusError as error:
            if error.name not in _ASLEEP:
                raise
            await self._call_reload(self._activation_s, autostart=True)

    async def _call_reload(self, wait_s: float, *, autostart: bool) -> None:
        # The bus says NoReply when rpm-ostreed leaves, and that is worth another attempt. A call
        # that is given up says NoReply too, and that is not: hence a bound of our own, outside.
        async with asyncio.timeout(wait_s):
            await self._peer.call(*_SYSROOT, "Reload", patience_s=2 * wait_s, autostart=autostart)

    async def _properties(self, files: OstreeFiles) -> Deployments | OsUnknown | NotOstree:
        sysroot = await self._peer.get_all(*_SYSROOT)
        booted = decode_booted_path(sysroot)
        if not isinstance(booted, str):
            return booted
        booted_os = await self._peer.get_all(booted, _OS)
        driver = await self._driver(files)
        if isinstance(driver, OsUnknown):
            return driver
        return decode_deployments(
            sysroot,
            booted_os,
            staged_file=files.staged,
            has_lock_file=files.has_lock,
            driver=driver,
            staged_at=files.staged_at,
        )

    async def _driver(self, files: OstreeFiles) -> str | OsUnknown:
        driver = decode_driver(files.driver)
        if driver is None:
            return ""
        if isinstance(driver, OsUnknown):
            return driver
        state = await self._systemd.read_state(driver.unit, self._changed)
        return describe_driver(driver, state)

    def _owner_changed(self, signal: Signal) -> None:
        self._news += 1
        match signal.body:
            case [_, _, ""]:  # it went to sleep; a read would wake it up again, for ever
                log.debug("rpm-ostreed left the bus")
            case _:
                self._changed("rpm-ostreed started")

    def _properties_changed(self, signal: Signal) -> None:
        self._news += 1
        match signal.body:
            case [str(interface), dict(values), *_]:
                names = ", ".join(sorted(map(str, values)))
                self._changed(f"rpm-ostree: {interface.rpartition('.')[2]}: {names}")
            case _:
                self._changed("rpm-ostree: something changed")
