"""rpm-ostreed's stand-in on a real ostree host: `python3 -m tests.system.guest.libostree`.

What it shows is what libostree says of this host's sysroot, which it loads as rpm-ostreed does:
when ostree/deploy was touched, and no sooner, whoever asks. What it stages, it stages by libostree,
with the sysroot locked. It is led as the plain stand-in is (tests/fakes/rpmostreed.py).
"""

import asyncio
import os
from pathlib import Path
from typing import Any, Final

import gi

from rebootmgr.errors import BusError
from rebootmgr.updates.file_watch import FileWatch
from tests.fakes.ostree_host import Lock, Tree
from tests.fakes.rpmostreed import RpmOstreed

gi.require_version("OSTree", "1.0")
from gi.repository import GLib, OSTree  # noqa: E402 - its version is chosen first

_DEPLOY: Final = "ostree/deploy"
_LOCKED: Final = Path("/run/ostree/staged-deployment-locked")
_CONTENT: Final = "ostree.manifest-digest"
_GIO_ERROR: Final = "org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark"


class WorkOnSysroot:
    """The sysroot, locked until `release`; `die` leaves it to the end of the process."""

    def __init__(self) -> None:
        self.sysroot = _open()
        _, is_ours = self.sysroot.try_lock()
        if not is_ours:
            raise BusError(f"{_GIO_ERROR}.Code26", "System transaction in progress")
        self.sysroot.load()

    def release(self) -> None:
        """Unlock."""
        self.sysroot.unlock()

    def die(self) -> None:
        """Keep it: whoever is killed does not unlock either."""


class LibostreeHost:
    """What `RpmOstreed` asks of a host, answered by libostree."""

    def __init__(self) -> None:
        self.policy = "none"
        self.ref = ""
        self.overrides: dict[str, Any] = {}
        self._sysroot = _open()
        self._sysroot.load()
        self._work: WorkOnSysroot | None = None

    @property
    def trees(self) -> list[Tree]:
        """The deployments in boot order, as they were when it loaded them last."""
        return [self._tree(one) for one in self._sysroot.get_deployments()]

    @property
    def booted(self) -> str:
        """The id of the one that runs; "" for none."""
        booted = self._sysroot.get_booted_deployment()
        return "" if booted is None else _tree_id(booted)

    def load(self) -> None:
        """Look at the disk, if ostree/deploy was touched."""
        self._sysroot.load_if_changed()

    def save(self) -> None:
        """Nothing: the disk is what remembers."""

    def lock_sysroot(self) -> WorkOnSysroot:
        """Lock it, unless somebody has."""
        self._work = WorkOnSysroot()
        return self._work

    def boot_config(self) -> dict[str, tuple[str, Any]]:
        """Read the boot entry of the booted deployment."""
        entry = self._sysroot.get_booted_deployment().get_bootconfig()
        keys = ("options", "title", "linux", "initrd", "version")
        found = {key: entry.get(key) for key in keys}
        texts = {key: ("s", text) for key, text in found.items() if text is not None}
        return {"staged": ("b", False), **texts}

    def stage(self, version: str, **fields: Any) -> Tree:
        """Stage the commit of a version, as `os/VERSION` names it, in a transaction.

        `fields` may have `kargs`, by default those of the booted one, as rpm-ostree does it, and
        `lock`.
        """
        booted = self._sysroot.get_booted_deployment()
        _, repo = self._sysroot.get_repo()
        _, commit = repo.resolve_rev(f"os/{version}", False)  # noqa: FBT003 - GLib's order
        remote, _, ref = _refspec(booted).partition(":")
        repo.set_ref_immediate(remote, ref, commit)
        arguments = fields.get("kargs") or _arguments(booted)
        return self._stage(commit, arguments, fields.get("lock", ""))

    def change_arguments(self, arguments: list[str]) -> Tree:
        """Stage what is booted once more."""
        return self._stage(self._sysroot.get_booted_deployment().get_csum(), arguments, "")

    def _stage(self, commit: str, arguments: list[str], lock: Lock) -> Tree:
        assert self._work is not None, "outside of a transaction"
        sysroot = self._work.sysroot
        now = sysroot.get_booted_deployment()
        _, staged = sysroot.stage_tree(now.get_osname(), commit, now.get_origin(), now, arguments)
        if lock == "gvariant":
            sysroot.load()
            sysroot.change_finalization(sysroot.get_staged_deployment())
            _LOCKED.unlink()  # rpm-ostree locks inside of the file alone
        return self._tree(staged)

    def lock(self, how: Lock) -> None:
        """Lock or unlock what is staged; the kind of lock is libostree's to choose."""
        [staged] = [one for one in self._sysroot.get_deployments() if one.is_staged()]
        if staged.is_finalization_locked() != bool(how):
            self._sysroot.change_finalization(staged)

    def cleanup(self) -> None:
        """Withdraw what is staged, as `rpm-ostree cleanup -p` does."""
        sysroot = _open()
        sysroot.lock()
        sysroot.load()
        kept = [one for one in sysroot.get_deployments() if not one.is_staged()]
        sysroot.write_deployments_with_options(kept, OSTree.SysrootWriteDeploymentsOpts())
        sysroot.unlock()
        self.load()

    def _tree(self, one: Any) -> Tree:
        _, repo = self._sysroot.get_repo()
        checksum, refspec = one.get_csum(), _refspec(one)
        _, commit, _ = repo.load_commit(checksum)
        metadata = commit.get_child_value(0).unpack()
        extra: dict[str, Any] = {"pinned": ["b", one.is_pinned()], "origin": ["s", refspec]}
        _, newest = repo.resolve_rev(refspec, True)  # noqa: FBT003 - GLib's order
        if newest not in {None, checksum}:
            extra["pending-base-checksum"] = ["s", newest]
            _, pending, _ = repo.load_commit(newest)
            extra["pending-base-timestamp"] = ["t", OSTree.commit_get_timestamp(pending)]
        is_locked = one.is_staged() and _LOCKED.exists()
        return Tree(
            version=metadata.get("version", ""),
            checksum=checksum,
            serial=one.get_deployserial(),
            osname=one.get_osname(),
            timestamp=OSTree.commit_get_timestamp(commit),
            staged=one.is_staged(),
            unlocked=OSTree.Deployment.unlocked_state_to_string(one.get_unlocked()),
            digest=metadata.get(_CONTENT, ""),
            lock="file" if is_locked else "",
            extra=extra,
        )


def _open() -> Any:
    sysroot = OSTree.Sysroot.new_default()
    sysroot.initialize()
    return sysroot


def _tree_id(one: Any) -> str:
    return f"{one.get_osname()}-{one.get_csum()}.{one.get_deployserial()}"


def _arguments(one: Any) -> list[str]:
    options = one.get_bootconfig().get("options").split()
    return [option for option in options if not option.startswith("ostree=")]


def _refspec(one: Any) -> str:
    try:
        return str(one.get_origin().get_string("origin", "refspec"))
    except GLib.Error:
        return ""


async def _main() -> None:
    rpm_ostreed = RpmOstreed(LibostreeHost(), os.environ["DBUS_SYSTEM_BUS_ADDRESS"])
    touched = asyncio.Event()
    with FileWatch(Path("/"), (_DEPLOY,), lambda _: touched.set()):
        await rpm_ostreed.start()
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(_watch(rpm_ostreed, touched))
            await rpm_ostreed.bus.wait_lost()
            watching.cancel()


async def _watch(rpm_ostreed: RpmOstreed, touched: asyncio.Event) -> None:
    while True:
        await touched.wait()
        touched.clear()
        rpm_ostreed.host.load()
        await rpm_ostreed.refresh()


if __name__ == "__main__":
    asyncio.run(_main())
