"""rpm-ostree: what is booted, what is staged, and when to look again (SPEC 4).

It exits after a minute without clients. We never keep it alive and never poll: signals tell of
changes while it is awake, files while it is not, and each read asks it to look again (Reload).
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rebootmgr.bus.connection import Bus, Signal
from rebootmgr.bus.peer import Peer
from rebootmgr.bus.words import ABSENT, DRIVER, NO_REPLY, is_not_started
from rebootmgr.core.facts import Deployments, NotOstree, OsUnknown
from rebootmgr.core.model import Source
from rebootmgr.errors import BusError
from rebootmgr.updates.change_words import split_arguments
from rebootmgr.updates.file_watch import FileWatch
from rebootmgr.updates.ostree_files import (
    SYSROOT_LOCK,
    WATCHED,
    OstreeFiles,
    read_ostree_files,
    read_sysroot_holders,
)
from rebootmgr.updates.rivals import Rivals
from rebootmgr.updates.source import Told
from rebootmgr.updates.words import (
    Witnesses,
    decode_booted_path,
    decode_client,
    decode_deployments,
)

NAME: Final = "org.projectatomic.rpmostree1"
_PATH: Final = "/org/projectatomic/rpmostree1"
_SYSROOT: Final = (f"{_PATH}/Sysroot", f"{NAME}.Sysroot")
_OS: Final = f"{NAME}.OS"
_ASLEEP: Final = ABSENT | {NO_REPLY}  # or it left the bus just before our call reached it
_ABSENT_CURE: Final = (
    "`systemctl status rpm-ostreed.service` tells why, `systemctl unmask` lifts a mask; or "
    'set updates.source = "ostree"'
)
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
        self._bus = bus
        self._peer = Peer(bus, NAME, patience_s=patience_s)
        self._rivals = Rivals(bus, root, patience_s=patience_s)
        self._root = root
        self._patience_s = patience_s
        self._activation_s = activation_s
        self._files: FileWatch | None = None
        self._changed: Told = log.debug
        self._locking: Told = log.debug
        self._news = 0

    @property
    def name(self) -> Source:
        """Which source it is."""
        return Source.RPM_OSTREE

    async def watch(self, changed: Told, locking: Told) -> None:
        """Call `changed` with what happened whenever a fresh `read` is due; BusError, OSError.

        Call `locking` when the sysroot may have been locked or unlocked: `is_sysroot_locked`.
        """
        self._changed = changed
        self._locking = locking
        await self._peer.subscribe_owner(self._owner_changed)
        await self._peer.subscribe_properties(self._properties_changed, path_namespace=_PATH)
        self._files = FileWatch(self._root, WATCHED, self._touched)

    def _touched(self, path: str) -> None:
        tell = self._locking if path == SYSROOT_LOCK else self._changed
        tell(f"/{path}")

    def is_sysroot_locked(self) -> bool:
        """Look at that alone, which asks nobody; true where it cannot be told."""
        try:
            return bool(read_sysroot_holders(self._root))
        except OSError as error:
            log.debug("cannot tell who has locked the sysroot: %s", error)
            return True

    def close(self) -> None:
        """Watch no longer; the bus is the caller's."""
        self._changed = self._locking = log.debug
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
            cure = _ABSENT_CURE if is_not_started(error.name) else ""
            answer = OsUnknown(f"rpm-ostree: {error}", cure)
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
        rivals = await self._rivals.read(files.driver, self._changed)
        if isinstance(rivals, OsUnknown):
            return rivals
        others = Witnesses(
            staged_file=files.staged,
            has_lock_file=files.has_lock,
            staged_at=files.staged_at,
            driver=rivals.driver,
            resting=rivals.resting,
            applier=rivals.applier,
            client=await self._client(sysroot),
            arguments=await self._arguments(booted, files),
            sysroot=await self._rivals.describe_holder(files.holders, self._changed),
        )
        return decode_deployments(sysroot, booted_os, others)

    async def _client(self, sysroot: Mapping[str, Any]) -> str:
        """Name whose transaction is running, with its process where the bus knows it."""
        if not (client := decode_client(sysroot)):
            return ""
        try:
            which = ("GetConnectionUnixProcessID", "s", [client])
            reply = await self._bus.call(*DRIVER, *which, timeout_s=self._patience_s)
        except BusError as error:
            if not error.name:
                raise
            return f"{client}, which has left the bus"
        match reply:
            case [int(process)]:
                return f"process {process} ({client})"
            case _:
                return client

    async def _arguments(self, booted: str, files: OstreeFiles) -> tuple[str, ...] | None:
        """Read the kernel's arguments of the booted deployment, to compare with what is staged."""
        if files.staged is None:
            return None
        which = ("GetDeploymentBootConfig", "sb", ["", False])
        try:
            match await self._peer.call(booted, _OS, *which):
                case [{"options": options}]:
                    return split_arguments(options)
                case _:
                    return None
        except BusError as error:
            if not error.name:
                raise
            log.debug("rpm-ostree does not tell the kernel's arguments: %s", error)
            return None

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
