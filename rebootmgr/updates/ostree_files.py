"""The files by which ostree and rpm-ostree say how things are (SPEC 2)."""

import io
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rebootmgr.core.facts import NotOstree, OsUnknown
from rebootmgr.text import harmless
from rebootmgr.updates.boot_words import decode_boot_entry, decode_root
from rebootmgr.updates.lock_words import decode_device, decode_holders, decode_mount_id
from rebootmgr.updates.words import LONGEST_FILE, FileContent, UnreadableFile

BOOTED: Final = "run/ostree-booted"
LIVE: Final = "run/ostree-live"
STAGED: Final = "run/ostree/staged-deployment"
LOCK: Final = "run/ostree/staged-deployment-locked"
DEPLOY: Final = "ostree/deploy"
DRIVER: Final = "run/rpm-ostree/update-driver.gv"
SYSROOT_LOCK: Final = "ostree/lock"
WATCHED: Final = (BOOTED, LIVE, STAGED, LOCK, DEPLOY, DRIVER, SYSROOT_LOCK)
NO_SOURCE: Final = 'remove `updates.source`, or write "auto"'
_CONTAINED: Final = "bootc on composefs is not supported from a container (docs/bootc.md)"
_PROC: Final = Path("/proc")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_NS: Final = 253_402_300_799 * 10**9  # the year 9999

Identity = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OstreeFiles:
    """One look at the files; two that are equal saw the same.

    `deploy` and `replaced` are inode, size and mtime_ns of ostree/deploy, which libostree touches
    at each change of a deployment, and of the staged file, which it replaces. `holders` are the
    processes that have locked the sysroot.
    """

    deploy: Identity
    replaced: Identity
    staged: FileContent
    has_lock: bool
    driver: FileContent
    holders: tuple[int, ...]

    @property
    def staged_at(self) -> datetime | None:
        """When the staged file was written; None without one, or for a time of no calendar."""
        return written_at(self.replaced)


def read_ostree_files(root: Path) -> OstreeFiles | NotOstree | OsUnknown:
    """Look at the files under `root`; never raises for what it finds there."""
    try:
        if identity(root / BOOTED) is None:
            if decode_root(read_mounts(root)) is not None:
                return OsUnknown(f"/ is a composefs of bootc, not of ostree: {NO_SOURCE}")
            return NotOstree(why_unlike(root, f"not booted from ostree: there is no /{BOOTED}"))
        if identity(root / LIVE) is not None:
            return NotOstree(f"a live system: there is /{LIVE}")
        return OstreeFiles(
            deploy=identity(root / DEPLOY),
            replaced=identity(root / STAGED),
            staged=read_content(root / STAGED),
            has_lock=identity(root / LOCK) is not None,
            driver=read_content(root / DRIVER),
            holders=read_sysroot_holders(root),
        )
    except OSError as error:
        return OsUnknown(harmless(f"cannot look at ostree's files: {error}"))


def written_at(mark: Identity) -> datetime | None:
    """When this file was written; None without one, or for a time of no calendar."""
    written_ns = -1 if mark is None else mark[2]
    if not 0 <= written_ns <= _LATEST_NS:
        return None
    return _EPOCH + timedelta(microseconds=written_ns // 1000)


def why_unlike(root: Path, why: str) -> str:
    """Say why it is not such a host, or what the kernel was told that it is: OSError.

    Where its root is another than the kernel was told, we are in a container: mounts and locks of
    processes outside of it cannot be seen.
    """
    own = root / "proc/cmdline"
    text = (own if own.exists() else _PROC / "cmdline").read_text(errors="replace")
    if not decode_boot_entry(f"options {text}").composefs:
        return why
    return f"{_CONTAINED}: {why}"


def read_mounts(root: Path) -> str:
    """Read what is mounted where, as proc(5) writes it; OSError."""
    own = root / "proc/self/mountinfo"
    return (own if own.exists() else _PROC / "self/mountinfo").read_text(errors="replace")


def read_sysroot_holders(root: Path, lock: str = SYSROOT_LOCK) -> tuple[int, ...]:
    """Look who has locked the sysroot, as `decode_holders` says; () where it is not locked.

    The file alone says nothing: a holder that is killed leaves it behind. OSError where it cannot
    be told.
    """
    try:
        fd = os.open(root / lock, os.O_PATH | os.O_CLOEXEC)  # it is root's alone to read
    except (FileNotFoundError, NotADirectoryError):
        return ()
    try:
        inode = os.fstat(fd).st_ino
        mount = decode_mount_id((_PROC / f"self/fdinfo/{fd}").read_text())
    finally:
        os.close(fd)
    mounts = (_PROC / "self/mountinfo").read_text(errors="replace")  # of the file just opened
    device = None if mount is None else decode_device(mounts, mount)
    own = root / "proc/locks"
    locks = own if own.exists() else _PROC / "locks"
    return decode_holders(locks.read_text(errors="replace"), device, inode)


def identity(path: Path) -> Identity:
    """Say which file it is and how old; None where there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def read_content(path: Path, longest: int = LONGEST_FILE) -> FileContent:
    """Read a file that should be small; one byte too many shows that it is not."""
    try:
        with io.FileIO(path, opener=_open_at_once) as file:
            return file.read(longest + 1) or b""
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return UnreadableFile(harmless(str(error)))


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe in the place of a file must not hold us
