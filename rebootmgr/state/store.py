"""state.json on disk: at every instant there is one good copy (SPEC 9)."""

import errno
import logging
import os
import stat
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from rebootmgr.core.memory import Hold, Memory, Unreadable
from rebootmgr.state.owner import adopt, is_of_another, read_machine
from rebootmgr.state.words import LARGEST, MOST_DEBTS, Corrupt, decode_state, encode_state

log = logging.getLogger(__name__)

DIRECTORY: Final = "var/lib/rebootmgr"
CLONED: Final = (
    "%s is of another machine, as on a cloned disk: its slots, its reboots and what it held"
    " against updates are forgotten, its holds stay"
)
STATE_LOST: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no such file."""


@dataclass(frozen=True, slots=True)
class Good:
    """A state file, as it is and as it reads."""

    data: bytes
    memory: Memory


Found: TypeAlias = Good | Unreadable | Corrupt | Missing


class Files:
    """The calls that writing is made of; a test makes one of them fail, or the last."""

    def unlink(self, path: Path) -> None:
        """Remove `path`, if it is there."""
        path.unlink(missing_ok=True)

    def open(self, path: Path) -> int:
        """Create `path`, which nobody else may have put there."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, fd: int, data: bytes) -> int:
        """Write some of `data`; how much of it."""
        return os.write(fd, data)

    def fsync(self, fd: int) -> None:
        """Make the content survive a power cut."""
        os.fsync(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Put `old` in the place of `new`."""
        old.rename(new)

    def fsync_dir(self, path: Path) -> None:
        """Make the names survive a power cut."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class NoStore:
    """A dry run remembers nothing."""

    def write(self, memory: Memory) -> None:
        """Forget `memory`."""


class StateStore:
    """Reads and writes `state.json` under `root`. Blocks: call it in a thread."""

    def __init__(self, root: Path, *, files: Files | None = None) -> None:
        self._directory = root / DIRECTORY
        self._newest = self._directory / "state.json"
        self._previous = self._directory / "state.json~"
        self._next = self._directory / "state.json.new"
        self._files = files or Files()
        self._machine = read_machine(root)

    def read(self, *, at: datetime) -> Memory | Unreadable:
        """Remember: the newest good copy. With every copy lost, a hold from `at` for 24 h."""
        match self._recall(at):
            case Memory() as memory:
                if is_of_another(memory, self._machine):
                    log.warning(CLONED, self._newest)
                return adopt(memory, self._machine)
            case unreadable:
                return unreadable

    def _recall(self, at: datetime) -> Memory | Unreadable:
        match newest := _read(self._newest):
            case Good(_, memory):
                if len(memory.debts) == MOST_DEBTS:
                    log.warning(
                        "%s owes %s slots or more: no others count", self._newest, MOST_DEBTS
                    )
                return memory
            case Unreadable():
                return newest
            case Corrupt() | Missing():
                return self._read_previous(newest, at)

    def _read_previous(self, newest: Corrupt | Missing, at: datetime) -> Memory | Unreadable:
        match newest, _read(self._previous):
            case _, Good(_, memory):
                log.warning("%s is %s, using %s", self._newest, _why(newest), self._previous)
                return memory
            case _, Unreadable() as unreadable:
                return unreadable
            case Missing(), Missing():
                return Memory()
            case _, previous:
                why, lost = _why(newest), _why(previous)
                log.error("%s is %s, and its copy is %s", self._newest, why, lost)
                return Memory(holds=(_state_lost(at),))

    def write(self, memory: Memory) -> None:
        """Make `memory` survive a power cut; OSError when that cannot be promised.

        After an error, and at any instant on the way, the old or the new memory is read.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        current = _read(self._newest)
        if isinstance(current, Unreadable):
            raise OSError(errno.EEXIST, current.detail, str(self._newest))
        older = current if isinstance(current, Good) else _read(self._previous)
        data = encode_state(memory, over=older.data if isinstance(older, Good) else b"")
        if len(data) > LARGEST:
            raise OSError(errno.EFBIG, "the state has grown beyond reason", str(self._newest))
        if isinstance(current, Good):  # never put a corrupt file in the place of a good copy
            self._put(self._previous, current.data)
        self._put(self._newest, data)
        self._files.fsync_dir(self._directory)
        if isinstance(current, Missing):  # then the directory may be as new
            self._files.fsync_dir(self._directory.parent)

    def _put(self, path: Path, data: bytes) -> None:
        """Replace `path` whole: no rename leaves the newest state without a name in between."""
        self._files.unlink(self._next)
        fd = self._files.open(self._next)
        try:
            rest = data
            while rest:
                rest = rest[self._files.write(fd, rest) :]
            self._files.fsync(fd)
        finally:
            os.close(fd)
        self._files.rename(self._next, path)


def _read(path: Path) -> Found:
    try:
        # a pipe must not stop us, nor a link lead us away
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = _read_open(fd)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return Missing()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Unreadable(f"{path} is a symbolic link: move it away")
        return Unreadable(f"{path}: {error.strerror}")
    match found:
        case Unreadable(detail):
            return Unreadable(f"{path}: {detail}")
        case other:
            return other


def _read_open(fd: int) -> Good | Unreadable | Corrupt:
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode):
        return Unreadable("not a regular file: move it away")
    if facts.st_uid not in {os.geteuid(), 0}:
        return Unreadable(f"belongs to user {facts.st_uid}: move it away, or chown it")
    with os.fdopen(fd, "rb", closefd=False) as file:
        data = file.read(LARGEST + 1)
    found = decode_state(data)
    return Good(data, found) if isinstance(found, Memory) else found


def _why(found: Found) -> str:
    match found:
        case Corrupt(detail):
            return f"corrupt ({detail})"
        case _:
            return "missing"


def _state_lost(at: datetime) -> Hold:
    return Hold(
        id="state-lost",
        owner="rebootmgr",
        reason="state lost: state.json and its copy cannot be read",
        since=at,
        until=at + STATE_LOST,
    )
